"""Pieces of Python with the level at which they bind, so that they are put together with no parenthesis too few."""

from __future__ import annotations

import keyword
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

ATOM, POWER, UNARY, TIMES, PLUS, AND, XOR, OR, COMPARE, LOOSE = range(10, 0, -1)


class Text(NamedTuple):
    """A Python expression."""

    code: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """The code for a place that binds at `level`."""
        return self.code if self.level >= level else f"({self.code})"

    @property
    def atom(self) -> str:
        return self.at(ATOM)


def binary(a: Text, sign: str, b: Text, level: int) -> Text:
    """a sign b; the right one, and a product beside a matrix product, in parentheses where they bind alike."""
    inner = _outer_sign(a) if a.level == level == TIMES else sign
    left = a.at(level + 1) if inner != sign and "@" in (inner, sign) else a.at(level)
    return Text(f"{left} {sign} {b.at(level + 1)}", level)


def _outer_sign(a: Text) -> str:
    """The last operator of a product that stands outside all brackets."""
    depth, found = 0, ""
    for k, c in enumerate(a.code):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and c in "*/@" and a.code[k - 1 : k] == " " and a.code[k + 1 : k + 2] == " ":
            found = c
    return found


def call(function: str, *args: str, **options: str) -> Text:
    """function(args, option=value)."""
    return Text(f"{function}({', '.join([*args, *(f'{k}={v}' for k, v in options.items())])})")


def literal(value: Any, main: Any = None, dtype: str = "") -> Text:
    """A number; the limits of the main dtype by their names."""
    if isinstance(value, bool | np.bool_):
        return Text(str(bool(value)))
    if isinstance(value, complex):
        return Text(f"({value!r})")
    if isinstance(value, int | np.integer):
        return Text(str(value), ATOM if value >= 0 else UNARY)
    if main is not None and dtype and (limit := _limit(float(value), main, dtype)):
        return limit
    if value != value:
        return Text("jnp.nan")
    if abs(value) == float("inf"):
        return Text("jnp.inf") if value > 0 else Text("-jnp.inf", UNARY)
    return Text(repr(float(value)), ATOM if value >= 0 else UNARY)


def _limit(value: float, main: Any, dtype: str) -> Text | None:
    info = jnp.finfo(main)
    for name in ("eps", "tiny", "max", "min"):
        if value == float(getattr(info, name)):
            return Text(f"jnp.finfo({dtype}).{name}")
    largest = float(info.max)
    if float("inf") > abs(value) > 1e38 and largest > 1e300:
        return Text(f"{value / largest!r} * jnp.finfo({dtype}).max", TIMES)
    return None


class Names:
    """Names that are taken, in one function; a name that is taken gets a number."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = set(taken)

    def fresh(self, wish: str) -> str:
        name = wish if wish.isidentifier() and not keyword.iskeyword(wish) else "a"
        stem, k = name, 1
        while name in self.taken:
            k += 1
            name = f"{stem}{k}" if not stem[-1].isdigit() else f"{stem}_{k}"
        self.taken.add(name)
        return name

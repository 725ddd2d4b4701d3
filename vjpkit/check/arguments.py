"""The arguments of a check: drawn from specifications, held to be usable, and looked at for what they hide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.errors import CheckError
from vjpkit.check.layout import kind
from vjpkit.core.draw import Draw, booleans, integers, normal

_WORDS = re.compile(r"^\s*(?:(int|bool)\b)?\s*((?:[A-Za-z_]\w*|\d+)(?:\s+(?:[A-Za-z_]\w*|\d+))*)?\s*(?:<\s*(\w+))?\s*$")


def is_shape(text: str) -> bool:
    """Whether a text is a shape in words."""
    return bool(_WORDS.match(text))


def specified(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments with every specification turned into a draw; the same letter is the same prime everywhere."""
    primes = _primes()
    sizes: dict[str, int] = {}
    high = min(
        (n for leaf in jax.tree.leaves(tuple(args), is_leaf=_is_spec) if _is_spec(leaf) for n in leaf.shape), default=5
    )

    def size(word: str) -> int:
        return int(word) if word.isdigit() else sizes.setdefault(word, next(primes) if word not in sizes else 0)

    def draw(leaf: Any) -> Any:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return _draw_like(leaf, high)
        if isinstance(leaf, str) and (words := _WORDS.match(leaf)):
            what, letters, below = words.groups()
            shape = tuple(size(w) for w in (letters or "").split())
            if what == "bool":
                return booleans(*shape)
            return integers(*shape, high=size(below) if below else 2) if what == "int" else normal(*shape)
        return leaf

    return tuple(jax.tree.map(draw, a, is_leaf=_is_spec) for a in args)


def drawn(args: Sequence[Any], seed: int, dtype: Any) -> tuple[Any, ...]:
    """The arguments with every draw drawn, in `dtype`; the same numbers as `Case.draw` gives."""
    leaves, tree = jax.tree.flatten(tuple(args), is_leaf=_is_spec)
    sampled = [leaf.sample((seed, i), dtype) if isinstance(leaf, Draw) else leaf for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, sampled)


def has_draws(args: Sequence[Any]) -> bool:
    """Whether other seeds give other arguments."""
    return any(isinstance(leaf, Draw) for leaf in jax.tree.leaves(tuple(args), is_leaf=_is_spec))


def usable(name: str, args: Sequence[Any], paths: Sequence[str]) -> None:
    """CheckError where an argument was donated, or is not a number somewhere."""
    leaves = jax.tree.leaves(tuple(args))
    for path, leaf in zip(paths, leaves, strict=True):
        if isinstance(leaf, jax.Array) and leaf.is_deleted():
            raise CheckError(
                f"{name}: argument {path} was donated to an earlier call and holds no data; hand in a copy"
            )
        if kind(leaf) in ("float", "complex") and np.isnan(values := np.asarray(leaf)).any():
            i = tuple(int(n) for n in np.argwhere(np.isnan(values))[0])
            raise CheckError(f"{name}: argument {path} is NaN at {list(i)}; no derivative can be judged there")


def hiding(leaves: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """What these arguments hide from any check."""
    for path, leaf in leaves:
        if kind(leaf) == "fixed" and jnp.issubdtype(leaf.dtype, jnp.integer):
            values = np.asarray(leaf)
            if values.size > 1 and len(np.unique(values)) == values.size:
                yield f"all indices in {path} are different: what a gather adds up is invisible"
        if kind(leaf) not in ("float", "complex"):
            continue
        shape, values = np.shape(leaf), np.asarray(leaf)
        if values.size == 0:
            yield f"{path} is empty: nothing in it can be checked"
        if len(shape) >= 2 and shape[-1] == shape[-2] > 1:
            yield f"{path} is square, {shape[-2]}×{shape[-1]}: a transpose is visible only by value"
        if len(shape) >= 2 and 1 in shape:
            yield f"axis {shape.index(1)} of {path} is 1: a missing sum over it is invisible"
        if values.size > 1 and (values == values.flat[0]).all():
            yield f"every entry of {path} is {values.flat[0]:.6g}: what depends on an entry's place is invisible"


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, Draw | jax.ShapeDtypeStruct)


def _draw_like(spec: jax.ShapeDtypeStruct, high: int) -> Draw:
    if jnp.issubdtype(spec.dtype, jnp.bool_):
        return booleans(*spec.shape)
    if jnp.issubdtype(spec.dtype, jnp.integer):
        return integers(*spec.shape, high=max(high, 2))
    return normal(*spec.shape)


def _primes() -> Iterator[int]:
    """3, 5, 7, 11, …: the first letter is usually the batch."""
    found: list[int] = []
    n = 3
    while True:
        if all(n % p for p in found):
            found.append(n)
            yield n
        n += 2

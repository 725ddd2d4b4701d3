"""The function that a question is about: what is refused, what it is called, and the function of its leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from vjpkit.check.layout import function_name
from vjpkit.derive.errors import DeriveError


def named(caller: str, f: Any, args: Sequence[Any]) -> str:
    """What f is called; DeriveError, in the caller's name, for what is no function or has no arguments."""
    if not callable(f):
        raise DeriveError(f"{caller}: expected a function, got {type(f).__name__} {f!r}")
    name = function_name(f)
    if not args:
        raise DeriveError(f'{caller}: {name} needs arguments to be traced at: arrays, or shapes such as "b i"')
    return name


def on_leaves(
    caller: str, f: Callable[..., Any], tree: Any, leaves: Sequence[Any]
) -> tuple[Callable[..., list[Any]], list[jax.ShapeDtypeStruct]]:
    """f from the leaves of its arguments to those of its output, and what these are; DeriveError where f fails."""

    def every(*values: Any) -> list[Any]:
        return jax.tree.leaves(f(*jax.tree.unflatten(tree, values)))

    try:
        return every, jax.eval_shape(every, *leaves)
    except Exception as error:
        told = next((s for s in str(error).splitlines() if s.strip()), "")
        message = f"{caller}: {function_name(f)} itself fails at its arguments: {type(error).__name__}: {told}"
        raise DeriveError(message) from error

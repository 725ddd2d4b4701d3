"""The door for linear functions: the function is its own jvp, and its transpose is the vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, overload

import jax
from jax import tree_util as tu

from vjpkit.core.answers import spec
from vjpkit.core.rule import Rule

Fn = Callable[..., Any]


@jax.tree_util.register_static
class _Specs(tuple):
    """The arguments' shapes and dtypes, which is all that a linear function's derivative depends on."""


@overload
def linear(primal: Fn) -> Rule: ...
@overload
def linear(*, transpose: Fn | None = None, static: tuple[str, ...] = ()) -> Callable[[Fn], Rule]: ...
def linear(
    primal: Fn | None = None, *, transpose: Fn | None = None, static: tuple[str, ...] = ()
) -> Rule | Callable[[Fn], Rule]:
    """Make a rule of a function that is linear in all its arguments together.

        ẏ = f(ẋ)          x̄ = fᵀ(g)          nothing is kept

        @linear(transpose=lambda g, x, axis: jnp.flip(g, axis), static=("axis",))
        def flip(x, *, axis):
            return jnp.flip(x, axis)

    Args:    transpose: `transpose(g, *specs, **static)`, with a `jax.ShapeDtypeStruct` in place of each array;
             returns one cotangent per argument (bare for a single one). Left out, JAX transposes the function.
             static: as in `rule`.
    """
    if primal is None:
        return functools.partial(_linear, transpose=transpose, static=static)
    return _linear(primal, transpose=None, static=())


def _linear(primal: Fn, *, transpose: Fn | None, static: tuple[str, ...]) -> Rule:
    result = Rule(primal, static)

    def fwd(*args: Any, **options: Any) -> tuple[Any, Any]:
        return result.evaluate(*args, **options), _Specs((tu.tree_map(spec, args),))

    def jvp(res: Any, *dots: Any, **options: Any) -> Any:
        return result.evaluate(*dots, **options)

    def vjp(res: Any, g: Any, **options: Any) -> Any:
        return transpose(g, *res[0], **options)  # type: ignore[misc]

    return result.defrule(fwd=fwd, jvp=jvp, vjp=vjp if transpose else None)

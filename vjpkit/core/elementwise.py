"""The door for elementwise functions: the slopes give both maps."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core.answers import Spec, has_tangent, spec
from vjpkit.core.broadcasting import Shape, unbroadcast
from vjpkit.core.errors import RuleError
from vjpkit.core.rule import Rule

Slope = Callable[..., Any]


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Types:
    """The kinds of the arguments, and the dtype of the output: kept beside the residuals, and no array."""

    args: tuple[Spec, ...]
    out: Any

    @property
    def shapes(self) -> list[Shape]:
        return [x.shape for x in self.args]


def elementwise(*, slope: Slope | Sequence[Slope | None], static: tuple[str, ...] = ()) -> Callable[[Callable], Rule]:
    """Make a rule of an elementwise function from its partial derivatives; several arguments broadcast.

        ẏ = Σᵢ slopeᵢ ⊙ ẋᵢ          x̄ᵢ = Σ_broadcast slopeᵢ ⊙ g

        @elementwise(slope=lambda y: 1 - y * y)
        def tanh(x):
            return jnp.tanh(x)

    Args:    slope: one function for each argument (a single one for a single argument); None for an argument
             without a derivative: its tangent is dropped and its cotangent zero. A slope names in its
             parameters what it reads: arguments by name, static options by name, and `y`, the output.
             What the slopes read, and nothing else, is kept. A slope of true and false selects.
             static: as in `rule`.
    Raises:  RuleError where slopes and arguments differ in number, or a slope reads a name that does not exist.
    """
    slopes: tuple[Any, ...] = (slope,) if callable(slope) else tuple(slope)

    def door(primal: Callable[..., Any]) -> Rule:
        result = Rule(primal, static)
        names = result.argument_names(len(slopes))
        read = [tuple(inspect.signature(s).parameters) if s else () for s in slopes]
        _check(result, names, slopes, read)
        kept = tuple(n for n in (*names, "y") if any(n in r for r in read))

        def fwd(*args: Any, **options: Any) -> tuple[Any, Any]:
            y = result.evaluate(*args, **options)
            values = {"y": y} | dict(zip(names, args, strict=True))
            return y, ({n: values[n] for n in kept}, _Types(tuple(map(spec, args)), y.dtype))

        def slope_at(i: int, res: Any, options: dict[str, Any]) -> Any:
            known = res[0] | options
            return slopes[i](**{n: known[n] for n in read[i]})

        def jvp(res: Any, *dots: Any, **options: Any) -> Any:
            types = res[1]
            moving = [(i, x_dot) for i, x_dot in enumerate(dots) if x_dot is not None and slopes[i]]
            terms = [_times(slope_at(i, res, options), x_dot) for i, x_dot in moving]
            y_dot = functools.reduce(operator.add, terms) if terms else jnp.zeros(())
            return _cast(jnp.broadcast_to(y_dot, jnp.broadcast_shapes(*types.shapes)), types.out)

        def vjp(res: Any, g: Any, **options: Any) -> tuple[Any, ...]:
            def bar(i: int, x: Spec) -> Any:
                if not has_tangent(x):
                    return None
                if slopes[i] is None:
                    return jnp.zeros(x.shape, x.dtype)
                return _unpromote(unbroadcast(_times(slope_at(i, res, options), g), x.shape), x.dtype)

            return tuple(bar(i, x) for i, x in enumerate(res[1].args))

        return result.defrule(fwd=fwd, jvp=jvp, vjp=vjp)

    return door


def _times(slope: Any, vector: Any) -> Any:
    """slope ⊙ vector, in which a slope of true and false selects: false times ∞ is 0."""
    return jnp.where(slope, vector, 0) if jnp.result_type(slope) == jnp.bool_ else slope * vector


def _unpromote(x_bar: Any, dtype: Any) -> Any:
    """The transpose of a promotion: rounding, and of a promotion to complex the real part."""
    if jnp.iscomplexobj(x_bar) and not jnp.issubdtype(dtype, jnp.complexfloating):
        x_bar = jnp.real(x_bar)
    return _cast(x_bar, dtype)


def _cast(x: Any, dtype: Any) -> Any:
    """`x` in a dtype; left alone, and so weakly typed if it was, where it has it."""
    return x if x.dtype == dtype else x.astype(dtype)


def _check(rule: Rule, names: list[str], slopes: tuple[Any, ...], read: list[tuple[str, ...]]) -> None:
    arguments = [p for p in inspect.signature(rule.primal).parameters if p not in rule.static]
    if len(arguments) != len(slopes):
        raise RuleError(
            f"{rule.name}: elementwise needs one slope for each argument, ({', '.join(arguments)}); got {len(slopes)}"
        )
    for name, names_read in zip(names, read, strict=True):
        unknown = set(names_read) - {*arguments, *rule.static, "y"}
        if unknown:
            known = ", ".join([*arguments, *rule.static, "y"])
            raise RuleError(f"{rule.name}: the slope in {name} reads {sorted(unknown)}; it may read {known}")

"""What a loss accepts, with a named error for the rest, and the precision that it computes in."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core.answers import has_tangent, show, spec
from vjpkit.core.broadcasting import unbroadcast
from vjpkit.core.errors import DtypeError, ShapeError

Shape = tuple[int, ...]

FLOAT, INTEGER = (jnp.floating,), (jnp.integer,)
REAL = (jnp.floating, jnp.integer, jnp.bool_)
BOOL = (jnp.bool_,)


def wide(x: Array) -> Array:
    """`x` in float32 or wider: half precision is computed in float32 and rounded once, at the end."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def bounded(slope: Array, dtype: Any) -> Array:
    """A slope with the largest number of `dtype` for ∞, so that what is multiplied by it and is 0 stays 0."""
    largest = jnp.finfo(dtype).max
    return jnp.clip(slope, -largest, largest)


def along(*terms: tuple[Any, Array | None]) -> Array:
    """Σ slope · tangent, over the arguments that have a tangent."""
    products = [slope * x_dot for slope, x_dot in terms if x_dot is not None]
    return functools.reduce(operator.add, products)


def back_to(x_bar: Array, x: Array | None) -> Array | None:
    """`x_bar` summed over what broadcasting `x` repeated, in its dtype; None where `x` has no tangent."""
    if x is None or not has_tangent(spec(x)):
        return None
    return unbroadcast(x_bar, jnp.shape(x)).astype(x.dtype)


def check_dtype(function: str, argument: str, x: Any, kinds: Sequence[Any]) -> None:
    """DtypeError unless the dtype of `x` is of one of the kinds; None, an argument left out, is of any."""
    if x is not None and not any(jnp.issubdtype(jnp.result_type(x), kind) for kind in kinds):
        names = " or ".join(kind.__name__.rstrip("_") for kind in kinds)
        raise DtypeError(f"{function}: argument {argument}: expected a dtype that is {names}, got {show(spec(x))}")


def check_alike(function: str, arguments: dict[str, Any], *, or_number: bool = False) -> None:
    """ShapeError unless all have the shape of the first, or, if they may, are numbers."""
    (first, x), *others = arguments.items()
    for name, other in others:
        if other is not None and jnp.shape(other) not in (jnp.shape(x), *([()] if or_number else [])):
            raise ShapeError(
                f"{function}: argument {name}: expected the shape of {first}, {list(jnp.shape(x))}"
                f"{', or a number' if or_number else ''}, got {show(spec(other))}"
            )


def check_broadcast(
    function: str,
    argument: str,
    shape: Shape,
    other: str,
    other_shape: Shape,
    *,
    onto: bool = False,
    came: Shape | None = None,
) -> None:
    """ShapeError unless the two shapes broadcast, with `onto` to the other's own shape.

    `came` is the shape that the caller gave, where `shape` is another view of it.
    """
    try:
        together = jnp.broadcast_shapes(shape, other_shape)
    except ValueError:
        together = None
    if together is None or (onto and together != other_shape):
        raise ShapeError(
            f"{function}: argument {argument}: expected a shape that broadcasts {'to' if onto else 'with'} "
            f"{list(other_shape)} of {other}, got {list(shape if came is None else came)}"
        )

"""What a loss accepts, with a named error for the rest, and the precision that it computes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core.answers import show, spec
from vjpkit.core.errors import DtypeError, ShapeError

Shape = tuple[int, ...]

FLOAT, INTEGER = (jnp.floating,), (jnp.integer,)
REAL = (jnp.floating, jnp.integer, jnp.bool_)
BOOL = (jnp.bool_,)


def wide(x: Array) -> Array:
    """`x` in float32 or wider: half precision is computed in float32 and rounded once, at the end."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_dtype(function: str, argument: str, x: Any, kinds: Sequence[Any]) -> None:
    """DtypeError unless the dtype of `x` is of one of the kinds; None, an argument left out, is of any."""
    if x is not None and not any(jnp.issubdtype(jnp.result_type(x), kind) for kind in kinds):
        names = " or ".join(kind.__name__.rstrip("_") for kind in kinds)
        raise DtypeError(f"{function}: argument {argument}: expected a dtype that is {names}, got {show(spec(x))}")


def check_same_shape(function: str, predictions: Array, targets: Array | None) -> None:
    """ShapeError unless the shapes are equal: [n, 1] against [n] would broadcast to [n, n] unseen."""
    if targets is not None and jnp.shape(targets) != jnp.shape(predictions):
        raise ShapeError(
            f"{function}: argument targets: expected the shape of predictions, {list(jnp.shape(predictions))}, "
            f"got {show(spec(targets))}"
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

"""Where the classes are: the options `axis` and `where` of a loss, and rows of logits with the classes last."""

from __future__ import annotations

from numbers import Integral

import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core import ShapeError
from vjpkit.losses.arguments import BOOL, FLOAT, check_broadcast, check_dtype

Axes = tuple[int, ...]
Axis = int | Axes


def class_axes(function: str, logits: Array, axis: Axis | None) -> Axes:
    """The axes that the classes lie along, counted from the end; None means all of them."""
    ndim = logits.ndim
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(int(a) % ndim - ndim for a in given if isinstance(a, Integral) and -ndim <= a < ndim)
    if len(axes) != len(given) or len(set(axes)) != len(axes):
        raise ShapeError(f"{function}: argument axis: expected distinct axes of {ndim}-dimensional logits, got {axis}")
    return axes


def class_mask(where: Array | None, logits: Array, axes: Axes) -> Array | None:
    """`where` with as many axes as the logits: one that says yes or no to whole examples gets the class axes."""
    return where if where is None or where.ndim == logits.ndim else jnp.expand_dims(where, axes)


def check_classes(function: str, logits: Array, axis: Axis | None, where: Array | None) -> Axes:
    """The class axes, after a named error for logits, axis or where that do not fit."""
    check_dtype(function, "logits", logits, FLOAT)
    check_dtype(function, "where", where, BOOL)
    axes = class_axes(function, logits, axis)
    mask = class_mask(where, logits, axes)
    if where is not None and mask is not None:
        check_broadcast(function, "where", mask.shape, "logits", logits.shape, onto=True, came=where.shape)
    return axes


def rows(x: Array, axes: Axes) -> Array:
    """[..., C]: the class axes last and merged, in the order in which a flat label counts them."""
    return lax.collapse(jnp.moveaxis(x, axes, range(-len(axes), 0)), x.ndim - len(axes))


def rows_transposed(x_bar: Array, shape: tuple[int, ...], axes: Axes) -> Array:
    """`rows` undone, to `shape`: it only moves entries."""
    split = x_bar.reshape(*x_bar.shape[:-1], *(shape[a] for a in axes))
    return jnp.moveaxis(split, range(-len(axes), 0), axes)


def class_rows(logits: Array, where: Array | None, axes: Axes) -> tuple[Array, Array | None]:
    """Logits and mask as rows."""
    mask = class_mask(where, logits, axes)
    return rows(logits, axes), None if mask is None else rows(jnp.broadcast_to(mask, logits.shape), axes)


def is_label(labels: Array, classes: int) -> Array:
    """[..., C]: 1ₖ as bools; a negative label counts from the end, one out of range is nowhere."""
    k = labels.astype(jnp.promote_types(labels.dtype, jnp.int32))[..., None]
    return jnp.arange(classes) == jnp.where(k < 0, k + classes, k)

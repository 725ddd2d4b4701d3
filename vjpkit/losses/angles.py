"""The cosine of the angle between two vectors, as a similarity and as a distance."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core import ShapeError, rule
from vjpkit.core.answers import show, spec
from vjpkit.losses.arguments import BOOL, FLOAT, back_to, check_broadcast, check_dtype, wide
from vjpkit.losses.classes import Axes, Axis, class_axes

# ------------------------------------------------------------------------------------ vectors and their units


class Unit(NamedTuple):
    """A vector made a unit: u = a / max(|a|, √ε), and 0 for a vector of 0."""

    scale: Array  # 1 / max(|a|, √ε), the axes kept with size 1; 0 for a vector of 0
    free: Array  # whether |a|² > ε: else the scale is constant


def unit(a: Array, epsilon: float, axes: Axes) -> Unit:
    """The unit of `a`, which is in float32 or wider."""
    square = jnp.sum(a * a, axes, keepdims=True)
    clipped = jnp.maximum(square, epsilon)
    return Unit(jnp.where(clipped == 0, 0, lax.rsqrt(jnp.where(clipped == 0, 1, clipped))), square > epsilon)


def counted(a: Array, where: Array | None) -> Array:
    """The vector in float32 or wider, 0 for what does not count."""
    return wide(a) if where is None else jnp.where(where, wide(a), 0)


def _check(function: str, a: Array, b: Array, axis: Axis | None, where: Array | None) -> None:
    for name, x in (("predictions", a), ("targets", b)):
        check_dtype(function, name, x, FLOAT)
    check_dtype(function, "where", where, BOOL)
    check_broadcast(function, "targets", b.shape, "predictions", a.shape)
    shape = jnp.broadcast_shapes(a.shape, b.shape)
    for i in class_axes(function, jnp.broadcast_to(a, shape), axis):
        if -i > min(a.ndim, b.ndim) or a.shape[i] != b.shape[i]:
            raise ShapeError(
                f"{function}: argument targets: expected vectors as of predictions, {list(a.shape)} along axis {axis}, "
                f"got {show(spec(b))}"
            )
    if where is not None:
        check_broadcast(function, "where", where.shape, "predictions", shape, onto=True)


def _axes(a: Array, b: Array, axis: Axis | None) -> Axes:
    """The axes that vectors lie along, counted from the end."""
    ndim = max(a.ndim, b.ndim)
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(i % ndim - ndim for i in given)


# ---------------------------------------------------------------------------------------------- similarity


@rule(static=("epsilon", "axis"))
def cosine_similarity(
    predictions: Array,
    targets: Array,
    epsilon: float = 0.0,
    axis: Axis | None = -1,
    where: Array | None = None,
) -> Array:
    """The cosine of the angle between two vectors.

        y = û · v̂        û = a / max(|a|, √ε),  v̂ = b / max(|b|, √ε)

    Args:    predictions: a, [..., d], any float dtype.  targets: b, any float dtype; the two broadcast, but for d.
             epsilon: ε, the least square of a norm, static.  axis: the axis or axes of a vector; None means all.
             where: bools that broadcast to the entries; what is False counts nothing.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   no unit: the cosine of an angle, per pair of vectors, not averaged.
    Rule:    ẏ = Σ (v̂ − y û) ȧ / |a| + (û − y v̂) ḃ / |b|
             ā = g (v̂ − y û) / |a|     b̄ = g (û − y v̂) / |b|        without the y where |·|² ≤ ε
             keeps the arguments and three numbers for each pair: y and the two norms' inverses.
    Wins:    residuals 1.9× less; temp memory 100× less.
    Edges:   a vector of 0: y = 0, and slopes are those of û = 0: 0 in itself for ε = 0 (optax: NaN).
             A NaN that `where` leaves out does not count.
    Raises:  DtypeError if the two are not float, where not bool; ShapeError if axis is not an axis, the two do not
             broadcast or differ along it, or where does not broadcast to them.
    Source:  optax.losses.cosine_similarity, which broadcasts vectors of one entry.
    """
    _check("cosine_similarity", predictions, targets, axis, where)
    return cosine_similarity_fwd(predictions, targets, where, epsilon=epsilon, axis=axis)[0]


def cosine_similarity_fwd(
    predictions: Array, targets: Array, where: Array | None, *, epsilon: float, axis: Axis | None
) -> tuple[Array, Any]:
    axes = _axes(predictions, targets, axis)
    a, b = counted(predictions, where), counted(targets, where)
    u, v = unit(a, epsilon, axes), unit(b, epsilon, axes)
    y = jnp.sum((a * u.scale) * (b * v.scale), axes)
    return y.astype(jnp.result_type(predictions, targets)), (predictions, targets, where, u, v, y)


def _slopes(res: Any, axes: Axes) -> tuple[Array, Array]:  # (v̂ − y û) / |a|,  (û − y v̂) / |b|
    predictions, targets, where, u, v, y = res
    a, b = counted(predictions, where) * u.scale, counted(targets, where) * v.scale
    y = jnp.expand_dims(y, axes)
    in_a, in_b = (b - jnp.where(u.free, y, 0) * a) * u.scale, (a - jnp.where(v.free, y, 0) * b) * v.scale
    return (in_a, in_b) if where is None else (jnp.where(where, in_a, 0), jnp.where(where, in_b, 0))


def cosine_similarity_jvp(
    res: Any, a_dot: Array, b_dot: Array, where_dot: None, *, epsilon: float, axis: Axis | None
) -> Array:  # ẏ = Σ (v̂ − y û) ȧ / |a| + (û − y v̂) ḃ / |b|
    axes = _axes(a_dot, b_dot, axis)
    in_a, in_b = _slopes(res, axes)
    return jnp.sum(in_a * a_dot + in_b * b_dot, axes).astype(jnp.result_type(a_dot, b_dot))


def cosine_similarity_vjp(
    res: Any, g: Array, *, epsilon: float, axis: Axis | None
) -> tuple[Array | None, ...]:  # ā = g (v̂ − y û) / |a|    b̄ = g (û − y v̂) / |b|
    axes = _axes(res[0], res[1], axis)
    in_a, in_b = _slopes(res, axes)
    g = jnp.expand_dims(g, axes)
    return back_to(g * in_a, res[0]), back_to(g * in_b, res[1]), None


cosine_similarity.defrule(fwd=cosine_similarity_fwd, jvp=cosine_similarity_jvp, vjp=cosine_similarity_vjp)

# ------------------------------------------------------------------------------------------------ distance


@rule(static=("epsilon", "axis"))
def cosine_distance(
    predictions: Array,
    targets: Array,
    epsilon: float = 0.0,
    axis: Axis | None = -1,
    where: Array | None = None,
) -> Array:
    """One less the cosine of the angle between two vectors.

        ℓ = 1 − û · v̂        û = a / max(|a|, √ε),  v̂ = b / max(|b|, √ε)

    Args:    predictions: a, [..., d], any float dtype.  targets: b, any float dtype; the two broadcast, but for d.
             epsilon: ε, the least square of a norm, static.  axis: the axis or axes of a vector; None means all.
             where: bools that broadcast to the entries; what is False counts nothing.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   no unit: a pure number between 0 and 2, per pair of vectors, not averaged.
    Rule:    ℓ̇ = −Σ (v̂ − y û) ȧ / |a| + (û − y v̂) ḃ / |b|        y = û · v̂
             ā = −g (v̂ − y û) / |a|     b̄ = −g (û − y v̂) / |b|        without the y where |·|² ≤ ε
             keeps the arguments and three numbers for each pair: y and the two norms' inverses.
             Where both are units ℓ is computed as ½ |û − v̂|², which keeps its digits where the vectors are parallel.
    Wins:    residuals 2.4× less; temp memory 100× less.
    Edges:   as cosine_similarity; a vector of 0: ℓ = 1.
    Raises:  DtypeError if the two are not float, where not bool; ShapeError if axis is not an axis, the two do not
             broadcast or differ along it, or where does not broadcast to them.
    Source:  optax.losses.cosine_distance.
    """
    _check("cosine_distance", predictions, targets, axis, where)
    return cosine_distance_fwd(predictions, targets, where, epsilon=epsilon, axis=axis)[0]


def cosine_distance_fwd(
    predictions: Array, targets: Array, where: Array | None, *, epsilon: float, axis: Axis | None
) -> tuple[Array, Any]:
    axes = _axes(predictions, targets, axis)
    similarity, res = cosine_similarity_fwd(predictions, targets, where, epsilon=epsilon, axis=axis)
    _, _, _, u, v, y = res
    apart = counted(predictions, where) * u.scale - counted(targets, where) * v.scale
    both = jnp.squeeze(u.free & v.free, axes)
    loss = jnp.where(both, jnp.sum(apart * apart, axes) / 2, 1 - y)
    return loss.astype(similarity.dtype), res


def cosine_distance_jvp(
    res: Any, a_dot: Array, b_dot: Array, where_dot: None, *, epsilon: float, axis: Axis | None
) -> Array:  # ℓ̇ = −ẏ
    return -cosine_similarity_jvp(res, a_dot, b_dot, where_dot, epsilon=epsilon, axis=axis)


def cosine_distance_vjp(
    res: Any, g: Array, *, epsilon: float, axis: Axis | None
) -> tuple[Array | None, ...]:  # those of similarity, for −g
    return cosine_similarity_vjp(res, -g, epsilon=epsilon, axis=axis)


cosine_distance.defrule(fwd=cosine_distance_fwd, jvp=cosine_distance_jvp, vjp=cosine_distance_vjp)

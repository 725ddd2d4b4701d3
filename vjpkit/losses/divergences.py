"""Kullback and Leibler's divergence of one distribution from another, by the logarithms that a model gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core import ShapeError, rule
from vjpkit.losses.arguments import BOOL, FLOAT, along, back_to, bounded, check_broadcast, check_dtype, wide
from vjpkit.losses.classes import Axis, class_axes

# ------------------------------------------------------------------------------- what the divergences share


def _check(function: str, name: str, log_predictions: Array, targets: Array, axis: Axis | None, where: Any) -> None:
    check_dtype(function, "log_predictions", log_predictions, FLOAT)
    check_dtype(function, name, targets, FLOAT)
    check_dtype(function, "where", where, BOOL)
    check_broadcast(function, name, targets.shape, "log_predictions", log_predictions.shape)
    shape = jnp.broadcast_shapes(log_predictions.shape, targets.shape)
    axes = class_axes(function, jnp.broadcast_to(log_predictions, shape), axis)
    for a in axes:
        sizes = [x.shape[a] if -a <= x.ndim else 1 for x in (log_predictions, targets)]
        if sizes[0] != sizes[1]:
            raise ShapeError(
                f"{function}: argument {name}: expected the classes of log_predictions, "
                f"{list(log_predictions.shape)} along axis {axis}, got {list(targets.shape)}"
            )
    if where is not None:
        check_broadcast(function, "where", where.shape, "log_predictions", shape, onto=True)


def _sum(terms: Array, axis: Axis | None, res: tuple[Array, Array, Array | None]) -> Array:
    """Σ over the classes that `where` leaves, in the dtype that the arguments promote to."""
    q, t, where = res
    return jnp.sum(terms, axis, where=where).astype(jnp.result_type(q, t))


Slopes = Callable[[Array, Array], tuple[Array, Array]]


def _slopes(slopes: Slopes, res: Any) -> tuple[Array, Array]:
    """Both slopes in float32 or wider, finite, and 0 for what `where` leaves out."""
    q, t, where = res
    dtype = jnp.result_type(q, t)
    in_q, in_t = slopes(wide(q), wide(t))
    found = in_q, bounded(in_t, dtype)
    return found if where is None else (jnp.where(where, found[0], 0), jnp.where(where, found[1], 0))


def _forward(slopes: Slopes, res: Any, q_dot: Array, t_dot: Array, axis: Axis | None) -> Array:
    return _sum(along(*zip(_slopes(slopes, res), (q_dot, t_dot), strict=True)), axis, res)


def _reverse(slopes: Slopes, res: Any, g: Array, axis: Axis | None) -> tuple[Array | None, ...]:
    q, t, _ = res
    in_q, in_t = _slopes(slopes, res)
    g = jnp.expand_dims(g, range(in_q.ndim) if axis is None else axis)
    return back_to(g * in_q, q), back_to(g * in_t, t), None


def _log(t: Array) -> Array:
    """ln t; for 0 that of the smallest normal number, −87 in float32, for 0 ln 0 and its slope are to be finite."""
    return jnp.log(jnp.maximum(t, jnp.finfo(t.dtype).tiny))


def _information(q: Array, t: Array) -> Array:  # t (ln t − q), and 0 for t = 0
    return jnp.where((t == 0) & (q == -jnp.inf), 0, t * (_log(t) - q))


def _information_slope(q: Array, t: Array) -> Array:  # ln t + 1 − q
    slope = _log(t) + (t > jnp.finfo(t.dtype).tiny) - q
    return jnp.where((t == 0) & (q == -jnp.inf), 0, slope)


# ------------------------------------------------------------------------------------------ kl_divergence


@rule(static=("axis",))
def kl_divergence(log_predictions: Array, targets: Array, axis: Axis | None = -1, where: Array | None = None) -> Array:
    """How many nats the predictions cost more than the targets themselves.

        ℓ = Σⱼ tⱼ (ln tⱼ − qⱼ)        q the predictions' logarithms

    Args:    log_predictions: q, [..., C], any float dtype.  targets: t, probabilities, any float dtype; the two
             broadcast, but for the classes.  axis: the class axis or axes; None means all.
             where: bools that broadcast to the terms; what is False counts nothing.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    ℓ̇ = Σⱼ (ln tⱼ + 1 − qⱼ) ṫⱼ − tⱼ q̇ⱼ
             q̄ = −g t     t̄ = g (ln t + 1 − q)
             keeps log_predictions, targets and where.
    Wins:    residuals 2.6× less.
    Edges:   t = 0: 0 ln 0 = 0, also for q = −∞ (optax: NaN there).  q = −∞: ℓ = ∞ where t > 0.
             The slope in t is, for t = 0, that of the smallest normal number: ln t is −87 there, not −∞ (optax: NaN);
             for q = −∞ the largest finite number; 0 where it is both. So a zero tangent stays zero.
             A NaN that `where` leaves out does not count.
    Raises:  DtypeError if the two are not float, where not bool; ShapeError if axis is not an axis, the two do not
             broadcast or differ in classes, or where does not broadcast to them.
    Source:  optax.losses.kl_divergence, which broadcasts one class against many.
    """
    _check("kl_divergence", "targets", log_predictions, targets, axis, where)
    return kl_divergence_fwd(log_predictions, targets, where, axis=axis)[0]


def kl_divergence_fwd(q: Array, t: Array, where: Array | None, *, axis: Axis | None) -> tuple[Array, Any]:
    res = q, t, where
    return _sum(_information(wide(q), wide(t)), axis, res), res


def _kl_slopes(q: Array, t: Array) -> tuple[Array, Array]:  # −t,  ln t + 1 − q
    return -t, _information_slope(q, t)


def kl_divergence_jvp(
    res: Any, q_dot: Array, t_dot: Array, where_dot: None, *, axis: Axis | None
) -> Array:  # ℓ̇ = Σ (ln t + 1 − q) ṫ − t q̇
    return _forward(_kl_slopes, res, q_dot, t_dot, axis)


def kl_divergence_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array | None, ...]:  # q̄ = −g t    t̄ = g (ln t + 1 − q)
    return _reverse(_kl_slopes, res, g, axis)


kl_divergence.defrule(fwd=kl_divergence_fwd, jvp=kl_divergence_jvp, vjp=kl_divergence_vjp)

# -------------------------------------------------------------------------- kl_divergence_with_log_targets


@rule(static=("axis",))
def kl_divergence_with_log_targets(
    log_predictions: Array, log_targets: Array, axis: Axis | None = -1, where: Array | None = None
) -> Array:
    """How many nats the predictions cost more than the targets themselves, both by their logarithms.

        ℓ = Σⱼ exp(rⱼ) (rⱼ − qⱼ)        q, r the logarithms of predictions and targets

    Args:    log_predictions: q, [..., C], any float dtype.  log_targets: r, any float dtype; the two broadcast, but for
             the classes.  axis: the class axis or axes; None means all.
             where: bools that broadcast to the terms; what is False counts nothing.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    ℓ̇ = Σⱼ exp(rⱼ) ((rⱼ + 1 − qⱼ) ṙⱼ − q̇ⱼ)
             q̄ = −g exp r     r̄ = g exp r (r + 1 − q)
             keeps log_predictions, log_targets and where.
    Wins:    residuals 1.6× less.
    Edges:   r = −∞: the term and its slopes are 0, also for q = −∞ (optax: NaN).  q = −∞: ℓ = ∞ where r > −∞, and the
             slope in r is the largest finite number.  A NaN that `where` leaves out does not count.
    Raises:  DtypeError if the two are not float, where not bool; ShapeError if axis is not an axis, the two do not
             broadcast or differ in classes, or where does not broadcast to them.
    Source:  optax.losses.kl_divergence_with_log_targets, which broadcasts one class against many.
    """
    _check("kl_divergence_with_log_targets", "log_targets", log_predictions, log_targets, axis, where)
    return kl_divergence_with_log_targets_fwd(log_predictions, log_targets, where, axis=axis)[0]


def kl_divergence_with_log_targets_fwd(
    q: Array, r: Array, where: Array | None, *, axis: Axis | None
) -> tuple[Array, Any]:
    res, (p, ratio) = (q, r, where), _log_ratio(wide(q), wide(r))
    return _sum(p * ratio, axis, res), res


def _log_ratio(q: Array, r: Array) -> tuple[Array, Array]:  # exp r,  r − q, and 0 for exp r = 0
    p = jnp.exp(r)
    return p, jnp.where(p == 0, 0, r - q)


def _log_target_slopes(q: Array, r: Array) -> tuple[Array, Array]:  # −exp r,  exp r (r + 1 − q)
    p, ratio = _log_ratio(q, r)
    return -p, p * (ratio + 1)


def kl_divergence_with_log_targets_jvp(
    res: Any, q_dot: Array, r_dot: Array, where_dot: None, *, axis: Axis | None
) -> Array:  # ℓ̇ = Σ exp(r) ((r + 1 − q) ṙ − q̇)
    return _forward(_log_target_slopes, res, q_dot, r_dot, axis)


def kl_divergence_with_log_targets_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array | None, ...]:  # q̄ = −g exp r    r̄ = g exp r (r + 1 − q)
    return _reverse(_log_target_slopes, res, g, axis)


kl_divergence_with_log_targets.defrule(
    fwd=kl_divergence_with_log_targets_fwd,
    jvp=kl_divergence_with_log_targets_jvp,
    vjp=kl_divergence_with_log_targets_vjp,
)

# ------------------------------------------------------------------------------ generalized_kl_divergence


@rule(static=("axis",))
def generalized_kl_divergence(
    log_predictions: Array, targets: Array, axis: Axis | None = -1, where: Array | None = None
) -> Array:
    """The divergence of positive numbers that need not sum to one: 0 only where the two are equal.

        ℓ = Σⱼ tⱼ (ln tⱼ − qⱼ) + exp qⱼ − tⱼ        q the predictions' logarithms

    Args:    log_predictions: q, [..., C], any float dtype.  targets: t ≥ 0, any float dtype; the two broadcast, but
             for the classes.  axis: the class axis or axes; None means all.
             where: bools that broadcast to the terms; what is False counts nothing.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    ℓ̇ = Σⱼ (ln tⱼ − qⱼ) ṫⱼ + (exp qⱼ − tⱼ) q̇ⱼ
             q̄ = g (exp q − t)     t̄ = g (ln t − q)
             keeps log_predictions, targets and where.
    Wins:    residuals 3× less.
    Edges:   as kl_divergence.
    Raises:  DtypeError if the two are not float, where not bool; ShapeError if axis is not an axis, the two do not
             broadcast or differ in classes, or where does not broadcast to them.
    Source:  optax.losses.generalized_kl_divergence, once called convex_kl_divergence.
    """
    _check("generalized_kl_divergence", "targets", log_predictions, targets, axis, where)
    return generalized_kl_divergence_fwd(log_predictions, targets, where, axis=axis)[0]


def generalized_kl_divergence_fwd(q: Array, t: Array, where: Array | None, *, axis: Axis | None) -> tuple[Array, Any]:
    res = q, t, where
    return _sum(_information(wide(q), wide(t)) + jnp.exp(wide(q)) - wide(t), axis, res), res


def _generalized_slopes(q: Array, t: Array) -> tuple[Array, Array]:  # exp q − t,  ln t − q
    return jnp.exp(q) - t, _information_slope(q, t) - (t > 0)


def generalized_kl_divergence_jvp(
    res: Any, q_dot: Array, t_dot: Array, where_dot: None, *, axis: Axis | None
) -> Array:  # ℓ̇ = Σ (ln t − q) ṫ + (exp q − t) q̇
    return _forward(_generalized_slopes, res, q_dot, t_dot, axis)


def generalized_kl_divergence_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array | None, ...]:  # q̄ = g (exp q − t)    t̄ = g (ln t − q)
    return _reverse(_generalized_slopes, res, g, axis)


generalized_kl_divergence.defrule(
    fwd=generalized_kl_divergence_fwd, jvp=generalized_kl_divergence_jvp, vjp=generalized_kl_divergence_vjp
)
convex_kl_divergence = generalized_kl_divergence  # its former name

"""Softmax cross-entropy's relatives: with a further term, over lists, and the smoothing of its labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core import rule
from vjpkit.losses.arguments import BOOL, FLOAT, REAL, along, back_to, check_broadcast, check_dtype
from vjpkit.losses.classes import Axis, class_axes, class_mask
from vjpkit.losses.classification import (
    check_labels,
    cross_entropy_slopes,
    read_examples,
    softmax_cross_entropy,
    softmax_cross_entropy_fwd,
)
from vjpkit.losses.surprisal import Row, shifted

# ------------------------------------------------------------------------------------------------- poly


@rule(static=("axis",))
def poly_loss_cross_entropy(
    logits: Array,
    labels: Array,
    epsilon: Array | float = 2.0,
    axis: Axis | None = -1,
    where: Array | None = None,
) -> Array:
    """Softmax cross-entropy, with the first term of its series in 1 − p weighted anew.

        ℓ = Σⱼ yⱼ (ε (1 − pⱼ) − ln pⱼ)        p = softmax(x)

    Args:    logits: x, [..., C], any float dtype.  labels: y, any real dtype, broadcasts with logits.
             epsilon: ε, broadcasts to the loss, traced or not.  axis: the class axis or axes of logits; None means all.
             where: bool, [..., C] or one for each example; a class left out has p = 0 and its label counts nothing.
    Returns: [...], the promoted dtype of logits and labels; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    x̄ = g (p Σy − y − ε p (y − Σ y p))     ȳ = g (ε (1 − p) − ln p)     ε̄ = Σ g Σⱼ yⱼ (1 − pⱼ)
             keeps what softmax_cross_entropy keeps, ε, and Σ y (1 − p), in which 1 − p of the top class is the sum of
             the other p.
    Wins:    residuals 5× less; temp memory 4.9× less.
    Edges:   as softmax_cross_entropy.
    Raises:  DtypeError if logits are not float, labels or epsilon not real, where not bool; ShapeError if axis is not
             an axis of logits, labels do not broadcast with logits or have more classes, or where or epsilon does not
             broadcast.
    Source:  optax.losses.poly_loss_cross_entropy; Leng et al. 2022.
    """
    name = "poly_loss_cross_entropy"
    axes = check_labels(name, logits, labels, axis, where)
    check_dtype(name, "epsilon", epsilon, REAL)
    shape = jnp.broadcast_shapes(logits.shape, labels.shape)
    shape = tuple(n for a, n in enumerate(shape, -len(shape)) if a not in axes)
    check_broadcast(name, "epsilon", jnp.shape(epsilon), "the loss", shape, onto=True)
    return poly_loss_cross_entropy_fwd(logits, labels, epsilon, where, axis=axis)[0]


def _complement(x: Array, row: Row) -> tuple[Array, Array]:
    """p and 1 − p."""
    s = shifted(x, row.peak)
    p = jnp.exp(s - row.log_sum)
    return p, jnp.where(s == 0, row.others, 1 - p)


def poly_loss_cross_entropy_fwd(
    logits: Array, labels: Array, epsilon: Array | float, where: Array | None, *, axis: Axis | None
) -> tuple[Array, Any]:
    axes = class_axes("poly_loss_cross_entropy", logits, axis)
    entropy, res = softmax_cross_entropy_fwd(logits, labels, where, axis=axis)
    row = res[3]
    x, y = read_examples(logits, labels, where, axes)
    missed = jnp.sum(y * _complement(x, row)[1], axes, keepdims=True)
    missed = jnp.where(row.peak == -jnp.inf, 0, missed)
    loss = entropy + epsilon * jnp.squeeze(missed, axes)
    return loss.astype(entropy.dtype), (res, epsilon, missed)


def _poly_slopes(res: Any, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    # p Σy − y − ε p (y − Σ y p),  ε (1 − p) − ln p,  Σ y (1 − p)
    of_entropy, epsilon, missed = res
    logits, labels, where, row, mass = of_entropy
    x, y = read_examples(logits, labels, where, axes)
    p, rest = _complement(x, row)
    in_logits, in_labels = cross_entropy_slopes(of_entropy, axes)
    mask = class_mask(where, logits, axes)
    counts = (row.peak != -jnp.inf) if mask is None else (row.peak != -jnp.inf) & mask
    batch = tuple(n for a, n in enumerate(y.shape, -y.ndim) if a not in axes)
    each = jnp.expand_dims(jnp.broadcast_to(epsilon, batch), axes)
    turn = jnp.where(counts, p * ((y - mass) + missed), 0)
    return in_logits - each * turn, in_labels + each * jnp.where(counts, rest, 0), jnp.squeeze(missed, axes)


def poly_loss_cross_entropy_jvp(
    res: Any,
    logits_dot: Array,
    labels_dot: Array | None,
    epsilon_dot: Array | None,
    where_dot: None,
    *,
    axis: Axis | None,
) -> Array:  # ℓ̇ = Σ (p Σy − y − ε p (y − Σ y p)) ẋ + (ε (1 − p) − ln p) ẏ + Σ y (1 − p) ε̇
    axes = class_axes("poly_loss_cross_entropy", logits_dot, axis)
    in_logits, in_labels, in_epsilon = _poly_slopes(res, axes)
    moved = jnp.sum(along((in_logits, logits_dot), (in_labels, labels_dot)), axes)
    return along((1, moved), (in_epsilon, epsilon_dot)).astype(jnp.result_type(*res[0][:2]))


def poly_loss_cross_entropy_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array | None, ...]:  # x̄ = g (p Σy − y − ε p (y − Σ y p))    ȳ = g (ε (1 − p) − ln p)    ε̄ = Σ g Σ y (1 − p)
    (logits, labels, *_), epsilon, _ = res
    axes = class_axes("poly_loss_cross_entropy", logits, axis)
    in_logits, in_labels, in_epsilon = _poly_slopes(res, axes)
    rows = jnp.expand_dims(g, axes)
    bars = back_to(rows * in_logits, logits), back_to(rows * in_labels, labels), back_to(g * in_epsilon, epsilon)
    return *bars, None


poly_loss_cross_entropy.defrule(
    fwd=poly_loss_cross_entropy_fwd, jvp=poly_loss_cross_entropy_jvp, vjp=poly_loss_cross_entropy_vjp
)

# ------------------------------------------------------------------------------------------ smooth_labels


@rule(static=("axis",))
def smooth_labels(labels: Array, alpha: Array | float, axis: Axis | None = -1, where: Array | None = None) -> Array:
    """A distribution mixed with the uniform one.

        y = (1 − α) t + α/n

    Args:    labels: t, [..., C], any float dtype.  alpha: α, broadcasts to labels, traced or not.
             axis: the class axis or axes; None means all.  where: bools that broadcast to labels: n counts them.
    Returns: the shape and dtype of labels.
    Units:   no unit: probabilities.
    Rule:    ẏ = (1 − α) ṫ + (1/n − t) α̇
             t̄ = g (1 − α)     ᾱ = Σ g (1/n − t)
             keeps labels, alpha and where.
    Edges:   a row that `where` empties: 1/n counts as 0 (optax: ∞ or NaN).  What `where` leaves out is smoothed too.
    Raises:  DtypeError if labels are not float, alpha not real, where not bool; ShapeError if axis is not an axis of
             labels, or alpha or where does not broadcast to them.
    Source:  optax.losses.smooth_labels, which counts a mask of one class once; Müller et al. 2019.
    """
    for name, a, kinds in (("labels", labels, FLOAT), ("alpha", alpha, REAL), ("where", where, BOOL)):
        check_dtype("smooth_labels", name, a, kinds)
    class_axes("smooth_labels", labels, axis)
    for name, a in (("alpha", alpha), ("where", where)):
        check_broadcast("smooth_labels", name, () if a is None else jnp.shape(a), "labels", labels.shape, onto=True)
    return smooth_labels_fwd(labels, alpha, where, axis=axis)[0]


def _uniform(labels: Array, where: Array | None, axis: Axis | None) -> Array:  # 1/n
    counted = jnp.broadcast_to(True if where is None else where, labels.shape)
    n = jnp.sum(counted, axis, keepdims=True, dtype=jnp.promote_types(labels.dtype, jnp.float32))
    return jnp.where(n == 0, 0, 1 / jnp.maximum(n, 1))


def smooth_labels_fwd(
    labels: Array, alpha: Array | float, where: Array | None, *, axis: Axis | None
) -> tuple[Array, Any]:
    y = (1 - alpha) * labels + alpha * _uniform(labels, where, axis)
    return y.astype(labels.dtype), (labels, alpha, where)


def smooth_labels_jvp(
    res: Any, labels_dot: Array, alpha_dot: Array | None, where_dot: None, *, axis: Axis | None
) -> Array:  # ẏ = (1 − α) ṫ + (1/n − t) α̇
    labels, alpha, where = res
    in_alpha = _uniform(labels, where, axis) - labels
    return along((1 - alpha, labels_dot), (in_alpha, alpha_dot)).astype(labels.dtype)


def smooth_labels_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array | None, ...]:  # t̄ = g (1 − α)    ᾱ = Σ g (1/n − t)
    labels, alpha, where = res
    in_alpha = _uniform(labels, where, axis) - labels
    return back_to((1 - alpha) * g, labels), back_to(g * in_alpha, alpha), None


smooth_labels.defrule(fwd=smooth_labels_fwd, jvp=smooth_labels_jvp, vjp=smooth_labels_vjp)

# ---------------------------------------------------------------------------------- ranking_softmax_loss


def ranking_softmax_loss(
    logits: Array,
    labels: Array,
    *,
    where: Array | None = None,
    weights: Array | None = None,
    reduce_fn: Callable[..., Array] | None = jnp.mean,
) -> Array:
    """Softmax cross-entropy over the items of a list, by their relevance; the mean of several lists.

        ℓ = −Σⱼ wⱼ yⱼ ln pⱼ        p = softmax(x) over the items

    Args:    logits: x, [..., n], any float dtype.  labels: y, relevances, the same shape, any real dtype.
             where: bools; an item left out is in no sum, nor is a list without items.  weights: w, broadcast to labels.
             reduce_fn: jnp.mean, jnp.sum or the like, called with the lists' losses and `where`; None for none.
    Returns: [], or [...] unreduced, the logits' dtype.
    Units:   nats, averaged over the lists by default.
    Rule:    that of softmax_cross_entropy, of which it is a call with labels w y; it keeps what that keeps.
    Edges:   as softmax_cross_entropy.  No list with items: the mean is 0, and so are the slopes (optax: NaN).
    Source:  optax.losses.ranking_softmax_loss; Bruch et al. 2019.
    """
    logits = jnp.asarray(logits)
    labels = jnp.asarray(labels).astype(logits.dtype)
    weighted = labels if weights is None else labels * weights
    losses = softmax_cross_entropy(logits, weighted, where=where).astype(logits.dtype)
    lists = jnp.ones(losses.shape, bool) if where is None else jnp.any(where, -1)
    if reduce_fn is None:
        return jnp.where(lists, losses, 0)
    if reduce_fn is jnp.mean:
        return jnp.sum(losses, where=lists) / jnp.maximum(jnp.sum(lists), 1).astype(losses.dtype)
    return reduce_fn(losses, where=lists)

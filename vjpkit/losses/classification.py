"""Losses of logits against classes: cross-entropies, in nats."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from vjpkit.core import ShapeError, elementwise, rule
from vjpkit.core.broadcasting import unbroadcast
from vjpkit.losses.arguments import FLOAT, INTEGER, REAL, bounded, check_broadcast, check_dtype, wide
from vjpkit.losses.classes import (
    Axes,
    Axis,
    check_classes,
    class_axes,
    class_mask,
    class_rows,
    is_label,
    rows,
    rows_transposed,
)
from vjpkit.losses.surprisal import below_top, marked_surprisal, present, read_row, shifted, surprisal, top_row

# ---------------------------------------------------------------------------- sigmoid binary cross-entropy


def _gap(logits: Array, labels: Array) -> Array:
    """[x ≥ 0] − y: from the label to the class that the logit favours; exact for labels 0 and 1."""
    return (logits >= 0) - labels.astype(wide(logits).dtype)


def _log1p(e: Array) -> Array:  # ln(1 + e) = ln u + (e − (u − 1))/u        u = 1 + e, rounded
    """For e ≥ 0, as exact as jnp.log1p, which XLA, fused with an exp, computes in 1.5 times the time on a CPU."""
    u = jnp.maximum(1 + e, 1)  # as it stands: without the maximum XLA takes 1 + e − 1 for e
    return jnp.log(u) + (e - (u - 1)) / u


def _slope_in_logits(logits: Array, labels: Array) -> Array:  # σ(x) − y = [x ≥ 0] − y ∓ e/(1 + e)        e = exp −|x|
    x = wide(logits)
    right = x >= 0
    e = jnp.exp(jnp.where(right, -x, x))
    return _gap(x, labels) + jnp.where(right, -e, e) / (1 + e)


def _slope_in_labels(logits: Array) -> Array:  # −x
    largest = jnp.finfo(logits.dtype).max
    return -jnp.clip(wide(logits), -largest, largest)


@elementwise(slope=(_slope_in_logits, _slope_in_labels))
def sigmoid_binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """The cross-entropy of a label y and the probability σ(x) that a logit x gives it.

        ℓ = −y ln σ(x) − (1 − y) ln σ(−x) = ln(1 + eˣ) − x y

    Args:    logits: [...], any float dtype.  labels: y, usually in [0, 1], any real dtype; the two broadcast.
    Returns: the broadcast shape, in the logits' dtype; computed in float32 or wider.
    Units:   nats per entry, not averaged.
    Rule:    x̄ = g (σ(x) − y)     ȳ = −g x
             keeps logits and labels. Both the value and the slope are split at x = 0 by what the logit favours,
             ℓ = ([x ≥ 0] − y) x + ln(1 + exp −|x|) and [x ≥ 0] − y ∓ σ(−|x|), so that neither cancels nor overflows:
             at x = 30, y = 1 the slope is −9.4e-14 also in float32, where σ(x) − 1 is 0.
    Edges:   x = ±inf: the limits. Where y is the class that x favours ℓ = 0 and x̄ = 0 (optax: ℓ is NaN), else ℓ = ∞
             and x̄ = g ([x > 0] − y). The slope in y is then ∓ the largest finite number for ∓inf, so that a zero
             tangent or cotangent stays zero.
    Raises:  DtypeError if logits are not float or labels not real; ShapeError if they do not broadcast.
    Source:  optax.losses.sigmoid_binary_cross_entropy.
    """
    check_dtype("sigmoid_binary_cross_entropy", "logits", logits, FLOAT)
    check_dtype("sigmoid_binary_cross_entropy", "labels", labels, REAL)
    check_broadcast("sigmoid_binary_cross_entropy", "labels", labels.shape, "logits", logits.shape)
    x, gap = wide(logits), _gap(logits, labels)
    distance = jnp.where(x >= 0, x, -x)
    linear = jnp.where((gap == 0) & jnp.isinf(x), 0, gap * x)
    return (linear + _log1p(jnp.exp(-distance))).astype(logits.dtype)


# ----------------------------------------------------------------------------------- softmax cross-entropy


@rule(static=("axis",))
def softmax_cross_entropy(logits: Array, labels: Array, axis: Axis | None = -1, where: Array | None = None) -> Array:
    """The cross-entropy of a distribution y over classes and the softmax p of a row of logits.

        ℓ = −Σⱼ yⱼ ln pⱼ        p = softmax(x)

    Args:    logits: [..., C], any float dtype.  labels: y, any real dtype, broadcasts with logits; its rows need
             not sum to one.  axis: the class axis or axes of logits; None means all.
             where: bool, [..., C] or one for each example; a class left out has p = 0 and its label counts nothing.
    Returns: [...], the promoted dtype of logits and labels; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    ℓ̇ = Σⱼ (pⱼ Σy − yⱼ) ẋⱼ − Σⱼ ln pⱼ ẏⱼ
             x̄ = g (p Σy − y)     ȳ = −g ln p
             keeps logits, labels, where and four numbers for each row: max x, ln Σ exp(x − max x), 1 − p of the top
             class, and Σy. The top class's slope is computed as (Σy − y) − (1 − p) Σy, with that 1 − p the sum of the
             other p: as it stands it cancels where the model is right, p → 1 and y = 1.
    Wins:    residuals 4× less; temp memory 3.9× less.
    Edges:   x = −inf: p = 0; ℓ takes 0 ln 0 = 0 where y = 0 (optax: NaN), ∞ elsewhere; the slope in y, ∞, is the
             largest finite number, so that a zero tangent or cotangent stays zero.
             x = +inf: all the probability is there, shared where there are several (optax: NaN).
             A row of −inf only, or one that `where` empties, has no class: ℓ = 0 and every slope is 0 (optax: NaN
             for the first; it has no limit, every value can be approached).
    Raises:  DtypeError if logits are not float, labels not real, where not bool; ShapeError if axis is not an axis
             of logits, labels do not broadcast with logits or have more classes, or where does not broadcast to them.
    Source:  optax.losses.softmax_cross_entropy.
    """
    check_labels("softmax_cross_entropy", logits, labels, axis, where)
    return softmax_cross_entropy_fwd(logits, labels, where, axis=axis)[0]


def check_labels(function: str, logits: Array, labels: Array, axis: Axis | None, where: Array | None) -> Axes:
    """The class axes, after a named error for logits and distributions over classes that do not fit."""
    axes = check_classes(function, logits, axis, where)
    check_dtype(function, "labels", labels, REAL)
    check_broadcast(function, "labels", labels.shape, "logits", logits.shape)
    if any(labels.shape[a] not in (1, logits.shape[a]) for a in axes if -a <= labels.ndim):
        raise ShapeError(
            f"{function}: argument labels: expected the classes of logits, {list(logits.shape)} along axis {axis}, "
            f"got {list(labels.shape)}"
        )
    return axes


def read_examples(logits: Array, labels: Array, where: Array | None, axes: Axes) -> tuple[Array, Array]:
    """x and y in float32 or wider, −∞ and 0 for what `where` leaves out."""
    mask = class_mask(where, logits, axes)
    x = present(logits, mask)
    y = jnp.broadcast_to(labels, jnp.broadcast_shapes(logits.shape, labels.shape)).astype(x.dtype)
    return x, y if mask is None else jnp.where(mask, y, 0)


def softmax_cross_entropy_fwd(
    logits: Array, labels: Array, where: Array | None, *, axis: Axis | None
) -> tuple[Array, Any]:
    axes = class_axes("softmax_cross_entropy", logits, axis)
    x, y = read_examples(logits, labels, where, axes)
    row, mass = top_row(x, axes), jnp.sum(y, axes, keepdims=True)
    s = shifted(x, row.peak)  # ℓ = Σ y (L − s), all of whose terms have one sign
    nats = row.log_sum * mass - jnp.sum(jnp.where((s == -jnp.inf) & (y == 0), 0, y * s), axes, keepdims=True)
    loss = jnp.squeeze(jnp.where(row.peak == -jnp.inf, 0, nats), axes)
    return loss.astype(jnp.result_type(logits, labels)), (logits, labels, where, row, mass)


def cross_entropy_slopes(res: Any, axes: Axes) -> tuple[Array, Array]:  # p Σy − y,  −ln p
    logits, labels, where, row, mass = res
    x, y = read_examples(logits, labels, where, axes)
    s = shifted(x, row.peak)
    at_top = (mass - y) - row.others * mass
    in_logits = jnp.where(s == 0, at_top, below_top(x, row.peak) * (jnp.exp(-row.log_sum) * mass) - y)
    counts = row.peak != -jnp.inf
    mask = class_mask(where, logits, axes)
    in_labels = bounded(row.log_sum - s, logits.dtype)
    return jnp.where(counts, in_logits, 0), jnp.where(counts if mask is None else counts & mask, in_labels, 0)


def softmax_cross_entropy_jvp(
    res: Any, logits_dot: Array, labels_dot: Array | None, where_dot: None, *, axis: Axis | None
) -> Array:  # ℓ̇ = Σ (p Σy − y) ẋ − Σ ln p ẏ
    axes = class_axes("softmax_cross_entropy", logits_dot, axis)
    in_logits, in_labels = cross_entropy_slopes(res, axes)
    terms = in_logits * logits_dot + (0 if labels_dot is None else in_labels * labels_dot)
    return jnp.sum(terms, axes).astype(jnp.result_type(*res[:2]))


def softmax_cross_entropy_vjp(
    res: Any, g: Array, *, axis: Axis | None
) -> tuple[Array, Array | None, None]:  # x̄ = g (p Σy − y)    ȳ = −g ln p
    logits, labels, *_ = res
    axes = class_axes("softmax_cross_entropy", logits, axis)
    in_logits, in_labels = cross_entropy_slopes(res, axes)
    g = jnp.expand_dims(g, axes)
    logits_bar = unbroadcast(g * in_logits, logits.shape).astype(logits.dtype)
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        return logits_bar, None, None
    return logits_bar, unbroadcast(g * in_labels, labels.shape).astype(labels.dtype), None


softmax_cross_entropy.defrule(
    fwd=softmax_cross_entropy_fwd, jvp=softmax_cross_entropy_jvp, vjp=softmax_cross_entropy_vjp
)
safe_softmax_cross_entropy = softmax_cross_entropy  # which takes 0 ln 0 = 0, too


# --------------------------------------------------------------- softmax cross-entropy with integer labels

_NAME = "softmax_cross_entropy_with_integer_labels"


@rule(static=("axis",))
def softmax_cross_entropy_with_integer_labels(
    logits: Array, labels: Array, axis: Axis = -1, where: Array | None = None
) -> Array:
    """The surprisal of the class k that a label names, under the softmax p of a row of logits.

        ℓ = −ln p[k] = lse(x) − x[k]

    Args:    logits: [..., C], any float dtype.  labels: k, [...], any integer dtype; axes of size 1 broadcast.
             axis: the class axis of logits, or several, in which a label is a flat index.
             where: bool, [..., C] or one for each example; a class left out has p = 0.
    Returns: [...], the logits' dtype; computed in float32 or wider.
    Units:   nats per example, not averaged.
    Rule:    ℓ̇ = Σⱼ (pⱼ − 1[j=k]) ẋⱼ
             x̄ = g (p − 1ₖ)
             keeps logits in their dtype, labels, where and three numbers for each row: max x, ln Σ exp(x − max x),
             and Σ_{j≠k} pⱼ.
             The label's own slope, p[k] − 1, is that sum negated: it keeps its digits where p[k] rounds to 1.
    Edges:   x[k] = −inf: ℓ = ∞, slopes p − 1ₖ.  x = +inf: all the probability is there, shared where there are
             several (optax: NaN).  A row of −inf only, or one that `where` empties, has no class: ℓ = 0, slopes 0
             (optax: NaN for the first).  A label that `where` leaves out: ℓ = lse − x[k] over the classes left, as
             optax; its slope is −1.
             k in [−C, 0) counts from the end, as an index. Beyond, ℓ is NaN, as an index that is filled, but the
             slopes are finite, p: where(valid, ℓ, 0) has gradient 0 for the others.
    Raises:  DtypeError if logits are not float, labels not integer, where not bool; ShapeError if axis is not an axis
             of logits, labels are not of the logits' shape without it, or where does not broadcast to them.
    Source:  optax.losses.softmax_cross_entropy_with_integer_labels.
    """
    if axis is None:
        raise ShapeError(f"{_NAME}: argument axis: expected an int or a tuple of ints, got None")
    axes = check_classes(_NAME, logits, axis, where)
    check_dtype(_NAME, "labels", labels, INTEGER)
    batch = tuple(n for a, n in enumerate(logits.shape, -logits.ndim) if a not in axes)
    if labels.ndim != len(batch):
        raise ShapeError(
            f"{_NAME}: argument labels: expected the shape of logits without axis {axis}, {list(batch)}, "
            f"got {list(labels.shape)}"
        )
    check_broadcast(_NAME, "labels", labels.shape, "the examples", batch)
    return softmax_cross_entropy_with_integer_labels_fwd(logits, labels, where, axis=axis)[0]


def softmax_cross_entropy_with_integer_labels_fwd(
    logits: Array, labels: Array, where: Array | None, *, axis: Axis
) -> tuple[Array, Any]:
    x, mask = class_rows(logits, where, class_axes(_NAME, logits, axis))
    k, shown = labels[..., None], present(x, mask)
    own = jnp.take_along_axis(shown, k, -1, mode="fill", fill_value=-jnp.inf)
    row = read_row(shown, is_label(labels, x.shape[-1]), own, (-1,))
    h = surprisal(wide(jnp.take_along_axis(x, k, -1, mode="fill")), row)
    loss = marked_surprisal(h, row)[..., 0]
    return loss.astype(logits.dtype), (logits, labels, where, row)


def _slope_rows(res: Any, axes: Axes) -> Array:  # p − 1ₖ
    logits, labels, where, row = res
    x, mask = class_rows(logits, where, axes)
    p = jnp.exp(-surprisal(present(x, mask), row))
    return jnp.where(is_label(labels, x.shape[-1]), -row.others, p)


def softmax_cross_entropy_with_integer_labels_jvp(
    res: Any, logits_dot: Array, labels_dot: None, where_dot: None, *, axis: Axis
) -> Array:  # ℓ̇ = Σ (p − 1ₖ) ẋ
    axes = class_axes(_NAME, logits_dot, axis)
    return jnp.sum(_slope_rows(res, axes) * rows(logits_dot, axes), -1).astype(logits_dot.dtype)


def softmax_cross_entropy_with_integer_labels_vjp(
    res: Any, g: Array, *, axis: Axis
) -> tuple[Array, None, None]:  # x̄ = g (p − 1ₖ)
    logits = res[0]
    axes = class_axes(_NAME, logits, axis)
    x_bar = unbroadcast(g[..., None] * _slope_rows(res, axes), rows(logits, axes).shape)
    return rows_transposed(x_bar, logits.shape, axes).astype(logits.dtype), None, None


softmax_cross_entropy_with_integer_labels.defrule(
    fwd=softmax_cross_entropy_with_integer_labels_fwd,
    jvp=softmax_cross_entropy_with_integer_labels_jvp,
    vjp=softmax_cross_entropy_with_integer_labels_vjp,
)

"""Losses of a row of scores against the class that it should give most: margins, and sparsemax's."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core import ShapeError, rule
from vjpkit.core.answers import show, spec
from vjpkit.losses.arguments import FLOAT, INTEGER, check_dtype, wide
from vjpkit.losses.classes import is_label
from vjpkit.special.simplex import sparsemax_threshold


def _check(function: str, scores: Array, labels: Array) -> None:
    check_dtype(function, "scores", scores, FLOAT)
    check_dtype(function, "labels", labels, INTEGER)
    if not scores.ndim or not scores.shape[-1]:
        raise ShapeError(f"{function}: argument scores: expected [..., C], C at least 1, got {show(spec(scores))}")
    if labels.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{function}: argument labels: expected one for each row of scores, {list(scores.shape[:-1])}, "
            f"got {show(spec(labels))}"
        )


def _own(scores: Array, labels: Array) -> Array:
    """[...]: the label's score; NaN for a label that is out of range, as an index that is filled."""
    return jnp.take_along_axis(scores, labels[..., None], -1, mode="fill", fill_value=jnp.nan)[..., 0]


# ------------------------------------------------------------------------------- the largest against the label's


def _lifted(scores: Array, labels: Array, margin: int) -> Array:
    """Every score but the label's raised by the margin."""
    return wide(scores) + margin * ~is_label(labels, scores.shape[-1])


def _violation(scores: Array, labels: Array, margin: int) -> tuple[Array, Any]:
    """The largest of the lifted scores less the label's, and what the slope is made of."""
    largest = jnp.max(_lifted(scores, labels, margin), -1)
    own = _own(wide(scores), labels)
    loss = jnp.where(largest == own, 0, largest - own)
    return loss.astype(scores.dtype), (scores, labels, largest[..., None])


def _winners(res: Any, margin: int) -> tuple[Array, Array, Array]:
    """Which scores are the largest, how many of them, and which is the label's."""
    scores, labels, largest = res
    wins = (_lifted(scores, labels, margin) == largest).astype(largest.dtype)
    return wins, jnp.sum(wins, -1, keepdims=True), is_label(labels, scores.shape[-1])


def _violation_forward(res: Any, scores_dot: Array, margin: int) -> Array:  # ℓ̇ = ẋₘ − ẋₖ
    wins, ties, own = _winners(res, margin)
    return jnp.sum((wins / ties - own) * scores_dot, -1).astype(scores_dot.dtype)


def _violation_reverse(res: Any, g: Array, margin: int) -> tuple[Array, None]:  # x̄ = g (1ₘ − 1ₖ)
    wins, ties, own = _winners(res, margin)
    g_rows = g[..., None]
    return (wins * (g_rows / ties) - own * g_rows).astype(g.dtype), None  # one division for each row


@rule
def multiclass_hinge_loss(scores: Array, labels: Array) -> Array:
    """What the label's score lacks of being the largest by a margin of 1.

        ℓ = maxⱼ (xⱼ + [j ≠ k]) − xₖ

    Args:    scores: x, [..., C], any float dtype.  labels: k, [...], integers.
    Returns: [...], the scores' dtype; computed in float32 or wider.
    Units:   no unit: x is a pure number, per example, not averaged.
    Rule:    ℓ̇ = ẋₘ − ẋₖ     x̄ = g (1ₘ − 1ₖ)        m the j of the maximum
             keeps scores, labels and each row's maximum.
    Edges:   ties: the slope is shared, as jnp.max's.  An infinite score: the limit.
             k in [−C, 0) counts from the end, as an index; beyond, ℓ is NaN, as an index that is filled, and its slope
             1ₘ (optax: no label at all, ℓ = max x + 1, for both).
    Raises:  DtypeError if scores are not float or labels not integer; ShapeError if labels are not one for each row.
    Source:  optax.losses.multiclass_hinge_loss, which broadcasts labels; Crammer and Singer 2001.
    """
    _check("multiclass_hinge_loss", scores, labels)
    return _violation(scores, labels, 1)[0]


def multiclass_hinge_loss_fwd(scores: Array, labels: Array) -> tuple[Array, Any]:
    return _violation(scores, labels, 1)


def multiclass_hinge_loss_jvp(res: Any, scores_dot: Array, labels_dot: None) -> Array:  # ℓ̇ = ẋₘ − ẋₖ
    return _violation_forward(res, scores_dot, 1)


def multiclass_hinge_loss_vjp(res: Any, g: Array) -> tuple[Array, None]:  # x̄ = g (1ₘ − 1ₖ)
    return _violation_reverse(res, g, 1)


multiclass_hinge_loss.defrule(
    fwd=multiclass_hinge_loss_fwd, jvp=multiclass_hinge_loss_jvp, vjp=multiclass_hinge_loss_vjp
)


@rule
def multiclass_perceptron_loss(scores: Array, labels: Array) -> Array:
    """What the label's score lacks of being the largest.

        ℓ = maxⱼ xⱼ − xₖ

    Args:    scores: x, [..., C], any float dtype.  labels: k, [...], integers.
    Returns: [...], the scores' dtype; computed in float32 or wider.
    Units:   the unit of x, per example, not averaged.
    Rule:    ℓ̇ = ẋₘ − ẋₖ     x̄ = g (1ₘ − 1ₖ)        m the j of the maximum
             keeps scores, labels and each row's maximum.
    Edges:   as multiclass_hinge_loss (optax, for a label below 0 or out of range: ℓ = max x).
    Raises:  DtypeError if scores are not float or labels not integer; ShapeError if labels are not one for each row.
    Source:  optax.losses.multiclass_perceptron_loss, which broadcasts labels; Collins 2002.
    """
    _check("multiclass_perceptron_loss", scores, labels)
    return _violation(scores, labels, 0)[0]


def multiclass_perceptron_loss_fwd(scores: Array, labels: Array) -> tuple[Array, Any]:
    return _violation(scores, labels, 0)


def multiclass_perceptron_loss_jvp(res: Any, scores_dot: Array, labels_dot: None) -> Array:  # ℓ̇ = ẋₘ − ẋₖ
    return _violation_forward(res, scores_dot, 0)


def multiclass_perceptron_loss_vjp(res: Any, g: Array) -> tuple[Array, None]:  # x̄ = g (1ₘ − 1ₖ)
    return _violation_reverse(res, g, 0)


multiclass_perceptron_loss.defrule(
    fwd=multiclass_perceptron_loss_fwd, jvp=multiclass_perceptron_loss_jvp, vjp=multiclass_perceptron_loss_vjp
)

# --------------------------------------------------------------------------------------------- sparsemax


@rule
def multiclass_sparsemax_loss(scores: Array, labels: Array) -> Array:
    """The loss whose slope is sparsemax less the label, as cross-entropy's is softmax less the label.

        ℓ = ½ |p − 1ₖ|² + max(τ − xₖ, 0)        p = max(x − τ, 0),  Σ p = 1

    Args:    scores: x, [..., C], any float dtype.  labels: k, [...], integers.
    Returns: [...], the scores' dtype; computed in float32 or wider.
    Units:   no unit: x is a pure number, per example, not averaged.
    Rule:    ℓ̇ = Σⱼ (pⱼ − [j = k]) ẋⱼ     x̄ = g (p − 1ₖ)
             keeps scores, labels and two numbers for each row: max x and τ. No ṗ: p is where p·x − ½ |p|² is largest.
             Written as that maximum less xₖ, ℓ would cancel where the model is right; a sum of squares does not.
    Wins:    residuals 4× less; half of the temp memory that optax needs.
    Edges:   ℓ = 0, and so is the slope, from a margin of 1 on.  −∞: p = 0.  A row of −∞ only has no class: ℓ = 0,
             slope 0.  k in [−C, 0) counts from the end; beyond, ℓ is NaN, and its slope p.
             float64 has a derivative (optax: a tangent of another dtype, which JAX refuses).
    Raises:  DtypeError if scores are not float or labels not integer; ShapeError if labels are not one for each row.
    Source:  optax.losses.multiclass_sparsemax_loss; Martins and Astudillo 2016.
    """
    _check("multiclass_sparsemax_loss", scores, labels)
    return multiclass_sparsemax_loss_fwd(scores, labels)[0]


def _below(scores: Array, peak: Array) -> Array:
    """The scores less their maximum; the largest number stands for +∞, so that it is 0 there."""
    x = wide(scores)
    return jnp.minimum(x, jnp.finfo(x.dtype).max) - peak


def multiclass_sparsemax_loss_fwd(scores: Array, labels: Array) -> tuple[Array, Any]:
    limits = jnp.finfo(wide(scores).dtype)
    peak = lax.stop_gradient(jnp.clip(jnp.max(wide(scores), -1, keepdims=True), limits.min, limits.max))
    z = _below(scores, peak)
    tau = sparsemax_threshold(z, -1)
    error = jnp.maximum(z - tau, 0) - is_label(labels, scores.shape[-1])
    loss = jnp.sum(error * error, -1) / 2 + jnp.maximum(tau[..., 0] - _own(z, labels), 0)
    return jnp.where(jnp.max(z, -1) == -jnp.inf, 0, loss).astype(scores.dtype), (scores, labels, peak, tau)


def _share_less_label(res: Any) -> Array:  # p − 1ₖ
    scores, labels, peak, tau = res
    z = _below(scores, peak)
    slope = jnp.maximum(z - tau, 0) - is_label(labels, scores.shape[-1])
    return jnp.where(z.max(-1, keepdims=True) == -jnp.inf, 0, slope)


def multiclass_sparsemax_loss_jvp(res: Any, scores_dot: Array, labels_dot: None) -> Array:  # ℓ̇ = Σ (p − 1ₖ) ẋ
    return jnp.sum(_share_less_label(res) * scores_dot, -1).astype(scores_dot.dtype)


def multiclass_sparsemax_loss_vjp(res: Any, g: Array) -> tuple[Array, None]:  # x̄ = g (p − 1ₖ)
    return (g[..., None] * _share_less_label(res)).astype(g.dtype), None


multiclass_sparsemax_loss.defrule(
    fwd=multiclass_sparsemax_loss_fwd, jvp=multiclass_sparsemax_loss_jvp, vjp=multiclass_sparsemax_loss_vjp
)

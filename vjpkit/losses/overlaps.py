"""Losses of the overlap of two regions, for segmentation: Dice's coefficient and its relatives."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softmax

from vjpkit.core import ShapeError, rule
from vjpkit.core.answers import show, spec
from vjpkit.losses.arguments import FLOAT, REAL, along, back_to, check_alike, check_broadcast, check_dtype, wide
from vjpkit.losses.classes import class_axes

Axis = int | tuple[int, ...] | None

# ------------------------------------------------------------------------------------------------- dice


class _Sums(NamedTuple):
    """Of each class: I = Σ p t, P = Σ p, T = Σ t."""

    both: Array
    p: Array
    t: Array


class _Overlap(NamedTuple):
    """Of each class: c = (I + s)/D with D = I + α (P − I) + β (T − I) + s, and its slopes."""

    coefficient: Array
    in_both: Array
    in_p: Array
    in_t: Array
    in_smooth: Array
    in_alpha: Array
    in_beta: Array


def _overlap(sums: _Sums, smooth: Array, alpha: Array, beta: Array) -> _Overlap:
    both, only_p, only_t = sums.both, sums.p - sums.both, sums.t - sums.both
    size = both + alpha * only_p + beta * only_t + smooth
    empty = size == 0  # then so is I + s, and c → 1 from where s > 0
    inverse = jnp.where(empty, 0, 1 / jnp.where(empty, 1, size))
    c = jnp.where(empty, 1, (both + smooth) * inverse)
    falls = -c * inverse
    return _Overlap(
        coefficient=c,
        in_both=inverse + falls * (1 - alpha - beta),
        in_p=falls * alpha,
        in_t=falls * beta,
        in_smooth=inverse + falls,
        in_alpha=falls * only_p,
        in_beta=falls * only_t,
    )


def _pair(predictions: Array, targets: Array) -> tuple[Array, Array]:
    """The two with the class axis that one of them may lack."""
    lack = predictions.ndim - targets.ndim
    return predictions[..., None] if lack == -1 else predictions, targets[..., None] if lack == 1 else targets


def _probabilities(predictions: Array, apply_softmax: bool) -> Array:
    x = wide(predictions)
    return x if not apply_softmax else sigmoid(x) if x.shape[-1] == 1 else softmax(x, -1)


def _probabilities_slope(p: Array, v: Array, apply_softmax: bool) -> Array:  # J v, J its own transpose
    if not apply_softmax:
        return v
    return p * (1 - p) * v if p.shape[-1] == 1 else p * (v - jnp.sum(p * v, -1, keepdims=True))


def _axes(ndim: int, axis: Axis) -> tuple[int, ...]:
    given = range(1, ndim - 1) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(a % ndim for a in given)


def _weighted(c: Array, class_weights: Array | None, reduction: str, ignore_background: bool) -> Array:
    """Linear in c: weighted, without the first class, reduced over the others."""
    weighted = c if class_weights is None else c * class_weights
    kept = weighted[..., 1:] if ignore_background and c.shape[-1] > 1 else weighted
    return {"mean": jnp.mean, "sum": jnp.sum}[reduction](kept, -1) if reduction != "none" else kept


def _weighted_transposed(g: Array, classes: int, reduction: str, ignore_background: bool) -> Array:
    """[..., C]: the cotangent of each class before its weight."""
    dropped = int(ignore_background and classes > 1)
    g = g if reduction == "none" else jnp.expand_dims(g, -1) / (classes - dropped if reduction == "mean" else 1)
    g = jnp.broadcast_to(g, (*g.shape[:-1], classes - dropped))
    return jnp.pad(g, [(0, 0)] * (g.ndim - 1) + [(dropped, 0)])


@rule(static=("apply_softmax", "reduction", "ignore_background", "axis"))
def dice_loss(
    predictions: Array,
    targets: Array,
    class_weights: Array | None = None,
    smooth: Array | float = 1.0,
    alpha: Array | float = 0.5,
    beta: Array | float = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: Axis = None,
) -> Array:
    """One less the overlap of predicted and true regions, class by class; Tversky's index for other α and β.

        ℓ = 1 − (I + s) / (I + α (P − I) + β (T − I) + s)        I = Σ p t,  P = Σ p,  T = Σ t

    Args:    predictions: x, [n, ..., C], any float dtype; logits, or p itself without apply_softmax.
             targets: t, the same shape, any real dtype; either may lack the class axis of 1.
             class_weights: w, [C], or None.  smooth: s.  alpha, beta: what a false positive, a false negative counts.
             These numbers may be traced.  apply_softmax: p = softmax x over the classes, σ(x) for one class.
             reduction: "mean" or "sum" over the classes, or "none".  ignore_background: leaves the first class out.
             axis: what the sums run over, None for all but the first axis and the classes.
    Returns: [n], or [n, C] unreduced, the dtype that predictions and targets promote to; computed in float32 or wider.
    Units:   no unit: a pure number between 0 and 1 for each example, not averaged over those.
    Rule:    ẋ moves p by ṗ = J ẋ, J of softmax, σ or 1;  İ = Σ p t˙ + ṗ t,  Ṗ = Σ ṗ,  Ṫ = Σ t˙
             ℓ̇ = −c_I İ − c_P Ṗ − c_T Ṫ, with c_I = (1 − c (1 − α − β))/D, c_P = −c α/D, c_T = −c β/D
             x̄ = −J (g w (c_I t + c_P))     t̄ = −g w (c_I p + c_T)     and likewise w̄, s̄, ᾱ, β̄
             keeps the arguments, and of each class the three sums; p is computed again.
    Wins:    residuals 1.6× less.
    Edges:   D = 0, an empty class with s = 0: c = 1, ℓ = 0, slopes 0 (optax: NaN).
             Without apply_softmax p is taken as it is, also under jit (optax: an error under jit, and where p does
             not sum to one over the classes, as it does not for one class).
    Raises:  DtypeError if predictions are not float, the others not real; ShapeError if the shapes differ, class
             weights are not [C], the numbers no numbers, or axis names the classes; ValueError for another reduction.
    Source:  optax.losses.dice_loss; Milletari et al. 2016; Salehi et al. 2017.
    """
    name = "dice_loss"
    check_dtype(name, "predictions", predictions, FLOAT)
    numbers = {"smooth": smooth, "alpha": alpha, "beta": beta}
    for argument, a in {"targets": targets, "class_weights": class_weights, **numbers}.items():
        check_dtype(name, argument, a, REAL)
    x, t = _pair(predictions, targets)
    if x.ndim < 2:
        raise ShapeError(f"{name}: argument predictions: expected [n, ..., C], got {show(spec(predictions))}")
    check_alike(name, {"predictions": x, "targets": t})
    if class_weights is not None and class_weights.shape != x.shape[-1:]:
        raise ShapeError(
            f"{name}: argument class_weights: expected {list(x.shape[-1:])}, got {show(spec(class_weights))}"
        )
    for argument, a in numbers.items():
        check_broadcast(name, argument, jnp.shape(a), "a number", (), onto=True)
    if axis is not None and -1 in class_axes(name, x, axis):
        raise ShapeError(f"{name}: argument axis: expected axes other than that of the classes, the last, got {axis}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: option reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
    options: dict[str, Any] = {"reduction": reduction, "ignore_background": ignore_background, "axis": axis}
    given: tuple[Any, ...] = predictions, targets, class_weights, smooth, alpha, beta
    return dice_loss_fwd(*given, apply_softmax=apply_softmax, **options)[0]


def dice_loss_fwd(
    predictions: Array,
    targets: Array,
    class_weights: Array | None,
    smooth: Array,
    alpha: Array,
    beta: Array,
    *,
    apply_softmax: bool,
    axis: Axis,
    **reduction: Any,
) -> tuple[Array, Any]:
    x, t = _pair(predictions, targets)
    axes, p = _axes(x.ndim, axis), _probabilities(x, apply_softmax)
    sums = _Sums(jnp.sum(p * t, axes), jnp.sum(p, axes), jnp.sum(wide(t), axes))
    loss = _weighted(1 - _overlap(sums, smooth, alpha, beta).coefficient, class_weights, **reduction)
    kept = predictions, targets, class_weights, smooth, alpha, beta, sums
    return loss.astype(jnp.result_type(predictions, targets)), kept


def dice_loss_jvp(
    res: Any,
    predictions_dot: Array,
    targets_dot: Array | None,
    class_weights_dot: Array | None,
    smooth_dot: Array | None,
    alpha_dot: Array | None,
    beta_dot: Array | None,
    *,
    apply_softmax: bool,
    axis: Axis,
    **reduction: Any,
) -> Array:  # ℓ̇ = −w (c_I İ + c_P Ṗ + c_T Ṫ + c_s ṡ + c_α α̇ + c_β β̇) + (1 − c) ẇ
    predictions, targets, class_weights, smooth, alpha, beta, sums = res
    x, t = _pair(predictions, targets)
    o = _overlap(sums, smooth, alpha, beta)
    axes, p = _axes(x.ndim, axis), _probabilities(x, apply_softmax)
    p_dot = _probabilities_slope(p, predictions_dot.reshape(x.shape), apply_softmax)
    t_dot = None if targets_dot is None else targets_dot.reshape(t.shape)
    c_dot = along(
        (o.in_both, jnp.sum(along((wide(t), p_dot), (p, t_dot)), axes)),
        (o.in_p, jnp.sum(p_dot, axes)),
        (o.in_t, None if t_dot is None else jnp.sum(wide(t_dot), axes)),
        (o.in_smooth, smooth_dot),
        (o.in_alpha, alpha_dot),
        (o.in_beta, beta_dot),
    )
    loss_dot = _weighted(-c_dot, class_weights, **reduction)
    if class_weights_dot is not None:
        loss_dot += _weighted(1 - o.coefficient, class_weights_dot, **reduction)
    return loss_dot.astype(jnp.result_type(predictions, targets))


def dice_loss_vjp(
    res: Any, g: Array, *, apply_softmax: bool, axis: Axis, **reduction: Any
) -> tuple[Array | None, ...]:  # x̄ = −J (g w (c_I t + c_P))    t̄ = −g w (c_I p + c_T)    w̄ = Σ g (1 − c)
    predictions, targets, class_weights, smooth, alpha, beta, sums = res
    x, t = _pair(predictions, targets)
    o = _overlap(sums, smooth, alpha, beta)
    axes, p = _axes(x.ndim, axis), _probabilities(x, apply_softmax)
    w_bar = _weighted_transposed(wide(g), x.shape[-1], **reduction)
    c_bar = -w_bar if class_weights is None else -w_bar * class_weights
    in_both, in_p, in_t = (jnp.expand_dims(c_bar * slope, axes) for slope in (o.in_both, o.in_p, o.in_t))
    x_bar = _probabilities_slope(p, in_both * t + in_p, apply_softmax)
    return (
        back_to(x_bar.reshape(predictions.shape), predictions),
        back_to((in_both * p + in_t).reshape(targets.shape), targets),
        back_to(w_bar * (1 - o.coefficient), class_weights),
        back_to(c_bar * o.in_smooth, smooth),
        back_to(c_bar * o.in_alpha, alpha),
        back_to(c_bar * o.in_beta, beta),
    )


dice_loss.defrule(fwd=dice_loss_fwd, jvp=dice_loss_jvp, vjp=dice_loss_vjp)

# -------------------------------------------------------------------------------- dice_loss's compositions


def binary_dice_loss(
    predictions: Array, targets: Array, *, smooth: Array | float = 1.0, apply_sigmoid: bool = True
) -> Array:
    """Dice's loss of one class.

        ℓ = 1 − (I + s) / (½ P + ½ T + s)        I = Σ p t,  P = Σ p,  T = Σ t,  p = σ(x)

    Args:    predictions: x, [n, ...], any float dtype, with or without a last axis of 1; p without apply_sigmoid.
             targets: t, the same shape, any real dtype.  smooth: s, a number.
    Returns: [n], as dice_loss.
    Units:   no unit: a pure number between 0 and 1 for each example, not averaged over those.
    Rule:    that of dice_loss, of which it is a call; it keeps what that keeps.
    Edges:   as dice_loss.
    Source:  optax.losses.binary_dice_loss.
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if predictions.ndim == targets.ndim and predictions.shape[-1:] != (1,):
        predictions, targets = predictions[..., None], targets[..., None]
    return dice_loss(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)


def multiclass_generalized_dice_loss(
    predictions: Array,
    targets: Array,
    *,
    smooth: Array | float = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Array:
    """Dice's loss of several classes, the rare ones weighted more.

        ℓ = mean over examples and classes of w (1 − c)        w ∝ 1/(T² + 1e-7), C in sum,  T the class's targets

    Args:    predictions: x, [n, ..., C], any float dtype; logits, or p itself without apply_softmax.
             targets: t, the same shape, any real dtype.  smooth: s, a number.
             ignore_background: leaves the first class out.
    Returns: [], as dice_loss.
    Units:   no unit: a pure number, averaged over examples and classes.
    Rule:    that of dice_loss, of which it is a call with class_weights; it keeps what that keeps.
    Edges:   as dice_loss.
    Source:  optax.losses.multiclass_generalized_dice_loss; Sudre et al. 2017.
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    check_alike("multiclass_generalized_dice_loss", {"predictions": predictions, "targets": targets})
    frequency = jnp.sum(wide(targets), tuple(range(targets.ndim - 1)))
    w = 1 / (frequency**2 + 1e-7)
    w = w / jnp.sum(w) * w.size
    options = {"reduction": "none", "ignore_background": ignore_background}
    return jnp.mean(dice_loss(predictions, targets, w, smooth, apply_softmax=apply_softmax, **options))

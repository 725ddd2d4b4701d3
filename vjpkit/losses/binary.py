"""Losses of one score against a label of two kinds: margins, and cross-entropy's relatives."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from vjpkit.core import elementwise, rule
from vjpkit.losses.arguments import (
    FLOAT,
    REAL,
    along,
    back_to,
    bounded,
    check_alike,
    check_broadcast,
    check_dtype,
    wide,
)


def _check(function: str, targets_name: str, outputs_name: str, outputs: Array, targets: Array) -> None:
    check_dtype(function, outputs_name, outputs, FLOAT)
    check_dtype(function, targets_name, targets, REAL)
    check_alike(function, {outputs_name: outputs, targets_name: targets}, or_number=True)


def _active(excess: Array) -> Array:
    """The slope of max(0, excess): 1, 0, and ½ between the two, as jnp.maximum's."""
    return (jnp.sign(excess) + 1) / 2


# ------------------------------------------------------------------------------------------------ margins


def _hinge_slope_x(predictor_outputs: Array, targets: Array) -> Array:  # −t [1 > x t]
    return -_active(1 - wide(predictor_outputs) * targets) * targets


def _hinge_slope_t(predictor_outputs: Array, targets: Array) -> Array:  # −x [1 > x t]
    x = wide(predictor_outputs)
    return -_active(1 - x * targets) * bounded(x, predictor_outputs.dtype)


@elementwise(slope=(_hinge_slope_x, _hinge_slope_t))
def hinge_loss(predictor_outputs: Array, targets: Array) -> Array:
    """What a score lacks of a margin of 1 on its label's side.

        ℓ = max(0, 1 − x t)

    Args:    predictor_outputs: x, [...], any float dtype.  targets: t, −1 or 1, the same shape or one number for all,
             any real dtype.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   no unit: x is a pure number, per entry, not averaged.
    Rule:    x̄ = −g t [x t < 1]     t̄ = −g x [x t < 1]
             keeps predictor_outputs and targets.
    Wins:    residuals 1.5× less.
    Edges:   x t = 1, the kink: half the slope, as optax.  x = ±∞: ℓ and slopes are the limits.
    Raises:  DtypeError if predictor_outputs are not float or targets not real; ShapeError if the shapes differ.
    Source:  optax.losses.hinge_loss, which broadcasts [n, 1] against [n].
    """
    _check("hinge_loss", "targets", "predictor_outputs", predictor_outputs, targets)
    loss = jnp.maximum(0, 1 - wide(predictor_outputs) * targets)
    return loss.astype(jnp.result_type(predictor_outputs, targets))


def _perceptron_slope_x(predictor_outputs: Array, targets: Array) -> Array:  # −t [0 > x t]
    return -_active(-wide(predictor_outputs) * targets) * targets


def _perceptron_slope_t(predictor_outputs: Array, targets: Array) -> Array:  # −x [0 > x t]
    x = wide(predictor_outputs)
    return -_active(-x * targets) * bounded(x, predictor_outputs.dtype)


@elementwise(slope=(_perceptron_slope_x, _perceptron_slope_t))
def perceptron_loss(predictor_outputs: Array, targets: Array) -> Array:
    """How far a score is on the other side than its label.

        ℓ = max(0, −x t)

    Args:    predictor_outputs: x, [...], any float dtype.  targets: t, −1 or 1, the same shape or one number for all,
             any real dtype.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   the unit of x, per entry, not averaged.
    Rule:    x̄ = −g t [x t < 0]     t̄ = −g x [x t < 0]
             keeps predictor_outputs and targets.
    Wins:    residuals 1.5× less.
    Edges:   x = 0, the kink: half the slope, as optax, so that weights of 0 learn.  x = ±∞: the limits.
    Raises:  DtypeError if predictor_outputs are not float or targets not real; ShapeError if the shapes differ.
    Source:  optax.losses.perceptron_loss.
    """
    _check("perceptron_loss", "targets", "predictor_outputs", predictor_outputs, targets)
    loss = jnp.maximum(0, -wide(predictor_outputs) * targets)
    return loss.astype(jnp.result_type(predictor_outputs, targets))


def _sparsemax_slope(logits: Array, labels: Array) -> Array:  # ∓ min(max((1 ∓ x)/2, 0), 1)
    u = jnp.where(labels, -wide(logits), wide(logits))
    return jnp.clip((u + 1) / 2, 0, 1) * jnp.where(labels, -1, 1)


@elementwise(slope=(_sparsemax_slope, None))
def sparsemax_loss(logits: Array, labels: Array) -> Array:
    """The sparse sibling of binary cross-entropy: 0 beyond a margin of 1, linear on the other side, square between.

        ℓ = 0 for u ≤ −1,  (u + 1)²/4 for |u| < 1,  u for u ≥ 1        u = −x for the label 1, x for 0

    Args:    logits: x, [...], any float dtype.  labels: 0 or 1, the same shape or one number for all, any real dtype.
    Returns: [...], the logits' dtype; computed in float32 or wider.
    Units:   no unit: x is a pure number, per entry, not averaged.
    Rule:    x̄ = ∓ g min(max((u + 1)/2, 0), 1)
             keeps logits and labels.
    Wins:    residuals 2.8× less.
    Edges:   the slope is continuous; x = ±∞: the limits.  A label other than 0 counts as 1: ℓ does not vary with it,
             and float labels get a cotangent of 0.
    Raises:  DtypeError if logits are not float or labels not real; ShapeError if the shapes differ.
    Source:  optax.losses.sparsemax_loss, which broadcasts [n, 1] against [n]; Martins and Astudillo 2016.
    """
    _check("sparsemax_loss", "labels", "logits", logits, labels)
    u = jnp.where(labels, -wide(logits), wide(logits))
    return jnp.where(u >= 1, u, jnp.square(jnp.clip((u + 1) / 2, 0, 1))).astype(logits.dtype)


# ------------------------------------------------------------------------------------------ focal loss


class _Focus(NamedTuple):
    """What value and slopes are made of, written by the class that the logit favours: nothing cancels or overflows."""

    side: Array  # ±1: the sign of x
    b: Array  # the label's share of the class that is not favoured: 1 − y for x ≥ 0, y for x < 0
    e: Array  # exp −|x|
    entropy: Array  # b |x| + ln(1 + e), the cross-entropy
    log_miss: Array  # ln(1 − pₜ), 1 − pₜ = (b + e (1 − b)) / (1 + e)
    miss: Array  # (1 − pₜ)^γ
    weight: Array | float  # α y + (1 − α)(1 − y)


def _focus(x: Array, labels: Array, alpha: Array | float | None, gamma: Array | float) -> _Focus:
    y = labels.astype(x.dtype)
    b, size = jnp.where(x >= 0, 1 - y, y), jnp.where(x >= 0, x, -x)
    e = jnp.exp(-size)
    right = b == 0
    entropy = jnp.where(right, 0, b * size) + jnp.log1p(e)
    log_miss = jnp.where(right, -size, jnp.log(jnp.where(right, 1, b + e * (1 - b)))) - jnp.log1p(e)
    miss = jnp.exp(jnp.where(gamma == 0, 0, gamma * jnp.where(gamma == 0, 0, log_miss)))
    weight = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return _Focus(jnp.where(x >= 0, 1, -1), b, e, entropy, log_miss, miss, weight)


@rule
def sigmoid_focal_loss(
    logits: Array, labels: Array, alpha: Array | float | None = None, gamma: Array | float = 2.0
) -> Array:
    """Binary cross-entropy, times how far the label is missed, to a power: what is easy counts little.

        ℓ = w (1 − pₜ)^γ ce        pₜ = y p + (1 − y)(1 − p),  p = σ(x),  w = α y + (1 − α)(1 − y)

    Args:    logits: x, [...], any float dtype.  labels: y in [0, 1], any real dtype; the two broadcast.
             alpha: α in [0, 1], the weight of label 1, or None for w = 1.  gamma: γ ≥ 0. Both broadcast to the loss.
    Returns: the shape that logits and labels broadcast to, in the logits' dtype; computed in float32 or wider.
    Units:   nats per entry, weighted, not averaged.
    Rule:    x̄ = g w (1 − pₜ)^γ (p − y + γ ce r (1 − 2 y))        r = p (1 − p)/(1 − pₜ) ≤ 1
             ȳ = g (1 − pₜ)^γ ((2 α − 1) ce + w (γ ce (1 − 2 p)/(1 − pₜ) − x))
             γ̄ = Σ g ℓ ln(1 − pₜ)     ᾱ = Σ g (2 y − 1) (1 − pₜ)^γ ce
             keeps the arguments. All is written in exp −|x| and in the label's share of the class that x does not
             favour: p − y and 1 − pₜ neither cancel nor underflow, and γ < 1 has no 0^(γ − 1).
    Wins:    residuals 10× less; temp memory 1.5× less; a quarter of the temp memory that optax needs.
    Edges:   x = ±∞: the limits; where y is the class that x favours ℓ = 0 and x̄ = 0.  Where pₜ = 1 and γ < 1, ȳ is
             what is above, finite.  optax's gradient by the labels is wrong where a label is 0 or 1: at x = 0 it says
             −0.347 for label 0, where ℓ = ½² ln 2 for every label.
    Raises:  DtypeError if logits are not float, labels, alpha or gamma not real; ShapeError if labels do not broadcast
             with logits, or alpha or gamma not to the loss.
    Source:  optax.losses.sigmoid_focal_loss; Lin et al. 2017.
    """
    name = "sigmoid_focal_loss"
    check_dtype(name, "logits", logits, FLOAT)
    for argument, a in (("labels", labels), ("alpha", alpha), ("gamma", gamma)):
        check_dtype(name, argument, a, REAL)
    check_broadcast(name, "labels", labels.shape, "logits", logits.shape)
    shape = jnp.broadcast_shapes(logits.shape, labels.shape)
    for argument, a in (("alpha", alpha), ("gamma", gamma)):
        check_broadcast(name, argument, jnp.shape(a) if a is not None else (), "the loss", shape, onto=True)
    return sigmoid_focal_loss_fwd(logits, labels, alpha, gamma)[0]


def sigmoid_focal_loss_fwd(
    logits: Array, labels: Array, alpha: Array | float | None, gamma: Array | float
) -> tuple[Array, Any]:
    f = _focus(wide(logits), labels, alpha, gamma)
    return (f.weight * f.miss * f.entropy).astype(logits.dtype), (logits, labels, alpha, gamma)


def _in_logits(f: _Focus, gamma: Array) -> Array:  # w (1 − pₜ)^γ (p − y + γ ce r (1 − 2 y))
    share = jnp.where(f.b == 0, 1, f.e / jnp.where(f.b == 0, 1, f.b + f.e * (1 - f.b)))
    turn = jnp.where(share == 0, 0, f.entropy) * share / (1 + f.e) * (2 * f.b - 1)
    return f.weight * f.miss * f.side * (f.b - f.e / (1 + f.e) + gamma * turn)


def _in_labels(f: _Focus, x: Array, alpha: Array | None, gamma: Array) -> Array:
    # (1 − pₜ)^γ ((2 α − 1) ce + w (γ ce (1 − 2 p)/(1 − pₜ) − x)); ce/(1 − pₜ) → 1 where both vanish
    gone = (f.b == 0) & (f.e == 0)
    ratio = bounded(jnp.where(gone, 1, f.entropy / jnp.exp(jnp.where(gone, 0, f.log_miss))), x.dtype)
    turn = jnp.where(f.miss == 0, 0, -gamma * f.side * ratio * (1 - f.e) / (1 + f.e) - x)
    tilt = 0 if alpha is None else (2 * alpha - 1) * f.entropy
    return f.miss * (tilt + f.weight * turn)


def _in_gamma(f: _Focus) -> Array:  # ℓ ln(1 − pₜ)
    plain = f.weight * f.miss * f.entropy
    return jnp.where(plain == 0, 0, plain * f.log_miss)


def _slopes(logits: Array, labels: Array, alpha: Array | None, gamma: Array) -> tuple[Array, ...]:
    x = wide(logits)
    f = _focus(x, labels, alpha, gamma)
    finite = f._replace(entropy=bounded(f.entropy, x.dtype))
    in_alpha = (2 * labels.astype(x.dtype) - 1) * f.miss * finite.entropy
    others = _in_labels(finite, bounded(x, x.dtype), alpha, gamma), in_alpha, _in_gamma(finite)
    return _in_logits(f, gamma), *(bounded(slope, logits.dtype) for slope in others)


def sigmoid_focal_loss_jvp(
    res: Any, logits_dot: Array, labels_dot: Array | None, alpha_dot: Array | None, gamma_dot: Array | None
) -> Array:  # ℓ̇ = ℓₓ ẋ + ℓ_y ẏ + ℓ_α α̇ + ℓ_γ γ̇
    dots = logits_dot, labels_dot, alpha_dot, gamma_dot
    return along(*zip(_slopes(*res), dots, strict=True)).astype(logits_dot.dtype)


def sigmoid_focal_loss_vjp(res: Any, g: Array) -> tuple[Array | None, ...]:  # x̄ = g ℓₓ, and likewise ȳ, ᾱ, γ̄
    return tuple(back_to(g * slope, a) for slope, a in zip(_slopes(*res), res, strict=True))


sigmoid_focal_loss.defrule(fwd=sigmoid_focal_loss_fwd, jvp=sigmoid_focal_loss_jvp, vjp=sigmoid_focal_loss_vjp)

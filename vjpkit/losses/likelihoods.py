"""Negative log-likelihoods of what was observed, by the parameters that a model predicts."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from vjpkit.core import elementwise
from vjpkit.losses.arguments import FLOAT, REAL, bounded, check_alike, check_broadcast, check_dtype, wide

# ---------------------------------------------------------------------------------------------- Poisson


def _poisson_slope_x(predictions: Array, targets: Array, log_input: bool, eps: float) -> Array:  # eˣ − t, 1 − t/(x + ε)
    x = wide(predictions)
    return bounded(jnp.exp(x) - targets if log_input else 1 - targets / (x + eps), predictions.dtype)


def _poisson_slope_t(predictions: Array, targets: Array, log_input: bool, full: bool, eps: float) -> Array:
    x = wide(predictions)
    slope = -(x if log_input else jnp.log(x + eps))
    if full:
        t = jnp.where(targets > 1, targets, 1).astype(x.dtype)
        slope += jnp.where(targets > 1, jnp.log(t) + 0.5 / t, 0)
    return bounded(slope, predictions.dtype)


@elementwise(slope=(_poisson_slope_x, _poisson_slope_t), static=("log_input", "full", "eps"))
def poisson_nll_loss(
    predictions: Array, targets: Array, *, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Array:
    """The negative log-likelihood of a count, by its expected number λ or the logarithm of that.

        ℓ = λ − t ln λ (+ ln t!)        λ = exp x, or λ = x and ln λ = ln(x + ε)

    Args:    predictions: x, [...], any float dtype.  targets: t ≥ 0, the same shape, any real dtype.
             log_input: whether x is ln λ.  full: adds Stirling's ln t! ≈ t ln t − t + ½ ln 2πt where t > 1.
             eps: ε, for x = λ.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   nats per entry, not averaged.
    Rule:    x̄ = g (exp x − t), or g (1 − t/(x + ε))     t̄ = −g ln λ (+ g (ln t + 1/2t) where t > 1)
             keeps predictions and targets.
    Wins:    residuals 2.7× less.
    Edges:   x = −∞ for ln λ: ℓ = 0 where t = 0 (PyTorch: NaN), else ∞.  A slope of ±∞ is the largest finite number.
    Raises:  DtypeError if predictions are not float or targets not real; ShapeError if the shapes differ.
    Source:  torch.nn.functional.poisson_nll_loss with reduction="none".
    """
    check_dtype("poisson_nll_loss", "predictions", predictions, FLOAT)
    check_dtype("poisson_nll_loss", "targets", targets, REAL)
    check_alike("poisson_nll_loss", {"predictions": predictions, "targets": targets})
    x, t = wide(predictions), targets.astype(jnp.result_type(wide(predictions), targets))
    rate, log_rate = (jnp.exp(x), x) if log_input else (x, jnp.log(x + eps))
    loss = rate - jnp.where(t == 0, 0, t * jnp.where(t == 0, 0, log_rate))
    if full:
        some = jnp.where(t > 1, t, 1)
        loss += jnp.where(t > 1, some * jnp.log(some) - some + 0.5 * jnp.log(2 * math.pi * some), 0)
    return loss.astype(jnp.result_type(predictions, targets))


# --------------------------------------------------------------------------------------------- Gaussian


def _standardized(predictions: Array, targets: Array, variances: Array, eps: float) -> tuple[Array, Array]:
    """The error in standard deviations' squares, e / v, and v = max(variance, ε)."""
    v = jnp.maximum(wide(variances), eps)
    return (wide(predictions) - targets) / v, v


def _gaussian_slope_x(predictions: Array, targets: Array, variances: Array, eps: float) -> Array:  # e / v
    return bounded(_standardized(predictions, targets, variances, eps)[0], predictions.dtype)


def _gaussian_slope_t(predictions: Array, targets: Array, variances: Array, eps: float) -> Array:  # −e / v
    return -_gaussian_slope_x(predictions, targets, variances, eps)


def _gaussian_slope_v(predictions: Array, targets: Array, variances: Array, eps: float) -> Array:  # (1/v − (e/v)²)/2
    ratio, v = _standardized(predictions, targets, variances, eps)
    return bounded((1 / v - ratio * ratio) / 2, predictions.dtype)


@elementwise(slope=(_gaussian_slope_x, _gaussian_slope_t, _gaussian_slope_v), static=("full", "eps"))
def gaussian_nll_loss(
    predictions: Array, targets: Array, variances: Array, *, full: bool = False, eps: float = 1e-6
) -> Array:
    """The negative log-likelihood of a number, by the mean and the variance that are predicted for it.

        ℓ = ½ (ln v + (x − t)²/v) (+ ½ ln 2π)        v = max(variance, ε)

    Args:    predictions: x, [...], the means, any float dtype.  targets: t, the same shape, any real dtype.
             variances: broadcast to predictions, any float dtype.  full: adds the constant.  eps: ε.
    Returns: [...], the promoted dtype; computed in float32 or wider.
    Units:   nats per entry, not averaged.
    Rule:    with e = x − t:    x̄ = g e/v     t̄ = −g e/v     v̄ = Σ g ½ (1/v − (e/v)²)
             keeps the three.
    Wins:    residuals 1.3× less.
    Edges:   a variance below ε counts as ε, with the slope of ε: it can grow again.  That is PyTorch's.
             A slope of ±∞ is the largest finite number.
    Raises:  DtypeError if predictions or variances are not float or targets not real; ShapeError if predictions and
             targets differ in shape, or variances do not broadcast to them.
    Source:  torch.nn.functional.gaussian_nll_loss with reduction="none"; Nix and Weigend 1994.
    """
    check_dtype("gaussian_nll_loss", "predictions", predictions, FLOAT)
    check_dtype("gaussian_nll_loss", "targets", targets, REAL)
    check_dtype("gaussian_nll_loss", "variances", variances, FLOAT)
    check_alike("gaussian_nll_loss", {"predictions": predictions, "targets": targets})
    check_broadcast("gaussian_nll_loss", "variances", variances.shape, "predictions", predictions.shape, onto=True)
    given = wide(variances)
    v = given + stop_gradient(jnp.maximum(given, eps) - given)
    e = wide(predictions) - targets
    loss = 0.5 * (jnp.log(v) + e * e / v) + (0.5 * math.log(2 * math.pi) if full else 0)
    return loss.astype(jnp.result_type(predictions, targets, variances))

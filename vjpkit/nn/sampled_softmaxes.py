"""Choices among the entries of a row, drawn or the best, with a softmax's derivative: relaxed, or straight through."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core import ShapeError, rule
from vjpkit.nn.arguments import broadcasts_to, floating, misfit, random_key
from vjpkit.nn.gradients import straight_through
from vjpkit.nn.precision import narrow, wide
from vjpkit.nn.rows import axes_of
from vjpkit.nn.softmaxes import softmax

# ------------------------------------------------------------------------------------------ gumbel_softmax


@rule(static=("hard", "axis"))
def gumbel_softmax(
    logits: Array, key: Array, temperature: Array | float = 1.0, *, hard: bool = False, axis: int = -1
) -> Array:
    """A draw from a row's classes, as shares that move with the logits; the colder, the nearer to one class alone.

        y = softmax((x + G) / T)        G = −ln(−ln U),  U uniform, drawn from the key

    Args:    logits: x, any real float dtype.  key: one key, typed or raw.
             temperature: T > 0, a number, traced or not.
             hard: the class with the largest share is 1 and the others 0, with the derivative of the shares, straight
             through.  axis: the class axis.
    Returns: the shape and dtype of logits; computed in float32 or wider.
    Rule:    with p the shares:    ẏ = p (v − Σ p v), v = (ẋ − (ln p) Ṫ) / T
             x̄ = p (g − Σ p g) / T     T̄ = −Σ g p (ln p − Σ p ln p) / T
             keeps p and T alone: (x + G)/T is ln p but for a number in each row, and the noise is not needed again.
    Wins:    residuals 2× less.
    Edges:   x = −∞: p = 0, slope 0.  A row of −∞ only: y = 0, slope 0; hard: 0 too.  Ties: the first.
             T = 0: NaN.
             G is float32, also for float64 logits.
    Raises:  DtypeError unless logits are real floats and key is a key; ShapeError for several keys, a temperature that
             is no number, or an axis that is not there.
    Source:  Jang, Gu and Poole 2017; Maddison, Mnih and Teh 2017; torch.nn.functional.gumbel_softmax.
    """
    floating("gumbel_softmax", logits=logits)
    random_key("gumbel_softmax", key)
    broadcasts_to("gumbel_softmax", (), temperature=jnp.asarray(temperature))
    axes_of("gumbel_softmax", logits.ndim, axis)
    shares = softmax.primal(_disturbed(logits, key) / temperature, axis)
    y = straight_through.primal(_chosen(shares, axis), shares) if hard else shares
    return y.astype(logits.dtype)


def _disturbed(logits, key):
    """x + G, wide."""
    x = wide(logits)
    return x + jax.random.gumbel(key, x.shape, jnp.float32).astype(x.dtype)


def _chosen(shares, axis):
    """1 for the first of the largest shares of a row that has any."""
    best = jnp.argmax(shares, axis, keepdims=True)
    place = lax.broadcasted_iota(best.dtype, shares.shape, axis % shares.ndim)
    return jnp.where(jnp.isnan(shares), shares, (place == best) & (shares > 0))


def gumbel_softmax_fwd(logits, key, temperature, *, hard, axis):
    shares = softmax.primal(_disturbed(logits, key) / temperature, axis)
    kept = shares.astype(logits.dtype)
    return (_chosen(shares, axis).astype(logits.dtype) if hard else kept), (kept, temperature)


def _spread(p, v, axis):  # p (v − Σ p v)
    return p * (v - (p * v).sum(axis, keepdims=True))


def _log(p):
    """ln p; 0 for p = 0, by which it is multiplied."""
    return jnp.log(jnp.where(p == 0, 1, p))


def gumbel_softmax_jvp(
    res, logits_dot, key_dot, temperature_dot, *, hard, axis
):  # ẏ = p (v − Σ p v), v = (ẋ − (ln p) Ṫ)/T
    p, temperature = res
    v = wide(logits_dot) if temperature_dot is None else wide(logits_dot) - _log(wide(p)) * temperature_dot
    return (_spread(wide(p), v, axis) / temperature).astype(p.dtype)


def gumbel_softmax_vjp(res, g, *, hard, axis):  # x̄ = p (g − Σ p g)/T    T̄ = −Σ g p (ln p − Σ p ln p)/T
    p, temperature = res
    spread = _spread(wide(p), wide(g), axis) / temperature
    if not jnp.issubdtype(temperature.dtype, jnp.floating):
        return spread.astype(p.dtype), None, None
    temperature_bar = -(spread * _log(wide(p))).sum()
    return spread.astype(p.dtype), None, temperature_bar.astype(temperature.dtype)


gumbel_softmax.defrule(fwd=gumbel_softmax_fwd, jvp=gumbel_softmax_jvp, vjp=gumbel_softmax_vjp)

# --------------------------------------------------------------------------------------------- top_k_mask


@rule(static=("k", "axis"))
def top_k_mask(x: Array, k: int, *, axis: int = -1) -> Array:
    """1 for the k largest entries of a row, 0 for the others, with softmax's derivative, straight through.

        y_i = 1 where x_i is among the k largest, else 0        dy/dx = dp/dx,  p = softmax x

    Args:    x: any real float dtype.  k: how many, at most the length of a row.  axis: the axis of a row.
    Returns: the shape and dtype of x.
    Rule:    ẏ = p (ẋ − Σ p ẋ)     x̄ = p (g − Σ p g)
             the true derivative is 0; softmax's stands in for it. keeps p.
    Wins:    residuals 3.3× less.
    Edges:   ties: the first, as jax.lax.top_k.  −∞ is never chosen, also where fewer than k others are there.
             A row of −∞ only: y = 0, slope 0.
    Raises:  DtypeError unless x is real floats; ShapeError for an axis that is not there or shorter than k.
    Source:  the choice of experts in Shazeer et al. 2017; straight through as Bengio et al. 2013.
    """
    _fit_top_k(x, k, axis)
    return straight_through.primal(_k_hot(x, k, axis), softmax.primal(x, axis))


def _fit_top_k(x, k, axis):
    floating("top_k_mask", x=x)
    axes_of("top_k_mask", x.ndim, axis)
    if not 0 < k <= x.shape[axis]:
        raise ShapeError(misfit("top_k_mask", "x", f"at least k = {k} entries along axis {axis}, k above 0", x))


def _k_hot(x, k, axis):
    x = jnp.moveaxis(x, axis, -1)
    _, best = lax.top_k(x, k)
    hot = jnp.put_along_axis(jnp.zeros_like(x), best, jnp.ones((), x.dtype), -1, inplace=False)
    return jnp.moveaxis(jnp.where(x == -jnp.inf, 0, hot), -1, axis)


def top_k_mask_fwd(x, *, k, axis):
    return _k_hot(x, k, axis), softmax.primal(x, axis)


def top_k_mask_jvp(res, x_dot, *, k, axis):  # ẏ = p (ẋ − Σ p ẋ)
    return narrow(_spread(wide(res), wide(x_dot), axis), res)


def top_k_mask_vjp(res, g, *, k, axis):  # x̄ = p (g − Σ p g)
    return narrow(_spread(wide(res), wide(g), axis), res)


top_k_mask.defrule(fwd=top_k_mask_fwd, jvp=top_k_mask_jvp, vjp=top_k_mask_vjp)

"""Gated units, as in `jax.nn`: the input times a gate between 0 and 1 that is a function of it. Each keeps x alone."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.lax import erfc, logistic

from vjpkit.core import elementwise
from vjpkit.nn.precision import FAR, narrow, wide, within


def _gated_slope(z: Array, w: Array) -> Array:  # σ(z) (1 + w σ(−z))
    """In one exponential: with e = exp −|z| and r = 1 / (1 + e) the two σ are r and e r, and neither cancels."""
    if jnp.iscomplexobj(z):
        return logistic(z) * (1 + w * logistic(-z))
    right = z > 0
    e = jnp.exp(jnp.where(right, -z, z))  # not −|z|, whose own slope at 0 would be 0
    r = 1 / (1 + e)
    return r * (jnp.where(right, 1, e) + w * e * r)


def silu_slope(x: Array) -> Array:  # σ(x) (1 + x σ(−x))
    x = within(x)
    return _gated_slope(x, x)


@elementwise(slope=silu_slope)
def silu(x: Array) -> Array:
    """Sigmoid linear unit, also called swish.

        y = x σ(x)

    Args:    x: any shape, any float or complex dtype.
    Returns: like x.
    Rule:    slope σ(x) (1 + x σ(−x)); keeps x, for y is not monotone.
    Edges:   −∞: y = 0, slope 0, the limits (jax.nn: NaN, NaN).  +∞: slope 1, the limit (jax.nn: NaN).
    Source:  jax.nn.silu.
    """
    return jnp.maximum(x, -FAR) * logistic(x)


swish = silu


_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_SQRT_HALF = math.sqrt(0.5)
_CUBIC = 0.044715


def gelu_slope(x: Array, approximate: bool) -> Array:
    x = within(x)
    if approximate:  # σ(2u) (1 + 2 u′ x σ(−2u))
        u = _SQRT_2_OVER_PI * (x + _CUBIC * x**3)
        u_slope = _SQRT_2_OVER_PI * (1 + 3 * _CUBIC * x**2)
        return _gated_slope(2 * u, 2 * u_slope * x)
    # Φ(x) + x φ(x)
    return erfc(-x * _SQRT_HALF) / 2 + x * jnp.exp(-x * x / 2) * (_SQRT_2_OVER_PI / 2)


@elementwise(slope=gelu_slope, static=("approximate",))
def gelu(x: Array, approximate: bool = True) -> Array:
    """Gaussian error linear unit.

        y = x Φ(x), Φ the normal distribution function ½ erfc(−x/√2), or, approximate,
        y = x ½ (1 + tanh u) = x σ(2u)              u = √(2/π) (x + 0.044715 x³)

    Args:    x: any shape, any real dtype.  approximate: which of the two.
    Returns: like x; floats for integers.
    Rule:    slope Φ(x) + x φ(x), or σ(2u) (1 + 2 u′ x σ(−2u)); keeps x, for y is not monotone.
    Edges:   −∞: y = 0, slope 0, the limits (jax.nn: NaN, NaN).  +∞: slope 1, the limit (jax.nn: NaN).
             σ(2u) in place of 1 + tanh u: no digits are lost in the left tail, neither of y nor of the slope.
    Source:  jax.nn.gelu; Hendrycks and Gimpel 2016.
    """
    z = wide(x)
    gate = logistic(2 * _SQRT_2_OVER_PI * (z + _CUBIC * z**3)) if approximate else erfc(-z * _SQRT_HALF) / 2
    return narrow(jnp.maximum(z, -FAR) * gate, x)


def _mish_slope(x: Array) -> Array:  # t + x σ(x) (1 − t²)        t = a / (a + c), a = eˣ (eˣ + 2), c = 2
    x = within(x)
    right = x > 0  # there a and c are divided by e²ˣ: nothing overflows, and 1 − t² does not cancel
    e = jnp.exp(jnp.where(right, -x, x))
    a, c = jnp.where(right, 1 + 2 * e, e * (e + 2)), jnp.where(right, 2 * e * e, 2)
    share = jnp.where(right, 1, e) / (1 + e)  # σ(x)
    return a / (a + c) + x * share * c * (2 * a + c) / (a + c) ** 2


@elementwise(slope=_mish_slope)
def mish(x: Array) -> Array:
    """A smooth gate by tanh of softplus.

        y = x t                                     t = tanh(log(1 + eˣ))

    Args:    x: any shape, any dtype.
    Returns: like x; floats for integers.
    Rule:    slope t + x σ(x) (1 − t²); keeps x, for y is not monotone.
    Edges:   −∞: y = 0, slope 0, the limits (jax.nn: NaN, NaN).  +∞: slope 1, the limit (jax.nn: NaN).
    Source:  jax.nn.mish; Misra 2019.
    """
    return jnp.maximum(x, -FAR) * jnp.tanh(jnp.logaddexp(x, 0))

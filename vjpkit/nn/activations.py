"""Activations, as in `jax.nn`: each keeps at most one array of its input's size, the output where that suffices.

A slope of true and false selects. Slopes are computed in float32 at least, and rounded once.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.lax import logistic

from vjpkit.core import elementwise
from vjpkit.nn.precision import narrow, wide, within

# ------------------------------------------------------------------------------------ piecewise linear


@elementwise(slope=lambda y: y > 0)
def relu(x: Array) -> Array:
    """Rectified linear unit.

        y = max(x, 0)

    Args:    x: any shape, any real dtype.
    Returns: like x.
    Rule:    slope [y > 0]; keeps y.
    Edges:   slope 0 at the kink x = ±0, as jax.nn (max alone would give ½); 0 at NaN.
    Source:  jax.nn.relu; Bertoin et al. 2021, Numerical influence of ReLU′(0).
    """
    return jnp.maximum(x, 0)


@elementwise(slope=lambda y: (y > 0) & (y < 6))
def relu6(x: Array) -> Array:
    """Rectified linear unit with a ceiling at 6.

        y = min(max(x, 0), 6)

    Args:    x: any shape, any real dtype.
    Returns: like x; floats for integers.
    Rule:    slope [0 < y < 6]; keeps y.
    Edges:   slope 0 at both kinks, x = 0 and x = 6, as jax.nn; 0 at NaN.
    Source:  jax.nn.relu6.
    """
    return jnp.minimum(jnp.maximum(x, 0), 6.0)


@elementwise(slope=lambda x: (x >= -1) & (x <= 1))
def hard_tanh(x: Array) -> Array:
    """The identity, cut at ±1.

        y = min(max(x, −1), 1)

    Args:    x: any shape, any real dtype.
    Returns: like x.
    Rule:    slope [−1 ≤ x ≤ 1]; keeps x, for y = 1 tells x = 1 from no x beyond.
    Edges:   slope 1 at both kinks, x = ±1, as jax.nn; 0 at NaN (jax.nn: 1).
    Source:  jax.nn.hard_tanh.
    """
    return jnp.minimum(jnp.maximum(x, -1), 1)


@elementwise(
    slope=(
        lambda x, negative_slope: jnp.where(x >= 0, 1, negative_slope),
        lambda x: jnp.minimum(wide(x), 0),
    )
)
def leaky_relu(x: Array, negative_slope: Array | float = 1e-2) -> Array:
    """Rectified linear unit that leaks.

        y = x where x ≥ 0, a x elsewhere            a = negative_slope

    Args:    x: any shape, any real dtype.  negative_slope: any number, or an array that broadcasts against x.
    Returns: the shape and dtype that x and negative_slope promote to.
    Rule:    slope in x: 1 or a        slope in a: min(x, 0)
             keeps x and a: the sign of y is that of x only where a > 0.
    Edges:   slope 1 at the kink x = 0, as jax.nn; a at NaN.  a = 0 at x = −∞: y = NaN, as jax.nn.
    Source:  jax.nn.leaky_relu.
    """
    return jnp.where(x >= 0, x, negative_slope * x)


# ---------------------------------------------------------------------------------------- exponential


@elementwise(
    slope=(
        lambda x, alpha: jnp.where(x > 0, 1, alpha * jnp.exp(jnp.minimum(wide(x), 0))),
        lambda x: jnp.expm1(jnp.minimum(wide(x), 0)),
    )
)
def elu(x: Array, alpha: Array | float = 1.0) -> Array:
    """Exponential linear unit.

        y = x where x > 0, α (eˣ − 1) elsewhere

    Args:    x: any shape, any real dtype.  alpha: any number, or an array that broadcasts against x.
    Returns: the shape and dtype that x and alpha promote to; floats for integers.
    Rule:    slope in x: 1 or α eˣ     slope in α: e^min(x, 0) − 1
             keeps x and α: from y the slope would be y + α, which cancels in the tail and fails for α ≤ 0.
    Edges:   slope α at the kink x = 0, as jax.nn.
    Source:  jax.nn.elu.
    """
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0.0)))


SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


@elementwise(slope=lambda x: SELU_SCALE * jnp.where(x > 0, 1, SELU_ALPHA * jnp.exp(jnp.minimum(wide(x), 0))))
def selu(x: Array) -> Array:
    """Scaled exponential linear unit, whose fixed point is mean 0 and variance 1.

        y = λ elu(x, α)                             λ = 1.0507…, α = 1.6732…

    Args:    x: any shape, any real dtype.
    Returns: like x; floats for integers.
    Rule:    slope λ or λ α eˣ; keeps x: from y the slope would be y + λ α, which cancels in the tail.
    Edges:   slope λ α at the kink x = 0, as jax.nn.
    Source:  jax.nn.selu; Klambauer et al. 2017.
    """
    return SELU_SCALE * jnp.where(x > 0, x, SELU_ALPHA * jnp.expm1(jnp.minimum(x, 0.0)))


def _celu_slope_alpha(x: Array, alpha: Array) -> Array:  # eᵘ − 1 − u eᵘ        u = min(x, 0) / α
    u = within(jnp.minimum(wide(x), 0) / alpha)
    return jnp.expm1(u) - u * jnp.exp(u)


@elementwise(slope=(lambda x, alpha: jnp.exp(jnp.minimum(wide(x), 0) / alpha), _celu_slope_alpha))
def celu(x: Array, alpha: Array | float = 1.0) -> Array:
    """Exponential linear unit without a kink.

        y = max(x, 0) + α (eᵘ − 1)                  u = min(x, 0) / α

    Args:    x: any shape, any real dtype.  alpha: a positive number, or an array that broadcasts against x.
    Returns: the shape and dtype that x and alpha promote to; floats for integers.
    Rule:    slope in x: eᵘ            slope in α: eᵘ − 1 − u eᵘ
             keeps x and α: from y the slope would be (y + α) / α, which cancels in the tail.
    Edges:   x = −∞: slope −1 in α, the limit (jax.nn: NaN).  α = 0: NaN where x ≥ 0, as jax.nn.
    Source:  jax.nn.celu; Barron 2017.
    """
    return jnp.maximum(x, 0.0) + alpha * jnp.expm1(jnp.minimum(x, 0.0) / alpha)


# --------------------------------------------------------------------------------------------- sigmoid


@elementwise(slope=lambda y: wide(y) * (1 - wide(y)))
def sigmoid(x: Array) -> Array:
    """The logistic function.

        y = 1 / (1 + e⁻ˣ)

    Args:    x: any shape, any float or complex dtype.
    Returns: like x.
    Rule:    slope y (1 − y); keeps y.
    Edges:   ±∞: y = 1 and 0, slope 0.
    Source:  jax.nn.sigmoid.
    """
    return logistic(x)


@elementwise(slope=lambda y: (1 - wide(y)) * (1 + wide(y)))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

        y = tanh x

    Args:    x: any shape, any dtype.
    Returns: like x; floats for integers.
    Rule:    slope 1 − y² as (1 − y) (1 + y), where only 1 + y rounds near ±1; keeps y.
    Edges:   ±∞: y = ±1, slope 0.
    Source:  jax.nn.tanh.
    """
    return jnp.tanh(x)


def _lost(y: Array) -> Array:  # 1 − e⁻ʸ = 2 t / (1 + t)        t = tanh ½y
    t = jnp.tanh(wide(y) / 2)
    return 2 * t / (1 + t)


@elementwise(slope=_lost)
def softplus(x: Array) -> Array:
    """A smooth relu.

        y = log(1 + eˣ)

    Args:    x: any shape, any dtype.
    Returns: like x; floats for integers.
    Rule:    slope σ(x) = 1 − e⁻ʸ, exact to rounding where y is small too; keeps y.
    Edges:   ±∞: y = ∞ and 0, slope 1 and 0.
    Source:  jax.nn.softplus.
    """
    return jnp.logaddexp(x, 0)


@elementwise(slope=lambda y: _lost(-y))
def log_sigmoid(x: Array) -> Array:
    """The logarithm of the sigmoid.

        y = log σ(x) = −log(1 + e⁻ˣ)

    Args:    x: any shape, any dtype.
    Returns: like x; floats for integers.
    Rule:    slope σ(−x) = 1 − eʸ, exact to rounding where y is small too; keeps y.
    Edges:   ±∞: y = 0 and −∞, slope 0 and 1.
    Source:  jax.nn.log_sigmoid.
    """
    return -jnp.logaddexp(-x, 0)


# ------------------------------------------------------------------------------------------ square root


def _root(x: Array, b: Array | float) -> tuple[Array, Array, Array]:  # b, r = √(x² + b), r + |x|
    x, b = wide(x), wide(b)
    r = jnp.sqrt(x * x + b)
    return b, r, r + jnp.where(x > 0, x, -x)


def _over(b: Array, divisor: Array) -> Array:  # b / divisor, 0 for 0 / 0
    return b / jnp.maximum(divisor, float(jnp.finfo(divisor.dtype).tiny))


def _squareplus_slope_x(x: Array, b: Array) -> Array:  # ½ (1 + x/r) = 1 − q/r or q/r        q = ½ b / (r + |x|)
    b, r, length = _root(x, b)
    q_over_r = _over(b, 2 * r * length)
    return jnp.where(x > 0, 1 - q_over_r, q_over_r)


def _squareplus_slope_b(x: Array, b: Array) -> Array:  # ¼ / r
    return 1 / (4 * _root(x, b)[1])


@elementwise(slope=(_squareplus_slope_x, _squareplus_slope_b))
def squareplus(x: Array, b: Array | float = 4) -> Array:
    """A smooth relu without exponentials.

        y = ½ (x + r) = max(x, 0) + q               r = √(x² + b), q = ½ (r − |x|) = ½ b / (r + |x|)

    Args:    x: any shape, any real dtype.  b: a number ≥ 0, or an array that broadcasts against x.
    Returns: the shape and dtype that x and b promote to; floats for integers.
    Rule:    slope in x: 1 − q/r where x > 0, q/r elsewhere        slope in b: ¼ / r
             keeps x and b: for b = 0 and x ≤ 0 the output is 0 and tells nothing.
    Edges:   q as a quotient: no digits are lost in the left tail, and where x² overflows y and the slope are the
             limits (jax.nn: y = ∞, slope ½).  −∞: y = 0, slope 0 (jax.nn: NaN, NaN).  ∞: slope 1 (jax.nn: NaN).
             b = 0 is relu: slope 0 at x = 0 (jax.nn: NaN), and ∞ in b, as jax.nn.
    Source:  jax.nn.squareplus; Barron 2021.
    """
    factor, _, length = _root(x, b)
    return narrow(jnp.maximum(x, 0) + _over(factor, 2 * length), x, b)

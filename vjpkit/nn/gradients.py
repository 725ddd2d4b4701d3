"""The identity with another derivative, on purpose: scaled, reversed, stopped in places, that of a stand-in, clipped.

Each primal is the value less something that is 0 and has the derivative: stop_gradient(v) − v. So autodiff of the
primal agrees with the rule; finite differences, which see the values alone, do not. −0 less 0 is −0: every bit is kept.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from vjpkit.core import rule
from vjpkit.core.answers import has_tangent, spec
from vjpkit.nn.arguments import broadcasts_to, floating, mask, same_dtype, shaped


def _nought(a: Array, b: Array) -> Array:
    """a − b = 0, of which one is stopped: the other's derivative; without any where ∞ − ∞ would be no 0."""
    return jnp.where(jnp.isfinite(a), a - b, 0)


# -------------------------------------------------------------------------------------- scaled and reversed


@rule
def scale_gradient(x: Array, scale: Array | float) -> Array:
    """The identity with its derivative scaled.

        y = x,   dy/dx = scale

    Args:    x: any real float dtype.  scale: real numbers that broadcast to the shape of x, traced or not.
    Returns: x.
    Rule:    ẏ = scale ẋ     x̄ = scale g     scale itself: tangent dropped, cotangent 0
             keeps scale.
    Edges:   ±∞ and NaN in x pass, with the same derivative. scale has none at second order either.
             Scale 0 times an infinite g is NaN: stop_gradient_where gives 0.
    Raises:  ShapeError where scale does not broadcast to x; DtypeError unless x is real floats, for a complex scale.
    Source:  optax.scale_gradient, which has no forward mode.
    """
    _fit_scale("scale_gradient", x, scale)
    return (stop_gradient(x) - stop_gradient(scale) * _nought(stop_gradient(x), x)).astype(x.dtype)


def scale_gradient_fwd(x, scale):
    return x, (scale,)


def scale_gradient_jvp(res, x_dot, scale_dot):  # ẏ = scale ẋ
    (scale,) = res
    return _times(scale, x_dot)


def scale_gradient_vjp(res, g):  # x̄ = scale g
    (scale,) = res
    return _times(scale, g), _no_bar(scale)


scale_gradient.defrule(fwd=scale_gradient_fwd, jvp=scale_gradient_jvp, vjp=scale_gradient_vjp)


@rule
def reverse_gradient(x: Array, scale: Array | float = 1.0) -> Array:
    """The identity with its derivative reversed, as between features and an adversary.

        y = x,   dy/dx = −scale

    Args:    x: any real float dtype.  scale: real numbers that broadcast to the shape of x, traced or not.
    Returns: x.
    Rule:    ẏ = −scale ẋ     x̄ = −scale g     scale itself: tangent dropped, cotangent 0
             keeps scale.
    Edges:   as scale_gradient's.
    Raises:  ShapeError, DtypeError as scale_gradient.
    Source:  Ganin and Lempitsky 2015, whose λ is scale.
    """
    _fit_scale("reverse_gradient", x, scale)
    return (stop_gradient(x) - stop_gradient(scale) * _nought(x, stop_gradient(x))).astype(x.dtype)


def reverse_gradient_fwd(x, scale):
    return x, (scale,)


def reverse_gradient_jvp(res, x_dot, scale_dot):  # ẏ = −scale ẋ
    (scale,) = res
    return -_times(scale, x_dot)


def reverse_gradient_vjp(res, g):  # x̄ = −scale g
    (scale,) = res
    return -_times(scale, g), _no_bar(scale)


reverse_gradient.defrule(fwd=reverse_gradient_fwd, jvp=reverse_gradient_jvp, vjp=reverse_gradient_vjp)


def _fit_scale(function, x, scale):
    floating(function, x=x)
    if jnp.iscomplexobj(scale) or scale.dtype == jnp.bool_:
        floating(function, scale=scale)
    broadcasts_to(function, x.shape, scale=scale)


def _times(scale, v):
    return (stop_gradient(scale) * v).astype(v.dtype)


def _no_bar(scale):
    return jnp.zeros_like(scale) if has_tangent(spec(scale)) else None


# ---------------------------------------------------------------------------------------- straight through


@rule
def straight_through(hard: Array, soft: Array) -> Array:
    """The value of one array with the derivative of another: the straight-through estimator.

        y = hard,   dy/dsoft = 1

    Args:    hard: rounded, sampled, quantised: what soft stands for.  soft: what hard was made of; both of one
             shape, one real float dtype.
    Returns: hard.
    Rule:    ẏ is soft's tangent     hard's cotangent is 0, soft's is g
             keeps nothing.
    Edges:   ±∞ and NaN in either pass, with the same derivative; neither does soft's value matter.
    Raises:  ShapeError, DtypeError where the two differ; DtypeError for integers and complex numbers.
    Source:  Bengio et al. 2013; written out: soft + stop_gradient(hard − soft), whose value is rounded.
    """
    floating("straight_through", hard=hard, soft=soft)
    same_dtype("straight_through", hard=hard, soft=soft)
    shaped("straight_through", "soft", soft, *hard.shape)
    return stop_gradient(hard) - _nought(stop_gradient(soft), soft)


def straight_through_fwd(hard, soft):
    return hard, ()


def straight_through_jvp(res, hard_dot, soft_dot):  # ẏ = soft_dot
    return soft_dot


def straight_through_vjp(res, g):  # hard_bar = 0    soft_bar = g
    return jnp.zeros_like(g), g


straight_through.defrule(fwd=straight_through_fwd, jvp=straight_through_jvp, vjp=straight_through_vjp)


# ------------------------------------------------------------------------------------------------- stopped


@rule
def stop_gradient_where(x: Array, where: Array) -> Array:
    """The identity, without a derivative where that is asked for.

        y = x,   dy/dx = 0 where `where`, else 1

    Args:    x: any real float dtype.  where: bools that broadcast to the shape of x.
    Returns: x.
    Rule:    ẏ = ẋ and x̄ = g where not `where`, else 0
             keeps where.
    Edges:   ±∞ and NaN in x pass. What is stopped is 0 also for an infinite g: it is selected, not multiplied.
    Raises:  ShapeError where `where` does not broadcast to x; DtypeError unless x is real floats and `where` bools.
    Source:  jax.lax.stop_gradient, in places.
    """
    floating("stop_gradient_where", x=x)
    mask("stop_gradient_where", where, x.shape)
    return jnp.where(where, stop_gradient(x), x)


def stop_gradient_where_fwd(x, where):
    return x, (where,)


def stop_gradient_where_jvp(res, x_dot, where_dot):  # ẏ = ẋ where not where
    (where,) = res
    return jnp.where(where, 0, x_dot)


def stop_gradient_where_vjp(res, g):  # x̄ = g where not where
    (where,) = res
    return jnp.where(where, 0, g), None


stop_gradient_where.defrule(fwd=stop_gradient_where_fwd, jvp=stop_gradient_where_jvp, vjp=stop_gradient_where_vjp)


# ------------------------------------------------------------------------------------------------- clipped


@jax.custom_vjp
def clip_gradient(x: Array, low: Array | float | None = None, high: Array | float | None = None) -> Array:
    """The identity, whose cotangent is clipped on its way back.

        y = x,   x̄ = min(max(g, low), high)

    Args:    x: any real float dtype.  low, high: bounds that broadcast to the shape of x, traced or not; None for
             none.
    Returns: x.
    Rule:    no rule: clipping is not linear in g, so it is the vjp of no function, and there is no ẏ that would be
             its transpose. A plain jax.custom_vjp, without forward mode; at second order autodiff of the clipping:
             slope 1 within the bounds, 0 beyond them. It keeps low and high.
    Edges:   ±∞ in g become the bounds; NaN stays. Where low exceeds high, high. The bounds' cotangents are 0.
    Raises:  ShapeError where a bound does not broadcast to x; DtypeError unless x is real floats.
    Source:  clipping by value, as of a recurrence's gradient in Graves 2013; jnp.clip.
    """
    return _clip_gradient_fwd(x, low, high)[0]


def _clip_gradient_fwd(x, low, high):
    x = jnp.asarray(x)
    low, high = (None if bound is None else jnp.asarray(bound, x.dtype) for bound in (low, high))
    floating("clip_gradient", x=x)
    broadcasts_to("clip_gradient", x.shape, low=low, high=high)
    return x, (low, high)


def _clip_gradient_vjp(res, g):  # x̄ = min(max(g, low), high)
    return jnp.clip(g, *res), None, None


clip_gradient.defvjp(_clip_gradient_fwd, _clip_gradient_vjp)

"""Softmax, its logarithm, and the sum below it, as in `jax.nn`, with finite gradients where a row is empty.

A row is what `axis` spans. Entries at −∞, and those that `where` leaves out, have no share in it; a row without
shares is empty, and no gradient goes to it. Sums are taken in float32 at least.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from vjpkit.core import rule
from vjpkit.core.broadcasting import unbroadcast
from vjpkit.nn.arguments import broadcast, mask, real
from vjpkit.nn.precision import narrow, wide
from vjpkit.nn.rows import Axis, axes_of

# ---------------------------------------------------------------------------------------------- softmax


@rule(static=("axis",))
def softmax(x: Array, axis: Axis = -1, where: Array | None = None) -> Array:
    """Positive shares that sum to one.

        y_i = exp x_i / Σ_j exp x_j

    Args:    x: any real dtype.  axis: what the sum runs over, an axis, several, or None for all.
             where: bools that broadcast to the shape of x; what is False is left out, and gets 0.
    Returns: like x; floats for integers.
    Rule:    ẏ = y (ẋ − Σ y ẋ)     x̄ = y (g − Σ y g)
             J = diag y − y yᵀ is its own transpose; keeps y.
    Edges:   −∞: 0.  Empty row: 0 throughout, gradient 0 (jax.nn: so where all is left out, NaN where all is −∞).
             +∞: NaN there, 0 elsewhere, gradient NaN (jax.nn: NaN throughout): it is never a mask but an
             overflow, and stays visible.
    Raises:  ShapeError, DtypeError where axis or `where` does not fit; DtypeError for complex numbers.
    Source:  jax.nn.softmax.
    """
    real("softmax", x=x)
    mask("softmax", where, x.shape)
    axes_of("softmax", x.ndim, axis)
    _, e, total = _exponentials(x, axis, where)
    return narrow(e / _nonzero(total), x)


def softmax_fwd(x, where, *, axis):
    _, e, total = _exponentials(x, axis, where)
    y = narrow(e * _over(1, total), x)
    return y, y


def softmax_jvp(res, x_dot, where_dot, *, axis):  # ẏ = y (ẋ − Σ y ẋ)
    return _times_jacobian(res, x_dot, axis)


def softmax_vjp(res, g, *, axis):  # x̄ = y (g − Σ y g)
    return _times_jacobian(res, g, axis), None


def _times_jacobian(y, v, axis):  # (diag y − y yᵀ) v
    p, v = wide(y), wide(v)
    return (p * (v - (p * v).sum(axis, keepdims=True))).astype(y.dtype)


softmax.defrule(fwd=softmax_fwd, jvp=softmax_jvp, vjp=softmax_vjp)


# ------------------------------------------------------------------------------------------ log_softmax


@rule(static=("axis",))
def log_softmax(x: Array, axis: Axis = -1, where: Array | None = None) -> Array:
    """The logarithm of softmax.

        y_i = x_i − log Σ_j exp x_j

    Args:    x: any real dtype.  axis: what the sum runs over, an axis, several, or None for all.
             where: bools that broadcast to the shape of x; what is False is left out, and gets −∞.
    Returns: like x; floats for integers.
    Rule:    ẏ = ẋ − Σ p ẋ         x̄ = g − p Σ g            p = softmax x
             keeps exp(x − max x), in half precision x and max x instead, where and, per row, the sum of those:
             p is then exact to rounding at logits of ±1e4, where exp y and exp(x − log Σ) are not.
    Edges:   −∞: −∞, with slope 1 in itself, the limit.  Left out: gradient 0.
             Empty row: −∞ throughout, gradient 0 (jax.nn: so where all is left out, NaN where all is −∞).
             +∞: NaN there, value and gradient, −∞ elsewhere (jax.nn: NaN throughout): an overflow stays visible.
    Raises:  ShapeError, DtypeError where axis or `where` does not fit; DtypeError for complex numbers.
    Source:  jax.nn.log_softmax.
    """
    real("log_softmax", x=x)
    mask("log_softmax", where, x.shape)
    axes_of("log_softmax", x.ndim, axis)
    top, _, total = _exponentials(x, axis, where)
    return _log_softmax(x, where, top, total)


def _log_softmax(x, where, top, total):
    return narrow(_left_in(wide(x) - top - jnp.log(_nonzero(total)), where, -jnp.inf), x)


def log_softmax_fwd(x, where, *, axis):
    top, e, total = _exponentials(x, axis, where)
    return _log_softmax(x, where, top, total), (_kept(x, where, top, e), where, total)


def log_softmax_jvp(res, x_dot, where_dot, *, axis):  # ẏ = ẋ − Σ p ẋ
    kept, where, total = res
    v = wide(x_dot)
    y_dot = v - (_exp(kept) * v).sum(axis, keepdims=True) * _over(1, total)
    return jnp.where(total == 0, 0, _left_in(y_dot, where, 0)).astype(x_dot.dtype)


def log_softmax_vjp(res, g, *, axis):  # x̄ = g − p Σ g
    kept, where, total = res
    v = _left_in(g, where, 0)
    p_sum = _exp(kept) * _over(v.sum(axis, keepdims=True), total)
    return (jnp.where(total == 0, 0, v) - p_sum).astype(g.dtype), None  # a where at the end XLA would form twice


log_softmax.defrule(fwd=log_softmax_fwd, jvp=log_softmax_jvp, vjp=log_softmax_vjp)


# -------------------------------------------------------------------------------------------- logsumexp


@rule(static=("axis", "keepdims", "return_sign"))
def logsumexp(
    a: Array,
    axis: Axis = None,
    b: Array | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Array | None = None,
) -> Array | tuple[Array, Array]:
    """A smooth maximum.

        y = log Σ_i b_i exp a_i

    Args:    a: any real dtype.  axis: what the sum runs over, an axis, several, or None for all.
             b: factors of any sign, 1 if None.  keepdims: the axes that were summed stay, with size 1.
             return_sign: the pair log |Σ|, sign Σ.  where: bools; what is False is left out.
             a, b and where broadcast against each other.
    Returns: the dtype that a and b promote to, floats for integers; NaN where Σ < 0, but for return_sign.
    Rule:    ẏ = Σ p (b ȧ + ḃ)      ā = g b p      b̄ = g p      p = exp a / Σ b exp a; the sign's derivative is 0
             keeps exp(a − max a), but with b or in half precision a, b, where and max a, and, per row, the sum:
             p is then exact to rounding at ±1e4, where exp(a − y) is not.
    Edges:   −∞: p = 0.  Σ = 0 (an empty row, or all cancels): y = −∞, gradient 0 (jax.nn: NaN, ±∞).
             b = 0: b̄ = g p, the derivative (jax.nn: 0).  Σ < 0: the gradient is that of log |Σ|.
             +∞: y = ∞, p = NaN there, 0 elsewhere, as jax.nn: an overflow stays visible.
    Raises:  ShapeError where axis does not fit, or a, b and where do not broadcast; DtypeError for complex numbers, and
             unless where is bool.
    Source:  jax.nn.logsumexp, which is jax.scipy.special.logsumexp.
    """
    real("logsumexp", a=a, b=b)
    shape = broadcast("logsumexp", a=a, b=b, where=where)
    mask("logsumexp", where, shape)
    axes_of("logsumexp", len(shape), axis)
    top, _, total = _exponentials(a, axis, where, b)
    return _logsumexp(a, b, axis, keepdims, return_sign, top, total)


def _logsumexp(a, b, axis, keepdims, return_sign, top, total):
    y = top + jnp.log(abs(total) if return_sign else total)
    out = [narrow(r if keepdims else r.squeeze(axis), a, 0 if b is None else b) for r in (y, jnp.sign(total))]
    return tuple(out) if return_sign else out[0]


def logsumexp_fwd(a, b, where, *, axis, keepdims, return_sign):
    top, e, total = _exponentials(a, axis, where, b)
    kept = _kept(a, where, top, e) if b is None else (a, where, top)  # e is 0 where b is, p is not
    return _logsumexp(a, b, axis, keepdims, return_sign, top, total), (kept, b, total)


def logsumexp_jvp(res, a_dot, b_dot, where_dot, *, axis, keepdims, return_sign):  # ẏ = Σ p (b ȧ + ḃ)
    kept, b, total = res
    e = _exp(kept)
    terms = [] if a_dot is None else [_times(e, b) * a_dot]
    terms += [] if b_dot is None else [_times(e, b_dot)]
    e_dot = functools.reduce(operator.add, terms).sum(axis, keepdims=True)
    y_dot = narrow(e_dot * _over(1, total), kept[0], 0 if b is None else b)
    y_dot = y_dot if keepdims else y_dot.squeeze(axis)
    return (y_dot, jnp.zeros_like(y_dot)) if return_sign else y_dot


def logsumexp_vjp(res, g, *, axis, keepdims, return_sign):  # ā = g b p    b̄ = g p
    kept, b, total = res
    g_p = _exp(kept) * _over(wide(g[0] if return_sign else g).reshape(total.shape), total)
    return _cotangent(_times(g_p, b), kept[0]), _cotangent(g_p, b), None


logsumexp.defrule(fwd=logsumexp_fwd, jvp=logsumexp_jvp, vjp=logsumexp_vjp)


# --------------------------------------------------------------------------------------- what they share


def _exponentials(x, axis, where, b=None):
    """Each row's maximum, cut to finite, e = exp(x − maximum), 0 where b is, and Σ b e, which is 0 in an empty row."""
    shown = _left_in(x, where, -jnp.inf)
    if b is not None:
        b = _left_in(b, where, 0)
        shown = jnp.where(b == 0, -jnp.inf, shown)
    limits = jnp.finfo(shown.dtype)
    top = stop_gradient(jnp.clip(shown.max(axis, keepdims=True, initial=-jnp.inf), limits.min, limits.max))
    e = jnp.exp(shown - top)
    return top, e, _times(e, b).sum(axis, keepdims=True)


def _kept(x, where, top, e):
    """What gives e again: itself or, where it is larger than x, as in half precision, what it is made of."""
    return (e,) if (e.shape, e.dtype) == (x.shape, x.dtype) else (x, where, top)


def _exp(kept):
    """The e of which this was kept."""
    if len(kept) == 1:
        return kept[0]
    x, where, top = kept
    return jnp.exp(_left_in(x, where, -jnp.inf) - top)


def _over(v, total):
    """v / Σ b e for one number per row, 0 where the sum is: a row's quotient, for one product per entry."""
    return jnp.where(total == 0, 0, v / _nonzero(total))


def _left_in(x, where, otherwise):
    return jnp.where(True if where is None else where, wide(x), otherwise)


def _nonzero(total):
    return jnp.where(total == 0, 1, total)


def _times(p, b):
    """p b, and 0 where b is, however large p; p itself for no b."""
    return p if b is None else jnp.where(b == 0, 0, p * wide(b))


def _cotangent(bar, x):
    """`bar` in the shape and dtype of `x`, which broadcast; None where x has no tangent."""
    if x is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return None
    bar = jnp.broadcast_to(bar, jnp.broadcast_shapes(bar.shape, x.shape))
    return unbroadcast(bar, x.shape).astype(x.dtype)

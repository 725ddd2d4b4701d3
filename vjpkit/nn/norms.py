"""Layer norm and RMS norm, as in flax.

What is normalised is a row, what `axis` spans. ⟨·⟩ is the mean over it. Statistics are taken in float32 at least
and in two passes: first the mean, then the variance about it. The maps compute h again from x and the statistics.
"""

from __future__ import annotations

from typing import Any

from jax import Array

from vjpkit.core import rule
from vjpkit.nn.precision import wide
from vjpkit.nn.rows import Axis, Rows, inverse_root, like, promoted

# ------------------------------------------------------------------------------------------- layer norm


@rule(static=("axis", "epsilon", "dtype"))
def layer_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    where: Array | None = None,
    *,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    dtype: Any = None,
) -> Array:
    """Each row with mean 0 and variance 1, then scaled and shifted.

        y = h w + b         h = (x − μ) r,  μ = ⟨x⟩,  r = 1 / √(⟨(x − μ)²⟩ + ε)

    Args:    x: any real float dtype.  scale: w, bias: b: the shape of a row, 1 and 0 if None.
             where: bools that broadcast to the shape of x: which entries the statistics are taken of.
             axis: what a row spans, an axis, several, or None for all.  epsilon: ε.
             dtype: the output's; None: what x, scale and bias promote to.
    Returns: the shape of x.
    Rule:    ẏ = w r (ẋ − ⟨ẋ⟩ − h ⟨h ẋ⟩) + h ẇ + ḃ
             x̄ = r (m − ⟨m⟩ − h ⟨h m⟩), m = w g     w̄ = Σ h g     b̄ = Σ g           the sums over the rows
             keeps x, and per row μ and r; sums in float32.
    Wins:    residuals 2.9× less; temp memory 800× less alone; temp memory 3.5× less in a stack; temp memory
             2.7× less in a scan; autodiff keeps 5.9 times as much in bfloat16; finite for ε = 0.
    Edges:   a constant row: h = 0, x̄ = r (m − ⟨m⟩) with r = 1/√ε; for ε = 0, too, h = 0, and x̄ = 0 (plain: NaN).
             A row of one entry: h = 0, x̄ = 0.  A row without entries that count: μ = 0, r = 1/√ε.
             Beyond 1e19 the variance overflows in float32: h = 0.  NaN and ±∞: NaN in their row.
    Raises:  ShapeError, DtypeError where an argument does not fit; DtypeError for integers and complex numbers.
    Source:  Ba et al. 2016; flax.linen.LayerNorm with use_fast_variance=False.
    """
    return _layer_norm(x, scale, bias, where, axis, epsilon, dtype)[0]


def _layer_norm(x, scale, bias, where, axis, epsilon, dtype):
    rows = Rows.of("layer_norm", x, axis, where, scale=scale, bias=bias)
    z = wide(x)
    mean = rows.mean(z)
    rstd = inverse_root(rows.mean((z - mean) ** 2), epsilon)
    y = (z - mean) * rstd
    if scale is not None:
        y *= rows.beside(wide(scale))
    if bias is not None:
        y += rows.beside(wide(bias))
    return y.astype(promoted(dtype, x, scale, bias)), mean, rstd


def layer_norm_fwd(x, scale, bias, where, *, axis, epsilon, dtype):
    y, mean, rstd = _layer_norm(x, scale, bias, where, axis, epsilon, dtype)
    return y, (x, scale, bias, where, mean, rstd)


def layer_norm_jvp(res, x_dot, scale_dot, bias_dot, where_dot, *, axis, epsilon, dtype):
    # ẏ = w r (ẋ − ⟨ẋ⟩ − h ⟨h ẋ⟩) + h ẇ + ḃ
    x, scale, bias, where, mean, rstd = res
    rows = Rows.of("layer_norm", x, axis, where)
    h, x_dot = (wide(x) - mean) * rstd, wide(x_dot)
    y_dot = rstd * (x_dot - rows.mean(x_dot) - h * rows.mean(h * x_dot))
    if scale is not None:
        y_dot = rows.beside(wide(scale)) * y_dot + h * rows.beside(wide(scale_dot))
    if bias is not None:
        y_dot += rows.beside(wide(bias_dot))
    return y_dot.astype(promoted(dtype, x, scale, bias))


def layer_norm_vjp(res, g, *, axis, epsilon, dtype):  # x̄ = r (m − ⟨m⟩ − h ⟨h m⟩), m = w g    w̄ = Σ h g    b̄ = Σ g
    x, scale, bias, where, mean, rstd = res
    rows = Rows.of("layer_norm", x, axis, where)
    h, g = (wide(x) - mean) * rstd, wide(g)
    w, hg = rows.weight(scale), h * g
    m_mean, hm_mean = rows.share(g, w), rows.share(hg, w)
    x_bar = rstd * (rows.beside(w) * g - rows.counted(m_mean + h * hm_mean))
    return like(x_bar, x), like(rows.across(hg), scale), like(rows.across(g), bias), None


layer_norm.defrule(fwd=layer_norm_fwd, jvp=layer_norm_jvp, vjp=layer_norm_vjp, recompute=True)


# --------------------------------------------------------------------------------------------- RMS norm


@rule(static=("axis", "epsilon", "offset", "casting", "dtype"))
def rms_norm(
    x: Array,
    scale: Array | None = None,
    where: Array | None = None,
    *,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    offset: float = 0.0,
    casting: str = "gemma",
    dtype: Any = None,
) -> Array:
    """Each row with mean square 1, then scaled.

        y = h (o + w)       h = x r,  r = 1 / √(⟨x²⟩ + ε)

    Args:    x: any real float dtype.  scale: w, the shape of a row; None for y = h.
             where: bools that broadcast to the shape of x: which entries the mean square is taken of.
             axis: what a row spans, an axis, several, or None for all.  epsilon: ε.
             offset: o; Gemma's is 1, so that weights start, and decay, at 0.
             casting: "gemma": all in float32, rounded once; "llama": h is rounded to the dtype of x, then scaled.
             dtype: the output's; None: what x and scale promote to.
    Returns: the shape of x.
    Rule:    ẏ = (o + w) r (ẋ − h ⟨h ẋ⟩) + h ẇ
             x̄ = r (m − h ⟨h m⟩), m = (o + w) g     w̄ = Σ h g                        the sum over the rows
             keeps x, and per row r; sums in float32. A cast's derivative is the identity.
    Wins:    residuals 3× less; temp memory 2× less in a stack; temp memory 2.6× less in a scan;
             autodiff keeps 5.9 times as much in bfloat16; finite for ε = 0.
    Edges:   a row of zeros: h = 0, x̄ = m / √ε; for ε = 0, too, h = 0, and x̄ = 0 (plain: NaN).
             A row without entries that count: r = 1/√ε.
             Beyond 1e19 the mean square overflows in float32: h = 0.  NaN and ±∞: NaN in their row.
    Raises:  ShapeError, DtypeError where an argument does not fit; DtypeError for integers and complex numbers;
             ValueError for another casting.
    Source:  Zhang and Sennrich 2019; flax.linen.RMSNorm; the modes are those of the two models' published code.
    """
    return _rms_norm(x, scale, where, axis, epsilon, offset, casting, dtype)[0]


def known_casting(function: str, casting: str) -> None:
    """ValueError for another casting than those two."""
    if casting not in ("gemma", "llama"):
        raise ValueError(f"{function}: option casting does not fit: expected 'gemma' or 'llama', got {casting!r}")


def _rms_norm(x, scale, where, axis, epsilon, offset, casting, dtype):
    known_casting("rms_norm", casting)
    rows = Rows.of("rms_norm", x, axis, where, scale=scale)
    z = wide(x)
    rstd = inverse_root(rows.mean(z**2), epsilon)
    y = z * rstd
    if casting == "llama":
        y = wide(y.astype(x.dtype))
    if scale is not None:
        y *= rows.beside(offset + wide(scale))
    return y.astype(promoted(dtype, x, scale)), rstd


def rms_norm_fwd(x, scale, where, *, axis, epsilon, offset, casting, dtype):
    y, rstd = _rms_norm(x, scale, where, axis, epsilon, offset, casting, dtype)
    return y, (x, scale, where, rstd)


def rms_norm_jvp(res, x_dot, scale_dot, where_dot, *, axis, epsilon, offset, casting, dtype):
    # ẏ = (o + w) r (ẋ − h ⟨h ẋ⟩) + h ẇ
    x, scale, where, rstd = res
    rows = Rows.of("rms_norm", x, axis, where)
    h, x_dot = wide(x) * rstd, wide(x_dot)
    y_dot = rstd * (x_dot - h * rows.mean(h * x_dot))
    if scale is not None:
        y_dot = rows.beside(offset + wide(scale)) * y_dot + h * rows.beside(wide(scale_dot))
    return y_dot.astype(promoted(dtype, x, scale))


def rms_norm_vjp(res, g, *, axis, epsilon, offset, casting, dtype):
    # x̄ = r (m − h ⟨h m⟩), m = (o + w) g    w̄ = Σ h g
    x, scale, where, rstd = res
    rows = Rows.of("rms_norm", x, axis, where)
    h, g = wide(x) * rstd, wide(g)
    w, hg = rows.weight(scale, offset), h * g
    x_bar = rstd * (rows.beside(w) * g - rows.counted(h * rows.share(hg, w)))
    return like(x_bar, x), like(rows.across(hg), scale), None


rms_norm.defrule(fwd=rms_norm_fwd, jvp=rms_norm_jvp, vjp=rms_norm_vjp, recompute=True)

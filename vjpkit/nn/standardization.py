"""Mean 0, variance 1, length 1: normalisation without parameters, of activations and of weights.

What is normalised is a row, what `axis` spans. ⟨·⟩ is the mean over it. Sums are taken in float32 at least, and
variances in two passes: first the mean, then the variance about it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from vjpkit.core import rule
from vjpkit.core.broadcasting import unbroadcast
from vjpkit.nn.arguments import broadcasts_to, floating, mask, real
from vjpkit.nn.precision import narrow, wide
from vjpkit.nn.rows import Axis, Rows, axes_of, inverse_root

# ------------------------------------------------------------------------------------------ standardize


@rule(static=("axis", "algorithm"))
def standardize(
    x: Array,
    axis: Axis = -1,
    mean: Array | None = None,
    variance: Array | None = None,
    epsilon: Array | float = 1e-5,
    where: Array | None = None,
    *,
    algorithm: str = "fast",
) -> Array:
    """Each row with mean 0 and variance 1.

        y = c r             c = x − μ,  μ = ⟨x⟩,  v = ⟨c²⟩,  r = 1 / √(v + ε)

    Args:    x: any real dtype.  axis: what a row spans, an axis, several, or None for all.
             mean: μ, variance: v, where they are known.  epsilon: ε.  All three broadcast to the shape of x.
             where: bools that broadcast to the shape of x: which entries the statistics are taken of.
             algorithm: jax.nn's "fast" or "stable"; see Edges.
    Returns: the shape of x, the dtype that x, mean, variance and epsilon promote to.
    Rule:    ċ = ẋ − ⟨ẋ⟩     ẏ = r (ċ − y ⟨y ċ⟩) − ½ r² y ε̇                or − ½ r² y (v̇ + ε̇), given v
             c̄ = r (g − y ⟨y g⟩)     x̄ = c̄ − ⟨c̄⟩     ε̄ = −½ Σ r² y g
             given μ: ċ = ẋ − μ̇, x̄ = c̄, μ̄ = −Σ c̄;  given v: c̄ = r g, v̄ as ε̄, and r may vary in a row
             keeps x, and per row μ and r; sums in float32.
    Wins:    residuals 1.9× less; temp memory 390× less alone; temp memory 2.2× less in a stack; temp memory
             1.7× less in a scan; right at a large mean; finite for ε = 0.
    Edges:   both algorithms are the two-pass one: jax.nn's default, ⟨x²⟩ − μ², has no digit left at mean 1e4.
             So a variance that is not given is that about the mean that is, as jax.nn's algorithm="stable".
             A constant row: y = 0; for ε = 0, too, and gradient 0 (jax.nn: NaN).
             A row without entries that count: μ = 0, v = 0 (jax.nn: NaN).
    Raises:  ShapeError, DtypeError where an argument does not fit; DtypeError for complex numbers; ValueError for
             another algorithm.
    Source:  jax.nn.standardize.
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"standardize: option algorithm: expected 'fast' or 'stable', got {algorithm!r}")
    return _standardize(x, axis, mean, variance, epsilon, where)[0]


def _standardize(x, axis, mean, variance, epsilon, where):
    real("standardize", x=x, mean=mean, variance=variance, epsilon=epsilon)
    broadcasts_to("standardize", x.shape, mean=mean, variance=variance, epsilon=epsilon)
    mask("standardize", where, x.shape)
    rows = Rows.along("standardize", x, axis, where)
    mu = rows.mean(wide(x)) if mean is None else wide(mean)
    c = wide(x) - mu
    r = inverse_root(rows.mean(c**2) if variance is None else wide(variance), wide(epsilon))
    return _narrow(c * r, x, mean, variance, epsilon), mu, r


def standardize_fwd(x, mean, variance, epsilon, where, *, axis, algorithm):
    y, mu, r = _standardize(x, axis, mean, variance, epsilon, where)
    return y, (x, mean, variance, epsilon, where, mu, r)


def standardize_jvp(res, x_dot, mean_dot, variance_dot, epsilon_dot, where_dot, *, axis, algorithm):
    # ċ = ẋ − ⟨ẋ⟩    ẏ = r (ċ − y ⟨y ċ⟩) − ½ r² y ε̇, or − ½ r² y (v̇ + ε̇), given v
    x, mean, variance, epsilon, where, mu, r = res
    rows = Rows.along("standardize", x, axis, where)
    y, x_dot = (wide(x) - mu) * r, jnp.zeros_like(r) if x_dot is None else wide(x_dot)
    mean_dot, variance_dot, epsilon_dot = (0 if v is None else wide(v) for v in (mean_dot, variance_dot, epsilon_dot))
    c_dot = x_dot - (rows.mean(x_dot) if mean is None else mean_dot)
    y_dot = r * (c_dot - y * rows.mean(y * c_dot)) if variance is None else r * c_dot - r**2 * y * variance_dot / 2
    return _narrow(y_dot - r**2 * y * epsilon_dot / 2, x, mean, variance, epsilon)


def standardize_vjp(res, g, *, axis, algorithm):
    # c̄ = r (g − y ⟨y g⟩)    x̄ = c̄ − ⟨c̄⟩    ε̄ = −½ Σ r² y g; given μ: x̄ = c̄, μ̄ = −Σ c̄; given v: c̄ = r g, v̄ as ε̄
    x, mean, variance, epsilon, where, mu, r = res
    rows = Rows.along("standardize", x, axis, where)
    y, g = (wide(x) - mu) * r, wide(g)
    c_bar = r * (g - rows.counted(y * rows.share(y * g)) if variance is None else g)
    x_bar = c_bar - rows.counted(rows.share(c_bar)) if mean is None else c_bar
    v_bar = -(r**2) * y * g / 2
    return _like(x_bar, x), _like(-c_bar, mean), _like(v_bar, variance), _like(v_bar, epsilon), None


standardize.defrule(fwd=standardize_fwd, jvp=standardize_jvp, vjp=standardize_vjp, recompute=True)


def _narrow(y, *arguments):
    return narrow(y, *(a for a in arguments if a is not None))


def _like(bar, x):
    """A cotangent in the shape and dtype of its argument, which broadcast; None where there is none."""
    if x is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return None
    return unbroadcast(bar, x.shape).astype(x.dtype)


# ----------------------------------------------------------------------------------------- l2_normalize


@rule(static=("axis", "epsilon"))
def l2_normalize(x: Array, axis: Axis = -1, *, epsilon: float = 1e-12) -> Array:
    """Each row with length 1.

        y = x r             r = 1 / √(Σ x² + ε)

    Args:    x: any real float dtype.  axis: what a row spans, an axis, several, or None for all.  epsilon: ε.
    Returns: like x.
    Rule:    ẏ = r (ẋ − y Σ y ẋ)     x̄ = r (g − y Σ y g)
             J = r (1 − y yᵀ) is its own transpose; keeps x, and per row r; sums in float32.
    Wins:    residuals 2× less; temp memory 1.7× less in a scan; finite for ε = 0.
    Edges:   a row of zeros: y = 0, x̄ = g / √ε, which is 1e6 g: small rows have large gradients, as they must.
             For ε = 0: y = 0, x̄ = 0 there (plain: NaN).  Beyond 1e19 Σ x² overflows in float32: y = 0.
    Raises:  ShapeError for an axis that x does not have; DtypeError for integers and complex numbers.
    Source:  the l2 norm of flax.linen.WeightNorm and SpectralNorm, whose ε is under the root.
    """
    return _l2_normalize(x, axis, epsilon)[0]


def _l2_normalize(x, axis, epsilon):
    rows = Rows.of("l2_normalize", x, axis)
    z = wide(x)
    r = inverse_root(rows.sum(z**2), epsilon)
    return (z * r).astype(x.dtype), r


def l2_normalize_fwd(x, *, axis, epsilon):
    y, r = _l2_normalize(x, axis, epsilon)
    return y, (x, r)


def l2_normalize_jvp(res, x_dot, *, axis, epsilon):  # ẏ = r (ẋ − y Σ y ẋ)
    return _along_the_sphere(res, x_dot, axis)


def l2_normalize_vjp(res, g, *, axis, epsilon):  # x̄ = r (g − y Σ y g)
    return _along_the_sphere(res, g, axis)


def _along_the_sphere(res, v, axis):  # r (1 − y yᵀ) v
    x, r = res
    rows = Rows.of("l2_normalize", x, axis)
    y, v = wide(x) * r, wide(v)
    return (r * (v - y * rows.dot(y * v))).astype(x.dtype)


l2_normalize.defrule(fwd=l2_normalize_fwd, jvp=l2_normalize_jvp, vjp=l2_normalize_vjp, recompute=True)


# ----------------------------------------------------------------------------------- weight_standardize


@rule(static=("feature_axes", "epsilon"))
def weight_standardize(w: Array, *, feature_axes: Axis = -1, epsilon: float = 1e-5) -> Array:
    """The weights of each output feature with mean 0 and standard deviation 1.

        y = c / (σ + ε)     c = w − ⟨w⟩,  σ = √⟨c²⟩

    Args:    w: a kernel of any layout, any real float dtype.  feature_axes: the axes of the output features, an
             axis or several, the last one as in HWIO; the others are averaged over.
             epsilon: ε, which is added to the standard deviation and not to the variance.
    Returns: like w.
    Rule:    w̄ = c̄ − ⟨c̄⟩,  c̄ = (g − c ⟨c g⟩ / (σ (σ + ε))) / (σ + ε)        ẏ likewise, of ẇ
             J is its own transpose; keeps w, and per feature ⟨w⟩ and σ; sums in float32.
    Wins:    residuals 2× less; temp memory 1.8× less in a scan; finite for equal weights.
    Edges:   equal weights: y = 0, w̄ = (g − ⟨g⟩) / ε, the limit (plain: NaN); for ε = 0: y = 0, w̄ = 0.
    Raises:  ShapeError for axes that w does not have; DtypeError for integers and complex numbers.
    Source:  Qiao et al. 2019; weight_standardize of the Vision Transformer's published code, with features for axes.
    """
    return _weight_standardize(w, feature_axes, epsilon)[0]


def _weight_standardize(w, feature_axes, epsilon):
    floating("weight_standardize", w=w)
    rows = Rows(w.shape, _others(w, feature_axes))
    mean = rows.mean(wide(w))
    c = wide(w) - mean
    variance = rows.mean(c**2)
    sigma = jnp.where(variance == 0, 0, jnp.sqrt(jnp.where(variance == 0, 1, variance)))
    return (c * _inverse(sigma + epsilon)).astype(w.dtype), mean, sigma


def weight_standardize_fwd(w, *, feature_axes, epsilon):
    y, mean, sigma = _weight_standardize(w, feature_axes, epsilon)
    return y, (w, mean, sigma)


def weight_standardize_jvp(res, w_dot, *, feature_axes, epsilon):  # ẏ = J ẇ
    return _weight_slope(res, w_dot, feature_axes, epsilon)


def weight_standardize_vjp(res, g, *, feature_axes, epsilon):  # w̄ = J g
    return _weight_slope(res, g, feature_axes, epsilon)


def _weight_slope(res, v, feature_axes, epsilon):  # J v = c̄ − ⟨c̄⟩, c̄ = (v − c ⟨c v⟩ / (σ (σ + ε))) / (σ + ε)
    w, mean, sigma = res
    rows = Rows(w.shape, _others(w, feature_axes))
    c, v, r = wide(w) - mean, wide(v), _inverse(sigma + epsilon)
    c_bar = r * v - c * (r**2 * _inverse(sigma) * rows.mean(c * v))
    return (c_bar - rows.mean(c_bar)).astype(w.dtype)


def _others(w, axes):
    """The axes that are not among `axes`."""
    of_features = axes_of("weight_standardize", w.ndim, axes, "feature_axes")
    return tuple(a for a in range(w.ndim) if a not in of_features)


def _inverse(a):
    """1 / a, and 0 where that is infinite."""
    return jnp.where(a == 0, 0, 1 / jnp.where(a == 0, 1, a))


# without recompute, for c is one subtraction, and in a stack the barrier costs more than it saves
weight_standardize.defrule(fwd=weight_standardize_fwd, jvp=weight_standardize_jvp, vjp=weight_standardize_vjp)

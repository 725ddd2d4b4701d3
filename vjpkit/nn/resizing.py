"""Resizing, channels last: upsampling by whole numbers, as jax.image.resize, and channels exchanged for places.

x is [..., *spatial, c], with a spatial axis for each factor, and any leading axes, also none.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from vjpkit.core import ShapeError, linear, rule
from vjpkit.core.broadcasting import Shape
from vjpkit.nn.arguments import misfit
from vjpkit.nn.pooling import like, spatial
from vjpkit.nn.precision import wide
from vjpkit.nn.windows import NONE, Windows, per_axis, rows, sum_of

# ------------------------------------------------------------------------------------- upsample_nearest


@rule(static=("factors",))
def upsample_nearest(x: Array, factors: Shape) -> Array:
    """Every entry repeated along every spatial axis.

        y[s i + j] = x[i]                           0 ≤ j < s, the axis' factor

    Args:    x: [..., *spatial, c], any float or complex dtype, any leading axes, also none.
             factors: how many times longer each spatial axis becomes.
    Returns: [..., *longer, c], same dtype.
    Rule:    ẏ[s i + j] = ẋ[i]      x̄[i] = Σ_j g[s i + j], in float32 at least
             linear; keeps nothing.
    Wins:    alone no temp memory beside 20 MiB; 6× as fast on a CPU (2×2 times 16×32×32×32, float32).
    Edges:   none.
    Raises:  ShapeError where x has too few axes, or a factor is not positive; DtypeError unless x is float or complex.
    Source:  jax.image.resize, method "nearest".
    """
    return jax.image.resize(x, _longer("upsample_nearest", x, factors), "nearest")


def upsample_nearest_fwd(x, *, factors):
    sizes = _longer("upsample_nearest", x, factors)[-len(factors) - 1 : -1]
    blocks = Windows(sizes, factors, factors, (1,) * len(factors), NONE * len(factors))
    return like(x, blocks.spread(rows(x, len(factors)))), blocks


def upsample_nearest_jvp(res, x_dot, **options):  # ẏ[s i + j] = ẋ[i]
    return like(x_dot, res.spread(rows(x_dot, len(res.sizes))))


def upsample_nearest_vjp(res, g, **options):  # x̄[i] = Σ_j g[s i + j]
    return like(g, res.total(wide(rows(g, len(res.sizes)))))


upsample_nearest.defrule(fwd=upsample_nearest_fwd, jvp=upsample_nearest_jvp, vjp=upsample_nearest_vjp)


# ------------------------------------------------------------------------------------ upsample_bilinear


@rule(static=("factors",))
def upsample_bilinear(x: Array, factors: Shape) -> Array:
    """Entries interpolated linearly along every spatial axis, half a place in from the edges.

        y[s i + j] = (1 − |t|) x[i] + |t| x[i ± 1], t = (j + ½) / s − ½, ± its sign        s the axis' factor

    Args:    x: [..., *spatial, c], any float or complex dtype, any leading axes, also none.
             factors: how many times longer each spatial axis becomes.
    Returns: [..., *longer, c], same dtype; computed in float32 at least.
    Rule:    ẏ[s i + j] = (1 − |t|) ẋ[i] + |t| ẋ[i ± 1]
             x̄[i] = Σ_j (1 − |t|) g[s i + j] + Σ_j |t| g[s (i ∓ 1) + j]
             linear; keeps nothing.
    Wins:    temp memory 1.4× less alone; FLOPs 15× less alone; 2× as fast on a CPU (2×2 times 16×32×32×32, float32).
    Edges:   beyond the edges x is what it is at the edge.
    Raises:  ShapeError where x has too few axes, or a factor is not positive; DtypeError unless x is float or complex.
    Source:  jax.image.resize, method "bilinear".
    """
    return jax.image.resize(wide(x), _longer("upsample_bilinear", x, factors), "bilinear").astype(x.dtype)


def upsample_bilinear_fwd(x, *, factors):
    return _interpolated(x, factors), ()


def upsample_bilinear_jvp(res, x_dot, *, factors):  # ẏ[s i + j] = (1 − |t|) ẋ[i] + |t| ẋ[i ± 1]
    return _interpolated(x_dot, factors)


def upsample_bilinear_vjp(res, g, *, factors):  # x̄[i] = Σ_j (1 − |t|) g[s i + j] + Σ_j |t| g[s (i ∓ 1) + j]
    x_bar = wide(g)
    for axis, s in reversed(_axes(g, factors)):
        parts = x_bar.reshape(*x_bar.shape[:axis], -1, s, *x_bar.shape[axis + 1 :])
        before, here, after = _weights(parts.shape[axis], s, parts.ndim - axis - 2, parts.dtype)
        places = [(j, lax.index_in_dim(parts, j, axis + 1, keepdims=False)) for j in range(s)]
        to_before, to_after = (
            sum_of(share[j] * g_j for j, g_j in places if share[j].any()) for share in (before, after)
        )
        x_bar = _moved(to_before, -1, axis) + sum_of(here[:, j] * g_j for j, g_j in places) + _moved(to_after, 1, axis)
    return x_bar.astype(g.dtype)


def _interpolated(x, factors):
    y = wide(x)
    for axis, s in _axes(x, factors):
        before, here, after = _weights(y.shape[axis], s, y.ndim - axis - 1, y.dtype)
        left, x_i, right = (jnp.expand_dims(_moved(y, step, axis), axis + 1) for step in (1, 0, -1))
        y = before * left + here * x_i + after * right
        y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return y.astype(x.dtype)


upsample_bilinear.defrule(fwd=upsample_bilinear_fwd, jvp=upsample_bilinear_jvp, vjp=upsample_bilinear_vjp)


def _weights(n, s, behind, dtype):
    """The shares in y[s i + j] of x[i − 1], [s], of x[i], [n, s], and of x[i + 1], [s], with so many axes behind."""
    t = (np.arange(s) + 0.5) / s - 0.5
    before, after, here = np.maximum(-t, 0), np.maximum(t, 0), np.tile(1 - np.abs(t), (n, 1))
    here[:1] += before
    here[-1:] += after
    return (a.reshape(*a.shape, *(1,) * behind).astype(dtype) for a in (before, here, after))


def _moved(x, step, axis):
    """x[i − step] along an axis, 0 beyond its edges."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(step, -step, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)])


# ------------------------------------------------------------------------- pixel_shuffle, pixel_unshuffle


def _pixel_shuffle_transpose(g, x, factors):
    return pixel_unshuffle.primal(g, factors)


@linear(transpose=_pixel_shuffle_transpose, static=("factors",))
def pixel_shuffle(x: Array, factors: Shape) -> Array:
    """Channels become places: every entry's channels are laid out as a block of entries.

        y[s i + j, c] = x[i, c m + j]               j over the m places of the block, in row-major order

    Args:    x: [..., *spatial, c m], any float or complex dtype, any leading axes, also none.
             factors: the block's size along each spatial axis, m is their product.
    Returns: [..., *longer, c], same dtype.
    Rule:    ẏ[s i + j, c] = ẋ[i, c m + j]      x̄[i, c m + j] = g[s i + j, c]
             a permutation, whose transpose is its inverse; keeps nothing.
    Edges:   none.
    Raises:  ShapeError where x has too few axes, or m does not divide its channels; DtypeError unless x is float or
             complex.
    Source:  torch.nn.PixelShuffle, with its order of channels.
    """
    sizes, m = _blocks("pixel_shuffle", x, factors)
    if x.shape[-1] % m:
        raise ShapeError(misfit("pixel_shuffle", "x", f"channels in blocks of {m}", x))
    rank = len(factors)
    blocks = rows(x, rank).reshape(-1, *sizes, x.shape[-1] // m, *factors)
    interleaved = [axis for k in range(rank) for axis in (1 + k, 2 + rank + k)]
    y = blocks.transpose(0, *interleaved, 1 + rank)
    return like(x, y.reshape(len(y), *(n * s for n, s in zip(sizes, factors, strict=True)), -1))


def _pixel_unshuffle_transpose(g, x, factors):
    return pixel_shuffle.primal(g, factors)


@linear(transpose=_pixel_unshuffle_transpose, static=("factors",))
def pixel_unshuffle(x: Array, factors: Shape) -> Array:
    """Places become channels: every block of entries is laid out as the channels of one. The inverse of pixel_shuffle.

        y[i, c m + j] = x[s i + j, c]               j over the m places of the block, in row-major order

    Args:    x: [..., *spatial, c], any float or complex dtype, any leading axes, also none.
             factors: the block's size along each spatial axis, m is their product.
    Returns: [..., *shorter, c m], same dtype.
    Rule:    ẏ[i, c m + j] = ẋ[s i + j, c]      x̄[s i + j, c] = g[i, c m + j]
             a permutation, whose transpose is its inverse; keeps nothing.
    Edges:   none.
    Raises:  ShapeError where x has too few axes, or a factor does not divide its axis; DtypeError unless x is float
             or complex.
    Source:  torch.nn.PixelUnshuffle, with its order of channels.
    """
    sizes, _ = _blocks("pixel_unshuffle", x, factors)
    if any(n % s for n, s in zip(sizes, factors, strict=True)):
        raise ShapeError(misfit("pixel_unshuffle", "x", f"spatial axes in blocks of {factors}", x))
    rank = len(factors)
    split = [size for n, s in zip(sizes, factors, strict=True) for size in (n // s, s)]
    blocks = rows(x, rank).reshape(-1, *split, x.shape[-1])
    y = blocks.transpose(0, *range(1, 1 + 2 * rank, 2), 1 + 2 * rank, *range(2, 2 + 2 * rank, 2))
    return like(x, y.reshape(*y.shape[: 1 + rank], -1))


# --------------------------------------------------------------------------------------- what they share


def _blocks(function, x, factors):
    """The sizes of x's spatial axes, and how many entries a block has; ShapeError where they do not fit."""
    per_axis(function, "factors", factors)
    return spatial(function, x, len(factors)), math.prod(factors)


def _longer(function, x, factors):
    """The shape of x with each spatial axis as many times longer; ShapeError where they do not fit."""
    sizes, _ = _blocks(function, x, factors)
    lead = x.shape[: x.ndim - len(sizes) - 1]
    return (*lead, *(n * s for n, s in zip(sizes, factors, strict=True)), x.shape[-1])


def _axes(x, factors):
    """The spatial axes of x that become longer, each with its factor."""
    return [(axis, s) for axis, s in enumerate(factors, x.ndim - len(factors) - 1) if s > 1]

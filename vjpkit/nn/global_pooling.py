"""Pooling of whole axes, and of parts of them as equal as they can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from vjpkit.core import linear, rule
from vjpkit.core.broadcasting import Shape
from vjpkit.nn.arguments import floating, same_dtype, shaped
from vjpkit.nn.pooling import mean, mean_transposed, spatial
from vjpkit.nn.precision import wide
from vjpkit.nn.windows import NONE, Windows, per_axis

# -------------------------------------------------------------------------------------- global_avg_pool


def _global_avg_pool_transpose(g, x, keepdims):
    axes = tuple(range(1, len(x.shape) - 1))
    share = wide(g if keepdims else jnp.expand_dims(g, axes)) / math.prod(x.shape[1:-1])
    return jnp.broadcast_to(share.astype(x.dtype), x.shape)


@linear(transpose=_global_avg_pool_transpose, static=("keepdims",))
def global_avg_pool(x: Array, keepdims: bool = False) -> Array:
    """The mean of every channel.

        y[n, c] = 1/m Σ_i x[n, i, c]                m entries i

    Args:    x: [n, *spatial, c], any float or complex dtype, any number of spatial axes.
             keepdims: the spatial axes stay, with size 1.
    Returns: [n, c] or [n, 1, ..., c], same dtype; summed in float32 at least.
    Rule:    ẏ = 1/m Σ_i ẋ[n, i, c]        x̄[n, i, c] = g[n, c] / m
             linear; keeps nothing.
    Edges:   no entries: NaN, as jnp.mean.
    Raises:  ShapeError where x has less than two axes; DtypeError unless x is float or complex.
    Source:  keras.layers.GlobalAveragePooling2D.
    """
    same_dtype("global_avg_pool", x=x)
    shaped("global_avg_pool", "x", x, "n", *("m",) * (x.ndim - 2), "c")
    return jnp.mean(x, tuple(range(1, x.ndim - 1)), keepdims=keepdims)


# -------------------------------------------------------------------------------------- global_max_pool


@rule(static=("keepdims",))
def global_max_pool(x: Array, keepdims: bool = False) -> Array:
    """The largest entry of every channel.

        y[n, c] = max_i x[n, i, c]

    Args:    x: [n, *spatial, c], any real float dtype, any number of spatial axes, at least one entry.
             keepdims: the spatial axes stay, with size 1.
    Returns: [n, c] or [n, 1, ..., c], same dtype.
    Rule:    ẏ[n, c] = ẋ[n, argmax, c]     x̄[n, i, c] = g[n, c] where i is the argmax, 0 elsewhere
             keeps the argmax, a number for each channel.
    Wins:    residuals 1024× less; temp memory 4000× less alone; 2× as fast on a CPU (32×32×32×64, float32).
    Edges:   ties: the first in row-major order, in both modes, as max_pool (jnp.max: shared among all).
             NaN: y = NaN, and the first NaN has the derivative.  −∞: a number like any other.
    Raises:  ShapeError where x has less than two axes; DtypeError unless x is real and float.
    Source:  keras.layers.GlobalMaxPooling2D.
    """
    floating("global_max_pool", x=x)
    _, *sizes, _ = shaped("global_max_pool", "x", x, "n", *("m",) * (x.ndim - 2), "c")
    y = lax.reduce_window(x, -jnp.inf, lax.max, (1, *sizes, 1), (1,) * x.ndim, "VALID")
    return y if keepdims else y.reshape(len(x), -1)


def global_max_pool_fwd(x, *, keepdims):
    entries = x.reshape(len(x), -1, x.shape[-1])
    argmax = jnp.argmax(entries, 1, keepdims=True)
    return _channels(jnp.take_along_axis(entries, argmax, 1), x.ndim, keepdims), (argmax, _whole(x.shape[1:-1]))


def global_max_pool_jvp(res, x_dot, *, keepdims):  # ẏ[n, c] = ẋ[n, argmax, c]
    argmax, _ = res
    entries = x_dot.reshape(len(x_dot), -1, x_dot.shape[-1])
    return _channels(jnp.take_along_axis(entries, argmax, 1), x_dot.ndim, keepdims)


def global_max_pool_vjp(res, g, **options):  # x̄[n, i, c] = g[n, c] where i is the argmax, 0 elsewhere
    argmax, windows = res
    place = jnp.arange(math.prod(windows.sizes), dtype=argmax.dtype)[:, None]
    x_bar = jnp.where(place == argmax, g.reshape(argmax.shape), 0)
    return x_bar.reshape(len(g), *windows.sizes, g.shape[-1])


def _channels(y, ndim, keepdims):
    """[n, 1, c] to [n, c], or with the spatial axes kept."""
    return y.reshape(len(y), *(1,) * (ndim - 2 if keepdims else 0), y.shape[-1])


def _whole(sizes):
    """The window that holds all of the axes."""
    return Windows(sizes, sizes, (1,) * len(sizes), (1,) * len(sizes), NONE * len(sizes))


global_max_pool.defrule(fwd=global_max_pool_fwd, jvp=global_max_pool_jvp, vjp=global_max_pool_vjp)


# ------------------------------------------------------------------------------------ adaptive_avg_pool


@rule(static=("output_shape",))
def adaptive_avg_pool(x: Array, output_shape: Shape) -> Array:
    """The means of so many parts of every axis, as equal as they can be.

        y[p] = mean of x[i] over ⌊p n / m⌋ ≤ i < ⌈(p + 1) n / m⌉        n entries in m parts, along every axis

    Args:    x: [..., *spatial, c], any float or complex dtype, any leading axes, also none.
             output_shape: how many parts each spatial axis has.
    Returns: [..., *output_shape, c], same dtype; summed in float32 at least.
    Rule:    ẏ = A ẋ      x̄ = Aᵀ g            A[p, i] = 1/size of part p where it holds i, along every axis
             linear; keeps nothing.
    Wins:    FLOPs 37× less alone; no temp memory beside 8.5 MiB (8×8 equal parts of 32×32×32×64, float32).
    Edges:   where the parts do not divide the entries, neighbours overlap by one; where they are more than the
             entries, entries are repeated.
    Raises:  ShapeError where x has too few axes, or output_shape is not positive; DtypeError unless x is float or
             complex.
    Source:  torch.nn.AdaptiveAvgPool2d.
    """
    per_axis("adaptive_avg_pool", "output_shape", output_shape)
    sizes = spatial("adaptive_avg_pool", x, len(output_shape))
    return _along_axes(x, [_parts(n, m) for n, m in zip(sizes, output_shape, strict=True)])


def adaptive_avg_pool_fwd(x, *, output_shape):
    means = _Parts(spatial("adaptive_avg_pool", x, len(output_shape)), output_shape)
    return means(x), means


def adaptive_avg_pool_jvp(res, x_dot, **options):  # ẏ = A ẋ
    return res(x_dot)


def adaptive_avg_pool_vjp(res, g, **options):  # x̄ = Aᵀ g
    return res.transposed(g)


adaptive_avg_pool.defrule(fwd=adaptive_avg_pool_fwd, jvp=adaptive_avg_pool_jvp, vjp=adaptive_avg_pool_vjp)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Parts:
    """The means of parts of axes of these sizes: where all parts are equal, of windows side by side."""

    sizes: Shape
    counts: Shape

    @property
    def windows(self) -> Windows | None:
        window = tuple(n // m for n, m in zip(self.sizes, self.counts, strict=True))
        equal = all(k * m == n for k, m, n in zip(window, self.counts, self.sizes, strict=True))
        return Windows(self.sizes, window, window, (1,) * len(window), NONE * len(window)) if equal else None

    @property
    def matrices(self) -> list[np.ndarray]:
        return [_parts(n, m) for n, m in zip(self.sizes, self.counts, strict=True)]

    def __call__(self, x: Array) -> Array:
        return mean(x, self.windows) if self.windows else _along_axes(x, self.matrices)

    def transposed(self, g: Array) -> Array:
        return mean_transposed(g, self.windows) if self.windows else _along_axes(g, [A.T for A in self.matrices])


def _parts(n, m):
    """[m, n]: 1/size in the row of each part where it holds an entry."""
    p, i = np.arange(m)[:, None], np.arange(n)
    held = (p * n // m <= i) & (i < -(-(p + 1) * n // m))
    return held / held.sum(1, keepdims=True)


def _along_axes(x, matrices):
    """Each spatial axis of x multiplied by a matrix of its own."""
    y = wide(x)
    for axis, A in enumerate(matrices, x.ndim - len(matrices) - 1):
        y = jnp.tensordot(jnp.asarray(A, y.dtype), y, (1, axis), precision="highest")
        y = jnp.moveaxis(y, 0, axis)
    return y.astype(x.dtype)

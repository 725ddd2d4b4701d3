"""Channels have a scale and a bias each: the derivation that batch, group and instance norm share.

What is normalised is a row: some channels, and all pixels, at statistics of their own. ⟨·⟩ is the mean over it.
Statistics are taken in float32 at least and in two passes: first the mean, then the variance about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core.broadcasting import Shape
from vjpkit.nn.arguments import floating, mask, shaped
from vjpkit.nn.precision import wide
from vjpkit.nn.rows import inverse_root, like, promoted

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Channels:
    """An array of shape `whole`, viewed in `shape`, where groups are an axis: pixels, channels, for the rest the batch.

    A row spans the pixels and those channels that are `within` a group. Devices along `axis_name` hold parts of
    the same rows.
    """

    whole: Shape
    shape: Shape
    pixels: Axes
    channels: Axes
    within: Axes = ()
    axis_name: Any = None

    def check(self, function: str, x: Array, where: Array | None, **parameters: Array | None) -> None:
        """Named errors for what does not fit."""
        floating(function, x=x, **parameters)
        mask(function, where, self.whole)
        sizes = self.whole[-1:] if self.within else [self.whole[a] for a in self.channels]
        for name, p in parameters.items():
            if p is not None:
                shaped(function, name, p, *sizes)

    @property
    def row(self) -> Axes:
        return self.pixels + self.within

    def view(self, x: Array) -> Array:
        """`x` with groups as an axis, wide."""
        return wide(x).reshape(self.shape)

    def counted(self, v: Array, where: Array | None) -> Array:
        """`v`, and 0 for what does not count."""
        return v if where is None else jnp.where(jnp.broadcast_to(where, self.whole).reshape(self.shape), v, 0)

    def beside(self, p: Array) -> Array:
        """A parameter, wide, beside every pixel."""
        return wide(p).reshape([n if a in self.channels else 1 for a, n in enumerate(self.shape)])

    def across(self, v: Array, p: Array | None) -> Array | None:
        """The cotangent of a parameter that was beside `v`: the sum over all but its channels; None for none."""
        others = tuple(a for a in range(len(self.shape)) if a not in self.channels)
        return None if p is None else like(v.sum(others).reshape(p.shape), p)

    def together(self, sums: Any) -> Any:
        """The sums of all devices."""
        return sums if self.axis_name is None else lax.psum(sums, self.axis_name)

    def count(self, where: Array | None) -> Any:
        """How many entries of each row count; 1 for none, for then the sums are 0."""
        if where is None:
            return max(self.together(prod(self.shape[a] for a in self.row)), 1)
        entries = self.counted(jnp.ones(self.shape, jnp.int32), where)
        return jnp.maximum(self.together(entries.sum(self.row, keepdims=True)), 1)

    def mean(self, v: Array, where: Array | None) -> Array:
        """⟨v⟩, of what counts in each row."""
        return self.together(self.counted(v, where).sum(self.row, keepdims=True)) / self.count(where)


def norm(at: Channels, x: Array, scale: Any, bias: Any, where: Any, epsilon: float, dtype: Any) -> tuple[Array, ...]:
    """y = h w + b, h = (x − μ) r; and μ, the variance, and r."""
    mean = at.mean(at.view(x), where)
    variance = at.mean((at.view(x) - mean) ** 2, where)
    r = inverse_root(variance, epsilon)
    return affine(at, x, (at.view(x) - mean) * r, scale, bias, dtype), mean, variance, r


def norm_jvp(res, x_dot, scale_dot, bias_dot, *, at, dtype):  # ẏ = w r (ẋ − ⟨ẋ⟩ − h ⟨h ẋ⟩) + h ẇ + ḃ
    x, scale, bias, where, mean, r = res
    h, x_dot = (at.view(x) - mean) * r, at.view(x_dot)
    h_dot = r * (x_dot - at.mean(x_dot, where) - h * at.mean(h * x_dot, where))
    return affine_jvp((x, scale, bias, h), h_dot, scale_dot, bias_dot, at=at, dtype=dtype)


def norm_vjp(res, g, *, at):  # x̄ = r (m − ⟨m⟩ − h ⟨h m⟩), m = w g    w̄ = Σ h g    b̄ = Σ g
    x, scale, bias, where, mean, r = res
    h, g = (at.view(x) - mean) * r, at.view(g)
    w = 1 if scale is None else at.beside(scale)
    of_pixels = [v.sum(at.pixels, keepdims=True) for v in (g, h * g)]
    m_mean, hm_mean = at.together([(w * v).sum(at.within, keepdims=True) / at.count(where) for v in of_pixels])
    x_bar = r * (w * g - at.counted(m_mean + h * hm_mean, where))
    return like(x_bar.reshape(x.shape), x), at.across(of_pixels[1], scale), at.across(of_pixels[0], bias)


def affine(at: Channels, x: Array, h: Array, scale: Any, bias: Any, dtype: Any) -> Array:
    """y = h w + b, in the shape of `x`."""
    y = h if scale is None else h * at.beside(scale)
    y = y if bias is None else y + at.beside(bias)
    return y.reshape(x.shape).astype(promoted(dtype, x, scale, bias))


def affine_jvp(res, h_dot, scale_dot, bias_dot, *, at, dtype):  # ẏ = w ḣ + h ẇ + ḃ
    x, scale, bias, h = res
    y_dot = h_dot if scale is None else at.beside(scale) * h_dot + h * at.beside(scale_dot)
    y_dot = y_dot if bias is None else y_dot + at.beside(bias_dot)
    return y_dot.reshape(x.shape).astype(promoted(dtype, x, scale, bias))

"""The three maps of a convolution, y, x̄ and w̄, each by the program that is fastest for its shape on its platform.

    y[p, o] = Σ_k Σ_i x[s p + d k − low, i] w[k, i, o]

is linear in x and in w. Held against a cotangent g it is one number, from which both transposes are read:

    ⟨g, y⟩ = Σ_p Σ_k Σ_i Σ_o g[p, o] x[s p + d k − low, i] w[k, i, o] = ⟨x̄, x⟩ = ⟨w̄, w⟩

Both are convolutions again. XLA does them well, but for four kinds on the CPU, which have programs of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core.broadcasting import Shape
from vjpkit.nn.precision import wide
from vjpkit.nn.windows import Pairs, Windows, spans, sum_of

MANY = 128  # taps beyond which a depthwise convolution is XLA's: written out, they would take long to compile
STEP = 2**15  # entries that a loop's step should have, for its work to outweigh the loop


@jax.tree_util.register_static
@dataclass(frozen=True)
class Convolution:
    """What lax.conv_general_dilated does with x of [n, *sizes, i] and w of [*window, i / groups, o].

    `spread` is its lhs_dilation, how far zeros put the entries of x apart; `dilation` its rhs_dilation.
    """

    sizes: Shape
    window: Shape
    strides: Shape
    padding: Pairs
    spread: Shape
    dilation: Shape
    groups: int = 1

    def y(self, x: Array, w: Array) -> Array:
        """y[p, o] = Σ_k Σ_i x[s p + d k − low, i] w[k, i, o]."""
        cpu = self._on_cpu(w.shape[-2])
        return self._y(x, w) if cpu is self else lax.platform_dependent(x, w, cpu=cpu._y, default=self._y)

    def x_bar(self, w: Array, g: Array) -> Array:
        """x̄[q, i] = Σ_k Σ_o g[p, o] w[k, i, o] where s p + d k − low = q."""
        cpu = self._on_cpu(w.shape[-2])
        return self._x_bar(w, g) if cpu is self else lax.platform_dependent(w, g, cpu=cpu._x_bar, default=self._x_bar)

    def w_bar(self, x: Array, g: Array) -> Array:
        """w̄[k, i, o] = Σ_p x[s p + d k − low, i] g[p, o]."""
        cpu = self._on_cpu(x.shape[-1] // self.groups)
        return self._w_bar(x, g) if cpu is self else lax.platform_dependent(x, g, cpu=cpu._w_bar, default=self._w_bar)

    def _on_cpu(self, inputs: int) -> Convolution:
        """The same convolution, of the kind whose programs suit the CPU; `inputs` is the channels of x in a group."""
        ones = (1,) * len(self.sizes)
        if inputs == 1 < self.groups and self.spread == ones and math.prod(self.window) <= MANY:
            return Depthwise(**vars(self))
        if self.groups > 1:
            return Grouped(**vars(self))
        if self.window == self.strides == self.spread == ones and not any(map(any, self.padding)):
            return Pointwise(**vars(self))
        return Deep(**vars(self)) if len(ones) == 3 and self.window[0] > 1 else self

    # ------------------------------------------------------------------------------------- by XLA's program

    def _y(self, x: Array, w: Array) -> Array:
        names = letters(len(self.sizes))
        return lax.conv_general_dilated(
            x, w, self.strides, self.padding, self.spread, self.dilation, names, self.groups
        )

    def _x_bar(self, w: Array, g: Array) -> Array:
        """g, spread as the windows are, convolved with w turned round."""
        return self.turned()._y(g, turned(w, self.groups))

    def _w_bar(self, x: Array, g: Array) -> Array:
        """x convolved with g, a window of the size of y; the examples are the channels, the channels the examples.

        Where x has zeros between its entries, g convolved with x gives the same, turned round, without them.
        """
        if math.prod(self.spread) > math.prod(self.strides):
            return turned(self.turned()._w_bar(g, x), self.groups)
        names = letters(len(self.sizes), "C*N", "I*O", "*NC")
        axes = zip(self.padding, *self._reaches(), strict=True)
        padding = [(low, window + g_reach - x_reach - low - 1) for (low, _), x_reach, window, g_reach in axes]
        return lax.conv_general_dilated(
            x, g, self.dilation, padding, self.spread, self.strides, names, batch_group_count=self.groups
        )

    def turned(self) -> Convolution:
        """The convolution that x̄ is of g."""
        axes = zip(self.padding, *self._reaches(), strict=True)
        padding = [(window - 1 - low, x_reach + low - g_reach) for (low, _), x_reach, window, g_reach in axes]
        return Convolution(
            self.counts, self.window, self.spread, tuple(padding), self.strides, self.dilation, self.groups
        )

    @property
    def counts(self) -> Shape:
        """The sizes of y."""
        return Windows(spans(self.sizes, self.spread), self.window, self.strides, self.dilation, self.padding).counts

    def _reaches(self) -> tuple[Shape, Shape, Shape]:
        """How much of the axes x covers, and a window, and a window of y's entries."""
        return spans(self.sizes, self.spread), spans(self.window, self.dilation), spans(self.counts, self.strides)


class Depthwise(Convolution):
    """Each channel of x is a group: y is a sum, over the taps, of shifted channels times numbers."""

    @property
    def windows(self) -> Windows:
        return Windows(self.sizes, self.window, self.strides, self.dilation, self.padding)

    def _y(self, x, w):
        """y[p] = Σ_k x[s p + d k − low] w[k]."""
        windows, x_wide, w_of = self.windows, wide(x), self._of_channels(w)
        if not windows.few:
            x_wide, windows = windows.padded(x_wide, 0)
        y = sum_of(windows.take(x_wide, k)[..., None] * w_of[k] for k in windows.offsets)
        return y.reshape(*y.shape[:-2], -1).astype(x.dtype)

    def _x_bar(self, w, g):
        """x̄[q] = Σ_k g[p] w[k] where s p + d k − low = q."""
        w_of, g_wide = self._of_channels(w), wide(g)
        outputs = range(w_of.shape[-1])  # of each channel
        return sum_of(self._placed(w_of[..., j], g_wide[..., j :: len(outputs)]) for j in outputs).astype(g.dtype)

    def _placed(self, w, g):
        """`_x_bar` for one output of each channel, w being [*window, c]."""
        windows = self.windows
        if windows.few:
            return sum_of(windows.place(g * w[k], k) for k in windows.offsets)
        g, turned = windows.turned(g)
        places = zip(turned.offsets, windows.offsets[::-1], strict=True)
        return sum_of(turned.take(g, place) * w[k] for place, k in places)

    def _w_bar(self, x, g):
        """w̄[k] = Σ_p x[s p + d k − low] g[p], the sums of all taps in one pass over an example."""

        def of_example(example):
            (x, g), windows = (wide(a[None]) for a in example), self.windows
            if not windows.few:
                x, windows = windows.padded(x, 0)
            g = g[0].reshape(*g.shape[1:-1], self.groups, -1)
            products = [windows.take(x, k)[0][..., None] * g for k in windows.offsets]
            zeros = [jnp.zeros((), g.dtype)] * len(products)
            rows = lax.reduce(products, zeros, lambda a, b: jax.tree.map(jnp.add, a, b), (g.ndim - 3,))
            return jnp.stack([row.sum(range(row.ndim - 2)) for row in rows])

        together = STEP * len(x) // max(x.size, 1)
        w_bar = lax.map(of_example, (x, g), batch_size=together if together > 1 else None).sum(0)
        return w_bar.reshape(*self.window, 1, g.shape[-1]).astype(x.dtype)

    def _of_channels(self, w: Array) -> Array:
        """[*window, 1, o] to [*window, c, o / c]."""
        return wide(w).reshape(*self.window, self.groups, -1)


class Grouped(Convolution):
    """In w̄ each group is a convolution of its own: as one, XLA's program is some 50 times slower."""

    def _w_bar(self, x, g):
        one = Convolution(**{**vars(self), "groups": 1})
        groups = (jnp.split(a, self.groups, -1) for a in (x, g))
        return jnp.concatenate([one._w_bar(*group) for group in zip(*groups, strict=True)], -1)


class Pointwise(Convolution):
    """Every window is one entry of x: w̄ is a product of matrices, Σ xᵀ g."""

    def _w_bar(self, x, g):
        over = tuple(range(x.ndim - 1))
        return jnp.tensordot(wide(x), wide(g), (over, over)).reshape(*self.window, x.shape[-1], -1).astype(x.dtype)


class Deep(Convolution):
    """Three axes: a convolution over the last two of planes, with the channels of all planes that a window meets."""

    def _y(self, x, w):
        plane = self._plane()._y(self._planes(x), jnp.moveaxis(w, 0, 2).reshape(*w.shape[1:3], -1, w.shape[-1]))
        return plane.reshape(len(x), *self.counts, w.shape[-1])

    def _x_bar(self, w, g):
        return Deep(**vars(self.turned()))._y(g, turned(w))

    def _w_bar(self, x, g):
        w_bar = self._plane()._w_bar(self._planes(x), g.reshape(-1, *g.shape[2:]))
        return jnp.moveaxis(w_bar.reshape(*self.window[1:], self.window[0], -1, g.shape[-1]), 2, 0)

    def _plane(self) -> Convolution:
        return Convolution(**{name: axes[1:] for name, axes in vars(self).items() if name != "groups"})

    def _planes(self, x: Array) -> Array:
        """[n, d, h, w, i] to [n p, h, w, k i]: beside each other what a window meets, at each of its p depths."""
        column = lax.pad(
            x.reshape(*x.shape[:2], -1), jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, self.spread[0] - 1), (0, 0, 0)]
        )
        depths = Windows(column.shape[1:2], self.window[:1], self.strides[:1], self.dilation[:1], self.padding[:1])
        planes = [depths.take(column, k).reshape(-1, *x.shape[2:]) for k in depths.offsets]
        return jnp.concatenate(planes, -1)


def turned(w: Array, groups: int = 1) -> Array:
    """w with its window turned round, and in each group its inputs for its outputs."""
    *window, inputs, outputs = w.shape
    w = jnp.flip(w, range(len(window))).reshape(*window, inputs, groups, outputs // groups)
    return jnp.swapaxes(w, -3, -1).reshape(*window, outputs // groups, groups * inputs)


def letters(rank: int, x: str = "N*C", w: str = "*IO", y: str = "N*C") -> tuple[str, str, str]:
    """The names of the axes of x, w and y, as jax.lax takes them; "*" stands for the spatial ones."""
    x, w, y = (names.replace("*", "DHW"[-rank:]) for names in (x, w, y))
    return x, w, y

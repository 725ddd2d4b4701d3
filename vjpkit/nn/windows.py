"""Windows that slide over the spatial axes of [n, *spatial, c]: what pooling and convolution have in common."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from vjpkit.core import ShapeError
from vjpkit.core.broadcasting import Shape

Pairs = tuple[tuple[int, int], ...]
Padding = str | Pairs
NONE: Pairs = ((0, 0),)
FEW = 9  # places in a window that is still looked at in one pass


class Run(NamedTuple):
    """Along one axis, the windows begin … end − 1 have a given offset on it, the first of them at `start`."""

    begin: int
    end: int
    start: int

    def stop(self, stride: int) -> int:
        """Behind the place where the last of these windows has the offset."""
        return self.start + max((self.end - self.begin - 1) * stride + 1, 0)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Windows:
    """Windows over axes of these sizes, one at every `strides`-th place, with entries `dilation` apart.

    An offset is an entry's place within its window. What all windows hold at one offset is an array with an
    entry for each window, `take`; its transpose, `place`, puts such an array back to where it was taken from.
    """

    sizes: Shape
    window: Shape
    strides: Shape
    dilation: Shape
    padding: Pairs

    @property
    def offsets(self) -> list[Shape]:
        """Every place within a window, in order."""
        return list(itertools.product(*map(range, self.window)))

    @property
    def counts(self) -> Shape:
        """How many windows there are along each axis."""
        span = spans(self.window, self.dilation)
        room = [n + sum(p) - k for n, p, k in zip(self.sizes, self.padding, span, strict=True)]
        return tuple(max(r // s + 1, 0) for r, s in zip(room, self.strides, strict=True))

    def take(self, x: Array, offset: Shape, fill: Any = 0) -> Array:
        """[n, *sizes, c] to [n, *counts, c]: what is at this offset of every window, `fill` in the padding."""
        runs = self._runs(offset)
        on_axes = _cut(x, [(r.start, r.stop(s), s) for r, s in zip(runs, self.strides, strict=True)])
        return pad(on_axes, [(r.begin, m - r.end, 0) for r, m in zip(runs, self.counts, strict=True)], fill)

    def place(self, y: Array, offset: Shape) -> Array:
        """[n, *counts, c] to [n, *sizes, c]: the transpose of `take`."""
        runs = self._runs(offset)
        on_axes = _cut(y, [(r.begin, r.end, 1) for r in runs])
        axes = zip(runs, self.sizes, self.strides, strict=True)
        return pad(on_axes, [(r.start, n - r.stop(s), s - 1) for r, n, s in axes], 0)

    def total(self, x: Array) -> Array:
        """[n, *sizes, c] to [n, *counts, c]: the sum of every window."""
        if self.few:
            return self._sum(x)
        for stage in self.stages():
            x, whole = stage.padded(x, 0)
            x = whole._sum(x)
        return x

    def spread(self, y: Array) -> Array:
        """[n, *counts, c] to [n, *sizes, c]: the sum over the windows that hold an entry; the transpose of `total`."""
        if self.few:
            return sum_of(self.place(y, o) for o in self.offsets)
        side_by_side = self.window == self.strides
        for stage in reversed(self.stages()):
            if side_by_side:
                y = stage._repeated(y)
            else:
                y, back = stage.turned(y)
                y = back._sum(y)
        return y

    def _sum(self, x: Array) -> Array:
        return sum_of(self.take(x, o) for o in self.offsets)

    def _repeated(self, y: Array) -> Array:
        for axis, k in enumerate(self.window, 1):
            y = jnp.repeat(y, k, axis)
        ends = zip(self.sizes, y.shape[1:-1], self.padding, strict=True)
        return pad(y, [(-low, n - m + low, 0) for n, m, (low, _) in ends], 0)

    def turned(self, y: Array) -> tuple[Array, Windows]:
        """y padded, its entries as far apart as the windows, and windows over it: `place` of any offset is a `take`.

        With these windows' offsets in reverse order: what they hold at their last is `place(y, first offset)`.
        """
        axes = zip(self.sizes, spans(self.window, self.dilation), self.padding, self.counts, self.strides, strict=True)
        y = pad(y, [(k - 1 - low, n + low - max((m - 1) * s + 1, 0), s - 1) for n, k, (low, _), m, s in axes], 0)
        return y, replace(self, sizes=y.shape[1:-1], strides=(1,) * len(self.sizes), padding=NONE * len(self.sizes))

    def inside(self, offset: Shape) -> np.ndarray:
        """[*counts, 1], bool: the windows that have this offset on the axes, and not in the padding."""
        inside = np.zeros((*self.counts, 1), bool)
        inside[tuple(slice(r.begin, r.end) for r in self._runs(offset))] = True
        return inside

    def entries(self) -> np.ndarray:
        """[*counts, 1]: how many entries of each window lie on the axes, and not in the padding."""
        axes = zip(self.sizes, self.window, self.counts, self.strides, self.dilation, self.padding, strict=True)
        along = []
        for n, k, m, s, d, (low, _) in axes:
            place = s * np.arange(m)[:, None] + d * np.arange(k) - low
            along.append(((place >= 0) & (place < n)).sum(1))
        return functools.reduce(np.multiply.outer, along)[..., None]

    def padded(self, x: Array, fill: Any) -> tuple[Array, Windows]:
        """x with its padding, and the same windows over axes that the padding is part of."""
        x = pad(x, [(*p, 0) for p in self.padding], fill)
        return x, replace(self, sizes=x.shape[1:-1], padding=NONE * len(self.sizes))

    @property
    def few(self) -> bool:
        """Whether a window is so small that one pass over all its offsets is best."""
        return math.prod(self.window) <= FEW

    def stages(self) -> list[Windows]:
        """The windows; if not `few`, windows along the last axis, then of those along the one before, and so on."""
        if self.few:
            return [self]
        stages, sizes = [], self.sizes
        for axis in reversed(range(len(sizes))):
            stage = replace(
                self,
                sizes=sizes,
                window=_only(axis, self.window, 1),
                strides=_only(axis, self.strides, 1),
                dilation=_only(axis, self.dilation, 1),
                padding=_only(axis, self.padding, (0, 0)),
            )
            stages.append(stage)
            sizes = stage.counts
        return stages

    def _runs(self, offset: Shape) -> list[Run]:
        """The windows that have this offset on the axes, along each axis."""
        axes = zip(offset, self.sizes, self.counts, self.strides, self.dilation, self.padding, strict=True)
        runs = []
        for o, n, m, s, d, (low, _) in axes:
            first = o * d - low  # where the first window has the offset, perhaps before the axis begins
            begin, end = max(-(first // s), 0), min((n - 1 - first) // s + 1, m)
            runs.append(Run(begin, end, first + begin * s) if begin < end else Run(0, 0, 0))
        return runs


def spans(window: Shape, dilation: Shape) -> Shape:
    """How much of each axis a window covers."""
    return tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))


def sum_of(terms: Iterable[Array]) -> Array:
    """The sum of at least one array."""
    return functools.reduce(operator.add, terms)


def rows(x: Array, rank: int) -> Array:
    """[..., *spatial, c] with `rank` spatial axes to [n, *spatial, c]."""
    lead = x.ndim - rank - 1
    return x.reshape(math.prod(x.shape[:lead]), *x.shape[lead:])


def per_axis(function: str, name: str, value: int | Shape, rank: int | None = None) -> Shape:
    """A positive integer for each spatial axis: a tuple or, of `rank` axes, one for all; else ShapeError."""
    values = (value,) * (rank or 0) if isinstance(value, int) else value
    numbers = isinstance(values, tuple) and all(isinstance(v, int) and v > 0 for v in values)
    if numbers and len(values) == (rank or max(len(values), 1)):
        return values
    axes = f"each of {rank} spatial axes" if rank else "each spatial axis"
    raise ShapeError(f"{function}: argument {name} does not fit: expected a positive integer for {axes}, got {value!r}")


def known_padding(function: str, padding: Padding, words: tuple[str, ...], rank: int) -> Padding:
    """`padding` if it is one of the words, or a pair for each of `rank` spatial axes; else ShapeError."""
    if padding in words:
        return padding
    pairs = isinstance(padding, tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in padding)
    if pairs and len(padding) == rank:
        return padding
    raise ShapeError(
        f"{function}: argument padding does not fit: expected {', '.join(map(repr, words))} or a pair (low, high) "
        f"for each of {rank} spatial axes, got {padding!r}"
    )


def _only(axis: int, values: tuple[Any, ...], other: Any) -> tuple[Any, ...]:
    return tuple(v if i == axis else other for i, v in enumerate(values))


def _cut(x: Array, cuts: list[tuple[int, int, int]]) -> Array:
    return x[(slice(None), *(slice(*c) for c in cuts))]


def pad(x: Array, borders: list[tuple[int, int, int]], fill: Any) -> Array:
    """[n, *spatial, c] with (low, high, interior) of `fill` along each spatial axis, cut where negative."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), [(0, 0, 0), *borders, (0, 0, 0)])

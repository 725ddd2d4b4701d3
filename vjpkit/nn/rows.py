"""Rows: the parts of an array that are normalised, each by statistics of its own."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.lax import rsqrt

from vjpkit.core import ShapeError
from vjpkit.core.broadcasting import Shape
from vjpkit.nn.arguments import floating, mask, shaped
from vjpkit.nn.precision import wide

Axis = int | tuple[int, ...] | None


def axes_of(function: str, ndim: int, axis: Axis, option: str = "axis") -> tuple[int, ...]:
    """The axes that `axis` names, None for all, counted from 0 and in order; ShapeError where one is not there."""
    named = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = sorted(a + ndim if a < 0 else a for a in named)
    if len(set(axes)) < len(axes) or any(not 0 <= a < ndim for a in axes):
        raise ShapeError(f"{function}: option {option} does not fit: expected axes of an array of {ndim}, got {axis}")
    return tuple(axes)


@dataclass(frozen=True)
class Rows:
    """The rows of an array, one for each index of the axes that are not among `axes`; `where` says what counts."""

    shape: Shape
    axes: tuple[int, ...]
    where: Array | None = None

    @classmethod
    def along(cls, function: str, x: Array, axis: Axis, where: Array | None = None) -> Rows:
        """The rows of `x` along `axis`."""
        return cls(x.shape, axes_of(function, x.ndim, axis), where)

    @classmethod
    def of(cls, function: str, x: Array, axis: Axis, where: Array | None = None, **parameters: Array | None) -> Rows:
        """The same, with named errors for what does not fit; `parameters` have a row's shape."""
        floating(function, x=x, **parameters)
        mask(function, where, x.shape)
        rows = cls.along(function, x, axis, where)
        for name, p in parameters.items():
            if p is not None:
                shaped(function, name, p, *rows.sizes)
        return rows

    @property
    def sizes(self) -> Shape:
        """The shape of a row."""
        return tuple(self.shape[a] for a in self.axes)

    @property
    def count(self) -> Any:
        """How many entries of each row count; 1 for none, for then the sums are 0."""
        if self.where is None:
            return max(prod(self.sizes), 1)
        return jnp.maximum(jnp.broadcast_to(self.where, self.shape).sum(self.axes, keepdims=True), 1)

    def counted(self, v: Any) -> Any:
        """`v`, and 0 for what does not count."""
        return v if self.where is None else jnp.where(self.where, v, 0)

    def sum(self, v: Array) -> Array:
        """Σ v in each row."""
        return v.sum(self.axes, keepdims=True)

    def mean(self, v: Array) -> Array:
        """⟨v⟩, of what counts in each row."""
        return self.sum(self.counted(v)) / self.count

    def dot(self, v: Array, w: Array | None = None) -> Array:
        """Σ v w in each row, `w` of a row's shape, 1 if None.

        Where rows are contiguous it is a product with a vector: faster than a sum on CPU, and what is summed is not
        formed twice.
        """
        if self.axes != tuple(range(len(self.shape) - len(self.axes), len(self.shape))):
            return self.sum(v if w is None else v * self.beside(w))
        w = jnp.ones(self.sizes, v.dtype) if w is None else w
        return jnp.expand_dims(jnp.tensordot(v, w, len(self.axes), precision="highest"), self.axes)

    def share(self, v: Array, w: Array | None = None) -> Array:
        """Σ v w / n, over a row and by how many count in it: the transpose of `mean`, before `counted`."""
        return self.dot(v, w) / self.count

    def weight(self, scale: Array | None, offset: float = 0.0) -> Array:
        """The scale and its offset, of a row's shape; 1 for no scale."""
        return jnp.ones(self.sizes, jnp.float32) if scale is None else offset + wide(scale)

    def across(self, v: Array) -> Array:
        """The sum of all rows, in a row's shape."""
        return v.sum(tuple(a for a in range(len(self.shape)) if a not in self.axes))

    def beside(self, w: Array) -> Array:
        """`w`, of a row's shape, beside every row."""
        return jnp.expand_dims(w, [a for a in range(len(self.shape)) if a not in self.axes])


def inverse_root(variance: Array, epsilon: Any) -> Array:
    """1 / √(v + ε), and 0 where that is infinite: a row that does not vary is 0 also when normalised with ε = 0."""
    total = variance + epsilon
    return jnp.where(total == 0, 0, rsqrt(jnp.where(total == 0, 1, total)))


def like(bar: Array, x: Array | None) -> Array | None:
    """A cotangent in the dtype of its argument; None for an argument that was left out."""
    return None if x is None else bar.astype(x.dtype)


def promoted(dtype: Any, *arguments: Array | None) -> Any:
    """The output's dtype: the one that is asked for, or what the arguments promote to."""
    return dtype or jnp.result_type(*(a for a in arguments if a is not None))

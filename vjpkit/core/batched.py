"""Functions and linear maps applied example by example: what vmap makes of an equation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core.carried import Function, Leaves, Map

Dims = tuple[Any, ...]


@dataclass(frozen=True)
class Axis:
    """The axis that vmap adds."""

    size: int
    name: Any
    spmd_name: Any

    def vmap(self, f: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
        return jax.vmap(
            f, in_axes=in_axes, out_axes=0, axis_size=self.size, axis_name=self.name, spmd_axis_name=self.spmd_name
        )


@dataclass(frozen=True, repr=False)
class BatchedFunction(Function):
    """vmap of a function: the jvp of it is the vmap of the function's jvp."""

    inner: Function
    dims: Dims
    axis: Axis

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def primitive(self) -> Any:
        return self.inner.primitive

    def __call__(self, *leaves: Any) -> Any:
        return self.axis.vmap(self.inner, in_axes=self.dims)(*leaves)

    def jvp(self, primals: Leaves, dots: Leaves, perturbed: tuple[bool, ...]) -> tuple[Leaves, Leaves]:
        dot_dims = tuple(d for d, p in zip(self.dims, perturbed, strict=True) if p)
        each = self.axis.vmap(lambda x, x_dot: self.inner.jvp(x, x_dot, perturbed), in_axes=(self.dims, dot_dims))
        return each(tuple(primals), tuple(dots))


@dataclass(frozen=True, repr=False)
class BatchedMap(Map):
    """vmap of a linear map; read backwards, it sums the cotangent of a vector that was not batched."""

    inner: Map
    res_dims: Dims
    vector_dims: Dims  # of the vectors that came in when it was batched
    n_out: int
    axis: Axis
    backwards: bool = False

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def primitive(self) -> Any:
        return self.inner.primitive

    @property
    def n_res(self) -> int:
        return len(self.res_dims)

    @property
    def T(self) -> BatchedMap:
        return dataclasses.replace(self, inner=self.inner.T, backwards=not self.backwards)

    def __call__(self, *operands: Any) -> Any:
        vectors = (0,) * self.n_out if self.backwards else self.vector_dims
        out = self.axis.vmap(self.inner, in_axes=self.res_dims + vectors)(*operands)
        if not self.backwards:
            return out
        return [x.sum(0) if d is None else jnp.moveaxis(x, 0, d) for x, d in zip(out, self.vector_dims, strict=True)]

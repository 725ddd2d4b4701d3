"""Matrices that know their structure: what they keep, what they cost to apply, and what their products are.

Each is m × n, takes a vector of n or a matrix of n rows at its right, and counts FLOPs as XLA does: one for a
multiplication, one for an addition, 2 m n for a dense matrix times a vector, n for a diagonal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from vjpkit.core import ShapeError
from vjpkit.jacobian.display import NUMBERS, Displayed, reals

Array = Any


class Operator(Displayed):
    """A matrix with `@`, `.T`, `.shape`, `.flops` (of one product with a vector), `.nbytes` and `.materialize()`."""

    kind: ClassVar[str]
    shape: tuple[int, int]

    @property
    def T(self) -> Operator:
        raise NotImplementedError

    @property
    def flops(self) -> int:
        """Of `self @ v` for one vector v."""
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        """Of the numbers that are stored."""
        return sum(x.nbytes for x in vars(self).values() if hasattr(x, "nbytes"))

    def apply(self, v: Array) -> Array:
        """The product with a matrix [n, k]."""
        raise NotImplementedError

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Operator):
            from vjpkit.jacobian.products import product

            return product(self, other)
        v = jnp.asarray(other)
        if v.ndim not in (1, 2) or v.shape[0] != self.shape[1]:
            raise ShapeError(
                f"{type(self).__name__} {list(self.shape)} @ v: expected v of shape [{self.shape[1]}] "
                f"or [{self.shape[1]}, k], got {list(v.shape)}"
            )
        return self.apply(v) if v.ndim == 2 else self.apply(v[:, None])[:, 0]

    def materialize(self) -> Array:
        """The matrix, as an array."""
        return self @ jnp.eye(self.shape[1])

    def facts(self) -> dict[str, str]:
        product = f"{self.flops} FLOPs with a vector"
        return {"structure": self.kind, "shape": f"{self.shape[0]} × {self.shape[1]}", "product": product}

    def few_numbers(self) -> Array | None:
        return self.materialize() if math.prod(self.shape) <= NUMBERS else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]}×{self.shape[1]})"


@dataclass(frozen=True, eq=False, repr=False)
class Zero(Operator):
    shape: tuple[int, int]
    kind: ClassVar[str] = "zero"
    flops: ClassVar[int] = 0

    @property
    def formula(self) -> str:
        return rf"0_{{{self.shape[0]} \times {self.shape[1]}}}"

    @property
    def T(self) -> Zero:
        return Zero(self.shape[::-1])

    def apply(self, v: Array) -> Array:
        return jnp.zeros((self.shape[0], v.shape[1]), v.dtype)


@dataclass(frozen=True, eq=False, repr=False)
class Identity(Operator):
    size: int
    kind: ClassVar[str] = "identity"
    flops: ClassVar[int] = 0

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.size, self.size

    @property
    def formula(self) -> str:
        return f"I_{{{self.size}}}"

    @property
    def T(self) -> Identity:
        return self

    def apply(self, v: Array) -> Array:
        return v


@dataclass(frozen=True, eq=False, repr=False)
class Scaled(Operator):
    """c I."""

    scale: Array
    size: int
    kind: ClassVar[str] = "scaled"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.size, self.size

    @property
    def formula(self) -> str:
        return f"{float(self.scale):.4g} I_{{{self.size}}}"

    @property
    def T(self) -> Scaled:
        return self

    @property
    def flops(self) -> int:
        return self.size

    def apply(self, v: Array) -> Array:
        return self.scale * v


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(Operator):
    """diag(s): a product with it is a Hadamard product, one multiplication per element."""

    diagonal: Array
    kind: ClassVar[str] = "diagonal"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.diagonal.size, self.diagonal.size

    @property
    def formula(self) -> str:
        return rf"\mathrm{{diag}}(s), \, s \in \mathbb{{R}}^{{{self.diagonal.size}}}"

    @property
    def T(self) -> Diagonal:
        return self

    @property
    def flops(self) -> int:
        return self.diagonal.size

    def apply(self, v: Array) -> Array:
        return self.diagonal[:, None] * v


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Operator):
    matrix: Array
    kind: ClassVar[str] = "dense"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.matrix.shape

    @property
    def formula(self) -> str:
        return rf"A \in {reals(self.shape[:1], self.shape[1:])}"

    @property
    def T(self) -> Dense:
        return type(self)(self.matrix.T)

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.shape)

    def apply(self, v: Array) -> Array:
        return self.matrix @ v


class Outer(Operator):
    """u vᵀ, or the sum of such, U Vᵀ: a matrix of low rank."""

    kind: ClassVar[str] = "low rank"

    def __init__(self, left: Array, right: Array) -> None:
        self.left, self.right = (jnp.asarray(a)[:, None] if jnp.ndim(a) == 1 else jnp.asarray(a) for a in (left, right))
        if self.left.shape[1] != self.right.shape[1]:
            raise ShapeError(
                f"Outer: left and right need as many columns as each other, "
                f"got {list(self.left.shape)} and {list(self.right.shape)}"
            )
        self.shape = (self.left.shape[0], self.right.shape[0])

    @property
    def rank(self) -> int:
        return self.left.shape[1]

    @property
    def formula(self) -> str:
        m, n = ([size] for size in self.shape)
        return rf"U V^\top, \, U \in {reals(m, [self.rank])}, V \in {reals(n, [self.rank])}"

    @property
    def T(self) -> Outer:
        return Outer(self.right, self.left)

    @property
    def flops(self) -> int:
        return 2 * self.rank * sum(self.shape) if self.rank > 1 else 2 * self.shape[1] + self.shape[0]

    def apply(self, v: Array) -> Array:
        return self.left @ (self.right.T @ v)

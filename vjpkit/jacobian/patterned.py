"""Matrices of blocks, bands and entries: what they keep of themselves, and how they are applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.jacobian.display import reals
from vjpkit.jacobian.operators import Operator

Array = Any


@dataclass(frozen=True, eq=False, repr=False)
class Selection(Operator):
    """Row i is e_index[i]: y[i] = x[index[i]]; a permutation where every index stands once."""

    index: np.ndarray
    columns: int

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "permutation" if len(np.unique(self.index)) == len(self.index) == self.columns else "selection"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return len(self.index), self.columns

    @property
    def formula(self) -> str:
        letter = "P" if self.kind == "permutation" else "S"
        return rf"{letter} \in \{{0, 1\}}^{{{self.shape[0]} \times {self.shape[1]}}}"

    @property
    def T(self) -> Operator:
        if self.kind == "permutation":
            return Selection(np.argsort(self.index), self.columns)
        m, n = self.shape
        return Sparse(self.index, np.arange(m), jnp.ones(m), (n, m))

    @property
    def flops(self) -> int:
        return 0

    def apply(self, v: Array) -> Array:
        return v[self.index]


@dataclass(frozen=True, eq=False, repr=False)
class Sparse(Operator):
    """Entries at (rows, columns), zeros elsewhere."""

    rows: np.ndarray
    columns: np.ndarray
    values: Array
    shape: tuple[int, int]
    kind: str = "sparse"  # type: ignore[misc]

    @property
    def formula(self) -> str:
        return (
            rf"A \in \mathbb{{R}}^{{{self.shape[0]} \times {self.shape[1]}}}, \, {len(self.rows)} \;\mathrm{{entries}}"
        )

    @property
    def T(self) -> Sparse:
        return Sparse(self.columns, self.rows, self.values, self.shape[::-1], self.kind)

    @property
    def flops(self) -> int:
        return 2 * len(self.rows)

    def apply(self, v: Array) -> Array:
        products = self.values[:, None] * v[self.columns]
        return jnp.zeros((self.shape[0], v.shape[1]), products.dtype).at[self.rows].add(products)


@dataclass(frozen=True, eq=False, repr=False)
class Toeplitz(Operator):
    """T[i, j] = column[i − j] below the diagonal, row[j − i] above it: a convolution."""

    column: Array
    row: Array
    kind: ClassVar[str] = "toeplitz"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.column.size, self.row.size

    @property
    def formula(self) -> str:
        return rf"T_{{ij}} = t_{{i - j}}, \, T \in {reals(self.shape[:1], self.shape[1:])}"

    @property
    def T(self) -> Toeplitz:
        return Toeplitz(self.row, self.column)

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.shape)

    def apply(self, v: Array) -> Array:
        m, n = self.shape
        kernel = jnp.concatenate([self.row[:0:-1], self.column])  # T[i, j] = kernel[i − j + n − 1]
        return jax.vmap(lambda u: jnp.convolve(kernel, u)[n - 1 : n - 1 + m], 1, 1)(v)


@dataclass(frozen=True, eq=False, repr=False)
class Kronecker(Operator):
    """A ⊗ B: applied as A V Bᵀ, never formed."""

    left: Operator
    right: Operator
    kind: ClassVar[str] = "kronecker"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        a, b = self.left.shape, self.right.shape
        return a[0] * b[0], a[1] * b[1]

    @property
    def formula(self) -> str:
        factors = (_factor(name, a) for name, a in zip("AB", (self.left, self.right), strict=True))
        return r" \otimes ".join(factors)

    @property
    def T(self) -> Kronecker:
        return Kronecker(self.left.T, self.right.T)

    @property
    def flops(self) -> int:
        a, b = self.left, self.right
        return min(
            a.shape[1] * b.flops + b.shape[0] * a.flops,  # B first
            b.shape[1] * a.flops + a.shape[0] * b.flops,  # A first
        )

    @property
    def nbytes(self) -> int:
        return self.left.nbytes + self.right.nbytes

    def apply(self, v: Array) -> Array:
        (_, n1), (m2, n2) = self.left.shape, self.right.shape
        k = v.shape[1]
        inner = self.right.apply(v.reshape(n1, n2, k).swapaxes(0, 1).reshape(n2, n1 * k))
        inner = inner.reshape(m2, n1, k).swapaxes(0, 1).reshape(n1, m2 * k)
        return self.left.apply(inner).reshape(-1, k)

    def __repr__(self) -> str:
        return f"{self.left!r} ⊗ {self.right!r}"


@dataclass(frozen=True, eq=False, repr=False)
class BlockDiagonal(Operator):
    """One block after the other: blocks[b] is p × q."""

    blocks: Array
    kind: ClassVar[str] = "block-diagonal"

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        b, p, q = self.blocks.shape
        return b * p, b * q

    @property
    def formula(self) -> str:
        b, p, q = self.blocks.shape
        return rf"\bigoplus_{{b = 1}}^{{{b}}} A_b, \, A_b \in {reals([p], [q])}"

    @property
    def T(self) -> BlockDiagonal:
        return BlockDiagonal(self.blocks.swapaxes(1, 2))

    @property
    def flops(self) -> int:
        return 2 * self.blocks.size

    def apply(self, v: Array) -> Array:
        b, _, q = self.blocks.shape
        return jnp.einsum("bpq,bqk->bpk", self.blocks, v.reshape(b, q, -1)).reshape(-1, v.shape[1])


def _factor(name: str, a: Operator) -> str:
    """A factor of a Kronecker product: an identity as it is, another one by a letter and its shape."""
    return a.formula if a.kind == "identity" else rf"{name}_{{{a.shape[0]} \times {a.shape[1]}}}"

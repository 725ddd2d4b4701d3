"""The product of two structured matrices, with as much structure as it keeps, and what it costs to form."""

from __future__ import annotations

import jax.numpy as jnp

from vjpkit.core import ShapeError
from vjpkit.jacobian.operators import Dense, Diagonal, Identity, Operator, Outer, Scaled, Zero
from vjpkit.jacobian.patterned import BlockDiagonal, Kronecker, Selection


def product(a: Operator, b: Operator) -> Operator:
    """a b, of the narrowest structure that follows from theirs."""
    _fit(a, b)
    m, n = a.shape[0], b.shape[1]
    if isinstance(a, Identity):
        return b
    if isinstance(b, Identity):
        return a
    if isinstance(a, Zero) or isinstance(b, Zero):
        return Zero((m, n))
    if isinstance(a, Outer):
        return Outer(a.left, b.T @ a.right)
    if isinstance(b, Outer):
        return Outer(a @ b.left, b.right)
    if isinstance(a, Scaled | Diagonal) and isinstance(b, Scaled | Diagonal):
        if isinstance(a, Scaled) and isinstance(b, Scaled):
            return Scaled(a.scale * b.scale, m)
        return Diagonal(_diagonal(a) * _diagonal(b))
    if isinstance(a, Selection) and isinstance(b, Selection):
        return Selection(b.index[a.index], b.columns)
    if isinstance(a, Kronecker) and isinstance(b, Kronecker) and a.left.shape[1] == b.left.shape[0]:
        return Kronecker(product(a.left, b.left), product(a.right, b.right))
    if isinstance(a, BlockDiagonal) and isinstance(b, BlockDiagonal) and _blocks_meet(a, b):
        return BlockDiagonal(a.blocks @ b.blocks)
    if isinstance(a, Diagonal | Scaled) and isinstance(b, BlockDiagonal):
        return BlockDiagonal(_diagonal(a).reshape(*b.blocks.shape[:2], 1) * b.blocks)
    if isinstance(a, BlockDiagonal) and isinstance(b, Diagonal | Scaled):
        return BlockDiagonal(a.blocks * _diagonal(b).reshape(a.blocks.shape[0], 1, a.blocks.shape[2]))
    return Dense(a @ b.materialize())


def product_flops(a: Operator, b: Operator) -> int:
    """What forming a b takes, each of them at its own structure."""
    _fit(a, b)
    (m, k), n = a.shape, b.shape[1]
    free = Identity, Zero, Selection
    if isinstance(a, free) or isinstance(b, free):
        return 0
    if isinstance(a, Outer):
        return a.rank * b.T.flops
    if isinstance(b, Outer):
        return b.rank * a.flops
    if isinstance(a, Scaled | Diagonal) and isinstance(b, Scaled | Diagonal):
        return 1 if isinstance(a, Scaled) and isinstance(b, Scaled) else k
    if isinstance(a, Kronecker) and isinstance(b, Kronecker) and a.left.shape[1] == b.left.shape[0]:
        return product_flops(a.left, b.left) + product_flops(a.right, b.right)
    if isinstance(a, BlockDiagonal) and isinstance(b, BlockDiagonal) and _blocks_meet(a, b):
        return 2 * a.blocks.size * b.blocks.shape[2]
    if isinstance(a, Scaled | Diagonal):
        return b.blocks.size if isinstance(b, BlockDiagonal) else m * n
    if isinstance(b, Scaled | Diagonal):
        return a.blocks.size if isinstance(a, BlockDiagonal) else m * n
    return min(n * a.flops, m * b.T.flops)


def _fit(a: Operator, b: Operator) -> None:
    if a.shape[1] != b.shape[0]:
        raise ShapeError(f"{a!r} @ {b!r}: the first has {a.shape[1]} columns, the second {b.shape[0]} rows")


def _diagonal(a: Scaled | Diagonal) -> jnp.ndarray:
    return a.diagonal if isinstance(a, Diagonal) else jnp.full(a.size, a.scale)


def _blocks_meet(a: BlockDiagonal, b: BlockDiagonal) -> bool:
    return a.blocks.shape[0] == b.blocks.shape[0] and a.blocks.shape[2] == b.blocks.shape[1]

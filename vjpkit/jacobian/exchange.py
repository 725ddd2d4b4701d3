"""Operators from and to lineax, where that is installed: exactly where it has the type, else as functions with tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.jacobian.errors import JacobianError
from vjpkit.jacobian.jacobians import Jacobian, Transposed, jacobian
from vjpkit.jacobian.operators import Dense, Diagonal, Identity, Operator, Outer, Scaled
from vjpkit.jacobian.patterned import Sparse
from vjpkit.jacobian.products import product
from vjpkit.jacobian.structure import Structure


def as_lineax(operator: Operator | Jacobian | Transposed, dtype: Any = None) -> Any:
    """A lineax operator: of the same type where lineax has it, else a function with the tags of its structure.

    Args:    operator: of this package; a Jacobian stays unformed, in the shapes of its argument and output.
             dtype: of the vectors; the operator's own if left out, JAX's default where it stores no numbers.
    Raises:  JacobianError without lineax, or for anything else.
    """
    lx = _lineax("as_lineax")
    if isinstance(operator, Transposed):
        return as_lineax(operator.T, dtype).T
    if isinstance(operator, Jacobian):
        spec = jax.ShapeDtypeStruct(operator.in_shape, dtype or operator.dtype)
        known = operator.structure if operator.in_shape == operator.out_shape else Structure("dense")
        tags = {*_tags(lx, known, known.operator), *((lx.symmetric_tag,) if operator.symmetric else ())}
        return lx.FunctionLinearOperator(operator.__matmul__, spec, tags)
    if not isinstance(operator, Operator):
        raise JacobianError(f"as_lineax: expected an Operator or a Jacobian, got {type(operator).__name__}")
    m, n = operator.shape
    spec = jax.ShapeDtypeStruct((n,), dtype or jnp.result_type(float, *_numbers(operator)))
    match operator:
        case Identity():
            return lx.IdentityLinearOperator(spec)
        case Scaled(scale):
            return lx.IdentityLinearOperator(spec) * jnp.asarray(scale, spec.dtype)
        case Diagonal(diagonal):
            return lx.DiagonalLinearOperator(jnp.asarray(diagonal, spec.dtype))
        case Dense(matrix):
            return lx.MatrixLinearOperator(jnp.asarray(matrix, spec.dtype))
        case Outer(left=left, right=right):
            left, right = (lx.MatrixLinearOperator(jnp.asarray(a, spec.dtype)) for a in (left, right.T))
            return left @ right
        case Sparse() if m == n > 1 and _reach(operator) <= 1:
            return lx.TridiagonalLinearOperator(*(_band(operator, offset, spec.dtype) for offset in (0, -1, 1)))
    return lx.FunctionLinearOperator(operator.__matmul__, spec, _tags(lx, operator.kind, operator) if m == n else ())


def from_lineax(operator: Any) -> Operator | Jacobian:
    """An operator of this package: of the same type where there is one, else the `Jacobian` of its product, unformed.

    Args:    operator: any of lineax; one that takes or gives trees of several arrays comes as a `Dense`.
    Raises:  JacobianError without lineax, or for anything else.
    """
    lx = _lineax("from_lineax")
    match operator:
        case lx.IdentityLinearOperator():
            return Identity(operator.in_size())
        case lx.TridiagonalLinearOperator():
            return _tridiagonal(*lx.tridiagonal(operator))
        case lx.AbstractLinearOperator() if lx.is_diagonal(operator) and _stored(lx, operator):
            return Diagonal(lx.diagonal(operator))
        case lx.MatrixLinearOperator() | lx.PyTreeLinearOperator():
            return Dense(operator.as_matrix())
        case lx.TaggedLinearOperator():
            return from_lineax(operator.operator)
        case lx.MulLinearOperator() | lx.DivLinearOperator() | lx.NegLinearOperator():
            inner, scale = from_lineax(operator.operator), getattr(operator, "scalar", -1.0)
            if isinstance(inner, Operator):
                scale = 1 / scale if isinstance(operator, lx.DivLinearOperator) else scale
                return product(Scaled(jnp.asarray(scale), inner.shape[0]), inner)
        case lx.ComposedLinearOperator():
            a, b = from_lineax(operator.operator1), from_lineax(operator.operator2)
            if isinstance(a, Dense) and isinstance(b, Dense) and a.shape[1] < min(a.shape[0], b.shape[1]):
                return Outer(a.matrix, b.matrix.T)
            if isinstance(a, Operator) and isinstance(b, Operator):
                return product(a, b)
        case lx.AbstractLinearOperator():
            pass
        case _:
            raise JacobianError(f"from_lineax: expected an operator of lineax, got {type(operator).__name__}")
    return _by_its_product(operator)


def _lineax(caller: str) -> Any:
    try:
        import lineax
    except ImportError as error:
        raise JacobianError(f"{caller} needs lineax: pip install 'vjpkit[lineax]'") from error
    return lineax


# ---------------------------------------------------------------------------------------------------- out


def _tags(lx: Any, kind: str, operator: Operator | None) -> tuple[Any, ...]:
    """What lineax may know of a square matrix of that kind."""
    if kind in ("zero", "identity", "scaled", "diagonal"):
        return lx.diagonal_tag, lx.symmetric_tag
    if not isinstance(operator, Sparse):
        return ()
    below, above = np.all(operator.columns <= operator.rows), np.all(operator.columns >= operator.rows)
    tags = (lx.lower_triangular_tag, below), (lx.upper_triangular_tag, above)
    return tuple(tag for tag, holds in (*tags, (lx.tridiagonal_tag, _reach(operator) <= 1)) if holds)


def _reach(operator: Sparse) -> int:
    """How far from the diagonal its entries stand."""
    return int(np.abs(operator.rows - operator.columns).max(initial=0))


def _band(operator: Sparse, offset: int, dtype: Any) -> Any:
    """The diagonal that stands `offset` above the main one."""
    n = operator.shape[0] - abs(offset)
    on = np.flatnonzero(operator.columns - operator.rows == offset)
    at = np.minimum(operator.rows, operator.columns)[on]
    return jnp.zeros(n, dtype).at[at].add(jnp.asarray(operator.values, dtype)[on])


def _numbers(operator: Operator) -> Iterator[Any]:
    """The dtypes of what it stores."""
    for value in vars(operator).values():
        if isinstance(value, Operator):
            yield from _numbers(value)
        elif hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact):
            yield value.dtype


# ----------------------------------------------------------------------------------------------------- in


def _stored(lx: Any, operator: Any) -> bool:
    """Whether its numbers are at hand, so that a diagonal is read and not computed."""
    return isinstance(operator, lx.DiagonalLinearOperator | lx.MatrixLinearOperator | lx.PyTreeLinearOperator)


def _tridiagonal(diagonal: Any, lower: Any, upper: Any) -> Sparse:
    n = diagonal.size
    main, side = np.arange(n), np.arange(n - 1)
    rows, columns = np.concatenate([main, side + 1, side]), np.concatenate([main, side, side + 1])
    return Sparse(rows, columns, jnp.concatenate([diagonal, lower, upper]), (n, n), "banded")


def _by_its_product(operator: Any) -> Operator | Jacobian:
    given, tree = jax.tree.flatten(operator.in_structure())
    if len(given) != 1 or len(jax.tree.leaves(operator.out_structure())) != 1:
        return Dense(operator.as_matrix())

    def mv(v: Any) -> Any:
        return jax.tree.leaves(operator.mv(jax.tree.unflatten(tree, [v])))[0]

    return jacobian(mv, jnp.zeros(given[0].shape, given[0].dtype))

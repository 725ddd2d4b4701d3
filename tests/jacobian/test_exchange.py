"""Operators as lineax's and back: the same type, the same matrix, tags that are true; solved with, and unformed."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from tests.jacobian.test_operators import OBLONG, SIX, close, k
from vjpkit.jacobian import (
    Dense,
    Diagonal,
    Identity,
    Jacobian,
    JacobianError,
    Operator,
    Outer,
    Scaled,
    Sparse,
    as_lineax,
    from_lineax,
)

lx = pytest.importorskip("lineax")

BAND = Sparse(np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 1, 1, 3, 2]), k(6), (4, 4), "banded")
LOWER = Sparse(np.array([0, 2, 3, 3]), np.array([0, 2, 0, 3]), k(4), (4, 4), "triangular")


@pytest.mark.parametrize("a", [*SIX, OBLONG[2], BAND, LOWER], ids=repr)
def test_the_products_stay(a: Operator) -> None:
    v, g = k(a.shape[1]), k(a.shape[0])
    there = as_lineax(a, jnp.float32)
    close(there.mv(v), a @ v)
    close(there.T.mv(g), a.T @ g)
    close(from_lineax(there) @ v, a @ v)


@pytest.mark.parametrize(
    ("a", "there", "back"),
    [
        (Identity(6), "IdentityLinearOperator", Identity),
        (Diagonal(k(6)), "DiagonalLinearOperator", Diagonal),
        (Scaled(jnp.asarray(3.0), 6), "MulLinearOperator", Scaled),
        (Dense(k(5, 3)), "MatrixLinearOperator", Dense),
        (Outer(k(5, 2), k(3, 2)), "ComposedLinearOperator", Outer),
        (BAND, "TridiagonalLinearOperator", Sparse),
        (LOWER, "FunctionLinearOperator", Jacobian),
    ],
    ids=lambda v: repr(v) if isinstance(v, Operator) else "",
)
def test_types_are_exact(a: Operator, there: str, back: type) -> None:
    assert type(as_lineax(a)).__name__ == there
    assert type(from_lineax(as_lineax(a))) is back


@pytest.mark.parametrize(
    ("given", "back"),
    [
        (lambda: -lx.DiagonalLinearOperator(k(3)), Diagonal),
        (lambda: lx.MatrixLinearOperator(k(3, 3)) / 2, Dense),
        (lambda: lx.MatrixLinearOperator(jnp.diag(k(3)), lx.diagonal_tag), Diagonal),
        (lambda: lx.TaggedLinearOperator(lx.MatrixLinearOperator(jnp.eye(3)), lx.symmetric_tag), Dense),
        (lambda: lx.IdentityLinearOperator(jax.ShapeDtypeStruct((3,), jnp.float32)) * 2, Scaled),
        (lambda: lx.DiagonalLinearOperator(k(3)) @ lx.DiagonalLinearOperator(k(3) + 1), Diagonal),
        (lambda: lx.MatrixLinearOperator(k(3, 3)) + lx.DiagonalLinearOperator(k(3)), Jacobian),
        (lambda: lx.JacobianLinearOperator(lambda x, _: jnp.tanh(x), k(3)), Jacobian),
        (lambda: 2 * lx.FunctionLinearOperator(jnp.cumsum, jax.ShapeDtypeStruct((3,), jnp.float32)), Jacobian),
        (lambda: lx.PyTreeLinearOperator((k(2, 3), k(1, 3)), (jnp.zeros(2), jnp.zeros(1))), Dense),
    ],
    ids=range(10),
)
def test_what_lineax_makes_comes_in(given: Any, back: type) -> None:
    operator = given()
    found = from_lineax(operator)
    assert type(found) is back
    v = k(operator.in_size())
    close(found @ v, operator.as_matrix() @ v)


def test_tags_are_what_is_known() -> None:
    assert lx.is_lower_triangular(as_lineax(LOWER))
    assert not lx.is_upper_triangular(as_lineax(LOWER))
    assert lx.is_upper_triangular(as_lineax(LOWER.T))
    assert not lx.is_diagonal(as_lineax(Dense(jnp.eye(3))))
    assert lx.is_diagonal(as_lineax(vjpkit.jacobian(jnp.tanh, k(2, 3))))
    assert lx.is_tridiagonal(as_lineax(vjpkit.jacobian(lambda x: x * jnp.roll(x, 1).at[0].set(0), k(11))))
    assert lx.is_symmetric(as_lineax(vjpkit.hessian(lambda x: jnp.tanh(x @ k(3, 3)).sum(), k(2, 3))))
    assert not lx.is_diagonal(as_lineax(vjpkit.jacobian(lambda x: x @ k(3, 3), k(2, 3))))


def test_a_jacobian_is_solved_with_and_never_formed() -> None:
    """A step of Newton's method, in the argument's own shape."""
    w = k(3, 3) / 4 + jnp.eye(3, dtype=jnp.float32)
    J = vjpkit.jacobian(lambda x: jnp.tanh(x) @ w, k(2, 3))
    operator = as_lineax(J)
    assert isinstance(operator, lx.FunctionLinearOperator)
    step = lx.linear_solve(operator, k(2, 3) + 1, lx.GMRES(rtol=1e-6, atol=1e-6)).value
    close(J @ step, k(2, 3) + 1)
    close(as_lineax(J.T).mv(k(2, 3)), J.T @ k(2, 3))
    assert "_matrix" not in vars(J)


def test_solves_take_the_structure() -> None:
    b = k(4)
    full = Sparse(*np.nonzero(np.eye(4) + np.eye(4, k=1)), jnp.arange(1.0, 8.0), (4, 4), "banded")
    for operator in (full, Diagonal(k(4) + 3), Scaled(jnp.asarray(2.0), 4)):
        x = lx.linear_solve(as_lineax(operator, jnp.float32), b).value
        close(operator @ x, b)


def test_dtypes() -> None:
    assert as_lineax(Identity(3), jnp.bfloat16).in_structure().dtype == jnp.bfloat16
    assert as_lineax(Diagonal(k(3).astype(jnp.bfloat16))).in_structure().dtype == jnp.bfloat16


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JacobianError, match="as_lineax: expected an Operator or a Jacobian, got ArrayImpl"):
        as_lineax(k(3, 3))
    with pytest.raises(JacobianError, match="from_lineax: expected an operator of lineax, got Diagonal"):
        from_lineax(Diagonal(k(3)))
    monkeypatch.setitem(sys.modules, "lineax", None)
    with pytest.raises(JacobianError, match=r"as_lineax needs lineax: pip install 'vjpkit\[lineax\]'"):
        as_lineax(Identity(3))

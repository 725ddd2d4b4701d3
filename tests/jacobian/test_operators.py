"""Structured matrices against dense ones: products, transposes, costs; layouts; vec and Kronecker identities."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import ShapeError
from vjpkit.jacobian import (
    BlockDiagonal,
    Dense,
    Derivative,
    Diagonal,
    Identity,
    Kronecker,
    LayoutError,
    Operator,
    Outer,
    Scaled,
    Selection,
    Sparse,
    Toeplitz,
    Zero,
    commutation,
    matmul_jacobian,
    numerator,
    product_flops,
    unvec,
    vec,
)


def k(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


SIX: list[Operator] = [
    Zero((6, 6)),
    Identity(6),
    Scaled(jnp.asarray(3.0), 6),
    Diagonal(k(6)),
    Selection(np.array([5, 0, 2, 4, 1, 3]), 6),
    Dense(k(6, 6)),
    Outer(k(6), k(6)),
    Kronecker(Dense(k(2, 2)), Dense(k(3, 3))),
    BlockDiagonal(k(2, 3, 3)),
    Toeplitz(k(6), k(6).at[0].set(k(6)[0])),
    Sparse(np.array([0, 3, 3]), np.array([1, 1, 5]), k(3), (6, 6)),
]
OBLONG = [Dense(k(5, 3)), Outer(k(5, 2), k(3, 2)), Kronecker(Dense(k(5, 2)), Dense(k(3, 7))), BlockDiagonal(k(2, 5, 3))]


def close(got: Any, want: Any) -> None:
    assert jnp.shape(got) == jnp.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("a", [*SIX, *OBLONG], ids=repr)
def test_an_operator_is_its_matrix(a: Operator) -> None:
    matrix = a.materialize()
    assert matrix.shape == a.shape
    v, several = k(a.shape[1]), k(a.shape[1], 4)
    close(a @ v, matrix @ v)
    close(a @ several, matrix @ several)
    close(a.T.materialize(), matrix.T)
    with pytest.raises(ShapeError, match="expected v of shape"):
        a @ k(a.shape[1] + 1)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SIX, SIX)), ids=repr)
def test_products(a: Operator, b: Operator) -> None:
    close((a @ b).materialize(), a.materialize() @ b.materialize())
    assert product_flops(a, b) <= 2 * 6**3


def test_flops_are_exact() -> None:
    assert Diagonal(k(512)).flops == 512
    assert Dense(k(5, 3)).flops == 30
    assert Outer(k(5), k(3)).flops == 2 * 3 + 5
    assert Kronecker(Dense(k(5, 2)), Dense(k(3, 7))).flops == min(2 * 42 + 3 * 20, 7 * 20 + 5 * 42)
    assert product_flops(Diagonal(k(5)), Dense(k(5, 3))) == 15
    assert product_flops(Dense(k(5, 3)), Dense(k(3, 7))) == 2 * 5 * 3 * 7
    diagonal = jax.jit(lambda s, g: Diagonal(s) @ g).lower(k(512), k(512)).compile().cost_analysis()
    assert diagonal["flops"] == 512


def test_kinds_are_kept() -> None:
    assert (Diagonal(k(6)) @ Diagonal(k(6))).kind == "diagonal"
    assert (SIX[7] @ SIX[7]).kind == "kronecker"
    assert (SIX[8] @ SIX[3]).kind == "block-diagonal"
    assert (SIX[5] @ SIX[6]).kind == "low rank"
    with pytest.raises(ShapeError, match="3 columns, the second 6 rows"):
        Dense(k(5, 3)) @ Identity(6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_kronecker_identities(order: Any) -> None:
    w, x, g = k(5, 3), k(3, 7), k(5, 7)
    dw, dx = matmul_jacobian(w, x, "w", order), matmul_jacobian(w, x, "x", order)
    for operator, argument in ((dw, 0), (dx, 1)):
        full = jax.jacobian(jnp.matmul, argument)(w, x)
        columns = jax.vmap(jax.vmap(lambda c: vec(c, order), -1, -1), -1, -1)(full)
        close(operator.materialize(), jax.vmap(lambda r: vec(r, order))(columns))
    close(unvec(dw.T @ vec(g, order), w.shape, order), g @ x.T)
    close(unvec(dx.T @ vec(g, order), x.shape, order), w.T @ g)
    a, b, c = k(2, 5), w, x
    close(vec(a @ b @ c, "F"), Kronecker(Dense(c.T), Dense(a)) @ vec(b, "F"))
    close(vec(a @ b @ c, "C"), Kronecker(Dense(a), Dense(c.T)) @ vec(b, "C"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_commutation(order: Any) -> None:
    a = k(5, 3)
    close(commutation(5, 3, order) @ vec(a, order), vec(a.T, order))
    close(commutation(5, 3, order).T.materialize(), commutation(3, 5, order).materialize())


def test_layouts_compose_in_their_own_order() -> None:
    a, b, c = k(2, 7), k(7, 5), k(5, 3)
    D = [Derivative(m, "numerator", m.shape[:1], m.shape[1:], f"D{i}") for i, m in enumerate((a, b, c))]
    close((D[0] @ D[1] @ D[2]).value, a @ b @ c)
    E = [d.to("denominator") for d in D]
    close((E[2] @ E[1] @ E[0]).value, (a @ b @ c).T)
    close((E[2] @ E[1]).to("numerator").value, b @ c)


def test_mixed_layouts_name_the_two_steps() -> None:
    """Document 002: a numerator result is fed to a formula that expects the denominator layout."""
    w, x, G = k(5, 3), k(3, 7), k(5, 7)
    dX = numerator(G.T @ w, (), (3, 7), "∂L/∂X = Gᵀ W")
    with pytest.raises(LayoutError, match="result of ∂L/∂X = Gᵀ W is numerator, ∂L/∂W = G Xᵀ expects denominator"):
        dX.feed(lambda g: g @ x.T, "denominator", "∂L/∂W = G Xᵀ")
    close(dX.to("denominator").feed(lambda g: g, "denominator", "next"), w.T @ G)
    close(dX.to("argument").value, w.T @ G)
    inner = Derivative(k(7, 5), "denominator", (5,), (7,), "∂z/∂x")
    outer = Derivative(k(3, 5), "numerator", (3,), (5,), "∂y/∂z")
    with pytest.raises(LayoutError, match=r"∂y/∂z is in numerator layout, ∂z/∂x in denominator"):
        outer @ inner
    with pytest.raises(LayoutError, match="no chain"):
        inner.to("numerator") @ outer

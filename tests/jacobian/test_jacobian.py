"""Products, parts and layouts of a Jacobian, against autodiff's array; and what it refuses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from vjpkit.core import ShapeError
from vjpkit.jacobian import JacobianError, LayoutError, sparse_jacobian


def k(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


def layer(x: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.tanh(x @ w)


X, W = k(2, 3), k(3, 5)
J = vjpkit.jacobian(layer, X, W)
FULL = jax.jacobian(layer)(X, W)


def close(got: Any, want: Any) -> None:
    assert jnp.shape(got) == jnp.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_products() -> None:
    v, g = k(2, 3), k(2, 5)
    close(J @ v, jnp.tensordot(FULL, v, 2))
    close(J.T @ g, jnp.tensordot(g, FULL, 2))
    assert J.shape == (2, 5, 2, 3)
    assert J.T.shape == (2, 3, 2, 5)
    close(J.value, layer(X, W))


def test_parts() -> None:
    close(J.row(1, 4), FULL[1, 4])
    close(J.column(1, 2), FULL[:, :, 1, 2])
    close(J.block(1), FULL[1, :, 1])
    close(J.block(1, 0), FULL[1, :, 0])


def test_norms() -> None:
    matrix = FULL.reshape(10, 6)
    for kind in ("fro", 1, 2, float("inf")):
        close(J.norm(kind), np.linalg.norm(matrix, kind))


def test_layouts() -> None:
    close(J.materialize(), FULL)
    close(J.materialize("denominator"), FULL.transpose(2, 3, 0, 1))
    close(J.T.materialize(), FULL.transpose(2, 3, 0, 1))
    close(J.materialize(vec="C"), FULL.reshape(10, 6))
    by_columns = FULL.transpose(1, 0, 3, 2).reshape(10, 6)
    close(J.materialize(vec="F"), by_columns)
    close(J.materialize("denominator", vec="F"), by_columns.T)


def test_the_layout_of_the_argument_is_that_of_grad() -> None:
    loss = lambda x: jnp.sum(x**3)  # noqa: E731
    close(vjpkit.jacobian(loss, X).materialize("argument"), jax.grad(loss)(X))
    close(vjpkit.jacobian(loss, X).materialize("argument", vec="F"), jax.grad(loss)(X).T.ravel())
    with pytest.raises(LayoutError, match="scalar output"):
        J.materialize("argument")
    with pytest.raises(LayoutError, match="expected one of numerator"):
        J.materialize("sideways")


def test_other_arguments() -> None:
    close(vjpkit.jacobian(layer, X, W, wrt=1).materialize(), jax.jacobian(layer, 1)(X, W))
    close(vjpkit.jacobian(layer, X, W, wrt="w").materialize(), jax.jacobian(layer, 1)(X, W))
    assert vjpkit.jacobian(layer, X, W, wrt=-1).in_shape == (3, 5)


def test_sparse_jacobians_take_few_products() -> None:
    x = k(50)
    f = lambda x: (x[1:] - x[:-1]) ** 2  # noqa: E731
    S = sparse_jacobian(f, x)
    assert S.values.shape == (98,)
    close(S.materialize(), jax.jacobian(f)(x))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vjpkit.jacobian(layer, X, W, wrt=2), JacobianError, "one of 2 arguments, got 2"),
        (lambda: vjpkit.jacobian(layer, X, W, wrt="v"), JacobianError, "no argument 'v' among x, w"),
        (lambda: vjpkit.jacobian(3, X), JacobianError, "expected a function, got int"),
        (lambda: vjpkit.jacobian(jnp.sin, jnp.arange(3)), JacobianError, r"int\d+, which has no derivative"),
        (lambda: vjpkit.jacobian(jnp.argmax, X), JacobianError, r"output is int\d+"),
        (lambda: vjpkit.jacobian(lambda p: p["w"], {"w": X}), JacobianError, "a dict of 1"),
        (lambda: vjpkit.jacobian(lambda x: (x, x), X), JacobianError, "a tuple of 2"),
        (lambda: J @ k(2, 5), ShapeError, "a cotangent goes to J.T"),
        (lambda: J.T @ X, ShapeError, "the primal, goes to J @ v"),
        (lambda: J.row(2, 0), IndexError, r"no index \[2, 0\]"),
        (lambda: J.norm("nuc"), ValueError, "expected 'fro'"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

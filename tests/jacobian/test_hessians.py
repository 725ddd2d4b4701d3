"""Hessians: products, structure, and their entries by few products, counted; what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from tests.jacobian.test_operators import close, k
from vjpkit.jacobian import JacobianError, jacobians, sparse_hessian
from vjpkit.jacobian.colouring import mirrored, star


def rosenbrock(x: jax.Array) -> jax.Array:
    return jnp.sum((x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def arrow(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(x[0] * x[1:]))


def blocks(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.prod(x.reshape(-1, 3), 1) ** 2)


def separable(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.cosh(x))


def hub_and_chain(x: jax.Array) -> jax.Array:
    return arrow(x) + rosenbrock(x[1:])


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors each set of products takes, as they are made."""
    counts: list[int] = []
    chunked = jacobians.chunked

    def counted(*args: Any) -> Callable[[Any], np.ndarray]:
        made = chunked(*args)

        def several(rows: Any) -> np.ndarray:
            counts.append(len(rows))
            return made(rows)

        return several

    monkeypatch.setattr(jacobians, "chunked", counted)
    return counts


PROBES = 2  # by which a matrix is seen to be symmetric


@pytest.mark.parametrize(
    ("f", "needed", "structure"),
    [
        (separable, 1, "diagonal"),
        (rosenbrock, 3, "banded"),
        (blocks, 3, "banded"),
        (arrow, 2 + PROBES, "sparse"),
        (hub_and_chain, 4 + PROBES, "sparse"),
    ],
)
def test_entries_by_few_products(
    f: Callable[[jax.Array], jax.Array], needed: int, structure: str, products: list[int]
) -> None:
    x = k(30)
    H = vjpkit.hessian(f, x)
    found = H.sparse()
    assert sum(products) == needed
    close(found.materialize(), jax.hessian(f)(x))
    assert H.structure == structure


def test_it_is_an_operator() -> None:
    w, v = k(3, 5), k(2, 3)
    f = lambda x, w: jnp.sum(jnp.tanh(x @ w) ** 2)  # noqa: E731
    H = vjpkit.hessian(f, k(2, 3), w)
    full = jax.hessian(f)(k(2, 3), w)
    close(H @ v, jnp.tensordot(full, v, 2))
    close(H.T @ v, jnp.tensordot(full, v, 2))
    close(H.materialize(), full)
    assert H.structure == "block-diagonal"
    close(vjpkit.hessian(f, k(2, 3), w, wrt="w").materialize(), jax.hessian(f, 1)(k(2, 3), w))


@pytest.mark.parametrize("seed", range(8))
def test_no_path_of_four_has_two_colours(seed: int) -> None:
    """Every entry is alone among its colour in its row, or in its column."""
    n = 23
    dense = np.random.default_rng(seed).random((n, n)) < 0.02 * (seed + 1)
    i, j = mirrored(*np.nonzero(dense | np.eye(n, dtype=bool)))
    colours = star(i, j, n)
    entries = set(zip(i.tolist(), j.tolist(), strict=True))
    for a, b in entries:
        in_row = sum(colours[c] == colours[b] for c in range(n) if (a, c) in entries)
        in_column = sum(colours[c] == colours[a] for c in range(n) if (c, b) in entries)
        assert 1 in (in_row, in_column)


def test_what_is_not_symmetric_is_not_read_as_if_it_were() -> None:
    """A gradient that is wrong on purpose: its Jacobian is the arrow's upper half."""

    @jax.custom_jvp
    def f(x: jax.Array) -> jax.Array:
        return arrow(x)

    @f.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (x,), (x_dot,) = primals, tangents
        return f(x), jnp.sum(jnp.sin(x[1:])) * x_dot[0] + jnp.sum(jnp.square(x) * x_dot)

    x = k(11)
    close(sparse_hessian(f, x).materialize(), jax.hessian(f)(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vjpkit.hessian(jnp.tanh, k(3)), r"its output is \[3\]; a Hessian is of a scalar function"),
        (lambda: vjpkit.hessian(lambda x: (x.sum(), x), k(3)), "its output is a tuple; a Hessian is of a scalar"),
        (lambda: vjpkit.hessian(separable, k(3), wrt=1), "hessian of separable: wrt names one of 1 arguments, got 1"),
        (lambda: vjpkit.hessian(3, k(3)), "hessian: expected a function, got int"),
        (lambda: sparse_hessian(separable, k(99_000)), "too large for its pattern to be listed"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(JacobianError, match=message):
        call()

"""The mode that is chosen for a whole Jacobian, and that it gives the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from tests.evidence import layers
from vjpkit.derive import best_order, grad_auto


def k(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


def loss(x: Array, w: Array) -> Array:
    return jnp.sum(jnp.tanh(x @ w) ** 2)


def wide(x: Array, w: Array) -> Array:
    return jnp.tanh(w @ x)


def neighbours(x: Array) -> Array:
    return (x[1:] - x[:-1]) ** 2


@pytest.mark.parametrize(
    ("f", "args", "mode"),
    [
        (loss, (k(2, 3), k(3, 5)), "reverse"),
        (wide, (k(3), k(50, 3)), "forward"),
        (neighbours, (k(23),), "coloured"),
    ],
)
def test_the_cheapest_mode_is_taken(f: Callable[..., Any], args: tuple[Any, ...], mode: str) -> None:
    best = best_order(f, *args)
    assert best.mode == mode
    got, want = grad_auto(f)(*args), jax.jacobian(f)(*args)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_choice_is_explained() -> None:
    told = str(best_order(layers.perceptron, k(2, 3), k(3, 5), k(5), k(5, 7), k(7)))
    assert told.startswith("forward: 6 inputs and 14 outputs: 6 JVPs take ")
    assert "brackets: (" in told
    assert "2 JVPs give all" in str(best_order(neighbours, k(23)))


def test_another_argument() -> None:
    got = grad_auto(loss, wrt="w")(k(2, 3), k(3, 5))
    np.testing.assert_allclose(got, jax.grad(loss, 1)(k(2, 3), k(3, 5)), rtol=1e-4, atol=1e-5)

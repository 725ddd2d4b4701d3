"""The structure of Jacobians, on a table of functions, held against the matrix that autodiff gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax.losses as ol
import pytest
from jax import lax

import vjpkit
from vjpkit import nn
from vjpkit.jacobian import Identity


def k(*shape: int) -> jax.Array:
    """Numbers that are the same for the same shape."""
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


ROW, WIDE, SQUARE, HEADS = k(7), k(3, 5), k(5, 5), k(2, 3, 2, 5)
W = k(7, 3)
LABELS = jnp.array([0, 4, 4])


def leaky_sum(x: jax.Array) -> jax.Array:
    return lax.scan(lambda c, a: (0.5 * c + jnp.tanh(a), 0.5 * c + jnp.tanh(a)), 0.0, x)[1]


TABLE: list[tuple[str, str, Callable[[Any], Any], jax.Array]] = [
    ("zero", "stop_gradient", lax.stop_gradient, WIDE),
    ("zero", "floor", jnp.floor, WIDE),
    ("zero", "relu where all is negative", lambda x: jax.nn.relu(-jnp.abs(x) - 1), WIDE),
    ("identity", "identity", lambda x: x, WIDE),
    ("identity", "plus a constant", lambda x: x + k(5), WIDE),
    ("identity", "turned twice", lambda x: x.T.T, WIDE),
    ("identity", "reshaped", lambda x: x.reshape(5, 3), WIDE),
    ("scaled", "twice", lambda x: 2 * x, WIDE),
    ("scaled", "negative", jnp.negative, WIDE),
    ("diagonal", "tanh", jnp.tanh, WIDE),
    ("diagonal", "vjpkit's gelu", nn.gelu, WIDE),
    ("diagonal", "jax.nn.silu", jax.nn.silu, WIDE),
    ("diagonal", "times a row", lambda x: x * k(5), WIDE),
    ("diagonal", "squared error", lambda x: ol.squared_error(x, 2 * k(3, 5)), WIDE),
    ("diagonal", "huber", lambda x: ol.huber_loss(x, 2 * k(3, 5)), WIDE),
    ("diagonal", "where", lambda x: jnp.where(k(3, 5) > 0, x, 3 * x), WIDE),
    ("diagonal", "a loop on elements", lambda x: lax.fori_loop(0, 3, lambda _, v: jnp.sin(v), x), ROW),
    ("diagonal", "checkpointed", jax.checkpoint(lambda x: jnp.sin(jnp.sin(x))), WIDE),
    ("permutation", "transpose", jnp.transpose, WIDE),
    ("permutation", "flip", lambda x: jnp.flip(x, 1), WIDE),
    ("permutation", "roll", lambda x: jnp.roll(x, 2), ROW),
    ("permutation", "sort", jnp.sort, ROW),
    ("selection", "slice", lambda x: x[1:, ::2], WIDE),
    ("selection", "take, repeated", lambda x: x[jnp.array([1, 1, 2])], WIDE),
    ("selection", "broadcast", lambda x: jnp.broadcast_to(x, (3, 7)), ROW),
    ("selection", "one entry", lambda x: x[1, 2], WIDE),
    ("selection", "largest", lambda x: lax.top_k(x, 2)[0], ROW),
    ("selection", "maximum of rows", lambda x: x.max(1), WIDE),
    ("toeplitz", "cumsum", jnp.cumsum, ROW),
    ("toeplitz", "difference", jnp.diff, ROW),
    ("toeplitz", "convolution", lambda x: jnp.convolve(x, k(3), mode="same"), k(13)),
    ("toeplitz", "correlation", lambda x: jnp.correlate(x, k(3)), k(13)),
    ("toeplitz", "centred", lambda x: x - x.mean(), ROW),
    ("kronecker", "W X in X", lambda x: W @ x, WIDE),
    ("kronecker", "W X in W", lambda w: w @ WIDE, W),
    ("kronecker", "X Wᵀ in X", lambda x: x @ k(7, 5).T, WIDE),
    ("kronecker", "dense with bias, in w", lambda w: jax.nn.standardize(WIDE) @ w + k(7), k(5, 7)),
    ("kronecker", "W x in W", lambda w: w @ k(3), W),
    ("kronecker", "sum over the batch", lambda x: x.sum(0), WIDE),
    ("kronecker", "mean over features", lambda x: x.mean(1), WIDE),
    ("kronecker", "outer with a constant", lambda x: jnp.outer(x, k(5)), ROW),
    ("kronecker", "A X B", lambda x: W @ x @ k(5, 2), WIDE),
    ("kronecker", "repeated and scaled", lambda x: jnp.stack([x, 2 * x]), WIDE),
    ("block-diagonal", "softmax", jax.nn.softmax, WIDE),
    ("block-diagonal", "vjpkit's log_softmax", nn.log_softmax, WIDE),
    ("block-diagonal", "layer norm", jax.nn.standardize, WIDE),
    ("block-diagonal", "cross-entropy", lambda x: ol.softmax_cross_entropy_with_integer_labels(x, LABELS), WIDE),
    ("block-diagonal", "multilayer perceptron", lambda x: jnp.tanh(jnp.tanh(x @ k(5, 7)) @ k(7, 2)), WIDE),
    ("block-diagonal", "logsumexp of rows", lambda x: jax.nn.logsumexp(x, 1), WIDE),
    (
        "block-diagonal",
        "attention, in q",
        lambda q: jax.nn.dot_product_attention(q, k(2, 7, 2, 5), k(2, 7, 2, 5)),
        HEADS,
    ),
    ("block-diagonal", "a map over rows", jax.vmap(lambda r: r * r.sum()), WIDE),
    ("low rank", "a function of the sum", lambda x: jnp.tanh(x.sum()) * k(5), ROW),
    ("low rank", "through a waist", lambda x: k(11, 2) @ jnp.tanh(k(2, 7) @ x), ROW),
    ("banded", "differences, squared", lambda x: (x[1:] - x[:-1]) ** 2, k(11)),
    ("banded", "products of neighbours", lambda x: x * jnp.roll(x, 1).at[0].set(0), k(11)),
    ("triangular", "a triangular matrix", lambda x: jnp.tril(SQUARE) @ x, k(5)),
    ("triangular", "a recurrence", leaky_sum, ROW),
    ("triangular", "cumulative product", jnp.cumprod, ROW),
    ("sparse", "sums of some", lambda x: jnp.stack([x[0] * x[5], x[1] * x[4], x[2] * x[3] * x[6]]), ROW),
    ("sparse", "scattered", lambda x: jnp.zeros(5).at[jnp.array([0, 3, 3])].add(jnp.sin(x)), k(3)),
    ("dense", "W x", lambda x: W @ x, k(3)),
    ("dense", "mean squared error", lambda x: jnp.mean((x - 1) ** 2), WIDE),
    ("dense", "mixed over the batch", lambda x: jnp.tanh(x - x.mean(0)) @ k(5, 7) * x.sum(), WIDE),
]


@pytest.mark.parametrize(("kind", "name", "f", "x"), TABLE, ids=[row[1] for row in TABLE])
def test_structure(kind: str, name: str, f: Callable[[Any], Any], x: jax.Array) -> None:
    J = vjpkit.jacobian(f, x)
    assert J.structure == kind
    want = np.asarray(jax.jacrev(f)(x), np.float64)
    got = np.asarray(J.materialize(), np.float64)
    assert got.shape == want.shape == J.shape
    np.testing.assert_allclose(got, want, atol=2e-5 * max(1.0, np.abs(want).max(initial=0)))


@pytest.mark.parametrize(
    ("kind", "name", "f", "x"),
    [
        ("diagonal", "slopes alike", jnp.tanh, jnp.ones((3, 5))),
        ("diagonal", "slopes of 1", jnp.sin, jnp.zeros((3, 5))),
        ("diagonal", "slopes of 0", jnp.square, jnp.zeros((3, 5))),
        ("diagonal", "the side where relu is linear", jax.nn.relu, jnp.ones((3, 5))),
        ("diagonal", "the side where relu is flat", jax.nn.relu, -jnp.ones((3, 5))),
        ("banded", "differences alike", lambda x: (x[1:] - x[:-1]) ** 2, jnp.arange(11.0)),
        ("banded", "differences of 0", lambda x: (x[1:] - x[:-1]) ** 2, jnp.ones(11)),
        ("block-diagonal", "rows alike", lambda x: jnp.tanh(x @ k(5, 7)), jnp.zeros((3, 5))),
        ("sparse", "some of relu", lambda x: jax.nn.relu(x[:2]), jnp.ones((3, 5))),
        ("scaled", "affine, under checkpoint", jax.checkpoint(lambda x: 3 * x + 1), jnp.ones((3, 5))),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_an_accident_of_the_point_is_no_structure(kind: str, name: str, f: Callable[[Any], Any], x: jax.Array) -> None:
    J = vjpkit.jacobian(f, x)
    assert J.structure == kind
    np.testing.assert_allclose(J.materialize(), jax.jacobian(f)(x), atol=1e-5)


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 60


def test_a_big_function_is_never_formed() -> None:
    x, w = k(256, 512), k(512, 300)
    J = vjpkit.jacobian(lambda x: jnp.tanh(x @ w), x)
    assert J.pattern is None
    assert J.structure == "block-diagonal"
    assert J.structure.axes == (0, 0)
    assert vjpkit.jacobian(jnp.tanh, x).structure == "diagonal"


def test_factors() -> None:
    w, x = k(7, 3), k(3, 5)
    a, b = vjpkit.jacobian(lambda x: w @ x, x).structure.factors
    np.testing.assert_allclose(a.materialize(), w, rtol=1e-5)
    assert isinstance(b, Identity)
    assert vjpkit.jacobian(jnp.tanh, x).structure.factors is None

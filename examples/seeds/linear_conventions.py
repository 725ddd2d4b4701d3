"""The linear layer in every convention of batch and weight, and its Jacobians as Kronecker products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, draw, relative

from vjpkit.jacobian import matmul_jacobian, vec


class Convention(NamedTuple):
    """A way to write the linear layer: of W, X and b, and the cotangents of these of G, shaped like Z."""

    name: str
    forward: str
    cotangents: str
    f: Callable[[Array, Array, Array], Array]
    vjp: Callable[[Array, Array, Array], tuple[Array, Array, Array]]
    shapes: tuple[tuple[int, ...], ...]  # of W, X, b: 3 inputs, 5 outputs, 7 samples


CONVENTIONS = [
    Convention(
        "columns, W (out, in)",
        "Z = W X + b 1ᵀ",
        "W̄ = G Xᵀ    X̄ = Wᵀ G   b̄ = G 1",
        lambda w, x, b: w @ x + b[:, None],
        lambda g, w, x: (g @ x.T, w.T @ g, g.sum(1)),
        ((5, 3), (3, 7), (5,)),
    ),
    Convention(
        "rows, W (out, in)",
        "Z = X Wᵀ + 1 bᵀ",
        "W̄ = Gᵀ X    X̄ = G W    b̄ = Gᵀ 1",
        lambda w, x, b: x @ w.T + b,
        lambda g, w, x: (g.T @ x, g @ w, g.sum(0)),
        ((5, 3), (7, 3), (5,)),
    ),
    Convention(
        "rows, W (in, out)",
        "Z = X W + 1 bᵀ",
        "W̄ = Xᵀ G    X̄ = G Wᵀ   b̄ = Gᵀ 1",
        lambda w, x, b: x @ w + b,
        lambda g, w, x: (x.T @ g, g @ w.T, g.sum(0)),
        ((3, 5), (7, 3), (5,)),
    ),
    Convention(
        "columns, W (in, out)",
        "Z = Wᵀ X + b 1ᵀ",
        "W̄ = X Gᵀ    X̄ = W G    b̄ = G 1",
        lambda w, x, b: w.T @ x + b[:, None],
        lambda g, w, x: (x @ g.T, w @ g, g.sum(1)),
        ((3, 5), (3, 7), (5,)),
    ),
    Convention(
        "a single sample",
        "z = W a + b",
        "W̄ = δ aᵀ    ā = Wᵀ δ   b̄ = δ",
        lambda w, x, b: w @ x + b,
        lambda g, w, x: (g[:, None] * x, w.T @ g, g),
        ((5, 3), (3,), (5,)),
    ),
]


def errors(c: Convention) -> tuple[float, float, float]:
    """Of W̄, X̄ and b̄ beside autodiff's."""
    w, x, b = (draw(*shape, seed=k) for k, shape in enumerate(c.shapes))
    g = draw(*jax.eval_shape(c.f, w, x, b).shape, seed=9)
    truth = jax.jit(lambda g, *args: jax.vjp(c.f, *args)[1](g))(g, w, x, b)
    w_error, x_error, b_error = map(relative, c.vjp(g, w, x), truth)
    return w_error, x_error, b_error


@functools.cache
def kronecker_identities() -> dict[str, float]:
    """dZ/dW is a tensor of four axes; between vectors it is a Kronecker product, whichever way vec goes."""
    w, x, g = draw(5, 3), draw(3, 7), draw(5, 7)
    by_w, by_x = (np.asarray(jax.jit(jax.jacobian(jnp.matmul, k))(w, x)) for k in (0, 1))
    row = np.asarray(vec(g))[None, :] @ np.kron(x.T, np.eye(5))
    return {
        "vec F: ∂vec Z/∂vec W = Xᵀ ⊗ I": relative(matmul_jacobian(w, x, "w", "F").materialize(), _columns(by_w)),
        "vec F: ∂vec Z/∂vec X = I ⊗ W": relative(matmul_jacobian(w, x, "x", "F").materialize(), _columns(by_x)),
        "vec C: ∂vec Z/∂vec W = I ⊗ Xᵀ": relative(matmul_jacobian(w, x, "w", "C").materialize(), by_w),
        "vec C: ∂vec Z/∂vec X = W ⊗ I": relative(matmul_jacobian(w, x, "x", "C").materialize(), by_x),
        "vec F: vec(G)ᵀ (Xᵀ ⊗ I) = vec(G Xᵀ)ᵀ": relative(row[0], vec(g @ x.T)),
    }


def _columns(tensor: Array) -> Array:
    """∂Z/∂W, [5, 7, 3, …], as the matrix between vec Z and vec W by columns."""
    return tensor.transpose(1, 0, 3, 2).reshape(tensor.shape[0] * tensor.shape[1], -1)

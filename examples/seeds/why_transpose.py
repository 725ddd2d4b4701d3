"""Why are the weights transposed, and where did my derivation go wrong? (CrossValidated 478781, the question)

    python examples/seeds/why_transpose.py

The asker has a^l = σ(z^l), z^l = w^l a^{l−1} + b^l, takes δ^{l+1} = ∂C/∂z^{l+1} as known, multiplies the three
derivatives on the way to z^l, and gets δ^{l+1} · w^l · σ′(z^l), which is wrong.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, Attempt, Mistake, attempt, draw, product, relative, slope, told
from network import RECTANGULAR, SQUARE, TO_DELTA, Network, delta, network
from page import mistakes, notations, section, table

l = 1  # the layer in question; l + 1 is the one above it


# ------------------------------------------------------------------------------------- the derivation, as written


def as_columns(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return g[:, None] @ w_next @ slope(w @ a + b)[:, None]


def as_numpy_vectors(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return g @ w_next @ slope(w @ a + b)


def of_the_layer_below(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return (w.T @ g) * slope(w @ a + b)


def untransposed(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return (w_next @ g) * slope(w @ a + b)


def right(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return (w_next.T @ g) * slope(w @ a + b)


ANSWER = "(w^{l+1})ᵀ δ^{l+1} ⊙ σ′(z^l)"
MISTAKES = [
    Mistake("A8", "δ^{l+1} · w^{l+1} · σ′(z^l), columns", ANSWER, as_columns, TO_DELTA, ("shape",)),
    Mistake("A8, A9", "δ^{l+1} @ w^{l+1} @ σ′(z^l)", ANSWER, as_numpy_vectors, TO_DELTA, ("dense_for_diagonal",)),
    Mistake("A6", "(w^l)ᵀ δ^{l+1} ⊙ σ′(z^l)", ANSWER, of_the_layer_below, TO_DELTA, ("wrong_operand",)),
    Mistake("A3", "w^{l+1} δ^{l+1} ⊙ σ′(z^l)", ANSWER, untransposed, TO_DELTA, ("transposed_operand",)),
]


def readings(net: Network) -> dict[str, Attempt]:
    """The product δ⁺ · w · σ′(z) in every way in which it can be read; all but the first have w^{l+1} for w^l."""
    d, w, s = net.delta[l + 1], net.w[l + 1], net.slope[l]
    row, column, s_column = ("δ⁺ᵀ", d[None, :]), ("δ⁺", d[:, None]), ("σ′(z)", s[:, None])
    read = {
        "a row, and w^l as printed": lambda: product(row, ("w^l", net.w[l]), s_column),
        "columns": lambda: product(column, ("w", w), s_column),
        "a row, a matrix, a column": lambda: product(row, ("w", w), s_column)[0, 0],
        "NumPy vectors, δ @ w @ s": lambda: d @ w @ s,
        "NumPy vectors, δ @ w * s": lambda: d @ w * s,
        "a row, σ′ as diag": lambda: product(row, ("w", w), ("diag σ′(z)", np.diag(s)))[0],
    }
    return {name: attempt(reading, net.delta[l]) for name, reading in read.items()}


# --------------------------------------------------------------------------------------- what each factor is


@functools.cache
def chain(net: Network) -> list[tuple[str, Array]]:
    """The three factors in numerator layout: each is what jax.jacobian gives."""
    return [
        (f"∂C/∂z{l + 1}", net.delta[l + 1][None, :]),
        (f"∂z{l + 1}/∂a{l}", jax.jit(jax.jacobian(lambda a: net.w[l + 1] @ a + net.b[l + 1]))(net.a[l])),
        (f"∂a{l}/∂z{l}", jax.jit(jax.jacobian(jnp.tanh))(net.z[l])),
    ]


def along_ones(net: Network) -> tuple[float, float, float]:
    """The asker's number, Σ_j δ^l_j, and the JVP of C at z^l along the vector of ones: they are the same."""
    number = net.delta[l + 1] @ net.w[l + 1] @ net.slope[l]
    _, jvp = jax.jvp(jax.jit(net.after(f"z{l}")), (net.z[l],), (np.ones(net.z[l].shape),))
    return float(number), float(net.delta[l].sum()), float(jvp)


def adjoint(net: Network) -> tuple[float, float]:
    """⟨g, W v⟩ and ⟨Wᵀ g, v⟩, for a direction v of a^l and a cotangent g of z^{l+1}."""
    w = net.w[l + 1]
    g, v = draw(w.shape[0], seed=1), draw(w.shape[1], seed=2)
    return float(g @ (w @ v)), float((w.T @ g) @ v)


# ------------------------------------------------------------------------------------------- the puzzle of sizes


class Puzzle(NamedTuple):
    """Of so many products of the factors, so many have the right sizes, and so many are right."""

    tried: int
    fit: int
    right: int


def dimension_puzzle(factors: Mapping[str, Array], truth: Array) -> Puzzle:
    """Every order of the factors, each transposed or not, multiplied where the sizes allow.

    Args:    factors: matrices by name; a symmetric one is not transposed.  truth: the matrix that should come out.
    """
    matrices, truth = [np.asarray(m) for m in factors.values()], np.asarray(truth)
    sides = [(m,) if m.shape == m.T.shape and np.array_equal(m, m.T) else (m, m.T) for m in matrices]
    fit = correct = 0
    for order in itertools.permutations(sides):
        for chosen in itertools.product(*order):
            if all(a.shape[1] == b.shape[0] for a, b in itertools.pairwise(chosen)):
                shape = chosen[0].shape[0], chosen[-1].shape[1]
                fit += shape == truth.shape
                correct += shape == truth.shape and relative(np.linalg.multi_dot(chosen), truth) < 1e-9
    return Puzzle(math.factorial(len(sides)) * math.prod(map(len, sides)), fit, correct)


def puzzles() -> dict[str, tuple[Puzzle, Puzzle]]:
    """Of the asker's δ, of a weight's gradient, and of a batch's: at sizes that differ, and at sizes that do not."""

    def of_delta(net: Network) -> Puzzle:
        factors = {"δ⁺": net.delta[l + 1][:, None], "w": net.w[l + 1], "diag σ′": np.diag(net.slope[l])}
        return dimension_puzzle(factors, net.delta[l][:, None])

    def of_weight(net: Network) -> Puzzle:
        return dimension_puzzle({"δ": net.delta[l][:, None], "a": net.a[l - 1][:, None]}, net.gradient[f"w{l}"])

    def of_batch(k: int, h: int, d: int, n: int) -> Puzzle:
        g, w, x = draw(k, n), draw(k, h, seed=1), draw(d, n, seed=2)
        return dimension_puzzle({"G": g, "W": w, "X": x}, w.T @ g @ x.T)  # the gradient of the layer below W

    networks = network(RECTANGULAR), network(SQUARE)
    return {
        "δ^l of δ⁺, w, diag σ′": (of_delta(networks[0]), of_delta(networks[1])),
        "∂C/∂w of δ, a": (of_weight(networks[0]), of_weight(networks[1])),
        "∂L/∂W₁ of G, W₂, X, a batch": (of_batch(2, 5, 3, 7), of_batch(4, 4, 4, 4)),
    }


# ------------------------------------------------------------------------------------------------------- the page


def main() -> None:
    net = network(RECTANGULAR)
    section(
        "The derivation as written", "∂C/∂z^l = (∂C/∂z^{l+1}) (∂z^{l+1}/∂a^l) (∂a^l/∂z^l) = δ^{l+1} · w^l · σ′(z^l)"
    )
    print("The chain is right. B is the weight of layer l + 1, not of l; with it the product can be read in five ways:")
    table(readings(net).items())

    section("Where it fails", "A chain of derivatives as written is in numerator layout. In it, the three factors are:")
    table((name, told(factor.shape), kind) for (name, factor), kind in zip(chain(net), KINDS, strict=True))
    got = product(*chain(net))[0]
    print(f"Their product is δ^l as a row: error {relative(got, net.delta[l]):.0e}.")
    print(
        "So δ^{l+1} is a row where the asker has a column, and σ′(z^l) a diagonal matrix where the asker has a vector."
    )

    number, total, jvp = along_ones(net)
    section("What the asker's number is", f"δ⁺ᵀ w σ′(z) = {number:.12f}, one number, and not a meaningless one:")
    print(f"Σ_j δ^l_j = {total:.12f}; the JVP of C at z^l along ones = {jvp:.12f}.")
    print("A row, a matrix and a column are forward mode: how C moves when every z_j moves by one.")

    section("The right one, in seven notations", "By vjpkit.derive; σ = tanh.")
    notations(delta())

    section("Why transposed", "Because Wᵀ is the adjoint of v ↦ W v: what stands at the other side of ⟨ , ⟩.")
    print("⟨g, W v⟩ = {:.12f} = ⟨Wᵀ g, v⟩ = {:.12f}".format(*adjoint(net)))

    section("Why not 'because the dimensions then agree'", "Of all orders and transposes of the factors, so many:")
    counts = [(name, sizes, *p) for name, both in puzzles().items() for sizes, p in zip(SIZES, both, strict=True)]
    table([("", "sizes", "tried", "fit", "right"), *counts])

    section("Each wrong formula, and its diagnosis")
    mistakes(MISTAKES)


SIZES = ("differ", "alike")
KINDS = ("a row", "a matrix, not transposed", "a diagonal matrix, not a vector")


if __name__ == "__main__":
    main()

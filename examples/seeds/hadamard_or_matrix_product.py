"""When is it the Hadamard product, and when a product of matrices? (CrossValidated 478781, question and answer)

    python examples/seeds/hadamard_or_matrix_product.py

The structure of each Jacobian says it. The answer of the thread ends in σ′(w_l) ⊙ w_lᵀ δ^{l+1}, which has two slips,
and has no brackets, which matters once it is typed in: `*` and `@` bind alike, from the left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, Mistake, Step, draw, relative, slope
from network import Network, delta, from_z
from page import mistakes, notations, section, table

import vjpkit
from vjpkit.derive import Derivation
from vjpkit.jacobian import Dense, Diagonal, Identity, Operator, product, product_flops

# -------------------------------------------------------------------------- the structure of the local Jacobians

W, X, A, B, Z = draw(5, 3), draw(7, 5), draw(3), draw(5), draw(5, seed=1)
ROWS = np.array([2, 0, 2])  # a row that is taken twice has two cotangents


class Local(NamedTuple):
    """A step of a network as a function of one of its arguments, and its VJP as the structure of J suggests it."""

    step: str
    f: Callable[[Array], Array]
    at: Array
    structure: str
    words: str
    vjp: Callable[[Array], Array]

    def error(self) -> float:
        """Of that VJP beside autodiff's."""
        g = draw(*jax.eval_shape(self.f, self.at).shape, seed=3)
        truth = jax.jit(lambda at, g: jax.vjp(self.f, at)[1](g)[0])(self.at, g)
        return relative(self.vjp(g), truth)


LOCALS = [
    Local("z = W a + b, in a", lambda a: W @ a + B, A, "dense", "Wᵀ g, a product of matrices", lambda g: W.T @ g),
    Local("z = W a + b, in W", lambda w: w @ A + B, W, "kronecker", "g aᵀ, an outer product", lambda g: np.outer(g, A)),
    Local("z = W a + b, in b", lambda b: W @ A + b, B, "identity", "g itself", lambda g: g),
    Local("a = σ(z)", jnp.tanh, Z, "diagonal", "σ′(z) ⊙ g, Hadamard", lambda g: slope(Z) * g),
    Local("Z = X + 1 bᵀ, in b", lambda b: X + b, B, "selection", "Σₙ gₙ, the sum over the batch", lambda g: g.sum(0)),
    Local("s = Σᵢ zᵢ", jnp.sum, Z, "dense", "g 1, a broadcast", lambda g: np.full(5, g)),
    Local("Y = X[rows]", lambda x: x[ROWS], X, "selection", "added to the rows", lambda g: _added(g)),
]


@functools.cache
def structures() -> list[str]:
    """What vjpkit.jacobian finds each of them to be."""
    return [str(vjpkit.jacobian(local.f, local.at).structure) for local in LOCALS]


def _added(g: Array) -> Array:
    x_bar = np.zeros(X.shape)
    np.add.at(x_bar, ROWS, g)
    return x_bar


# ------------------------------------------------------------------------------- a diagonal factor, and its cost


@functools.cache
def diagonal_costs(n: int) -> dict[str, int]:
    """FLOPs of diag(σ′) g, as this library's operators count them, and as XLA counts the two ways to write it."""
    s, g = draw(n), draw(n, seed=1)
    return {
        "Dense(diag σ′) @ g": Dense(jnp.diag(s)).flops,
        "Diagonal(σ′) @ g": Diagonal(jnp.asarray(s)).flops,
        "XLA, jnp.diag(s) @ g": _xla_flops(lambda s, g: jnp.diag(s) @ g, s, g),
        "XLA, s * g": _xla_flops(lambda s, g: s * g, s, g),
    }


def _xla_flops(f: Callable[..., Array], *args: Array) -> int:
    return int(jax.jit(f).lower(*args).compile().cost_analysis()["flops"])


def chain_costs(net: Network) -> dict[str, int]:
    """FLOPs of ∂a^L/∂z^1 as a product of operators that know their structure, and as one of dense matrices."""
    structured: list[Operator] = []
    for l in reversed(net.layers):
        structured += [Diagonal(jnp.asarray(net.slope[l])), Dense(jnp.asarray(net.w[l]))]
    structured.pop()  # W^1, for z^1 is behind it
    dense = [Dense(f.materialize()) for f in structured]
    return {"dense": _fold(dense)[1], "structured": _fold(structured)[1]}


def _fold(factors: list[Operator]) -> tuple[Operator, int]:
    done: Operator = Identity(factors[0].shape[0])
    flops = 0
    for factor in factors:
        flops, done = flops + product_flops(done, factor), product(done, factor)
    return done, flops


# ---------------------------------------------------------------------------------- brackets, and the two cuts


def from_a(a: Array, w: Array, b: Array) -> Array:
    """a^{l+1} of a^l: what arrives, and what leaves, is ∂C/∂a."""
    z_next = w @ a + b
    a_next = jnp.tanh(z_next)
    return a_next


@functools.cache
def of_a() -> Derivation:
    """∂C/∂a^l of ∂C/∂a^{l+1} in seven notations."""
    names = {"a": "a^l", "w": "w^{l+1}", "b": "b^{l+1}", "z_next": "z^{l+1}", "a_next": "a^{l+1}"}
    bars = {"a_bar": "ā^l", "z_next_bar": "δ^{l+1}", "a_next_bar": "g"}
    dims = {"n_l": 3, "n_{l+1}": 5}
    return vjpkit.derive(from_a, *AT_A.rectangular, wrt="a", names=names | bars, dims=dims)


SQUARE = draw(4), draw(4, 4), draw(4, seed=1)
AT_Z = Step(from_z, "z", (draw(3), draw(5, 3), draw(5)), SQUARE)
AT_A = Step(from_a, "a", (draw(3), draw(5, 3), draw(5)), SQUARE)


def bare_at_z(g: Array, z: Array, w: Array, b: Array) -> Array:
    sp = slope(z)
    return sp * w.T @ g


def bracketed_at_z(g: Array, z: Array, w: Array, b: Array) -> Array:
    sp = slope(z)
    return sp * (w.T @ g)


def bare_at_a(g: Array, a: Array, w: Array, b: Array) -> Array:
    sp = slope(w @ a + b)
    return sp * w.T @ g


def bracketed_at_a(g: Array, a: Array, w: Array, b: Array) -> Array:
    sp = slope(w @ a + b)
    return sp * (w.T @ g)


def slope_of_the_weights(g: Array, z: Array, w: Array, b: Array) -> Array:
    return slope(w) * (w.T @ g)


SPELLINGS = {
    ("z", "sp * W.T @ g"): (AT_Z, bare_at_z),
    ("z", "sp * (W.T @ g)"): (AT_Z, bracketed_at_z),
    ("a", "sp * W.T @ g"): (AT_A, bare_at_a),
    ("a", "sp * (W.T @ g)"): (AT_A, bracketed_at_a),
}
AT_WEIGHTS = ("slope_at_wrong_point", "wrong_operand")
MISTAKES = [
    Mistake("A27", "sp * W.T @ δ, δ at z", "sp * (W.T @ δ)", bare_at_z, AT_Z, ("wrong_order",)),
    Mistake("A27", "sp * (W.T @ g), g at a", "W.T @ (sp * g)", bracketed_at_a, AT_A, ("extra_slope", "wrong_order")),
    Mistake("A26", "σ′(w_l) ⊙ w_lᵀ δ", "σ′(z^l) ⊙ w^{l+1}ᵀ δ", slope_of_the_weights, AT_Z, AT_WEIGHTS),
]


@functools.cache
def brackets() -> dict[tuple[str, str], tuple[str, str]]:
    """What each spelling gives, at each cut: at sizes that differ, and at sizes that do not."""
    return {key: (str(s.attempt(f)), str(s.attempt(f, square=True))) for key, (s, f) in SPELLINGS.items()}


# ------------------------------------------------------------------------------------------------------- the page


def one_layer(w: Array, a: Array, b: Array, w_next: Array) -> Array:
    z = w @ a + b
    a_next = jnp.tanh(z)
    return w_next @ a_next


def main() -> None:
    section("The structure of each step's Jacobian, and so the kind of product")
    found = [(s.step, kind, s.words, f"{s.error():.0e}") for s, kind in zip(LOCALS, structures(), strict=True)]
    table([("step", "J is", "so its VJP is", "error"), *found])
    print("So the thread's formula has one of each: Wᵀ is dense, a product; σ′ is diagonal, a Hadamard product.")

    section("The same, read off any function by vjpkit.explain")
    explained = vjpkit.explain(one_layer, draw(3, 7), draw(7), draw(3), draw(5, 3), xla=False)
    for stage in explained.stages:
        for v, kind in zip(stage.inputs, stage.kinds, strict=True):
            print(f"  {stage.name}, in {v.name}: {kind.structure}; {kind.product}")

    section("diag(σ′) g is n multiplications, if one knows that it is diagonal", "FLOPs at n = 256:")
    table(diagonal_costs(256).items())
    costs = chain_costs(Network((256,) * 5))
    print(f"∂a⁴/∂z¹ at width 256: dense {costs['dense']:,}; with diagonals as diagonals {costs['structured']:,}.")
    print("XLA does not see it; operators that know their structure do, and so does a VJP, which has no matrix at all.")

    section("The right one, in seven notations", "By vjpkit.derive; σ = tanh. Of δ, at z:")
    notations(delta())
    print("Of the cotangent at a:")
    notations(of_a())

    section("Brackets", "sp * W.T @ g is (sp * W.T) @ g. Which one is right depends on the cut at which g arrives:")
    rows = [(cut, code, *both) for (cut, code), both in brackets().items()]
    table([("g at", "code", "sizes that differ", "sizes that do not"), *rows])

    section("Each wrong formula, and its diagnosis")
    mistakes(MISTAKES)


if __name__ == "__main__":
    main()

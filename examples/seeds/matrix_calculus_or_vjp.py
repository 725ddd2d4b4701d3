"""Components, Jacobians or VJPs: which derivation of backpropagation? (CrossValidated 478781, answer 485913)

    python examples/seeds/matrix_calculus_or_vjp.py

The answer sets three ways side by side and derives δ^l by the last two. They are one; what it says of each, in numbers.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attempts import Array, Attempt, Mistake, attempt, draw, relative, slope, told
from network import RECTANGULAR, TO_DELTA, Network, delta, network
from page import mistakes, notations, section, table

import vjpkit
from vjpkit import losses, nn
from vjpkit.derive import Explanation
from vjpkit.jacobian import numerator

l = 1  # the layer in question

# ------------------------------------------------------------------------------- components, and what becomes of them


class Components(NamedTuple):
    """A formula with its indices, the subscripts that say the same, and what is left when they are taken away."""

    indices: str
    subscripts: str
    bare: str
    kind: str
    operands: tuple[Array, ...]
    value: Callable[..., Array]


_W, _D, _S, _A, _G, _X = draw(5, 3), draw(5), draw(3), draw(3, seed=1), draw(5, 7), draw(3, 7)
COMPONENTS = [
    Components("Σ_j w_ij a_j", "ij,j->i", "w a", "matrix product: j is summed", (_W, _A), lambda w, a: w @ a),
    Components("Σ_i w_ij δ_i", "ij,i->j", "wᵀ δ", "transposed: i is summed", (_W, _D), lambda w, d: w.T @ d),
    Components("s_j v_j", "j,j->j", "s ⊙ v", "Hadamard: j is shared, and kept", (_S, _A), lambda s, v: s * v),
    Components("δ_i a_j", "i,j->ij", "δ aᵀ", "outer product: none is shared", (_D, _A), lambda d, a: d[:, None] * a),
    Components("Σ_i δ_i v_i", "i,i->", "δᵀ v", "inner product: nothing is kept", (_D, _D), lambda d, v: d @ v),
    Components("Σ_n G_in", "in->i", "G 1", "sum over the batch", (_G,), lambda g: g.sum(1)),
    Components("Σ_n G_in X_jn", "in,jn->ij", "G Xᵀ", "outer products, summed", (_G, _X), lambda g, x: g @ x.T),
]


def by_loops(subscripts: str, *operands: Array) -> Array:
    """The sum that the subscripts mean, entry by entry."""
    left, _, out = subscripts.partition("->")
    terms = left.split(",")
    sizes = {i: n for term, x in zip(terms, operands, strict=True) for i, n in zip(term, x.shape, strict=True)}
    total = np.zeros([sizes[i] for i in out])
    for index in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, index, strict=True))
        entries = (x[tuple(at[i] for i in term)] for term, x in zip(terms, operands, strict=True))
        total[tuple(at[i] for i in out)] += math.prod(entries)
    return total


# ---------------------------------------------------------------------------------------------------- Jacobians


@functools.cache
def jacobians(net: Network) -> list[Array]:
    """∂C/∂z^{l+1}, ∂z^{l+1}/∂a^l, ∂a^l/∂z^l: matrices m × n for functions ℝⁿ → ℝᵐ, the numerator layout."""
    return [
        np.asarray(vjpkit.jacobian(net.after(f"z{l + 1}"), net.z[l + 1]).materialize())[None, :],
        vjpkit.jacobian(lambda a: net.w[l + 1] @ a + net.b[l + 1], net.a[l]).materialize(),
        vjpkit.jacobian(jnp.tanh, net.z[l]).materialize(),
    ]


def turned(net: Network) -> dict[str, Array]:
    """The product in numerator layout, turned once at its end, and the chain of the factors turned one by one."""
    C, B, A = jacobians(net)
    m, n = net.w[l + 1].shape
    outer = numerator(C[0], (), (m,), "∂C/∂z⁺")
    factors = outer, numerator(B, (m,), (n,), "∂z⁺/∂a"), numerator(A, (n,), (n,), "∂a/∂z")
    one, two, three = (f.to("denominator") for f in factors)
    return {
        "numerator, turned at the end": (factors[0] @ factors[1] @ factors[2]).to("denominator").value,
        "each turned, the order reversed": (three @ two @ one).value,
        "transposed by hand": (C @ B @ A).T[:, 0],
    }


def deep(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array, y: Array) -> Array:
    """784-512-512-10, its half mean squared error."""
    z1 = nn.affine(w1, x, b1)
    a1 = nn.tanh(z1)
    z2 = nn.affine(w2, a1, b2)
    a2 = nn.tanh(z2)
    z3 = nn.affine(w3, a2, b3)
    a3 = nn.tanh(z3)
    return losses.half_mean_squared_error(a3, y)


DEEP = (784, 512, 512, 10)


@functools.cache
def deep_explained() -> Explanation:
    weights = [a for m, n in itertools.pairwise(DEEP) for a in (draw(n, m), draw(n))]
    return vjpkit.explain(deep, draw(784), *weights, draw(10), xla=False)


def stored_entries() -> tuple[int, int]:
    """Numbers in the chain's Jacobians as full matrices, and with the diagonals as vectors."""
    products = sum(m * n for m, n in itertools.pairwise(DEEP))
    hidden = DEEP[1:]
    return products + sum(n * n for n in hidden) + DEEP[-1], products + sum(hidden) + DEEP[-1]


@functools.cache
def of_matrices() -> dict[str, tuple[int, ...]]:
    """The shapes of the Jacobians of Z = W X: no matrices any more; but matrices of vec."""
    w, x = draw(5, 3), draw(3, 7)
    J = vjpkit.jacobian(lambda w: w @ x, w)
    K = vjpkit.jacobian(lambda x: w @ x, x)
    return {
        "∂Z/∂W": J.materialize().shape,
        "∂Z/∂X": K.materialize().shape,
        "∂vec Z/∂vec W": J.materialize(vec="F").shape,
        "∂vec Z/∂vec X": K.materialize(vec="F").shape,
    }


# ---------------------------------------------------------------------------------------------------------- VJPs


def vjp_b(net: Network, g: Array) -> Array:
    """Of z^{l+1} = w^{l+1} a + b^{l+1}; reads no a: the function is affine in it."""
    return net.w[l + 1].T @ g


def vjp_c(g: Array, z: Array) -> Array:
    """Of a = σ(z)."""
    return g * (1 - np.tanh(z) ** 2)


def composed(net: Network) -> tuple[Attempt, Attempt]:
    """VJP_C(VJP_B(δ)), the last step of the forward pass first, and the other order."""
    delta = net.delta[l + 1]
    return (
        attempt(lambda: vjp_c(vjp_b(net, delta), net.z[l]), net.delta[l]),
        attempt(lambda: vjp_b(net, vjp_c(delta, net.z[l])), net.delta[l]),
    )


@functools.cache
def pullback(net: Network) -> tuple[float, float, str]:
    """(g ∘ Df(x))(v) and ⟨VJP(g), v⟩, which are one; and what comes of the answer's g(x) ∘ J, g evaluated at x."""
    x, f = net.a[l], lambda a: jnp.tanh(net.w[l + 1] @ a)
    g, v = draw(f(x).size, seed=1), draw(x.size, seed=2)
    y_dot = jax.jvp(f, (x,), (v,))[1]
    evaluated = attempt(lambda: jnp.asarray(g) @ x, np.ones(()))
    return float(g @ y_dot), float(vjpkit.jacobian(f, x).T @ g @ v), str(evaluated)


def largest_on_the_way(f: Callable[..., Any], *args: Array) -> int:
    """The most entries of any value that f computes."""
    return max(v.aval.size for eqn in jax.make_jaxpr(f)(*args).eqns for v in eqn.outvars)


def kept(f: Callable[[Array], Array], x: Array) -> list[tuple[int, ...]]:
    """The shapes of what autodiff keeps of f at x for its VJP."""
    return [leaf.shape for leaf in jax.tree.leaves(jax.vjp(vjpkit.inline(f), x)[1])]


def residuals() -> dict[str, list[tuple[int, ...]]]:
    """Of each step in each argument; W is 5 × 3, a is 3, z is 5."""
    w, a, b, z = draw(5, 3), draw(3), draw(5), draw(5, seed=1)
    return {
        "z = W a + b, in a": kept(lambda a: w @ a + b, a),
        "z = W a + b, in W": kept(lambda w: w @ a + b, w),
        "z = W a + b, in b": kept(lambda b: w @ a + b, b),
        "a = σ(z)": [leaf.shape for leaf in jax.tree.leaves(jax.vjp(nn.tanh, z)[1])],
    }


# ---------------------------------------------------------------------------------- the slips of its last formulas


def vjp_with_w_l(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return jnp.diag(slope(w @ a + b)) @ w.T @ g


def two_slips(g: Array, b: Array, a: Array, w: Array, w_next: Array) -> Array:
    return slope(w) * (w.T @ g)


MISTAKES = [
    Mistake("A22, A25", "diag(σ′(z^l)) (w^l)ᵀ δ", "w^{l+1} for w^l", vjp_with_w_l, TO_DELTA, ("wrong_operand",)),
    Mistake("A26", "σ′(w_l) ⊙ w_lᵀ δ", "σ′(z^l), w^{l+1}", two_slips, TO_DELTA, ("slope_at_wrong_point", "shape")),
]


def main() -> None:
    net = network(RECTANGULAR)
    section("Components: with their indices taken away")
    rows = [(c.indices, c.subscripts, c.bare, c.kind) for c in COMPONENTS]
    table([("component", "einsum", "becomes", "for it is a"), *rows])

    section("Jacobians: all of it is products of matrices", "∂C/∂z^l = A B C, in numerator layout:")
    factors = jacobians(net)
    print(
        "  " + " · ".join(told(f.shape) for f in factors) + f" = {told((factors[0] @ factors[1] @ factors[2]).shape)}"
    )
    for name, value in turned(net).items():
        print(f"  {name}: error {relative(value, net.delta[l]):.0e}")

    section("Difficulty 1: nobody can afford them", "784-512-512-10, ∂C/∂x, in FLOPs:")
    table((o.name, f"{o.flops:,}", o.note) for o in deep_explained().orders)
    print("Numbers in these Jacobians: {:,} as matrices, {:,} with diagonals as vectors.".format(*stored_entries()))

    section("Difficulty 2: matrices as arguments", "Of Z = W X, W 5×3 and X 3×7:")
    table((name, told(shape)) for name, shape in of_matrices().items())

    section("VJPs", "δ^l = VJP_C(VJP_B(δ^{l+1})): the last step of the forward pass first.")
    table(zip(("VJP_C ∘ VJP_B", "VJP_B ∘ VJP_C"), composed(net), strict=True))
    z = draw(256)
    vjp, by_matrix = lambda g: vjp_c(g, z), lambda g: jnp.diag(slope(z)) @ g
    largest = largest_on_the_way(vjp, z), largest_on_the_way(by_matrix, z)
    print("The largest value met at n = 256: {}; by the matrix {}.".format(*largest))
    print("As functions of a direction v they are g ∘ Df(x): {:.9f} = {:.9f}; g(x) {}".format(*pullback(net)))
    print("What each keeps, beside constants:")
    table((name, " ".join(map(told, shapes)) or "nothing") for name, shapes in residuals().items())

    section(
        "The right one, in seven notations",
        "By vjpkit.derive; σ = tanh. The answer's three ways are the first, second, sixth.",
    )
    notations(delta())

    section("Each wrong formula, and its diagnosis")
    mistakes(MISTAKES)


if __name__ == "__main__":
    main()

"""Deriving vectorised backpropagation: where is the problem in my derivation? (CrossValidated 606295)

    python examples/seeds/vectorised_backpropagation.py

The asker composes f = f_K ∘ … ∘ f_1, then takes layers Z = W X + B with a sample in each column, and gets a recursion
that has a transpose in every layer, unlike the result that was to come out. The recursion mixes two layouts. And that
result, as it is printed, is wrong too.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import linear_conventions
import numpy as np
from attempts import Array, Attempt, Mistake, Step, attempt, draw, relative, slope
from page import mistakes, notations, section, table

import vjpkit
from vjpkit.derive import Derivation
from vjpkit.jacobian import Derivative, LayoutError, denominator

# ----------------------------------------------------------------------------------- a composition of functions

DIMS = (7, 3, 5, 2)  # d_0 … d_K: m = d_0 inputs, n = d_K outputs
WEIGHTS = [draw(n, m) for m, n in itertools.pairwise(DIMS)]


def composition(x: Array) -> Array:
    """f_K(… f_1(x)), f_k(v) = tanh(W_k v)."""
    for w in WEIGHTS:
        x = jnp.tanh(w @ x)
    return x


def stage_jacobians(x: Array) -> list[Array]:
    """df_1/dx, df_2/df_1, …: diag(1 − f_k²) W_k."""
    found = []
    for w in WEIGHTS:
        x = np.tanh(w @ x)
        found.append(np.diag(1 - x**2) @ w)
    return found


@functools.cache
def modes() -> dict[str, float]:
    """What each reading of the question's products gives, beside JAX: the relative errors."""
    x, v, g = draw(DIMS[0]), draw(DIMS[0], seed=1), draw(DIMS[-1], seed=2)
    first, second, third = stage_jacobians(x)
    jacobian = jax.jit(jax.jacobian(composition))(x)
    jvp = jax.jit(lambda x, v: jax.jvp(composition, (x,), (v,))[1])(x, v)
    vjp = jax.jit(lambda x, g: jax.vjp(composition, x)[1](g)[0])(x, g)
    return {
        "df/dx = (df_3/df_2) (df_2/df_1) (df_1/dx)": relative(third @ second @ first, jacobian),
        "forward: df_3/df_2 (df_2/df_1 (df_1/dx v))": relative(third @ (second @ (first @ v)), jvp),
        "reverse: (df_1/dx)ᵀ ((df_2/df_1)ᵀ ((df_3/df_2)ᵀ g))": relative(first.T @ (second.T @ (third.T @ g)), vjp),
    }


@functools.cache
def primal_as_cotangent() -> str:
    """Jᵀ x: the vector of the question lives among the inputs, Jᵀ takes one of the outputs."""
    x = draw(DIMS[0])
    return attempt(lambda: vjpkit.jacobian(composition, x).T @ x, x).stopped


@functools.cache
def mode_costs(n: int = 256) -> dict[str, float]:
    """XLA's FLOPs of the gradient in n inputs, by either mode, as multiples of the loss's own."""
    w = draw(n, n)

    def loss(x: Array) -> Array:
        return jnp.sum(jnp.tanh(w @ jnp.tanh(w @ x)) ** 2) / 2

    def flops(f: Callable[[Array], Any]) -> float:
        return float(jax.jit(f).lower(draw(n)).compile().cost_analysis()["flops"])

    value = flops(loss)
    return {"one VJP": flops(jax.grad(loss)) / value, f"{n} JVPs": flops(jax.jacfwd(loss)) / value}


# ---------------------------------------------------------------------------------- three linear layers, W_1's gradient


def linear(x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    z3 = w3 @ (w2 @ (w1 @ x))
    return z3


STEP = Step(
    linear,
    "w1",
    (draw(7, 11), draw(3, 7), draw(5, 3), draw(2, 5)),
    (draw(4, 4), draw(4, 4, seed=1), draw(4, 4, seed=2), draw(4, 4, seed=3)),
)


@functools.cache
def of_w1() -> Derivation:
    """∂L/∂W₁ in seven notations."""
    names = {"x": "X", "w1": "W₁", "w2": "W₂", "w3": "W₃", "w1_bar": "W̄₁", "z3": "Z₃", "z3_bar": "G"}
    return vjpkit.derive(linear, *STEP.rectangular, wrt="w1", names=names, dims={"N": 11})


def recursion(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    """The asker's, transposed at its end; dL/dX = (dL/dZ)ᵀ W is in one layout and is read as if in the other."""
    return ((g.T @ w3).T @ w2) @ x.T


def printed_target(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    return w3.T @ w2.T @ x.T


def target_with_g(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    return w3.T @ w2.T @ g @ x.T


def target_in_order(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    return w2.T @ w3.T @ x.T


def right(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    return w2.T @ w3.T @ g @ x.T


def consistent_numerator(g: Array, x: Array, w1: Array, w2: Array, w3: Array) -> Array:
    """X Gᵀ W_3 W_2, every factor in numerator layout; transposed once, at the end."""
    return (x @ g.T @ w3 @ w2).T


def two_stages(x: Array, w1: Array, w2: Array) -> Array:
    return jnp.tanh(w2 @ jnp.tanh(w1 @ x))


def transpose_times_the_primal(g: Array, x: Array, w1: Array, w2: Array) -> Array:
    h = jnp.tanh(w1 @ x)
    J = jnp.diag(slope(w2 @ h)) @ w2 @ jnp.diag(slope(w1 @ x)) @ w1
    return J.T @ x


def one_layer(w: Array, x: Array) -> Array:
    return w @ x


def in_numerator_layout(g: Array, w: Array, x: Array) -> Array:
    return x @ g.T


PRIMAL = Step(two_stages, "x", (draw(7), draw(3, 7), draw(2, 3)), (draw(4), draw(4, 4), draw(4, 4, seed=1)))
LAYER = Step(one_layer, "w", (draw(5, 3), draw(3, 7)), (draw(4, 4), draw(4, 4, seed=1)))

ANSWER = "W₂ᵀ W₃ᵀ G Xᵀ"
OUT_OF_ORDER = ("wrong_operand", "wrong_order", "transposed_operand", "mixed_layout")
MISTAKES = [
    Mistake("B6", "J_fᵀ x", "J_fᵀ g", transpose_times_the_primal, PRIMAL, ("ignores_cotangent",)),
    Mistake("B15", "dL/dW = X Gᵀ", "G Xᵀ, shaped like W", in_numerator_layout, LAYER, ("transposed_result",)),
    Mistake("B16", "((Gᵀ W₃)ᵀ W₂) Xᵀ", ANSWER, recursion, STEP, OUT_OF_ORDER),
    Mistake("B19", "W₃ᵀ W₂ᵀ Xᵀ, as printed", ANSWER, printed_target, STEP, ("ignores_cotangent",)),
    Mistake("B19", "W₃ᵀ W₂ᵀ G Xᵀ", ANSWER, target_with_g, STEP, OUT_OF_ORDER),
    Mistake("B19", "W₂ᵀ W₃ᵀ Xᵀ", ANSWER, target_in_order, STEP, ("ignores_cotangent",)),
]


def one_step(g: Array, w: Array, x: Array) -> dict[str, Attempt]:
    """The asker's two formulas, of G shaped like Z: each is the transpose of what is shaped like the argument."""
    return {
        "X Gᵀ is (G Xᵀ)ᵀ": attempt(lambda: x @ g.T, (g @ x.T).T),
        "Gᵀ W is (Wᵀ G)ᵀ": attempt(lambda: g.T @ w, (w.T @ g).T),
    }


def tagged_recursion() -> tuple[str, float]:
    """The recursion with layouts as values: what stops it, and the error once each step is turned."""
    g, (x, _, w2, w3) = STEP.point(square=True)

    def x_bar_numerator(given: Derivative, w: Array, step: str) -> Derivative:
        value = given.feed(lambda G: G.T @ w, "denominator", step)
        return Derivative(value, "numerator", (), (w.shape[1], g.shape[1]), step)

    start = denominator(g, (), g.shape, "dL/dZ₃")
    first = x_bar_numerator(start, w3, "dL/dX₃ = (dL/dZ₃)ᵀ W₃")
    try:
        x_bar_numerator(first, w2, "dL/dX₂ = (dL/dZ₂)ᵀ W₂")
        stopped = ""
    except LayoutError as error:
        stopped = str(error)
    second = x_bar_numerator(first.to("denominator"), w2, "dL/dX₂ = (dL/dZ₂)ᵀ W₂")
    return stopped, relative(second.to("denominator").value @ x.T, STEP.truth(square=True))


SIZES = (784, 512, 512, 10)


def linear_loss(w1: Array, x: Array, w2: Array, w3: Array, g: Array) -> Array:
    z1 = w1 @ x
    z2 = w2 @ z1
    z3 = w3 @ z2
    return jnp.sum(g * z3)


def bent_loss(w1: Array, x: Array, w2: Array, w3: Array, g: Array) -> Array:
    """The same with σ between: a diagonal, of another slope in every column, that no weight passes."""
    z1 = w1 @ x
    z2 = w2 @ jnp.tanh(z1)
    z3 = w3 @ jnp.tanh(z2)
    return jnp.sum(g * z3)


def bracket_costs(
    f: Callable[..., Array], samples: int, sizes: tuple[int, ...] = (784, 512, 512, 10)
) -> dict[str, int]:
    """FLOPs of dL/dW_1: by backpropagation, and by the best brackets."""
    d, h1, h2, k = sizes
    shapes = (h1, d), (d, samples), (h2, h1), (k, h2), (k, samples)
    orders = vjpkit.explain(f, *(jnp.zeros(s, jnp.float32) for s in shapes), wrt="w1", xla=False).orders
    flops = {o.name: o.flops for o in orders}
    backpropagation = flops["VJPs, one output at a time"]
    return backpropagation, min(backpropagation, flops["optimal brackets"])


def main() -> None:
    section(
        "A composition of functions", f"f: ℝ^{DIMS[0]} → ℝ^{DIMS[-1]}, K = {len(WEIGHTS)} stages; errors beside JAX:"
    )
    table((name, f"{error:.0e}") for name, error in modes().items())
    print(f"v is a tangent, of the inputs; g a cotangent, of the outputs. Jᵀ x is neither:\n  {primal_as_cotangent()}")
    costs = ", ".join(f"{name} {ratio:.1f}×" for name, ratio in mode_costs().items())
    print(f"A gradient of 256 inputs, in FLOPs of the loss itself, by XLA's count: {costs}.")

    section("Z = W X + B, in each convention", "G is the cotangent of Z, shaped like Z; errors of W̄, X̄, b̄:")
    conventions = linear_conventions.CONVENTIONS
    errors = [map("{:.0e}".format, linear_conventions.errors(c)) for c in conventions]
    table((c.name, c.forward, c.cotangents, *e) for c, e in zip(conventions, errors, strict=True))

    section("dL/dW = (dL/dZ) (dZ/dW), the step that is missing", "dZ/dW has four axes; with vec it is a matrix:")
    table((name, f"error {error:.0e}") for name, error in linear_conventions.kronecker_identities().items())

    section("Where the derivation fails", "Its two formulas take G in one layout and answer in the other:")
    table(one_step(draw(5, 7), draw(5, 3), draw(3, 7)).items())
    stopped, error = tagged_recursion()
    print(f"So the second step is fed what it does not expect. With layouts as values:\n  LayoutError: {stopped}")
    print(f"Turned before each step: error {error:.0e}.")

    section("The right one, in seven notations", "By vjpkit.derive; W₁ is 3×7, W₂ 5×3, W₃ 2×5, N samples.")
    notations(of_w1())
    for name, formula in {ANSWER: right, "(X Gᵀ W₃ W₂)ᵀ, numerator layout": consistent_numerator}.items():
        both = STEP.attempt(formula), STEP.attempt(formula, square=True)
        print("{}: {}; at sizes that are alike {}.".format(name, *both))

    section("The order is fixed, the brackets are free", "dL/dW₁ of 784-512-512-10, in FLOPs:")
    cases = [(linear_loss, "linear", n) for n in (1, 64, 60_000)] + [(bent_loss, "with σ", n) for n in (1, 64)]
    rows = [(name, n, *bracket_costs(f, n)) for f, name, n in cases]
    told_rows = [(name, n, f"{one:,}", f"{best:,}", f"{one / best:.1f}×") for name, n, one, best in rows]
    table([("", "samples", "backpropagation", "best brackets", ""), *told_rows])

    section("Each wrong formula, and its diagnosis")
    mistakes(MISTAKES)


if __name__ == "__main__":
    main()

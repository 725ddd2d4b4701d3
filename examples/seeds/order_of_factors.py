"""Is there a rule for the order of the factors, and for the transposes, that does without indices? (a question on
matrix calculus in backpropagation: two layouts, and several orders in each)

    python examples/seeds/order_of_factors.py

The asker derives one network three times: by components, in denominator and in numerator layout, and finds several
orders of the same factors. In each layout one of them is right. The rule is at the end, in three forms.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rule_of_order
from attempts import Array, Attempt, Mistake, Step, attempt, draw, product, relative, slope
from network import RECTANGULAR, SQUARE, Network, network
from page import mistakes, notations, section, table

import vjpkit
from vjpkit.derive import Derivation

# ----------------------------------------------------------------------------------------- orders, as they are printed


class Order(NamedTuple):
    """Factors of ∂C/∂W in a layout, in an order, and whether that order is right."""

    layout: str
    of: str
    factors: str  # names of `parts`, as they are multiplied
    right: bool


ORDERS = [
    Order("denominator", "W^L", "f′^L  e  aᵀ", True),
    Order("denominator", "W^{L−1}", "f′  Wᵀ  f′^L  e  a₋ᵀ", True),
    Order("denominator", "W^{L−1}", "Wᵀ  f′^L  e  a₋ᵀ  f′", False),
    Order("numerator", "W^L", "f′^L  a  eᵀ", False),
    Order("numerator", "W^L", "a  eᵀ  f′^L", True),
    Order("numerator", "W^{L−1}", "a₋  eᵀ  f′^L  W  f′", True),
    Order("numerator", "W^{L−1}", "eᵀ  f′^L  W  f′  a₋", False),
]


def parts(net: Network) -> dict[str, Array]:
    """The factors as matrices: e = (a^L − y)/N_L, a = a^{L−1}, a₋ = a^{L−2}, f′ = diag f′(z^{L−1}), W = W^L."""
    L = net.L
    columns = {"e": (net.a[L] - net.y) / net.y.size, "a": net.a[L - 1], "a₋": net.a[L - 2]}
    found = {name: v[:, None] for name, v in columns.items()}
    found |= {f"{name}ᵀ": v[None, :] for name, v in columns.items()}
    slopes = {"f′^L": np.diag(net.slope[L]), "f′": np.diag(net.slope[L - 1])}
    return found | slopes | {"W": net.w[L], "Wᵀ": net.w[L].T}


def tried(order: Order, sizes: tuple[int, ...]) -> Attempt:
    """The factors multiplied, beside autodiff's gradient in that layout."""
    net = network(sizes)
    truth = net.gradient[f"w{net.L if order.of == 'W^L' else net.L - 1}"]
    chosen = [(name, parts(net)[name]) for name in order.factors.split()]
    return attempt(lambda: product(*chosen), truth.T if order.layout == "numerator" else truth)


# ------------------------------------------------------------------------------------------- formulas that are wrong


def output_cost(w: Array, a: Array, b: Array, y: Array) -> Array:
    """C as a function of the output layer."""
    z = w @ a + b
    out = jnp.tanh(z)
    return 0.5 * jnp.mean((out - y) ** 2)


def from_a(shift: Array, a_in: Array, w: Array, w_next: Array) -> Array:
    """a^{l+1}; the shift of a^l is 0 in the network, and its cotangent is ∂C/∂a^l."""
    a = jnp.tanh(w @ a_in) + shift
    z_next = w_next @ a
    return jnp.tanh(z_next)


def hidden_cost(w: Array, a: Array, w_next: Array, y: Array) -> Array:
    """C as a function of the layer below the output's; a is a^{L−2}."""
    z = w @ a
    z_next = w_next @ jnp.tanh(z)
    out = jnp.tanh(z_next)
    return 0.5 * jnp.mean((out - y) ** 2)


@functools.cache
def of_hidden() -> Derivation:
    """∂C/∂W^{L−1} in seven notations."""
    names = {"w": "W^{L−1}", "w_next": "W^L", "z": "z^{L−1}", "z_next": "z^L", "out": "a^L"}
    bars = {"z_bar": "δ^{L−1}", "z_next_bar": "δ^L", "out_bar": "e", "w_bar": "W̄^{L−1}"}
    dims = {"n_{L−2}": 7, "n_{L−1}": 3, "N_L": 5}
    return vjpkit.derive(hidden_cost, *HIDDEN.rectangular, wrt="w", names=names | bars, dims=dims)


_S = draw(4), draw(4, seed=1), draw(4, 4), draw(4, 4, seed=1)
OUTPUT = Step(output_cost, "w", (draw(4, 3), draw(3), draw(4), draw(4, seed=1)), (_S[2], _S[0], _S[1], draw(4, seed=2)))
TO_A = Step(from_a, "shift", (draw(3), draw(7), draw(3, 7), draw(5, 3)), _S)
HIDDEN = Step(hidden_cost, "w", (draw(3, 7), draw(7), draw(5, 3), draw(5)), (_S[2], _S[0], _S[3], _S[1]))


def without_the_mean(g: Array, w: Array, a: Array, b: Array, y: Array) -> Array:
    z = w @ a + b
    delta = g * (jnp.tanh(z) - y) * slope(z)
    return jnp.outer(delta, a)


def times_its_own_output(g: Array, w: Array, a: Array, b: Array, y: Array) -> Array:
    z = w @ a + b
    delta = g * (jnp.tanh(z) - y) / y.size * slope(z)
    return jnp.outer(delta, jnp.tanh(z))


def slope_in_front_of_a(g: Array, w: Array, a: Array, b: Array, y: Array) -> Array:
    z = w @ a + b
    e = g * (jnp.tanh(z) - y) / y.size
    return (jnp.diag(slope(z)) @ a[:, None] @ e[None, :]).T


def value_for_slope(g: Array, shift: Array, a_in: Array, w: Array, w_next: Array) -> Array:
    z_next = w_next @ (jnp.tanh(w @ a_in) + shift)
    return w_next.T @ (g * jnp.tanh(z_next))


def weights_of_this_layer(g: Array, shift: Array, a_in: Array, w: Array, w_next: Array) -> Array:
    z_next = w_next @ (jnp.tanh(w @ a_in) + shift)
    return w.T @ (g * slope(z_next))


def slope_behind(g: Array, w: Array, a: Array, w_next: Array, y: Array) -> Array:
    z = w @ a
    z_next = w_next @ jnp.tanh(z)
    e = g * (jnp.tanh(z_next) - y) / y.size
    a_bar = w_next.T @ (slope(z_next) * e)
    return jnp.outer(a_bar, a) * slope(z)


def column_last(g: Array, w: Array, a: Array, w_next: Array, y: Array) -> Array:
    z = w @ a
    z_next = w_next @ jnp.tanh(z)
    e = g * (jnp.tanh(z_next) - y) / y.size
    delta = ((e * slope(z_next)) @ w_next) * slope(z)
    return delta @ a


MISTAKES = [
    Mistake("C3", "(a^L − y) ⊙ f′ a^{L−1}ᵀ", "divided by N_L", without_the_mean, OUTPUT, ("sum_for_mean",)),
    Mistake("C7", "Σ_k ∂C/∂a_k f(z_k) W_ki", "f′(z_k)", value_for_slope, TO_A, ("value_for_slope",)),
    Mistake("C7, C15", "Σ_k ∂C/∂a_k f′(z_k) W^l_ki", "W^{l+1}_ki", weights_of_this_layer, TO_A, ("wrong_operand",)),
    Mistake("C10", "∂C/∂W^l_ij = δ^l_i a^l_j", "a^{l−1}_j", times_its_own_output, OUTPUT, ("wrong_operand",)),
    Mistake("C14", "(δ without f′) a₋ᵀ diag(f′)", "diag(f′) in front", slope_behind, HIDDEN, ("wrong_order",)),
    Mistake("C16", "diag(f′) a (a − y)ᵀ", "a (a − y)ᵀ diag(f′)", slope_in_front_of_a, OUTPUT, ("wrong_order",)),
    Mistake("C17", "(δ, a row) a", "a (δ, a row)", column_last, HIDDEN, ("wrong_order", "shape")),
]


# ------------------------------------------------------------------------------------ what is free: the brackets


def bracketings(factors: Sequence[Array]) -> list[tuple[str, Array, int]]:
    """The product of the factors in every bracketing: how it is written, its value, its FLOPs."""

    @functools.cache
    def every(i: int, j: int) -> list[tuple[str, Array, int]]:
        if j - i == 1:
            return [(str(i + 1), factors[i], 0)]
        found = []
        for k in range(i + 1, j):
            for (s, a, m), (t, b, n) in itertools.product(every(i, k), every(k, j)):
                found.append((f"({s} {t})", a @ b, m + n + 2 * a.shape[0] * a.shape[1] * b.shape[1]))
        return found

    return every(0, len(factors))


def gradient_factors(net: Network) -> list[Array]:
    """Of ∂C/∂z^1 in numerator layout: eᵀ diag f′(z^L) W^L … diag f′(z^1)."""
    e = (net.a[net.L] - net.y) / net.y.size
    behind: list[Array] = []
    for l in reversed(net.layers):
        behind += [np.diag(net.slope[l]), net.w[l]]
    return [e[None, :], *behind[:-1]]


# --------------------------------------------------------------------------------- what else the thread has it about


def index_fault(left: str, summed: str, factors: Iterable[str]) -> str:
    """What is wrong with the indices of left = Σ_summed Π factors; empty where nothing is."""
    used = set("".join(factors))
    if both := set(left) & set(summed):
        return f"{', '.join(sorted(both))} stands at the left, and is summed at the right"
    if lost := set(left) - used:
        return f"{', '.join(sorted(lost))} stands at the left alone"
    if loose := used - set(left) - set(summed):
        return f"{', '.join(sorted(loose))} is free at the right alone"
    return ""


def batch_gradients(samples: int = 11) -> tuple[Array, Array, Array]:
    """∂/∂W of the mean of the samples' costs; the mean of each sample's gradient; and their sum."""
    w, b, x, y = draw(5, 3), draw(5), draw(samples, 3), draw(samples, 5)
    one = functools.partial(jax.grad(output_cost), w)
    each = jax.jit(jax.vmap(one, (0, None, 0)))(x, b, y)
    mean = jax.jit(jax.grad(lambda w: jax.vmap(output_cost, (None, 0, None, 0))(w, x, b, y).mean()))(w)
    return mean, each.mean(0), each.sum(0)


def saved_of_a_layer() -> list[Array]:
    """What autodiff keeps of tanh(W x), W 5 × 3: values of the forward pass and slopes, not gradients."""
    return jax.tree.leaves(jax.vjp(lambda w, x: jnp.tanh(w @ x), jnp.asarray(draw(5, 3)), jnp.asarray(draw(3)))[1])


def diamond() -> tuple[float, float]:
    """Of C(p(a), q(a)): the errors of the sum over both paths, and of one path alone."""
    a, p, q = draw(3), draw(5, 3), draw(5, 3, seed=1)
    truth = jax.grad(lambda a: jnp.sum(jnp.tanh(p @ a) * (q @ a)))(a)
    one, other = p.T @ (slope(p @ a) * (q @ a)), q.T @ jnp.tanh(p @ a)
    return relative(one + other, truth), relative(one, truth)


def catalan(n: int) -> int:
    return math.comb(2 * n, n) // (n + 1)


def main() -> None:
    section("The orders, as printed", "e = (a^L − y)/N_L, a = a^{L−1}, a₋ = a^{L−2}, f′ = diag f′(z^{L−1}), W = W^L:")
    rows = [(o.layout, o.of, o.factors, str(tried(o, RECTANGULAR)), str(tried(o, SQUARE))) for o in ORDERS]
    table([("layout", "of", "factors", "sizes that differ", "sizes that do not"), *rows])
    print("A layout has one order. Numerator: from the output to the input. Denominator: reversed, each transposed.")

    section("The right ones, in seven notations", "By vjpkit.derive; f = tanh. Of W^{L−1}, with a = a^{L−2}:")
    notations(of_hidden())

    section("What is free: the brackets")
    found = bracketings(gradient_factors(network((7, 5, 3))))
    flops = sorted(n for _, _, n in found)
    spread = max(relative(value, found[0][1]) for _, value, _ in found)
    print(f"∂C/∂z¹ of 7-5-3 has 4 factors, and {len(found)} bracketings of them: one value, to {spread:.0e};")
    print(f"the cheapest takes {flops[0]} FLOPs, the dearest {flops[-1]}. Hardware chooses among these, not orders.")

    section("The indices of the penultimate layer", "Σ_i e_i f′_i W_ij f′_j a_k, for ∂C/∂W_ij:")
    print(f"  {index_fault('ij', 'i', ('i', 'i', 'ij', 'j', 'k'))}; for ∂C/∂W_jk nothing is wrong.")

    section("Each wrong formula, and its diagnosis")
    mistakes(MISTAKES)

    rule_of_order.main()


if __name__ == "__main__":
    main()

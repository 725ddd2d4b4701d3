"""The thread about δ^l: rows A1 to A30 of docs/derive/claims.md, and the three scripts that answer it."""

from __future__ import annotations

import itertools

import hadamard_or_matrix_product as hadamard
import jax
import jax.numpy as jnp
import matrix_calculus_or_vjp as calculus
import numpy as np
import pytest
import why_transpose as why
from attempts import draw, relative
from network import RECTANGULAR, SQUARE, TO_DELTA, Network, delta, from_z, network

import vjpkit
from tests.seeds.pages import check_mistake, check_notations, check_page
from vjpkit.jacobian import Dense, Diagonal

SCRIPTS = [why, hadamard, calculus]
both_sizes = pytest.mark.parametrize("sizes", [RECTANGULAR, SQUARE], ids=["rectangular", "square"])


@pytest.mark.parametrize("mistake", [m for s in SCRIPTS for m in s.MISTAKES], ids=lambda m: m.written)
def test_mistakes_are_wrong_and_named(mistake) -> None:
    check_mistake(mistake)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_pages(script, capsys) -> None:
    script.main()
    check_page(script, capsys.readouterr().out)


@both_sizes
def test_the_adjoint_of_w_is_its_transpose(sizes) -> None:
    net = network(sizes)
    left, right = why.adjoint(net)
    assert left == pytest.approx(right, rel=1e-12)
    if sizes == SQUARE:  # the puzzle of sizes would take W too
        w = net.w[2]
        assert draw(4, seed=1) @ w @ draw(4, seed=2) != pytest.approx((w @ draw(4, seed=1)) @ draw(4, seed=2), rel=0.1)


@pytest.mark.parametrize("k", range(len(hadamard.LOCALS)), ids=[s.step for s in hadamard.LOCALS])
def test_structure_says_which_product(k) -> None:
    local = hadamard.LOCALS[k]
    assert hadamard.structures()[k] == local.structure
    assert local.error() < 1e-15


def test_explain_says_it_in_words() -> None:
    stages = vjpkit.explain(hadamard.one_layer, draw(3, 7), draw(7), draw(3), draw(5, 3), xla=False).stages
    said = {v.name: kind.product for s in stages for v, kind in zip(s.inputs, s.kinds, strict=True)}
    assert said["z"] == "Hadamard, because J is diagonal"
    assert said["a"].startswith("wᵀ g")
    assert said["w"].startswith("outer product")


def test_sizes_that_are_alike_decide_nothing() -> None:
    assert list(why.puzzles().values()) == [
        ((24, 1, 1), (24, 4, 1)),
        ((8, 1, 1), (8, 2, 1)),
        ((48, 1, 1), (48, 48, 1)),
    ]
    rectangular, square = TO_DELTA.attempt(why.untransposed), TO_DELTA.attempt(why.untransposed, square=True)
    assert rectangular.stopped
    assert square.silent
    assert square.error > 0.5


@both_sizes
def test_the_network_and_its_cut_points(sizes) -> None:
    net = network(sizes)
    a = net.a[0]
    for l in range(1, len(sizes)):
        z = np.array([sum(net.w[l][i, j] * a[j] for j in range(sizes[l - 1])) + net.b[l][i] for i in range(sizes[l])])
        a = np.tanh(z)
        np.testing.assert_allclose(net.z[l], z)
        np.testing.assert_allclose(net.delta[l], net.gradient[f"a{l}"] * net.slope[l])  # at z, not at a
        assert relative(net.gradient[f"a{l}"], net.delta[l]) > 0.05
    assert float(net.cost({})) == pytest.approx(sum((a - net.y) ** 2) / 2 / sizes[-1])
    assert float(net.after("z2")(net.z[2])) == pytest.approx(float(net.cost({})))


def test_the_chain_is_in_numerator_layout() -> None:
    net = network(RECTANGULAR)
    factors = [value for _, value in why.chain(net)]
    assert [f.shape for f in factors] == [(1, 5), (5, 3), (3, 3)]
    assert relative(np.linalg.multi_dot(factors)[0], net.delta[1]) < 1e-14


def test_b_is_the_weight_of_the_layer_above() -> None:
    net = network(SQUARE)
    assert relative(why.chain(net)[1][1], net.w[2]) < 1e-15
    assert relative(why.chain(net)[1][1], net.w[1]) > 0.5
    assert TO_DELTA.attempt(why.of_the_layer_below).stopped
    assert TO_DELTA.attempt(why.of_the_layer_below, square=True).silent
    unbracketed = net.w[2] @ net.a[1] + net.b[1]  # b^l where b^{l+1} belongs: another value, and the same Jacobian
    assert relative(unbracketed, net.z[2]) > 0.1


@both_sizes
def test_the_slope_of_a_layer_is_a_diagonal_matrix(sizes) -> None:
    net = network(sizes)
    J = vjpkit.jacobian(jnp.tanh, net.z[1])
    s = Diagonal(jnp.asarray(net.slope[1]))
    assert J.structure == "diagonal"
    assert relative(J.materialize(), np.diag(net.slope[1])) < 1e-15
    assert relative(s @ draw(sizes[1]), net.slope[1] * draw(sizes[1])) < 1e-15
    assert (s.flops, Dense(s.materialize()).flops) == (sizes[1], 2 * sizes[1] ** 2)


def test_the_wrong_product_read_in_five_ways() -> None:
    read = why.readings(network(RECTANGULAR))
    printed, columns, row, numpy, star, diagonal = read.values()
    assert printed.stopped == "δ⁺ᵀ is [1×5], w^l is [3×7]: no product"
    assert columns.stopped == "δ⁺ is [5×1], w is [5×3]: no product"
    assert np.shape(row.value) == np.shape(numpy.value) == ()
    assert float(row.value) == pytest.approx(float(numpy.value))
    assert star.right
    assert diagonal.right


@both_sizes
def test_the_wrong_number_is_the_jvp_along_ones(sizes) -> None:
    number, total, jvp = why.along_ones(network(sizes))
    assert number == pytest.approx(total, rel=1e-12)
    assert number == pytest.approx(jvp, rel=1e-12)


def test_the_right_formula() -> None:
    assert TO_DELTA.attempt(why.right).error < 1e-15
    assert TO_DELTA.attempt(why.right, square=True).error < 1e-15


@both_sizes
def test_seven_notations_are_one(sizes) -> None:
    net = network(sizes)
    found = vjpkit.derive(from_z, net.z[1], net.w[2], net.b[2], wrt=("z", "w"))
    check_notations(found, {"z": net.delta[1], "w": net.gradient["w2"]}, net.delta[2])
    for shown, last in (
        (delta(), "δ^l = tanh′(z^l) ⊙ (w^{l+1}ᵀ δ^{l+1})"),
        (hadamard.of_a(), "ā^l = w^{l+1}ᵀ δ^{l+1}"),
    ):
        assert len(shown.styles) == 7, shown.left_out
        assert shown["vjp"].text().splitlines()[-1] == last


@pytest.mark.parametrize("component", calculus.COMPONENTS, ids=lambda c: c.subscripts)
def test_indices_taken_away(component) -> None:
    """The three add the same float64 products in other orders: a few eps apart, and no sum of these cancels."""
    by_loops = calculus.by_loops(component.subscripts, *component.operands)
    np.testing.assert_allclose(component.value(*component.operands), by_loops, rtol=1e-12)
    np.testing.assert_allclose(np.einsum(component.subscripts, *component.operands), by_loops, rtol=1e-12)


def test_jacobians_are_m_by_n_and_their_product_is_the_derivative() -> None:
    net = network(RECTANGULAR)
    factors = calculus.jacobians(net)
    assert [f.shape for f in factors] == [(1, 5), (5, 3), (3, 3)]
    assert relative(factors[1], jax.jit(jax.jacobian(lambda a: net.w[2] @ a))(net.a[1])) < 1e-15
    for value in calculus.turned(net).values():
        assert value.shape == (3,)
        assert relative(value, net.delta[1]) < 1e-13


def test_what_materialised_jacobians_cost() -> None:
    flops = {o.name: o.flops for o in calculus.deep_explained().orders}
    assert flops["dense Jacobians, forward"] == 1_241_326_016
    assert flops["structured Jacobians, forward"] == 419_896_288
    assert flops["VJPs, one output at a time"] == pytest.approx(1_338_398, rel=0.005)
    assert calculus.stored_entries() == (1_193_070, 669_716)


def test_jacobians_of_matrices_have_four_axes() -> None:
    assert list(calculus.of_matrices().values()) == [(5, 7, 5, 3), (5, 7, 3, 7), (35, 15), (35, 21)]


@both_sizes
def test_a_vjp_is_the_transposed_jacobian_times_g(sizes) -> None:
    net = network(sizes)

    def f(a):
        return jnp.tanh(net.w[2] @ a + net.b[2])

    g = draw(sizes[2], seed=5)
    J = np.asarray(jax.jit(jax.jacobian(f))(net.a[1]))
    assert relative(jax.jit(lambda a, g: jax.vjp(f, a)[1](g)[0])(net.a[1], g), J.T @ g) < 1e-14
    assert relative(vjpkit.jacobian(f, net.a[1]).T @ g, J.T @ g) < 1e-14


def test_a_cotangent_is_pulled_back_not_evaluated() -> None:
    composed, paired, evaluated = calculus.pullback(network(RECTANGULAR))
    assert composed == pytest.approx(paired, rel=1e-12)
    assert evaluated.startswith("stops")


def test_a_vjp_needs_no_matrix() -> None:
    z, g = draw(256), draw(256, seed=1)
    assert calculus.largest_on_the_way(lambda g: jax.vjp(jnp.tanh, z)[1](g)[0], g) == 256
    assert calculus.largest_on_the_way(lambda g: jnp.diag(1 - jnp.tanh(z) ** 2) @ g, g) == 256**2


@both_sizes
def test_g_passed_through_every_vjp(sizes) -> None:
    net = network(sizes)
    g = (net.a[net.L] - net.y) / net.y.size
    for l in reversed(net.layers):
        g = calculus.vjp_c(g, net.z[l])
        assert relative(g, net.delta[l]) < 1e-13
        g = net.w[l].T @ g
        assert relative(g, net.gradient[f"a{l - 1}"]) < 1e-13


def test_one_n_is_not_the_other() -> None:
    net = network(RECTANGULAR)
    first, *_, last = calculus.jacobians(net)
    assert first.shape == (1, net.delta[2].size) == (1, 5)
    assert (first @ net.w[2] @ last).shape == (1, net.delta[1].size) == (1, 3)


def test_vjp_b_has_the_weight_of_the_layer_above() -> None:
    net = network(SQUARE)
    truth = jax.vjp(lambda a: net.w[2] @ a + net.b[2], net.a[1])[1](net.delta[2])[0]
    assert relative(calculus.vjp_b(net, net.delta[2]), truth) < 1e-15
    assert relative(net.w[1].T @ net.delta[2], truth) > 0.5
    assert TO_DELTA.attempt(calculus.vjp_with_w_l, square=True).silent


def test_what_each_vjp_keeps() -> None:
    assert list(calculus.residuals().values()) == [[(5, 3)], [(3,)], [], [(5,)]]


def test_a_diagonal_is_n_multiplications() -> None:
    costs = hadamard.diagonal_costs(256)
    assert costs["Diagonal(σ′) @ g"] == costs["XLA, s * g"] == 256
    assert costs["Dense(diag σ′) @ g"] == 2 * 256**2
    assert costs["XLA, jnp.diag(s) @ g"] >= 2 * 256**2  # XLA does not see the diagonal


def test_turned_at_the_end_or_factor_by_factor() -> None:
    at_the_end, one_by_one, by_hand = calculus.turned(network(RECTANGULAR)).values()
    assert relative(at_the_end, by_hand) < 1e-14
    assert relative(one_by_one, by_hand) < 1e-14


def test_the_slope_at_the_weights_broadcasts() -> None:
    rectangular = hadamard.AT_Z.attempt(hadamard.slope_of_the_weights)
    assert rectangular.value.shape == (5, 3)
    assert hadamard.AT_Z.attempt(hadamard.slope_of_the_weights, square=True).value.shape == (4, 4)


def test_brackets_at_both_cuts() -> None:
    said = hadamard.brackets()
    for cut, bare_is_right in (("z", False), ("a", True)):
        bare, bracketed = said[cut, "sp * W.T @ g"], said[cut, "sp * (W.T @ g)"]
        right, wrong = (bare, bracketed) if bare_is_right else (bracketed, bare)
        assert all(text.startswith("right") for text in right)
        assert wrong[0].startswith("stops")
        assert wrong[1].startswith("runs silently")


def test_operators_that_know_their_structure_see_the_diagonals() -> None:
    n, layers = 64, 3
    costs = hadamard.chain_costs(Network((n,) * (layers + 1)))
    diagonals, weights = layers, layers - 1
    assert costs["dense"] == (diagonals + weights - 1) * 2 * n**3
    assert costs["structured"] == (weights - 1) * 2 * n**3 + diagonals * n**2


def test_the_last_vjp_first() -> None:
    right, wrong = calculus.composed(network(RECTANGULAR))
    assert right.right
    assert wrong.stopped
    right, wrong = calculus.composed(network(SQUARE))
    assert right.right
    assert wrong.silent


def test_every_script_has_the_same_step() -> None:
    """The step of the thread is that of the network: δ^l of δ^{l+1}."""
    net = network(RECTANGULAR)
    args = net.b[1], net.a[0], net.w[1], net.w[2]
    assert relative(why.right(net.delta[2], *args), net.delta[1]) < 1e-13
    assert all(
        m.step in (TO_DELTA, hadamard.AT_Z, hadamard.AT_A) for m in itertools.chain(*(s.MISTAKES for s in SCRIPTS))
    )

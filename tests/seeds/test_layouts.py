"""The question about the order of the factors: rows C1 to C25 of docs/derive/claims.md, and the script."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import order_of_factors as order
import pytest
import rule_of_order
from attempts import attempt, draw, product, relative
from network import RECTANGULAR, SQUARE, network

import vjpkit
from tests.seeds.pages import check_mistake, check_notations, check_page
from vjpkit import losses
from vjpkit.jacobian import Derivative, denominator, numerator

both_sizes = pytest.mark.parametrize("sizes", [RECTANGULAR, SQUARE], ids=["rectangular", "square"])


@pytest.mark.parametrize("mistake", order.MISTAKES, ids=lambda m: m.written)
def test_mistakes_are_wrong_and_named(mistake) -> None:
    check_mistake(mistake)


def test_page(capsys) -> None:
    order.main()
    check_page(order, capsys.readouterr().out)


@pytest.mark.parametrize("tried", order.ORDERS, ids=lambda o: f"{o.layout} {o.of} {o.factors}")
def test_of_the_orders_one_in_each_layout_is_right(tried) -> None:
    rectangular, square = order.tried(tried, RECTANGULAR), order.tried(tried, SQUARE)
    assert rectangular.right == square.right == tried.right
    if not tried.right:
        assert rectangular.stopped
        assert square.value is not None  # of all sizes alike, every product is one


@both_sizes
def test_layers_are_numbered_from_one(sizes) -> None:
    net = network(sizes)
    assert list(net.w) == list(net.b) == list(net.layers) == [1, 2, 3]
    assert net.gradient["a0"].shape == net.a[0].shape  # which has no weights, but a derivative
    assert relative(net.w[1].T @ net.delta[1], net.gradient["a0"]) < 1e-13


@both_sizes
def test_half_the_mean_squared_error(sizes) -> None:
    net = network(sizes)
    a, y = net.a[net.L], net.y
    assert float(losses.half_mean_squared_error(a, y)) == pytest.approx(sum((a - y) ** 2 / 2) / y.size)
    assert relative(jax.grad(losses.half_mean_squared_error)(jnp.asarray(a), y), (a - y) / y.size) < 1e-14


@pytest.mark.parametrize("square", [False, True])
def test_without_the_mean_it_is_off_by_exactly_its_size(square) -> None:
    assert order.OUTPUT.attempt(order.without_the_mean, square).error == pytest.approx(4 - 1, rel=1e-12)


def test_the_objective_is_the_mean_over_the_samples() -> None:
    mean, mean_of_each, total = order.batch_gradients(11)
    assert relative(mean_of_each, mean) < 1e-14
    assert relative(total / 11, mean) < 1e-14


def test_an_index_is_free_or_summed() -> None:
    factors = ("i", "i", "ij", "j", "k")
    assert order.index_fault("ij", "i", factors) == "i stands at the left, and is summed at the right"
    assert order.index_fault("jk", "i", factors) == ""
    assert order.index_fault("jl", "i", factors) == "l stands at the left alone"
    assert order.index_fault("j", "i", factors) == "k is free at the right alone"
    net = network(RECTANGULAR)
    e = (net.a[3] - net.y) / net.y.size
    operands = e, net.slope[3], net.w[3], net.slope[2], net.a[1]
    assert relative(np.einsum("i,i,ij,j,k->jk", *operands), net.gradient["w2"]) < 1e-13


def test_the_prime_and_the_layer_of_the_recursion() -> None:
    for formula in (order.value_for_slope, order.weights_of_this_layer):
        assert order.TO_A.attempt(formula, square=True).silent
        assert order.TO_A.attempt(formula, square=True).error > 0.5
    assert order.TO_A.attempt(order.value_for_slope).silent
    assert order.TO_A.attempt(order.weights_of_this_layer).stopped


@both_sizes
def test_the_recursion_and_where_it_starts(sizes) -> None:
    net = network(sizes)
    a_bar = (net.a[net.L] - net.y) / net.y.size  # the case l = L
    assert relative(a_bar, net.gradient[f"a{net.L}"]) < 1e-14
    for l in reversed(net.layers):
        delta = a_bar * net.slope[l]
        assert relative(delta, net.delta[l]) < 1e-13
        assert relative(delta, net.gradient[f"b{l}"]) < 1e-13
        assert relative(np.outer(delta, net.a[l - 1]), net.gradient[f"w{l}"]) < 1e-13
        a_bar = net.w[l].T @ np.diag(net.slope[l]) @ a_bar
        assert relative(a_bar, net.gradient[f"a{l - 1}"]) < 1e-13


def test_the_gradient_of_a_weight_has_what_goes_in() -> None:
    rectangular = order.OUTPUT.attempt(order.times_its_own_output)
    assert rectangular.value.shape == (4, 4)
    assert rectangular.truth.shape == (4, 3)
    assert order.OUTPUT.attempt(order.times_its_own_output, square=True).error > 0.5


def test_both_layouts_of_a_vector() -> None:
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(x))))(draw(5))
    J = np.asarray(jax.jit(jax.jacobian(lambda x: jnp.sin(draw(3, 5) @ x)))(draw(5)))
    assert numerator(gradient, (), (5,)).to("denominator").shape == (5,)
    y_by_x = numerator(J, (3,), (5,))
    assert y_by_x.shape == (3, 5)
    assert y_by_x.to("denominator").shape == (5, 3)
    assert relative(y_by_x.to("denominator").value, J.T) < 1e-15


def test_dz_by_dw_lives_on_its_own_row() -> None:
    w, a, g = draw(5, 3), draw(3), draw(5, seed=1)
    tensor = np.asarray(jax.jit(jax.jacobian(lambda w: w @ a))(w))
    assert tensor.shape == (5, 5, 3)
    for i, k in itertools.product(range(5), repeat=2):
        np.testing.assert_array_equal(tensor[i, k], a if i == k else 0)
    assert relative(np.tensordot(g, tensor, 1), np.outer(g, a)) < 1e-15


def test_the_slope_behind_scales_columns_for_rows() -> None:
    net = network(SQUARE)
    wrong = order.tried(order.ORDERS[2], SQUARE).value
    without = net.gradient["w2"] / net.slope[2][:, None]
    assert relative(wrong, without * net.slope[2][None, :]) < 1e-13
    assert relative(wrong, net.gradient["w2"]) > 0.1


def test_the_column_last_is_an_inner_product() -> None:
    net = network(SQUARE)
    value = order.tried(order.ORDERS[6], SQUARE).value
    assert value.shape == (1, 1)
    assert float(value[0, 0]) == pytest.approx(float(net.delta[2] @ net.a[1]), rel=1e-12)


@both_sizes
def test_numerator_layout_has_delta_as_a_row(sizes) -> None:
    net = network(sizes)
    for l in net.layers:
        row = product(("∂C/∂a", net.gradient[f"a{l}"][None, :]), ("∂a/∂z", np.diag(net.slope[l])))
        assert relative((net.a[l - 1][:, None] @ row).T, net.gradient[f"w{l}"]) < 1e-13
        assert relative(row[0], net.gradient[f"b{l}"]) < 1e-13


@pytest.mark.parametrize("square", [False, True])
def test_the_right_one_in_seven_notations(square) -> None:
    (g, args), truth = order.HIDDEN.point(square), order.HIDDEN.truth(square)
    check_notations(vjpkit.derive(order.hidden_cost, *args, wrt="w"), {"w": truth / g})
    assert order.of_hidden()["vjp"].text().splitlines()[-1] == "W̄^{L−1} = δ^{L−1} aᵀ"


@pytest.mark.parametrize("move", rule_of_order.MOVES, ids=lambda m: m.name)
def test_adjoint_moves(move) -> None:
    assert move.gap() < 1e-13


@pytest.mark.parametrize("subscripts", [s for s, _ in rule_of_order.EXCHANGES])
def test_exchanged_subscripts(subscripts) -> None:
    assert max(rule_of_order.exchange_errors(subscripts)) < 1e-14


def test_what_the_exchange_does_not_say() -> None:
    with pytest.raises(ValueError, match="j of ij was summed alone"):
        rule_of_order.exchanged("ij->i", 0)
    with pytest.raises(ValueError, match="ii has an index twice"):
        rule_of_order.exchanged("ii->i", 0)


def test_spaces_with_names_leave_one_order() -> None:
    assert list(rule_of_order.counts().values()) == [1, 4, 384]
    assert rule_of_order.orders(rule_of_order.CHAIN, "x", "a2") == ["f′2 W2 f′1 W1"]


def test_dattorro_is_denominator_layout() -> None:
    h, g = lambda x: jnp.tanh(draw(3, 7) @ x), lambda v: jnp.sin(draw(5, 3) @ v)
    x = draw(7)
    outer, inner = (np.asarray(jax.jit(jax.jacobian(f))(at)) for f, at in ((g, h(x)), (h, x)))
    composed = np.asarray(jax.jit(jax.jacobian(lambda x: g(h(x))))(x))
    chain = Derivative(inner.T, "dattorro", (3,), (7,)) @ Derivative(outer.T, "dattorro", (5,), (3,))  # ∇h ∇g
    assert chain.layout == "denominator"
    assert relative(chain.value, composed.T) < 1e-14


def test_the_order_is_fixed_and_the_brackets_are_free() -> None:
    factors = order.gradient_factors(network((7, 5, 3, 2)))
    found = order.bracketings(factors)
    assert len(factors) == 6
    assert len(found) == order.catalan(5) == 42
    truth = network((7, 5, 3, 2)).delta[1]
    assert max(relative(value, truth) for _, value, _ in found) < 1e-13
    costs = [flops for _, _, flops in found]
    assert max(costs) > 3 * min(costs)
    orders = [
        p for p in itertools.permutations(factors) if attempt(lambda p=p: np.linalg.multi_dot(p), truth[None]).right
    ]
    assert len(orders) == 1


def test_residuals_are_saved_not_gradients() -> None:
    saved = order.saved_of_a_layer()
    assert [s.shape for s in saved[:2]] == [(5, 3), (3,)]
    assert {s.shape for s in saved[2:]} == {(5,)}  # two slopes, 1 − y and 1 + y, or one: the JAX decides
    w, x = draw(5, 3), draw(3)
    w_bar, x_bar = jax.vjp(lambda w, x: jnp.tanh(w @ x), w, x)[1](draw(5, seed=2))
    for gradient in (w_bar, x_bar):
        assert all(s.shape != gradient.shape or relative(s, gradient) > 0.1 for s in saved)
    primitives = {str(e.primitive) for e in jax.make_jaxpr(lambda w, x: jnp.tanh(w @ x))(w, x).eqns}
    assert primitives == {"dot_general", "tanh"}  # of whole arrays, not of sums and products of numbers


@both_sizes
def test_a_gradient_has_the_shape_of_its_parameter(sizes) -> None:
    net = network(sizes)
    assert {k: v.shape for k, v in net.gradient.items()} == {k: v.shape for k, v in net.values.items()}


def test_paths_that_meet_are_added() -> None:
    both, one = order.diamond()
    assert both < 1e-14
    assert one > 0.1


def test_the_chain_as_written_or_flipped() -> None:
    net = network(RECTANGULAR)
    e = (net.a[3] - net.y) / net.y.size
    steps = [(net.w[2], 2), (net.w[3], 3)]
    as_written = numerator(e, (), (2,), "∂C/∂a³")
    flipped = denominator(e, (), (2,), "∂C/∂a³")
    for w, l in reversed(steps):
        J = np.diag(net.slope[l]) @ w
        as_written = as_written @ numerator(J, J.shape[:1], J.shape[1:])
        flipped = denominator(J.T, J.shape[:1], J.shape[1:]) @ flipped
    assert relative(as_written.value, net.gradient["a1"]) < 1e-13
    assert relative(flipped.value, net.gradient["a1"]) < 1e-13

"""The question about vectorised backpropagation: rows B1 to B22 of docs/derive/claims.md, and the script."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import linear_conventions
import numpy as np
import pytest
import vectorised_backpropagation as vectorised
from attempts import attempt, draw, relative

import vjpkit
from tests.seeds.pages import check_mistake, check_notations, check_page
from vjpkit.jacobian import numerator

STEP = vectorised.STEP
X = draw(vectorised.DIMS[0])


@pytest.mark.parametrize("mistake", vectorised.MISTAKES, ids=lambda m: m.written)
def test_mistakes_are_wrong_and_named(mistake) -> None:
    check_mistake(mistake)


def test_page(capsys) -> None:
    vectorised.main()
    check_page(vectorised, capsys.readouterr().out)


def test_both_modes_are_products_in_a_fixed_order() -> None:
    composed, forward, reverse = vectorised.modes().values()
    assert max(composed, forward, reverse) < 1e-13
    assert [J.shape for J in vectorised.stage_jacobians(X)] == [(3, 7), (5, 3), (2, 5)]


def test_forward_mode_takes_a_tangent_by_matrix_vector_products() -> None:
    v = draw(vectorised.DIMS[0], seed=1)
    J = vjpkit.jacobian(vectorised.composition, X)
    u, shapes = v, []
    for stage in vectorised.stage_jacobians(X):
        u = stage @ u
        shapes.append(u.shape)
    assert shapes == [(3,), (5,), (2,)]
    assert relative(u, J @ v) < 1e-13
    assert relative(J @ X, J @ v) > 0.1  # the point, as a direction, is a direction like another


def test_m_inputs_n_outputs() -> None:
    J = vjpkit.jacobian(vectorised.composition, X).materialize()
    m, n = vectorised.DIMS[0], vectorised.DIMS[-1]
    assert J.shape == (n, m)
    forward = np.stack([vjpkit.jacobian(vectorised.composition, X) @ e for e in np.eye(m)], 1)  # m JVPs
    reverse = np.stack([vjpkit.jacobian(vectorised.composition, X).T @ e for e in np.eye(n)])  # n VJPs
    assert relative(forward, J) < 1e-13
    assert relative(reverse, J) < 1e-13


def test_what_each_mode_costs() -> None:
    costs = vectorised.mode_costs(256)
    assert 1.5 < costs["one VJP"] < 2.5
    assert 100 < costs["256 JVPs"] / costs["one VJP"] < 160


def test_the_primal_is_no_cotangent() -> None:
    assert "expected a cotangent [2], got [7]" in vectorised.primal_as_cotangent()
    with pytest.raises(ValueError, match=r"shape|aval|tree"):
        jax.vjp(vectorised.composition, X)[1](X)


def test_the_transpose_reverses_the_product() -> None:
    first, second, third = vectorised.stage_jacobians(X)
    assert relative(vjpkit.jacobian(vectorised.composition, X).T.materialize(), first.T @ second.T @ third.T) < 1e-13
    assert attempt(lambda: third.T @ second.T @ first.T, (third @ second @ first).T).stopped


def test_from_right_to_left_is_backwards() -> None:
    g = draw(vectorised.DIMS[-1], seed=2)
    shapes = []
    for stage in reversed(vectorised.stage_jacobians(X)):
        g = stage.T @ g
        shapes.append(g.shape)
    assert shapes == [(5,), (3,), (7,)]


@pytest.mark.parametrize("convention", linear_conventions.CONVENTIONS, ids=lambda c: c.name)
def test_linear_layer_in_every_convention(convention) -> None:
    assert max(linear_conventions.errors(convention)) < 1e-14


def test_the_library_has_two_of_them_as_rules() -> None:
    columns, _, rows, *_ = linear_conventions.CONVENTIONS
    for convention, f in (
        (columns, lambda w, x, b: vjpkit.nn.affine(w, x, b)),
        (rows, lambda w, x, b: vjpkit.nn.dense(x, w, b)),
    ):
        args = [draw(*shape, seed=k) for k, shape in enumerate(convention.shapes)]
        g = draw(*jax.eval_shape(f, *args).shape, seed=9)
        found = jax.jit(lambda g, *args, f=f: jax.vjp(f, *args)[1](g))(g, *args)
        for got, want in zip(found, convention.vjp(g, *args[:2]), strict=True):
            assert relative(got, want) < 1e-14


def test_a_bias_is_summed_unless_it_is_a_matrix() -> None:
    g, z = draw(5, 7), draw(5, 7, seed=1)
    as_vector = jax.vjp(lambda b: z + b[:, None], draw(5))[1](g)[0]
    as_matrix = jax.vjp(lambda b: z + b, draw(5, 7, seed=2))[1](g)[0]
    assert relative(as_vector, g @ np.ones(7)) < 1e-14
    assert relative(as_matrix, g) < 1e-14


def test_the_numerator_layout_of_a_matrix_is_its_transpose() -> None:
    w, x, g = draw(5, 3), draw(3, 7), draw(5, 7)
    truth = jax.grad(lambda w: jnp.vdot(g, w @ x))(w)
    D = numerator(x @ g.T, (), w.shape)  # d × k, for W is k × d
    assert D.shape == (3, 5)
    assert relative(D.to("denominator").value, truth) < 1e-14


def test_dz_by_dw_has_four_axes_and_is_contracted() -> None:
    w, x, g = draw(5, 3), draw(3, 7), draw(5, 7)
    tensor = vjpkit.jacobian(lambda w: w @ x, w).materialize()
    assert tensor.shape == (5, 7, 5, 3)
    assert relative(np.tensordot(g, tensor, 2), g @ x.T) < 1e-14
    as_printed = attempt(lambda: g @ np.asarray(tensor), g @ x.T)  # a product of matrices
    assert as_printed.stopped


def test_kronecker_products() -> None:
    errors = linear_conventions.kronecker_identities()
    assert len(errors) == 5
    assert max(errors.values()) < 1e-14


def test_one_step_is_right_in_a_mixed_layout() -> None:
    found = vectorised.one_step(draw(5, 7), draw(5, 3), draw(3, 7)).values()
    assert all(a.right for a in found)


def test_the_recursion_mixes_layouts() -> None:
    assert STEP.attempt(vectorised.recursion).stopped
    square = STEP.attempt(vectorised.recursion, square=True)
    assert square.silent
    assert square.error > 0.5


def test_with_layouts_as_values_the_recursion_is_stopped_and_then_right() -> None:
    stopped, error = vectorised.tagged_recursion()
    assert stopped == "result of dL/dX₃ = (dL/dZ₃)ᵀ W₃ is numerator, dL/dX₂ = (dL/dZ₂)ᵀ W₂ expects denominator"
    assert error < 1e-14


@pytest.mark.parametrize("square", [False, True])
def test_the_consistent_chain_is_transposed_once_at_the_end(square) -> None:
    assert STEP.attempt(vectorised.right, square).error < 1e-14
    g, (x, w1, w2, w3) = STEP.point(square)
    inner = x @ g.T @ w3 @ w2  # no transposes but G's
    assert relative(inner.T, STEP.truth(square)) < 1e-14
    assert STEP.attempt(vectorised.consistent_numerator, square).right
    assert relative(w1, w2.T) > 0.1 if square else w1.shape != w2.shape


@pytest.mark.parametrize("square", [False, True])
def test_the_right_one_in_seven_notations(square) -> None:
    g, args = STEP.point(square)
    check_notations(vjpkit.derive(vectorised.linear, *args, wrt="w1"), {"w1": STEP.truth(square)}, g)
    assert vectorised.of_w1()["denominator"].text().startswith("∂C/∂W₁ = W₂ᵀ · W₃ᵀ · ∂C/∂Z₃ · Xᵀ")
    assert vectorised.of_w1()["numerator"].text().startswith("∂C/∂W₁ = X · ∂C/∂Z₃ · W₃ · W₂")


def test_the_printed_target_is_wrong_twice() -> None:
    for formula in (vectorised.printed_target, vectorised.target_with_g, vectorised.target_in_order):
        assert STEP.attempt(formula).stopped
        square = STEP.attempt(formula, square=True)
        assert square.silent
        assert square.error > 0.5


def test_without_nonlinearities_the_brackets_are_worth_84() -> None:
    backpropagation, best = vectorised.bracket_costs(vectorised.linear_loss, 60_000)
    assert round(backpropagation / best) == 84
    one, best = vectorised.bracket_costs(vectorised.linear_loss, 1)
    assert one == best
    bent, best = vectorised.bracket_costs(vectorised.bent_loss, 64)
    assert bent / best < 1.01  # a slope of its own in every column: the weights cannot be multiplied first


def test_every_matrix_of_weights_has_its_gradient() -> None:
    g, args = STEP.point(square=False)
    x, w1, w2, w3 = args
    _, *truth = jax.jit(lambda g, *args: jax.vjp(vectorised.linear, *args)[1](g))(g, *args)
    written = w2.T @ w3.T @ g @ x.T, w3.T @ g @ (w1 @ x).T, g @ (w2 @ w1 @ x).T
    assert max(map(relative, written, truth)) < 1e-14

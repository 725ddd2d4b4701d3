"""Each check alone: one bug that it must catch, and a right function that it must pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.check.custom import with_jvp, with_vjp
from tests.check.rules import dense, dense_fwd, dense_jvp, dense_vjp
from vjpkit.check import CHECKS, Report, check
from vjpkit.core import Special, elementwise, rule
from vjpkit.core.draw import integers, normal

SHAPES = ("b i", "i o", "o")


def failures(report: Report, name: str) -> list[str]:
    """The texts of the failures; all of them are of the check that was asked for."""
    assert {f.check for f in report.failures} <= {name}
    assert all(len(f.lines) <= 4 for f in report.findings)
    return [str(f) for f in report.failures]


def caught(name: str, fn: Any, *args: Any, **options: Any) -> str:
    texts = failures(check(fn, *args, checks=(name,), **options), name)
    assert texts
    return "\n".join(texts)


@pytest.mark.parametrize("name", CHECKS)
def test_a_right_rule_passes_each(name: str) -> None:
    report = check(dense(), *SHAPES, checks=(name,))
    assert report.ok
    assert report.notes == []


# ------------------------------------------------------------------------------------------------- value


def test_value_the_forward_pass_returns_something_else() -> None:
    text = caught("value", dense(fwd=lambda x, w, b: (x @ w, (x, w))), *SHAPES)
    assert "differ from the primal" in text


def test_value_an_independent_value() -> None:
    assert check(dense(), *SHAPES, value=lambda x, w, b: x @ w + b, checks=("value",)).ok
    text = caught("value", dense(), *SHAPES, value=lambda x, w, b: x @ w - b)
    assert "the independent value" in text


def log_with(at_zero: float) -> Any:
    """log, whose forward pass has a value of its own at 0."""
    log = jax.custom_vjp(jnp.log)
    log.defvjp(lambda x: (jnp.where(x == 0, at_zero, jnp.log(x)), x), lambda x, g: (g / x,))
    return log


def test_value_an_infinity_is_a_value() -> None:
    x = jnp.array([0.0, 2.0, 3.0])
    assert check(log_with(-np.inf), x, checks=("value",)).ok
    for wrong in (0.0, np.inf, np.nan):
        assert "1 of 3 entries differ from the primal" in caught("value", log_with(wrong), x)


def test_value_nan_is_none_and_another_function_may_overflow() -> None:
    @rule
    def sinc(x: Any) -> Any:
        return jnp.sin(x) / x

    sinc.defrule(
        fwd=lambda x: (jnp.where(x == 0, 1.0, jnp.sin(x) / x), x),
        jvp=lambda x, x_dot: jnp.where(x == 0, 0.0, jnp.cos(x) / x - jnp.sin(x) / x**2) * x_dot,
    )
    (note,) = check(sinc, jnp.array([0.0, 2.0]), checks=("value",)).notes
    assert "not finite" in str(note)
    overflows = lambda x: jnp.log(1 + jnp.exp(x))  # noqa: E731
    assert check(jax.nn.softplus, jnp.array([800.0, 2.0]), reference=overflows, checks=("value",)).ok


def test_value_a_mask_that_is_drawn_again() -> None:
    random = np.random.default_rng(0)
    text = caught("value", lambda x: x * random.integers(0, 2, 7), normal(7))
    assert "two calls at the same point" in text


# --------------------------------------------------------------------------------------------- structure


@pytest.mark.parametrize(
    ("vjp", "says"),
    [
        (lambda res, g: (g @ res[1].T, res[0].T @ g), "3 cotangents"),
        (lambda res, g: (g @ res[1].T, res[0].T @ g, g), "sum over the leading axes"),
        (lambda res, g: (g @ res[1].T, g.T @ res[0], g.sum(0)), "transpose of that shape"),
        (lambda res, g: (g @ res[1].T, res[0].T @ g, None), "b is None"),
        (lambda res, g: (g @ res[1].T, res[0].T @ g, g.sum(0).astype(jnp.float16)), "float16"),
    ],
)
def test_structure_of_the_cotangents(vjp: Any, says: str) -> None:
    assert says in caught("structure", dense(vjp=vjp), *SHAPES)


def test_structure_is_looked_at_in_any_case() -> None:
    report = check(dense(vjp=lambda res, g: g), *SHAPES, checks=("adjoint",))
    assert [f.check for f in report.failures] == ["structure"]


def test_structure_names_what_has_no_tangent() -> None:
    report = check(lambda x, i: x[i], "n c", integers(7, high=3), checks=("structure",))
    assert any(g.what == "i" and "not differentiated" in g.why for g in report.gaps)


def test_structure_weak_types() -> None:
    @rule
    def twice(x: Any) -> Any:
        return 2 * x

    twice.defrule(
        fwd=lambda x: (2 * x, None), jvp=lambda res, x_dot: 2 * x_dot, vjp=lambda res, g: jnp.asarray(2.0) * g
    )
    assert check(twice, "i", checks=("structure",)).notes == []

    @rule
    def nothing(x: Any) -> Any:
        return 0 * x

    nothing.defrule(fwd=lambda x: (0 * x, None), vjp=lambda res, g: jnp.sin(0.0))
    report = check(nothing, jnp.asarray(1.0), checks=("structure",))
    assert report.ok
    assert [n.what for n in report.notes] == ["1 cotangents are weakly typed"]


def test_structure_weak_types_of_a_call_that_leaves_something_out() -> None:
    """An argument at its default and an option at its own: the maps are asked all the same."""

    @rule(static=("power",))
    def scaled(x: Any, factor: Any = 2.0, *, power: int = 1) -> Any:
        return x * factor**power

    def scaled_vjp(res: Any, g: Any, *, power: int) -> Any:
        return jnp.sin(0.0), 1.0 * g.sum()

    scaled.defrule(fwd=lambda x, factor, power: (x * factor**power, ()), vjp=scaled_vjp)
    report = check(scaled, jnp.asarray(1.0), checks=("structure",))
    assert [n.what for n in report.notes] == ["1 cotangents are weakly typed"]


# --------------------------------------------------------------------------------------------- linearity


def test_linearity_of_either_map() -> None:
    assert "(vjp)" in caught("linearity", dense(vjp=lambda res, g: dense_vjp(res, jnp.clip(g, -1, 1))), *SHAPES)
    assert "(jvp)" in caught("linearity", dense(jvp=lambda res, *dots: dense_jvp(res, *dots) + 1e-9), *SHAPES)


def test_linearity_zero_goes_to_zero_where_the_slope_is_infinite() -> None:
    @elementwise(slope=lambda y: 0.5 / y)
    def root(x: Any) -> Any:
        return jnp.sqrt(x)

    report = check(root, jnp.array([1.0, 2.0]), special=[(jnp.array([0.0, 1.0]),)], checks=("linearity",))
    assert report.ok
    assert any("zero does not go to zero" in n.what and "as in autodiff" in n.cause for n in report.notes)


# ----------------------------------------------------------------------------------------------- adjoint


def test_adjoint_the_two_modes_disagree() -> None:
    text = caught("adjoint", dense(jvp=lambda res, x_dot, w_dot, b_dot: x_dot @ res[1] + b_dot), *SHAPES)
    assert text.startswith("adjoint, w:")


# ------------------------------------------------------------------------------------ reverse and forward


def test_reverse_names_the_argument_and_the_factor() -> None:
    report = check(dense(vjp=lambda res, g: (g @ res[1].T, res[0].T @ g / 3, g.sum(0))), *SHAPES, checks=("reverse",))
    (failure,) = report.failures
    assert failure.argument == "w"
    assert "a mean over 3 entries" in failure.cause
    assert "rule" in failure.where
    assert "autodiff" in failure.where


def test_forward_names_the_argument() -> None:
    report = check(dense(jvp=lambda res, x_dot, w_dot, b_dot: x_dot @ res[1] - res[0] @ w_dot + b_dot), *SHAPES,
                   checks=("forward",))  # fmt: skip
    assert {f.argument for f in report.failures} == {"w", "every column"}


def test_a_jacobian_of_ten_to_the_tenth_entries_is_not_formed() -> None:
    f = with_vjp(lambda x: jnp.cumsum(jnp.sin(x)), lambda r, g: (jnp.flip(jnp.cumsum(jnp.flip(g))) * jnp.cos(r[0]),))
    report = check(f, normal(100_000), checks=("reverse", "forward", "adjoint"))
    assert report.ok
    assert any("row by row" in g.what for g in report.gaps)


# ------------------------------------------------------------------------------------------- differences


def test_differences_see_a_stop_gradient_in_the_primal() -> None:
    report = check(lambda x: x * jax.lax.stop_gradient(jnp.sin(x)), "i", checks=("differences",))
    assert report.ok
    assert any("stop_gradient" in n.what for n in report.notes)


def test_differences_are_one_sided_at_an_edge() -> None:
    f = with_vjp(lambda x: x * jnp.sqrt(x), lambda r, g: (1.5 * g * jnp.sqrt(r[0]),))
    report = check(f, jnp.array([0.0, 1.0]), checks=("reverse", "differences"))
    assert report.ok


def test_differences_know_the_order() -> None:
    (line,) = check(jnp.exp, "i", checks=("differences",)).results
    assert "Taylor slope 2.0" in line.note


# ------------------------------------------------------------------------------------------ second order


def test_second_order_a_slope_that_hides_its_dependence() -> None:
    f = with_jvp(jnp.tanh, lambda p, t: t[0] * jax.lax.stop_gradient(1 - jnp.tanh(p[0]) ** 2))
    text = caught("second order", f, "i")
    assert "forward over reverse" in text


def test_second_order_symmetry() -> None:
    f = with_vjp(
        lambda x: jnp.sum(x[0] * x[1]), lambda r, g: (g * jnp.stack([jax.lax.stop_gradient(r[0][1]), r[0][0]]),)
    )
    assert "second order, symmetry" in caught("second order", f, "2 i")


# --------------------------------------------------------------------------------------- transformations


def test_transformations_a_batching_rule_that_is_wrong() -> None:
    @jax.custom_batching.custom_vmap
    def f(x: Any) -> Any:
        return x * 2

    f.def_vmap(lambda size, batched, x: (x * 3, True))
    assert "vmap over x" in caught("transformations", f, "i")


def test_transformations_eager_is_not_compiled() -> None:
    def f(x: Any) -> Any:
        try:
            return x * (2 if x.sum() < 1e9 else 3)
        except jax.errors.TracerBoolConversionError:
            return x * 3

    assert "eager" in caught("transformations", f, "i")


# --------------------------------------------------------------------------------------------- precision


def test_precision_a_formula_that_cancels_at_low_precision() -> None:
    f = with_vjp(jnp.sin, lambda r, g: (g * ((jnp.cos(r[0]) + 64) - 64),))
    assert check(f, "i", checks=("reverse",)).ok
    report = check(f, "i", checks=("precision",))
    assert any("less accurate than autodiff" in f.what for f in report.findings)


def test_precision_overflow() -> None:
    f = with_vjp(jax.nn.softplus, lambda r, g: (g * jnp.exp(r[0]) / (1 + jnp.exp(r[0])),))
    assert "not finite where autodiff is" in caught("precision", f, "i")


def test_precision_a_sum_in_a_narrow_dtype() -> None:
    def vjp(r: Any, g: Any) -> Any:
        return (
            (g * jnp.cos(r[0]).astype(jnp.bfloat16).astype(g.dtype),)
            if g.dtype == jnp.float32
            else (g * jnp.cos(r[0]),)
        )

    assert "wrong beyond rounding" in caught("precision", with_vjp(jnp.sin, vjp), "i")


def test_extremes() -> None:
    f = with_vjp(jax.nn.softplus, lambda r, g: (g * jnp.exp(r[0]) / (1 + jnp.exp(r[0])),))
    assert "large inputs" in caught("extremes", f, normal(7, scale=3.0))


# ----------------------------------------------------------------------------------------------- special


def test_special_points_run_in_both_modes() -> None:
    @elementwise(slope=lambda x: jnp.where(x == 3, 5.0, jnp.cos(x)))
    def sine(x: Any) -> Any:
        return jnp.sin(x)

    assert check(sine, "i").ok
    texts = caught("special", sine, "i", special=[Special((jnp.array([1.0, 2.0, 3.0]),), "at three")])
    assert "at three, reverse" in texts
    assert "at three, forward" in texts


def test_special_points_say_what_is_right() -> None:
    @elementwise(slope=lambda x: jnp.where(x > 0, 1.0, 0.0))
    def relu(x: Any) -> Any:
        return jnp.maximum(x, 0)

    zeros = jnp.zeros(3)
    right = Special((zeros,), "at zero", value=zeros, cotangents=lambda g: (0 * g,))
    wrong = Special((zeros,), "at zero", value=zeros, cotangents=lambda g: (g,))
    assert check(relu, "i", special=[right], checks=("special",)).ok
    assert "against the case" not in caught("special", relu, "i", special=[wrong])
    assert "the case" in caught("special", relu, "i", special=[wrong])


def test_what_a_case_says_may_be_infinite_or_nan() -> None:
    zero = jnp.zeros(2)
    for right, wrong in ((-np.inf, 0.0), (-np.inf, np.inf), (np.nan, 0.0)):
        point = Special((zero,), "at 0", value=np.full(2, right), cotangents=lambda g: (g * np.inf,))
        assert check(log_with(right), "i", special=[point], checks=("special",)).ok
        assert "against" not in caught("special", log_with(wrong), "i", special=[point])


def test_what_a_case_says_is_held_to_its_digits_though_autodiff_loses_them() -> None:
    def rest(x: jax.Array) -> jax.Array:  # 1 − σ(x): autodiff of this form has no digit left where σ rounds to 1
        return 1 - 1 / (1 + jnp.exp(-x))

    x = np.array([0.0, 35.0])
    truth = np.exp(-x) / (1 + np.exp(-x)) ** 2
    point = Special((x,), "at 35", cotangents=lambda g: (-g * truth,))
    good, bad = jax.custom_vjp(rest), jax.custom_vjp(rest)
    good.defvjp(lambda x: (rest(x), x), lambda x, g: (-g * jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),))
    bad.defvjp(lambda x: (rest(x), x), lambda x, g: (-g * jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)),))

    assert check(good, normal(2), special=[point], checks=("special",)).ok
    assert not check(bad, normal(2), special=[point], checks=("special",)).ok


def test_special_points_with_options_of_their_own() -> None:
    @rule(static=("power",))
    def raised(x: Any, *, power: int = 2) -> Any:
        return x**power

    raised.defrule(
        fwd=lambda x, power: (x**power, x),
        jvp=lambda res, x_dot, power: 2 * res * x_dot,
        vjp=lambda res, g, power: 2 * res * g,
    )
    assert check(raised, "i").ok
    assert not check(raised, "i", special=[Special((jnp.ones(2),), "cubed", static={"power": 3})]).ok


# --------------------------------------------------------------------------------------------- residuals


def test_residuals_are_counted() -> None:
    (line,) = check(dense(fwd=lambda x, w, b: dense_fwd(x, w, b)), "3 5", "5 7", "7", checks=("residuals",)).results
    assert line.note == "rule keeps 2 arrays, 200 B; autodiff keeps 2 arrays, 200 B"


@pytest.mark.parametrize("k", range(5))
def test_an_entry_that_is_cut_off_at_some_points_is_seen_at_another(k: int) -> None:
    """Its value is lost, which is zero at most points anyway."""
    f = jax.custom_vjp(lambda x: jnp.maximum(x - 0.5, 0))
    f.defvjp(lambda x: (jnp.maximum(x - 0.5, 0).at[k].set(0), x > 0.5), lambda passed, g: (jnp.where(passed, g, 0),))
    report = check(f, jax.ShapeDtypeStruct((5,), jnp.float32), checks=("value",))
    assert [finding.check for finding in report.failures] == ["value"]

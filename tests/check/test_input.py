"""What the checker is given: specifications, what arguments hide, and questions that make no sense."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from tests.check.rules import dense
from vjpkit.check import CheckError, check
from vjpkit.check.arguments import drawn, specified
from vjpkit.core import Case, Special, rule
from vjpkit.core.draw import booleans, integers, normal


def refused(fn: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(CheckError) as error:
        check(fn, *args, **options)
    return str(error.value)


def test_a_function_that_fails() -> None:
    assert "dense itself fails at x float32[2, 3], w float32[2, 3]" in refused(
        dense(), normal(2, 3), normal(2, 3), normal(3)
    )


def test_an_output_that_is_no_float() -> None:
    assert "its output is int64[3]" in refused(lambda x: jnp.argsort(x), normal(3))


def test_no_argument_that_can_be_differentiated() -> None:
    assert "i is int32[3]" in refused(lambda i: i / 2, jnp.arange(3, dtype=jnp.int32))


def test_no_arguments() -> None:
    assert "no arguments to check at" in refused(jnp.sin)


def test_nan() -> None:
    assert "argument x is NaN at [1]" in refused(lambda x: x, jnp.array([1.0, jnp.nan]))


def test_an_argument_that_was_donated() -> None:
    x = jnp.ones(3)
    x.delete()
    assert "argument x was donated" in refused(lambda x: x, x)


def test_a_function_that_donates() -> None:
    assert "donates an argument" in refused(jax.jit(lambda x: 2 * x, donate_argnums=0), normal(3))


def test_an_unknown_check() -> None:
    assert "unknown checks ['backward']; there are structure, value" in refused(jnp.sin, "i", checks=("backward",))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("3 5", "5 5", "5"), "w is square, 5×5: a transpose is visible only by value"),
        (("1 3", "3 5", "5"), "axis 0 of x is 1: a missing sum over it is invisible"),
        (("3 5", "5 7", jnp.ones(7)), "every entry of b is 1"),
    ],
)
def test_what_arguments_hide(args: Any, says: str) -> None:
    assert any(says in w for w in check(dense(), *args, checks=()).warnings)


def test_indices_that_do_not_repeat() -> None:
    report = check(lambda x, i: x[i], "n c", jnp.array([0, 2, 1]), checks=())
    assert report.warnings == ["all indices in i are different: what a gather adds up is invisible"]


def test_words_become_primes() -> None:
    x, w, labels, mask, fixed = (d.shape for d in specified(("b i", "i o", "int b < o", "bool b i", "b 4")))
    assert (x, w, labels, mask, fixed) == ((3, 5), (5, 7), (3,), (3, 5), (3, 4))


def test_draws_are_those_of_a_case() -> None:
    args = (normal(3, 5), integers(7, high=5), booleans(3), 2.0)
    case = Case(dense(), args)
    ours, theirs = drawn(args, 3, jnp.float32), case.draw(3)
    assert all(jnp.allclose(a, b, rtol=1e-6) for a, b in zip(ours, theirs, strict=True))


def test_shape_structs_and_strings_that_are_no_shapes() -> None:
    def reduced(x: Any, how: str) -> Any:
        return {"the sum!": jnp.sum, "the mean!": jnp.mean}[how](x)

    assert check(reduced, jax.ShapeDtypeStruct((3, 5), jnp.float32), "the sum!", checks=("reverse",)).ok


def test_a_function_that_does_not_run_in_float64() -> None:
    def narrow(x: Any) -> Any:
        assert x.dtype == jnp.float32
        return jnp.sin(x)

    report = check(narrow, "i")
    assert report.ok
    assert report.dtype == "float32"
    assert any(g.what == "float64" for g in report.gaps)


def test_a_special_point_with_options_of_its_own_may_be_nan() -> None:
    @rule(static=("factor",))
    def scaled(x: Any, *, factor: float = 1.0) -> Any:
        return factor * x

    scaled.defrule(fwd=lambda x, factor: (factor * x, ()), vjp=lambda res, g, factor: factor * g)
    x = jnp.array([jnp.nan, 1.0])
    point = Special((x,), "not a number", 2 * x, lambda g: (2 * g,), {"factor": 2.0})
    report = check(scaled, normal(3), special=(point,), checks=("special",))
    assert report.ok
    assert any("not a number" in r.argument for r in report.results)


def test_options_that_stand_between_arguments() -> None:
    @rule(static=("axis",))
    def total(x: Any, axis: int = 0, weight: Any = 1.0) -> Any:
        return jnp.sum(x * weight, axis)

    def total_vjp(res: Any, g: Any, axis: int) -> Any:
        x, weight = res
        return jnp.broadcast_to(jnp.expand_dims(g, axis) * weight, x.shape), jnp.sum(x * jnp.expand_dims(g, axis))

    total.defrule(fwd=lambda x, weight, axis: (jnp.sum(x * weight, axis), (x, weight)), vjp=total_vjp)
    value = lambda x, axis, weight: (x * weight).sum(axis)  # noqa: E731
    checks = ("structure", "value", "reverse")
    assert check(total, normal(3, 5), 2.0, static={"axis": 1}, value=value, checks=checks).raise_if_failed()
    assert check(total, normal(3, 5), 2.0, checks=checks).raise_if_failed()

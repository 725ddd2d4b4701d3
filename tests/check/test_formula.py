"""Bare formulas: a candidate vjp or jvp, in JAX or in NumPy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from vjpkit.check import check_jvp, check_vjp
from vjpkit.core.draw import integers, normal


def layer(x: Any, w: Any, b: Any) -> Any:
    return jnp.tanh(x @ w + b)


def layer_vjp(g: Any, x: Any, w: Any, b: Any) -> Any:
    z = g * (1 - jnp.tanh(x @ w + b) ** 2)
    return z @ w.T, x.T @ z, z.sum(0)


SHAPES = ("b i", "i o", "o")


def test_a_right_formula() -> None:
    report = check_vjp(layer, layer_vjp, *SHAPES)
    assert report.ok, str(report)
    assert {r.check for r in report.results} >= {"reverse", "second order", "transformations", "precision"}


def test_a_formula_in_numpy() -> None:
    def layer_vjp(g: Any, x: Any, w: Any, b: Any) -> Any:
        z = g * (1 - np.tanh(np.asarray(x) @ np.asarray(w) + np.asarray(b)) ** 2)
        return z @ np.asarray(w).T, np.asarray(x).T @ z, z.sum(0)

    report = check_vjp(layer, layer_vjp, *SHAPES, checks=("structure", "linearity", "reverse"))
    assert report.ok, str(report)
    assert any(r.check == "reverse" for r in report.results)


def test_the_slope_at_the_wrong_point() -> None:
    def wrong(g: Any, x: Any, w: Any, b: Any) -> Any:
        z = g * (1 - jnp.tanh(layer(x, w, b)) ** 2)
        return z @ w.T, x.T @ z, z.sum(0)

    assert {f.argument for f in check_vjp(layer, wrong, *SHAPES, checks=("reverse",)).failures} == {"x", "w", "b"}


def test_the_missing_sum_is_named() -> None:
    report = check_vjp(layer, lambda g, x, w, b: (*layer_vjp(g, x, w, b)[:2], g), *SHAPES)
    assert "the cotangent of b" in str(report.failures[0])
    assert "a sum over the leading axes (0,)" in str(report.failures[0])


def test_one_argument_may_answer_bare() -> None:
    assert check_vjp(jnp.sin, lambda g, x: g * jnp.cos(x), "i", checks=("reverse",)).ok


def test_integers_answer_none() -> None:
    def vjp(g: Any, x: Any, i: Any) -> Any:
        return jnp.zeros_like(x).at[i].add(g), None

    assert check_vjp(lambda x, i: x[i], vjp, "n c", integers(7, high=3), checks=("reverse",)).ok


def test_jvp() -> None:
    def right(dots: Any, x: Any, w: Any, b: Any) -> Any:
        return (1 - layer(x, w, b) ** 2) * (dots[0] @ w + x @ dots[1] + dots[2])

    def wrong(dots: Any, x: Any, w: Any, b: Any) -> Any:
        return (1 - layer(x, w, b) ** 2) * (dots[0] @ w + x @ dots[1])

    assert check_jvp(layer, right, *SHAPES).ok
    report = check_jvp(layer, wrong, *SHAPES, checks=("forward",))
    assert {f.argument for f in report.failures} == {"b", "every column"}


def test_complex_formula_with_a_conjugate_too_many() -> None:
    z = jnp.array([1 + 2j, 0.5 - 1j])
    assert check_vjp(lambda z: z * z, lambda g, z: 2 * z * g, z).ok
    assert not check_vjp(lambda z: z * z, lambda g, z: 2 * z.conj() * g, z, checks=("reverse",)).ok
    assert not check_vjp(lambda z: z * z, lambda g, z: 2 * z * g.conj(), z, checks=("reverse",)).ok


def test_a_formula_of_pytrees() -> None:
    def f(p: Any) -> Any:
        return {"y": p["a"] * p["b"], "z": jnp.sum(p["a"])}

    def vjp(g: Any, p: Any) -> Any:
        return {"a": g["y"] * p["b"] + g["z"], "b": g["y"] * p["a"]}

    report = check_vjp(f, vjp, {"a": normal(3), "b": normal(3)}, checks=("reverse",))
    assert report.ok
    assert {r.argument for r in report.results} == {"p['a']", "p['b']"}

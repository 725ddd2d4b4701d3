"""The seeded bugs on which other checkers were measured, and right functions on which they raise false alarms."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from tests.check.custom import Fn, with_jvp, with_vjp
from vjpkit import nn
from vjpkit.check import check
from vjpkit.core.draw import normal


class Seeded(NamedTuple):
    what: str
    fn: Fn
    args: tuple[Any, ...]
    caught_by: str


def _mask(n: int, dtype: Any) -> jax.Array:
    return jnp.ones(n, dtype).at[jnp.array([3, 77, 500, 801, 999])].set(0)


def _late(x: Any) -> Any:
    return jnp.sin(x) + x**2


BUGS = (
    Seeded(
        "W transposed",
        with_vjp(lambda x, w: x @ w, lambda r, g: (g @ r[1], r[0].T @ g)),
        ("3 4", "4 4"),
        "reverse",
    ),
    Seeded(
        "squared error without its 2",
        with_vjp(lambda x, y: jnp.mean((x - y) ** 2), lambda r, g: (g * (r[0] - r[1]) / 15, g * (r[1] - r[0]) / 15)),
        (normal(3, 5), normal(3, 5)),
        "reverse",
    ),
    Seeded("no sum over the batch", with_vjp(lambda x, b: x + b, lambda r, g: (g, g)), ("b o", "o"), "structure"),
    Seeded(
        "sign, output 1e-6",
        with_vjp(lambda x: 1e-6 * jnp.sin(x), lambda r, g: (-1e-6 * g * jnp.cos(r[0]),)),
        ("i",),
        "reverse",
    ),
    Seeded(
        "sign, output 1e-7",
        with_vjp(lambda x: 1e-7 * jnp.sin(x), lambda r, g: (-1e-7 * g * jnp.cos(r[0]),)),
        ("i",),
        "reverse",
    ),
    Seeded("|g|, vector", with_vjp(jnp.sin, lambda r, g: (jnp.abs(g) * jnp.cos(r[0]),)), ("i",), "linearity"),
    Seeded("|g|, scalar", with_vjp(jnp.sin, lambda r, g: (jnp.abs(g) * jnp.cos(r[0]),)), (normal(),), "linearity"),
    Seeded("g ignored", with_vjp(jnp.sin, lambda r, g: (jnp.cos(r[0]),)), ("i",), "linearity"),
    Seeded(
        "5 of 1000 zeroed",
        with_vjp(jnp.sin, lambda r, g: (g * jnp.cos(r[0]) * _mask(1000, g.dtype),)),
        (normal(1000),),
        "reverse",
    ),
    Seeded("centring without the mean", with_vjp(lambda x: x - x.mean(), lambda r, g: (g,)), ("i",), "reverse"),
    Seeded("zero jvp, 1000", with_jvp(jnp.sin, lambda p, t: jnp.zeros_like(p[0])), (normal(1000),), "forward"),
    Seeded(
        "wrong f'' at 0",
        with_jvp(_late, lambda p, t: t[0] * (jnp.cos(p[0]) + 2 * jax.lax.stop_gradient(p[0]))),
        (0.0,),
        "second order",
    ),
    Seeded("off by 1e-9", with_vjp(jnp.sin, lambda r, g: (g * jnp.cos(r[0]) * (1 + 1e-9),)), ("i",), "reverse"),
    Seeded(
        "every winner of a tie counts in full",
        with_vjp(lambda x: jnp.max(x), lambda r, g: (g * (r[0] == r[0].max()),)),
        (jnp.array([1.0, 3.0, 3.0, 2.0]),),
        "differences",
    ),
    Seeded(
        "a small block zeroed among large ones",
        with_vjp(lambda x, y: (jnp.sin(x), 1e-9 * jnp.sin(y)), lambda r, g: (g[0] * jnp.cos(r[0]), 0 * g[1])),
        ("i", "j"),
        "reverse",
    ),
    Seeded(
        "small entries zeroed in an array of large ones",
        with_vjp(
            lambda x, c: jnp.sin(x) * c,
            lambda r, g: (jnp.where(r[1] < 1, 0, g * r[1] * jnp.cos(r[0])), g * jnp.sin(r[0])),
        ),
        (normal(5), jnp.array([1.0, 1e-9, 1.0, 1.0, 1e-9])),
        "reverse",
    ),
)  # fmt: skip

RIGHT: dict[str, tuple[Fn, tuple[Any, ...]]] = {
    "relu at 0": (jax.nn.relu, (jnp.array([-1.0, 0.0, 2.0]),)),
    "abs at 0": (with_vjp(jnp.abs, lambda r, g: (g * jnp.where(r[0] >= 0, 1, -1),)), (jnp.array([-1.0, 0.0, 2.0]),)),
    "the first of a tie": (
        with_vjp(lambda x: jnp.max(x), lambda r, g: (g * jax.nn.one_hot(jnp.argmax(r[0]), 4, dtype=g.dtype),)),
        (jnp.array([1.0, 3.0, 3.0, 2.0]),),
    ),
    "exp": (jnp.exp, ("i",)),
    "exp(x + 20)": (with_jvp(lambda x: jnp.exp(x + 20), lambda p, t: t[0] * jnp.exp(p[0] + 20)), ("i",)),
    "log at 1e-5": (with_vjp(jnp.log, lambda r, g: (g / r[0],)), (jnp.array([1e-5, 2e-5]),)),
    "cube at 30": (with_vjp(lambda x: x**3, lambda r, g: (g * 3 * r[0] * r[0],)), (jnp.array([30.0, 31.0]),)),
    "sin in float16": (with_vjp(jnp.sin, lambda r, g: (g * jnp.cos(r[0]),)), (jnp.array([1.0, 2.0], jnp.float16),)),
    "log in bfloat16": (with_vjp(jnp.log, lambda r, g: (g / r[0],)), (jnp.array([1e-5, 2.0], jnp.bfloat16),)),
    "tanh by 1 - y y, saturated": (
        with_vjp(jnp.tanh, lambda r, g: (g * (1 - jnp.tanh(r[0]) ** 2),)),
        (normal(7, scale=5),),
    ),
    "an exact zero and a residue": (
        with_vjp(
            lambda x: jnp.sin(x) * jnp.array([1.0, 0.0], x.dtype),
            lambda r, g: (g * jnp.cos(r[0]) * jnp.array([1.0, 1e-30], g.dtype),),
        ),
        (normal(2),),
    ),
    "values that stand still": (lambda x: nn.top_k_mask(x, 3), ("b i",)),
    "a constant": (with_vjp(lambda x: jnp.sum(0 * x), lambda r, g: (jnp.zeros_like(r[0]),)), ("i",)),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_seeded_bug_is_caught(bug: Seeded) -> None:
    report = check(bug.fn, *bug.args)
    assert not report.ok
    assert bug.caught_by in {f.check for f in report.failures}, str(report)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_one_check_is_enough(bug: Seeded) -> None:
    assert not check(bug.fn, *bug.args, checks=(bug.caught_by,)).ok


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_function_passes(name: str) -> None:
    fn, args = RIGHT[name]
    report = check(fn, *args)
    assert report.ok, str(report)
    assert all(r.power is None or r.power < 1e-6 for r in report.results if r.check in ("reverse", "forward"))

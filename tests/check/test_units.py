"""The parts: the reference, rounding, finite differences, the vote."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from tests.check.custom import with_jvp, with_vjp
from tests.check.rules import dense
from vjpkit.check.compiling import Program
from vjpkit.check.differences import slopes
from vjpkit.check.jaxprs import equations
from vjpkit.check.layout import Point
from vjpkit.check.reference import custom_rules, plain
from vjpkit.check.rounding import Nudged
from vjpkit.check.tolerance import Comparison, Tally, bound
from vjpkit.check.transformations import subsets
from vjpkit.check.vote import Verdict, vote

wrong = with_vjp(jnp.sin, lambda r, g: (0 * g,))
wrong_too = with_jvp(jnp.sin, lambda p, t: 0 * t[0])


def _sharded(x: Any) -> Any:
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = PartitionSpec("d")
    return jax.shard_map(lambda x: wrong(x), mesh=mesh, in_specs=spec, out_specs=spec)(x)


@pytest.mark.parametrize(
    "f",
    [
        wrong,
        wrong_too,
        jax.jit(wrong),
        jax.vmap(wrong),
        jax.checkpoint(wrong_too),
        lambda x: jax.lax.scan(lambda c, a: (c + wrong(a), wrong_too(a)), jnp.zeros(()), x)[1],
        lambda x: jax.lax.cond(x[0] < 100, wrong, wrong_too, x),
        lambda x: jax.lax.fori_loop(0, 1, lambda i, x: wrong(x), x),
        with_vjp(lambda x: wrong(x), lambda r, g: (5 * g,)),
        _sharded,
    ],
    ids=["custom_vjp", "custom_jvp", "jit", "vmap", "checkpoint", "scan", "cond", "fori_loop", "nested", "shard_map"],
)
def test_the_reference_is_without_custom_rules(f: Any) -> None:
    x = jnp.array([0.5, 1.0, 1.5, 2.0])
    reference = plain(lambda x, fixed: (f(x[0]),))
    got = jax.jvp(lambda x: reference((x,), ())[0], (x,), (jnp.ones(4),))[1]
    np.testing.assert_allclose(got, jnp.cos(x), rtol=4 * np.finfo(float).eps)
    assert custom_rules(jax.make_jaxpr(lambda x: reference((x,), ()))(x).jaxpr) == []


def test_the_reference_of_a_rule() -> None:
    spoiled = dense(vjp=lambda res, g: (0 * res[0], 0 * res[1], 0 * g.sum(0)))
    reference = plain(lambda x, fixed: (spoiled(*x),))
    x = (jnp.ones((3, 5)), jnp.ones((5, 7)), jnp.ones(7))
    assert jax.grad(lambda b: reference((*x[:2], b), ())[0].sum())(x[2]).tolist() == [3.0] * 7


def test_a_gather_is_left_alone() -> None:
    reference = plain(lambda x, fixed: (x[0][fixed[0]],))
    assert reference((jnp.arange(5.0),), (jnp.array([1, 1]),))[0].tolist() == [1.0, 1.0]


# ---------------------------------------------------------------------------------------------- rounding


def spread(f: Any, *x: Any) -> np.ndarray:
    """What rounding moves f by, in units of eps."""
    at = Point(tuple(np.asarray(a, np.float64) for a in x), ())
    base = [np.asarray(a) for a in f(at.x, ())]
    return Nudged(f).spread(at, range(8), [base])[0][0] / np.finfo(np.float64).eps


def test_cancellation_shows_where_it_strikes() -> None:
    moved = spread(lambda x, fixed: ((x[0] + 1e8) - 1e8,), np.array([1.0]))
    assert 1e7 < moved[0] < 1e9
    assert spread(lambda x, fixed: (x[0] * 3,), np.array([1.0]))[0] < 10


def test_rounding_is_measured_entry_by_entry() -> None:
    moved = spread(lambda x, fixed: (x[0] * jnp.array([1.0, 1e-12]),), np.ones(2))
    assert moved[0] > 1e6 * moved[1] > 0


def test_rounding_in_a_scan_and_in_a_cond() -> None:
    def f(x: Any, fixed: Any) -> Any:
        carried = jax.lax.scan(lambda c, a: (c * 1.5 + a, None), jnp.zeros(()), x[0])[0]
        return (jax.lax.cond(carried > 0, jnp.sin, jnp.cos, carried),)

    assert spread(f, np.ones(20))[()] > 10


def test_selection_is_exact() -> None:
    assert spread(lambda x, fixed: (jnp.maximum(x[0], 0).reshape(2, 2).T,), np.arange(4.0)).max() == 0


# --------------------------------------------------------------------------------------------- tolerance


def test_power_is_that_of_the_weakest_entry() -> None:
    tally = Tally()
    tally.add(Comparison(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([1e-3, 1e-6])))
    tally.add(Comparison(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([1e-5, 1e-3])))
    assert tally.power == pytest.approx(1e-5)
    tally.add(Comparison(np.array([1.0, 1e-9]), np.array([1.0, 1e-9]), np.array([1e-5, 1e-3])))
    assert tally.power == pytest.approx(1e-5)


@pytest.mark.parametrize("size", [1, 10_000])
def test_the_bound_does_not_grow_with_the_array(size: int) -> None:
    ones = np.ones(size)
    assert bound(ones, ones, 0 * ones, np.float64).max() < 1e-14


def test_infinities_that_agree() -> None:
    c = Comparison(np.array([np.inf, np.nan, np.nan]), np.array([np.inf, np.nan, 1.0]), np.ones(3))
    assert c.wrong.tolist() == [False, False, True]


# ------------------------------------------------------------------------------------------- differences


def slope(f: Any, x: float) -> Any:
    return slopes(lambda at: [np.asarray(f(at.x[0]))], Point((np.array([x]),), ()), [np.array([x or 1.0])])


@pytest.mark.parametrize("x", [1e-5, 1.0, 300.0])
def test_a_smooth_slope(x: float) -> None:
    s = slope(np.log, x).central
    assert abs(s.slope[0] - 1) < max(s.error[0], 1e-10) < 1e-6


def test_the_steps_are_as_small_as_the_arguments() -> None:
    at = Point((np.array([1e-9, 3e-9]),), ())
    s = slopes(lambda at: [np.asarray(at.x[0]) ** -2.5], at, [np.ones(2)]).central
    want = -2.5 * at.x[0] ** -3.5
    assert (np.abs(s.slope - want) < 1e-6 * np.abs(want)).all()
    assert (s.error < 1e-6 * np.abs(want)).all()


def test_a_kink_and_an_edge() -> None:
    s = slope(np.abs, 0.0)
    assert s.kink[0]
    assert [n[0] for n in s.interval()[:2]] == [-1.0, 1.0]
    with np.errstate(invalid="ignore"):
        edge = slope(lambda x: x * np.sqrt(x), 0.0)
    assert edge.edge[0] or not np.isfinite(edge.central.slope[0])


# ------------------------------------------------------------------------------------------------- votes


@pytest.mark.parametrize(
    ("rule", "autodiff", "interval", "verdict"),
    [
        (2.0, 1.0, (1.0, 1.0, 1e-9, False), Verdict.RULE),
        (0.0, 0.5, (0.0, 1.0, 1e-9, True), Verdict.KINK),
        (2.0, 0.5, (0.0, 1.0, 1e-9, True), Verdict.RULE),
        (1.0, float("nan"), (1.0, 1.0, 1e-9, False), Verdict.LIMIT),
        (2.0, float("nan"), (1.0, 1.0, 1e-9, False), Verdict.RULE),
        (0.0, float("inf"), (float("nan"), float("nan"), float("inf"), False), Verdict.UNDEFINED),
        (float("nan"), 1.0, (1.0, 1.0, 1e-9, False), Verdict.RULE),
        (1.0, 0.0, (1.0, 1.0, 1e-9, False), Verdict.PRIMAL),
        (1.0, 1.5, (0.0, 3.0, 2.0, False), Verdict.UNRELIABLE),
        (2.0, 3.0, (1.0, 1.0, 1e-9, False), Verdict.ALL),
        (float("nan"), 1.0, (float("nan"), float("nan"), float("inf"), False), Verdict.UNRELIABLE),
        (1.0, 1 + 1e-12, (1.0, 1.0, 1e-9, False), Verdict.CLOSE),
    ],
)
def test_the_vote(rule: float, autodiff: float, interval: Any, verdict: Verdict) -> None:
    assert vote(rule, autodiff, *interval) is verdict


def test_points_are_remembered_by_identity() -> None:
    at = Point((np.ones(2),), ())
    assert at != dataclasses.replace(at)
    assert {at: 1}[at] == 1
    assert next(equations(jax.make_jaxpr(jnp.sin)(1.0).jaxpr)).primitive.name == "sin"


@pytest.mark.parametrize("n", range(1, 14))
def test_each_argument_is_mapped_beside_each_other_that_is_not(n: int) -> None:
    chosen = subsets(n, thorough=False)
    assert chosen[0] == (True,) * n
    assert all(any(s[i] and not s[j] for s in chosen) for i in range(n) for j in range(n) if i != j)
    assert len(subsets(3, thorough=True)) == 7


def test_a_program_is_compiled_once_for_each_signature_and_may_be_begun() -> None:
    traced = []

    def f(x: Any) -> Any:
        traced.append(x.shape)
        return 2 * x

    program = Program(f)
    program.ahead(np.ones(3, np.float32))
    assert traced == [(3,)]
    np.testing.assert_array_equal(program(np.arange(3, dtype=np.float32)), [0, 2, 4])
    np.testing.assert_array_equal(program(np.ones(2, np.float32)), [2, 2])
    assert traced == [(3,), (2,)]
    with pytest.raises(TypeError):
        Program(lambda x: x + "").ahead(np.ones(3, np.float32))


def test_rounding_is_followed_through_a_scan() -> None:
    def summed(x: Any, fixed: Any) -> Any:
        return (jax.lax.scan(lambda total, a: (total + a, None), jnp.zeros(()), x[0])[0],)

    x = np.linspace(0.1, 1.0, 7)
    (moves,) = Nudged(summed).spread(Point((x,), ()), (1, 2), [[np.asarray(x.sum())]])
    assert 0 < moves[0] < 1e-14

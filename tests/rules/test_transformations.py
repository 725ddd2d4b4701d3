"""Transformations: jit, checkpoint, scan, and vmap over every choice of arguments change nothing.

One case of each rule goes through them all, the others through the vmap over all of their arguments: of what a
transformation does with a rule, options and shapes change that alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.check.compiling import jit
from vjpkit.core import Case

from .truth import (
    CASES,
    FULLEST,
    TRUTH,
    Problem,
    assert_all_close,
    assert_close,
    draws,
    each,
    is_fullest,
    name,
    truth,
    vjp,
)

BATCH = 3


@each(FULLEST)
@pytest.mark.parametrize("transform", [jax.jit, jax.checkpoint], ids=["jit", "checkpoint"])
def test_at_a_point(case: Case, transform: Callable[[Any], Any]) -> None:
    """The derivative of a jitted or checkpointed function, itself jitted."""
    p = Problem.of(case)
    u, v, g = p.direction(1), p.direction(2), p.cotangent(3)
    f = transform(p.ours)
    run = jit(lambda x, u, g: (f(*x), jax.jvp(f, x, u)[1], vjp(f, x, g)))
    y, dot, bars = run(p.x, u, g)
    t = truth(p, TRUTH, u, v, g)
    assert_close(y, t["value"], f"{p.rule.name}: value")
    assert_close(dot, t["dot"], f"{p.rule.name}: tangent")
    assert_all_close(bars, t["bars"], p, "cotangent of")


def _subsets() -> list[Any]:
    """Each case with all leaves batched, and one case of each rule with each of them alone."""
    out = []
    for case in CASES:
        n = len(draws(case))
        sizes = {1, n} if is_fullest(case) else {n}
        out += [
            pytest.param(case, chosen, id=f"{name(case)}-batched{''.join(map(str, chosen))}")
            for size in sizes
            for chosen in itertools.combinations(range(n), size)
        ]
    return out


@pytest.mark.parametrize(("case", "batched"), _subsets())
def test_vmap(case: Case, batched: tuple[int, ...]) -> None:
    """Both modes of the vmap, whose cotangent of an unbatched argument is a sum, and the vmap of the vjp."""
    points, us, gs, truths = _examples(case, batched)
    p = points[0]
    axes = [None if i not in batched else 0 if i % 2 else jnp.ndim(a) for i, a in enumerate(p.leaves)]
    moving_axes = [axes[i] for i in p.moving]
    stacked = p.at(
        [_stack(a, axis) for a, axis in zip(zip(*(q.leaves for q in points), strict=True), axes, strict=True)]
    )

    def one(*leaves: Any) -> Any:
        return p.at(leaves).ours(*p.at(leaves).x)

    def backward(g: Any, *leaves: Any) -> Any:
        return vjp(p.at(leaves).ours, p.at(leaves).x, g)

    def leaves(x: Any) -> list[Any]:
        return jax.tree.leaves(stacked.args(*x))

    def many(*x: Any) -> Any:
        return jax.vmap(one, axes)(*leaves(x))

    @jit
    def run(x: Any, u: Any, g: Any) -> Any:
        each_bar = jax.vmap(backward, (0, *axes))(g, *leaves(x))
        return many(*x), jax.jvp(many, x, u)[1], vjp(many, x, g), each_bar

    u = tuple(_stack(a, axis) for a, axis in zip(zip(*us, strict=True), moving_axes, strict=True))
    y, dot, bars, each_bar = run(stacked.x, u, np.stack(gs))
    assert_close(y, np.stack([t["value"] for t in truths]), f"{p.rule.name}: vmap's value")
    assert_close(dot, np.stack([t["dot"] for t in truths]), f"{p.rule.name}: vmap's tangent")
    want = [np.stack(b) for b in zip(*(t["bars"] for t in truths), strict=True)]
    assert_all_close(each_bar, want, p, "vmap of vjp, cotangent of")
    summed = [b.sum(0) if axis is None else np.moveaxis(b, 0, axis) for b, axis in zip(want, moving_axes, strict=True)]
    assert_all_close(bars, summed, p, "vjp of vmap, cotangent of")


@each(FULLEST)
def test_scan(case: Case) -> None:
    """A loop over the first argument, the others closed over, whose results add up in the carry."""
    p = Problem.of(case)
    points, us, gs, truths = _examples(case, (p.moving[0],))

    def total(xs: Any, *rest: Any) -> Any:
        def step(carry: Any, at: Any) -> Any:
            x, g = at
            y = p.ours(x, *rest)
            return carry + jnp.vdot(g, y), y

        return jax.lax.scan(step, 0.0, (xs, np.stack(gs)))

    @jit
    def run(x: Any, u: Any) -> Any:
        bars, ys = jax.grad(total, tuple(range(len(x))), has_aux=True)(*x)
        return ys, jax.jvp(lambda *x: total(*x)[1], x, u)[1], bars

    x, u = ((np.stack([a[0] for a in each]), *each[0][1:]) for each in ([q.x for q in points], us))
    ys, dots, bars = run(x, u)
    assert_close(ys, np.stack([t["value"] for t in truths]), f"{p.rule.name}: scan's values")
    assert_close(dots, np.stack([t["dot"] for t in truths]), f"{p.rule.name}: scan's tangents")
    want = [np.stack(b) for b in zip(*(t["bars"] for t in truths), strict=True)]
    assert_all_close(bars, [want[0], *(b.sum(0) for b in want[1:])], p, "scan, cotangent of")


def _examples(case: Case, batched: tuple[int, ...]) -> tuple[list[Problem], list[Any], list[Any], list[Any]]:
    """BATCH points that differ in the batched leaves alone, with a tangent, a cotangent and the truth at each."""
    first, *others = (Problem.of(case, seed=s) for s in range(BATCH))
    points = [
        first,
        *(first.at([q.leaves[i] if i in batched else a for i, a in enumerate(first.leaves)]) for q in others),
    ]
    us = [
        tuple(p.direction(seed if i in batched else 0)[k] for k, i in enumerate(p.moving))
        for seed, p in enumerate(points)
    ]
    gs = [p.cotangent(50 + seed) for seed, p in enumerate(points)]
    truths = [truth(p, TRUTH, u, p.direction(9), g) for p, u, g in zip(points, us, gs, strict=True)]
    return points, us, gs, truths


def _stack(values: Any, axis: int | None) -> Any:
    if axis is None:
        return values[0]
    is_key = jax.dtypes.issubdtype(jnp.result_type(values[0]), jax.dtypes.prng_key)
    return (jnp if is_key else np).stack(values, axis)

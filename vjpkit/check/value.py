"""The value: what comes out while differentiating against the primal, and the same again at a second call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import jax
import numpy as np

from vjpkit.check.judgement import Matter, judge, unavailable
from vjpkit.check.layout import reals
from vjpkit.check.modes import Unavailable, scope
from vjpkit.check.report import FAIL, PASS, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound
from vjpkit.check.trial import Trial

Entries = Iterator[Result | Finding | Gap]


def check_value(trial: Trial) -> Entries:
    """y as either mode returns it beside the primal's; the primal's beside an independent one; twice the same."""
    matters: list[list[Matter]] = [[] for _ in trial.output_names]
    first = trial.points[0]
    trial.ahead("forward", first, trial.tangents(first)[0])
    trial.ahead("reverse", first, trial.cotangents(first)[0])
    for at in trial.points:
        for mode, vectors in (("forward", trial.tangents(at)), ("reverse", trial.cotangents(at))):
            try:
                held = getattr(trial, mode)(at, vectors[0])
            except Unavailable as error:
                yield unavailable("value", error, f"the value in {mode} mode")
                continue
            for each, c in zip(matters, held.value, strict=True):
                each.append(Matter(_of_value(trial, c), at, None, f"in {mode} mode"))
    for name, each in zip(trial.output_names, matters, strict=True):
        yield from judge(trial, "value", name, each, "the primal")
    yield from _independent(trial)
    yield from _repeated(trial)


def _of_value(trial: Trial, c: Comparison) -> Comparison:
    """Infinite where the primal is; where that is NaN a rule may know better, and where another function is it, too."""
    return replace(c, exact=trial.of_primal & ~np.isnan(c.want))


def _independent(trial: Trial) -> Entries:
    if trial.value is None:
        yield Gap("value", "an independent value", "none was given (value=…): the primal is its own reference")
        return
    at = trial.points[0]
    with scope(at):
        args = _numpy(trial.layout.arguments(at.x, at.fixed))
    want = trial.value(*args)
    matters = []
    held = (
        trial.forward(at, trial.tangents(at)[0])
        if trial.subject.has("forward", at)
        else trial.reverse(at, trial.cotangents(at)[0])
    )
    for c, leaf, s in zip(held.value, reals(want), trial.subject.outputs(at), strict=True):
        limit = 8 * c.bound + bound(c.want, leaf, np.zeros(()), s.dtype, 8 * trial.tol)
        leaf = np.broadcast_to(leaf, c.want.shape)
        matters.append(Matter(Comparison(c.want, leaf, limit, ~np.isnan(leaf)), at))
    for name, matter in zip(trial.output_names, matters, strict=True):
        yield from judge(trial, "value", f"{name}, primal", [matter], "the independent value")


def _repeated(trial: Trial) -> Entries:
    """Called eagerly, at x, elsewhere, and at x again: state and chance show as a difference."""
    at = trial.given
    other = at.moved([np.asarray(a * (1 + 2.0**-6)).astype(a.dtype) for a in at.x])
    with scope(at):
        first = jax.tree.leaves(trial.subject.f(at.x, at.fixed))
        trial.subject.f(other.x, other.fixed)
        second = jax.tree.leaves(trial.subject.f(at.x, at.fixed))
    if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
        yield Result("value", "called twice", PASS)
        return
    yield Result("value", "called twice", FAIL)
    yield Finding(
        "value",
        "",
        "two calls at the same point answer differently",
        cause="state that is kept between calls, or random numbers",
        advice="make state and keys arguments of the function",
    )


def _numpy(args: tuple[object, ...]) -> tuple[object, ...]:
    return jax.tree.map(lambda a: np.asarray(a) if isinstance(a, jax.Array) else a, args)

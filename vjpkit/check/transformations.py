"""Transformations: the same numbers under jit, vmap over some of the arguments, scan and checkpoint."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any

import jax
import numpy as np

from vjpkit.check.compiling import Evaluated
from vjpkit.check.jaxprs import reason
from vjpkit.check.judgement import Matter, judge, unavailable
from vjpkit.check.layout import Arrays, Point
from vjpkit.check.modes import Leaves, Unavailable, scope, wide
from vjpkit.check.report import FAIL, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound
from vjpkit.check.trial import Trial

EVERY = 5  # arguments up to which `thorough` maps over every subset
Flat = Callable[[Arrays, Arrays], Arrays]


@dataclass(frozen=True)
class Transformed:
    """A transformed function, and which of its leaves carry a batch: what it must give is made of single calls."""

    name: str
    transform: Callable[[Flat], Flat]
    batched: tuple[bool, ...]
    eager: bool = False


def check_transformations(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Value, tangent and cotangents of each transformed function against those of the compiled single calls."""
    at = trial.points[0]
    n = len(at.x)
    chosen = subsets(n, trial.thorough)
    if 2**n - 1 > len(chosen):
        more = "; thorough=True for all" if n <= EVERY else ""
        yield Gap("transformations", "vmap", f"{len(chosen)} of {2**n - 1} subsets of the arguments{more}")
    for how in _all(trial.layout.names, chosen):
        yield from _held(trial, at, how, _Applied(trial, at, how))


def _all(names: Sequence[str], chosen: Sequence[tuple[bool, ...]]) -> Iterator[Transformed]:
    none, everything = (False,) * len(names), (True,) * len(names)
    yield Transformed("eager", lambda f: f, none, eager=True)
    for subset in chosen:
        over = ", ".join(name for name, b in zip(names, subset, strict=True) if b)
        yield Transformed(f"vmap over {over}", functools.partial(_vmapped, batched=subset), subset)
    yield Transformed("scan", _scanned, everything)
    yield Transformed("checkpoint", lambda f: lambda x, fixed: jax.checkpoint(f)(x, fixed), none)


def subsets(n: int, thorough: bool) -> list[tuple[bool, ...]]:
    """All of the arguments, and so many of them that each argument is batched beside each other one that is not.

    Argument i is in subset b where bit b of its code is set. All codes have k bits, half of them set, so that none
    contains another.
    """
    if thorough and n <= EVERY:
        return [tuple(c) for c in product((True, False), repeat=n) if any(c)]
    if n == 1:
        return [(True,)]
    k = next(k for k in range(2, n + 2) if math.comb(k, k // 2) >= n)
    codes = [set(c) for c in islice(combinations(range(k), k // 2), n)]
    return [(True,) * n, *(tuple(b in code for code in codes) for b in range(k))]


def _vmapped(f: Flat, batched: tuple[bool, ...]) -> Flat:
    return jax.vmap(f, in_axes=(tuple(0 if b else None for b in batched), None))


def _scanned(f: Flat) -> Flat:
    return lambda x, fixed: jax.lax.scan(lambda carry, x: (carry, f(x, fixed)), None, x)[1]


class _Applied:
    """A transformed function at the stacked arguments."""

    def __init__(self, trial: Trial, at: Point, how: Transformed) -> None:
        self.at, self.eager, batch = at, how.eager, any(how.batched)
        points = [at, trial.nearby(at)] if batch else [at]
        dots, gs = trial.tangents(at)[: len(points)], trial.cotangents(at)[: len(points)]
        self.singles = [at.moved(_mixed(how.batched, q.x, at.x)) for q in points]
        single_dots = [_mixed(how.batched, d, dots[0]) for d in dots]
        self.vectors = {"forward": single_dots, "reverse": gs}
        stacked = {"forward": _stacked(how.batched, single_dots), "reverse": _stacked((batch,) * len(gs[0]), gs)}
        cast = {m: trial.subject.cast(m, at, v) for m, v in stacked.items() if trial.subject.has(m, at)}
        self.inputs = (_stacked(how.batched, [p.x for p in self.singles]), at.fixed, cast)
        self.modes = tuple(cast)
        self._eager = _program(trial.subject.f, how)
        self._program = Evaluated(self._eager, calls=1)

    def __call__(self, compiled: bool = False) -> dict[str, Leaves]:
        with scope(self.at):
            answers = self._eager(*self.inputs) if self.eager else self._program(*self.inputs, compiled=compiled)
            return jax.tree.map(wide, answers)


def _held(trial: Trial, at: Point, how: Transformed, applied: _Applied) -> Iterator[Result | Finding | Gap]:
    expected: dict[str, tuple[Leaves, Leaves]] = {}
    for mode in applied.modes:
        try:
            expected[mode] = _expected(trial, mode, applied, how.batched)
        except Unavailable as error:
            yield unavailable("transformations", error, f"{how.name}, {mode}")
    try:
        compared = _compared(applied(), expected)
        if not how.eager and any(c.wrong.any() for each in compared.values() for c in each):
            compared = _compared(applied(compiled=True), expected)
    except Exception as error:
        yield from _refused(trial, how, applied, error)
        return
    for mode, each in compared.items():
        names = trial.layout.names if mode == "reverse" else trial.output_names
        matters = [Matter(c, at, None, name) for c, name in zip(each, names, strict=True)]
        yield from judge(trial, "transformations", f"{how.name}, {mode}", matters, "the single calls")


def _compared(got: dict[str, Leaves], expected: dict[str, tuple[Leaves, Leaves]]) -> dict[str, list[Comparison]]:
    return {mode: list(map(Comparison, got[mode], *each)) for mode, each in expected.items()}


def _mixed(chosen: Sequence[bool], these: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [a if c else b for c, a, b in zip(chosen, these, others, strict=True)]


def _stacked(chosen: Sequence[bool], lists: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(np.stack(parts) if c else parts[0] for c, parts in zip(chosen, zip(*lists, strict=True), strict=True))


def _expected(trial: Trial, mode: str, applied: _Applied, batched: tuple[bool, ...]) -> tuple[Leaves, Leaves]:
    """What single calls give, put together, and what it may be off by."""
    calls = zip(applied.singles, applied.vectors[mode], strict=True)
    answers = [getattr(trial.subject, mode)(p, v)[1] for p, v in calls]
    held = getattr(trial, mode)(
        trial.points[0], (trial.tangents if mode == "forward" else trial.cotangents)(trial.points[0])[0]
    )
    dtypes = [a.dtype for a in (trial.points[0].x if mode == "reverse" else trial.subject.outputs(trial.points[0]))]
    want, limit = [], []
    for k, parts in enumerate(zip(*answers, strict=True)):
        stacked = np.stack(parts) if len(parts) > 1 else parts[0]
        peak = np.full(stacked.shape, float(np.max(np.abs(held.spread[k]), initial=0.0)))
        allowed = bound(stacked, stacked, peak, dtypes[k], trial.tol)
        summed = mode == "reverse" and len(parts) > 1 and not batched[k]
        want.append(stacked.sum(0) if summed else stacked)
        limit.append(allowed.sum(0) if summed else allowed)
    return want, limit


def _program(f: Flat, how: Transformed) -> Callable[..., Any]:
    """Both modes of the transformed function at once."""
    transformed = how.transform(f)

    def program(x: Arrays, fixed: Arrays, vectors: dict[str, Arrays]) -> dict[str, list[Any]]:
        answers = {}
        if "forward" in vectors:
            answers["forward"] = list(jax.jvp(lambda *x: transformed(x, fixed), x, vectors["forward"])[1])
        if "reverse" in vectors:
            answers["reverse"] = list(jax.vjp(lambda *x: transformed(x, fixed), *x)[1](vectors["reverse"]))
        return answers

    return program


def _refused(trial: Trial, how: Transformed, applied: _Applied, error: Exception) -> Iterator[Result | Finding | Gap]:
    """The function cannot be transformed so: a failure where the reference can."""
    try:
        with scope(applied.at):
            jax.block_until_ready(jax.jit(_program(trial.reference.f, how))(*applied.inputs))
    except Exception:
        yield Gap("transformations", how.name, f"neither function nor reference allows it: {reason(error)}")
        return
    yield Result("transformations", how.name, FAIL)
    yield Finding("transformations", how.name, f"fails: {reason(error)}", advice="the reference can be transformed so")

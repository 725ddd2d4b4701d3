"""Transformations: the same numbers under jit, vmap over some of the arguments, scan and checkpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import jax
import numpy as np

from vjpkit.check.compiling import jit
from vjpkit.check.jaxprs import reason
from vjpkit.check.judgement import Matter, judge, unavailable
from vjpkit.check.layout import Arrays, Point
from vjpkit.check.modes import Leaves, Unavailable, scope, wide
from vjpkit.check.report import FAIL, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound
from vjpkit.check.trial import Trial

BATCH = 2
Flat = Callable[[Arrays, Arrays], Arrays]


@dataclass(frozen=True)
class Transformed:
    """A transformed function, and which of its leaves carry a batch: what it must give is made of single calls."""

    name: str
    transform: Callable[[Flat], Flat]
    batched: tuple[bool, ...]
    jitted: bool = True


def check_transformations(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Value, tangent and cotangents of each transformed function against those of the compiled single calls."""
    at = trial.points[0]
    n = len(at.x)
    subsets = _subsets(n, trial.thorough)
    if 2**n - 1 > len(subsets):
        yield Gap(
            "transformations", "vmap", f"{len(subsets)} of {2**n - 1} subsets of the arguments; thorough=True for more"
        )
    none, everything = (False,) * n, (True,) * n
    yield from _held(trial, at, Transformed("eager", lambda f: f, none, jitted=False))
    for subset in subsets:
        over = ", ".join(name for name, b in zip(trial.layout.names, subset, strict=True) if b)
        yield from _held(
            trial, at, Transformed(f"vmap over {over}", functools.partial(_vmapped, batched=subset), subset)
        )
    yield from _held(trial, at, Transformed("scan", _scanned, everything))
    yield from _held(trial, at, Transformed("checkpoint", lambda f: lambda x, fixed: jax.checkpoint(f)(x, fixed), none))


def _subsets(n: int, thorough: bool) -> list[tuple[bool, ...]]:
    """Each argument alone, and all of them; more where it is asked for."""
    sizes = range(1, n + 1) if thorough and n <= 5 else sorted({1, n})
    chosen = chain.from_iterable(combinations(range(n), k) for k in sizes)
    return [tuple(i in c for i in range(n)) for c in chosen][: 64 if thorough else 6]


def _vmapped(f: Flat, batched: tuple[bool, ...]) -> Flat:
    return jax.vmap(f, in_axes=(tuple(0 if b else None for b in batched), None))


def _scanned(f: Flat) -> Flat:
    return lambda x, fixed: jax.lax.scan(lambda carry, x: (carry, f(x, fixed)), None, x)[1]


def _held(trial: Trial, at: Point, how: Transformed) -> Iterator[Result | Finding | Gap]:
    batch = any(how.batched)
    points = [at, trial.nearby(at)] if batch else [at]
    dots, gs = trial.tangents(at)[: len(points)], trial.cotangents(at)[: len(points)]
    singles = [at.moved(_mixed(how.batched, q.x, at.x)) for q in points]
    single_dots = [_mixed(how.batched, d, dots[0]) for d in dots]
    x = _stacked(how.batched, [p.x for p in singles])
    g = _stacked((batch,) * len(gs[0]), gs)
    vectors = {
        "forward": trial.subject.cast("forward", at, _stacked(how.batched, single_dots)),
        "reverse": trial.subject.cast("reverse", at, g),
    }
    modes = [mode for mode in vectors if trial.subject.has(mode, at)]
    try:
        got = _run(trial.subject.f, how, at, x, {mode: vectors[mode] for mode in modes})
    except Exception as error:
        yield from _refused(trial, how, at, x, {mode: vectors[mode] for mode in modes}, error)
        return
    for mode in modes:
        try:
            want, limit = _expected(trial, mode, singles, single_dots if mode == "forward" else gs, how.batched)
        except Unavailable as error:
            yield unavailable("transformations", error, f"{how.name}, {mode}")
            continue
        names = trial.layout.names if mode == "reverse" else trial.output_names
        matters = [
            Matter(Comparison(a, b, c), at, None, n) for a, b, c, n in zip(got[mode], want, limit, names, strict=True)
        ]
        yield from judge(trial, "transformations", f"{how.name}, {mode}", matters, "the single calls")


def _mixed(chosen: Sequence[bool], these: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [a if c else b for c, a, b in zip(chosen, these, others, strict=True)]


def _stacked(chosen: Sequence[bool], lists: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(np.stack(parts) if c else parts[0] for c, parts in zip(chosen, zip(*lists, strict=True), strict=True))


def _expected(
    trial: Trial, mode: str, singles: Sequence[Point], vectors: Sequence[Leaves], batched: tuple[bool, ...]
) -> tuple[Leaves, Leaves]:
    """What single calls give, put together, and what it may be off by."""
    answers = [getattr(trial.subject, mode)(p, v)[1] for p, v in zip(singles, vectors, strict=True)]
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


def _run(f: Flat, how: Transformed, at: Point, x: Arrays, vectors: dict[str, Arrays]) -> dict[str, Leaves]:
    program = _program(f, how)
    with scope(at):
        return jax.tree.map(wide, (jit(program) if how.jitted else program)(x, at.fixed, vectors))


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


def _refused(
    trial: Trial, how: Transformed, at: Point, x: Arrays, vectors: dict[str, Arrays], error: Exception
) -> Iterator[Result | Finding | Gap]:
    """The function cannot be transformed so: a failure where the reference can."""
    try:
        _run(trial.reference.f, how, at, x, vectors)
    except Exception:
        yield Gap("transformations", how.name, f"neither function nor reference allows it: {reason(error)}")
        return
    yield Result("transformations", how.name, FAIL)
    yield Finding("transformations", how.name, f"fails: {reason(error)}", advice="the reference can be transformed so")

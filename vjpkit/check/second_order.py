"""Second order: every nesting of the two modes, against the reference's, with independent random directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.compiling import Evaluated
from vjpkit.check.differences import slopes
from vjpkit.check.jaxprs import reason, refusal
from vjpkit.check.judgement import Interval, Matter, judge
from vjpkit.check.layout import Arrays, Point
from vjpkit.check.modes import Leaves, Modes, Unavailable, scope, wide
from vjpkit.check.report import FAIL, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound, finite
from vjpkit.check.trial import PROBES, Trial, dot

HESSIAN = ("forward over reverse", "reverse over forward", "reverse over reverse")
TWICE = "forward over forward"
OVER = (*HESSIAN, TWICE)
CALLS = 3  # one, and two for the symmetry
Vectors = tuple[Arrays, Arrays, Arrays]  # u and w, tangents, and g, a cotangent


def check_second_order(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """H u for the Hessian H of ⟨g, f⟩, three ways, and the second directional derivative; ⟨w, H u⟩ = ⟨u, H w⟩."""
    at = trial.points[0]
    vectors = _vectors(trial, at)
    reference, subject = Nested(trial.reference, at), Nested(trial.subject, at)
    for way, why in subject.missing.items():
        yield Gap("second order", way, why)
    truths = {way: truth for way in subject.ways if (truth := _truth(way, reference.ways))}
    if not truths:
        yield Gap("second order", "everything", "; ".join({*subject.missing.values(), *reference.missing.values()}))
        return
    if error := _broken(subject, reference, vectors, at):
        yield Result("second order", "", FAIL)
        yield Finding("second order", "", f"fails: {error}", advice="the reference's second derivative runs")
        return
    points = [at, *(p for p in trial.specials if trial.thorough or _same_shapes(p, at))]
    if len(points) <= len(trial.specials):
        why = "shapes of their own, each another compilation; thorough=True includes them"
        yield Gap("second order", f"{1 + len(trial.specials) - len(points)} special points", why)
    for way in truths:
        matters: dict[str, list[Matter]] = {}
        for point in points:
            for k, (name, c) in enumerate(_held(trial, subject, reference, truths, point)[way]):
                arbiter, of = _arbiter(trial, point, way, k), f"against {truths[way]}"
                matters.setdefault(name, []).append(Matter(c, point, arbiter, of, sure=point is at))
        for name, each in matters.items():
            yield from judge(trial, "second order", f"{name}, {way}", each)
    yield from _symmetry(trial, subject, at)


def _broken(subject: Nested, reference: Nested, vectors: Vectors, at: Point) -> str:
    """Why the subject's program does not run where the reference's does; Unavailable where neither does."""
    reference(at, vectors)
    try:
        subject(at, vectors)
    except Unavailable as error:
        return str(error)
    return ""


def _same_shapes(a: Point, b: Point) -> bool:
    return [x.shape for x in a.x] == [x.shape for x in b.x]


def _truth(way: str, known: Sequence[str]) -> str | None:
    """The nesting of the reference that a nesting is held against."""
    return next((w for w in known if (w == TWICE) == (way == TWICE)), None)


class Nested:
    """The derivatives of a function's derivatives in every nesting that can be traced, as one program."""

    def __init__(self, modes: Modes, at: Point) -> None:
        self.modes = modes
        self._programs: dict[str, Callable[..., Any]] = dict(
            zip(OVER, (self._fr, self._rf, self._rr, self._ff), strict=True)
        )
        self.missing: dict[str, str] = {}
        self.ways: tuple[str, ...] = OVER
        self._program = Evaluated(self.program(OVER), CALLS)
        if self._refusal(self._program, at):
            refused = {way: self._refusal(Evaluated(self.program((way,)), CALLS), at) for way in OVER}
            self.missing = {way: why for way, why in refused.items() if why}
            self.ways = tuple(way for way in OVER if way not in self.missing)
            self._program = Evaluated(self.program(self.ways), CALLS)

    def _fr(self, x: Arrays, fixed: Arrays, u: Arrays, w: Arrays, g: Arrays) -> Arrays:
        return jax.jvp(lambda *x: self.modes.programs["reverse"](x, fixed, g)[1], x, u)[1]

    def _rf(self, x: Arrays, fixed: Arrays, u: Arrays, w: Arrays, g: Arrays) -> Arrays:
        return jax.vjp(lambda *x: self.modes.programs["forward"](x, fixed, u)[1], *x)[1](g)

    def _rr(self, x: Arrays, fixed: Arrays, u: Arrays, w: Arrays, g: Arrays) -> Arrays:
        return jax.vjp(lambda *x: self.modes.programs["reverse"](x, fixed, g)[1], *x)[1](u)

    def _ff(self, x: Arrays, fixed: Arrays, u: Arrays, w: Arrays, g: Arrays) -> Arrays:
        return jax.jvp(lambda *x: self.modes.programs["forward"](x, fixed, w)[1], x, u)[1]

    def _refusal(self, program: Evaluated, at: Point) -> str | None:
        dots = tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in at.x)
        with scope(at):
            return refusal(program.traced, at.x, at.fixed, dots, dots, self.modes.outputs(at))

    def program(self, ways: Sequence[str]) -> Callable[..., tuple[Arrays, ...]]:
        """Some of the nestings as one function."""
        return lambda *inputs: tuple(self._programs[way](*inputs) for way in ways)

    def __call__(self, at: Point, vectors: Vectors, compiled: bool = False) -> dict[str, Leaves]:
        try:
            with scope(at):
                answers = self._program(at.x, at.fixed, *vectors, compiled=compiled)
        except Exception as error:  # traced, but not compiled: whatever a function under trial raises
            raise Unavailable(reason(error)) from error
        return {way: [wide(a) for a in answer] for way, answer in zip(self.ways, answers, strict=True)}


def _vectors(trial: Trial, at: Point) -> Vectors:
    u, w = (trial.subject.cast("forward", at, v) for v in trial.tangents(at)[:2])
    return u, w, trial.subject.cast("reverse", at, trial.cotangents(at)[2])


def _held(
    trial: Trial, subject: Nested, reference: Nested, truths: dict[str, str], at: Point
) -> dict[str, list[tuple[str, Comparison]]]:
    """Every nesting of the subject beside the reference's.

    Rounding is measured, in one nesting of each kind, where they differ by more than the last places of their largest
    entries: to compile the programs that measure it takes as long as the rest.
    """
    key = ("second order", at)
    if key not in trial.memory:
        vectors = _vectors(trial, at)

        def compared(
            got: dict[str, Leaves], want: dict[str, Leaves], moved: dict[bool, Leaves]
        ) -> dict[str, list[tuple[str, Comparison]]]:
            held: dict[str, list[tuple[str, Comparison]]] = {}
            for way, truth in truths.items():
                names, like = (
                    (trial.output_names, trial.subject.outputs(at)) if way == TWICE else (trial.layout.names, at.x)
                )
                parts = zip(names, got[way], want[truth], moved[way == TWICE], like, strict=True)
                held[way] = [(n, Comparison(a, b, bound(a, b, 2 * s, t.dtype, trial.tol))) for n, a, b, s, t in parts]
            return held

        got, want = subject(at, vectors), reference(at, vectors)
        last = {way == TWICE: [_last_place(a, at) for a in want[truth]] for way, truth in truths.items()}
        held = compared(got, want, last)
        if any(c.wrong.any() for each in held.values() for _, c in each):
            got, want = subject(at, vectors, compiled=True), reference(at, vectors, compiled=True)
            held = compared(got, want, _moved(trial, subject, at, vectors, got, reference, want))
        trial.memory[key] = held
    return trial.memory[key]


def _last_place(a: np.ndarray, at: Point) -> np.ndarray:
    """One eps of the largest entry, for each entry."""
    return np.full(a.shape, float(jnp.finfo(at.dtype).eps) * float(np.max(finite(a), initial=0.0)))


def _moved(
    trial: Trial, subject: Nested, at: Point, vectors: Vectors, got: dict[str, Leaves], *reference: Any
) -> dict[bool, Leaves]:
    """What rounding moves the two kinds of answer by; under True those of `TWICE`."""
    total: dict[bool, Leaves] = {}
    for nested, answers in ((subject, got), reference) if reference else ((subject, got),):
        ways = [w for w in (_truth(HESSIAN[0], nested.ways), _truth(TWICE, nested.ways)) if w]
        base = [a for way in ways for a in answers[way]]
        nudged = trial.nudged(f"second order {id(nested)}", nested.program(ways))
        moves = iter(nudged.spread(at, PROBES, [base], *vectors)[0])
        for way in ways:
            moved = [next(moves) for _ in answers[way]]
            before = total.get(way == TWICE, [0.0] * len(moved))
            total[way == TWICE] = [a + b for a, b in zip(before, moved, strict=True)]
    return total


def _arbiter(trial: Trial, at: Point, way: str, leaf: int) -> Callable[[tuple[int, ...]], Interval] | None:
    """One-sided differences of the reference's first derivative: at a kink of it, any slope between is right."""
    if not at.x64:
        return None
    cache: list[Any] = []

    def first(point: Point) -> Leaves:
        if way == TWICE:
            return trial.reference.forward(point, trial.tangents(at)[1])[1][leaf : leaf + 1]
        return trial.reference.reverse(point, trial.cotangents(at)[2])[1][leaf : leaf + 1]

    def arbiter(i: tuple[int, ...]) -> Interval:
        try:
            if not cache:
                cache.append(slopes(first, at, trial.tangents(at)[0]))
        except Unavailable:
            return float("nan"), float("nan"), float("inf"), False
        shape = np.shape(trial.subject.outputs(at)[leaf] if way == TWICE else at.x[leaf])
        k = int(np.ravel_multi_index(i, shape)) if shape else 0
        low, high, error = cache[0].interval()
        return float(low[k]), float(high[k]), float(error[k]), bool((cache[0].kink | cache[0].edge)[k])

    return arbiter


def _symmetry(trial: Trial, subject: Nested, at: Point) -> Iterator[Result | Finding]:
    """⟨w, H u⟩ = ⟨u, H w⟩: no reference, no step size."""
    way = _truth(HESSIAN[0], subject.ways)
    if way is None:
        return
    u, w, g = _vectors(trial, at)

    def compared(measured: bool) -> Comparison:
        values, limit = [], 0.0
        for a, b in ((u, w), (w, u)):
            h = subject(at, (a, b, g), compiled=measured)
            moved = (
                _moved(trial, subject, at, (a, b, g), h)[False] if measured else [_last_place(a, at) for a in h[way]]
            )
            limits = [bound(v, v, s, x.dtype, trial.tol) for v, s, x in zip(h[way], moved, at.x, strict=True)]
            other = [wide(v) for v in b]
            values.append(np.asarray(dot(other, h[way])))
            limit += dot([np.abs(v) for v in other], limits)
        return Comparison(values[0], values[1], np.asarray(limit))

    c = compared(measured=False)
    if c.wrong.any():
        c = compared(measured=True)
    yield from judge(
        trial,
        "second order",
        "symmetry",
        [Matter(c, at, None, f"⟨w, H u⟩ against ⟨u, H w⟩, {way}")],
        "its mirror image",
    )

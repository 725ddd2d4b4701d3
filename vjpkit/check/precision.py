"""Lower dtypes against the float64 truth, and the places where formulas break: large, tiny, zero, infinite."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from vjpkit.check.judgement import Matter, argument_arbiter, judge, output_arbiter
from vjpkit.check.layout import Point
from vjpkit.check.modes import Leaves, Unavailable
from vjpkit.check.report import FAIL, NOTE, PASS, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, Tally, bound
from vjpkit.check.trial import Trial

LESS_ACCURATE = 4.0  # times autodiff's error at the same dtype, from which on the report says so
EPS64 = float(np.finfo(np.float64).eps)


def check_precision(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Each lower dtype, both modes, at the drawn point and at that scaled up and down by 2¹⁰."""
    at = trial.points[0]
    if not at.x64:
        yield Gap("precision", "everything", f"there is no float64 truth: this function runs in {at.dtype}")
        return
    for dtype in trial.dtypes:
        trial.subject.ahead("reverse", rounded(at, dtype), trial.cotangents(at)[0])
        trial.subject.ahead("forward", rounded(at, dtype), trial.tangents(at)[0])
    for dtype in trial.dtypes:
        if "complex" in trial.layout.kinds and dtype != "float32":
            yield Gap("precision", dtype, "there are no complex numbers of that precision")
            continue
        for mode in ("reverse", "forward"):
            try:
                yield from _lower(trial, at, dtype, mode)
            except Unavailable as error:
                yield from _refused(trial, at, dtype, mode, error)


def _lower(trial: Trial, at: Point, dtype: str, mode: str) -> Iterator[Result | Finding | Gap]:
    info = jnp.finfo(dtype)
    low = rounded(at, dtype)
    vectors = (trial.cotangents if mode == "reverse" else trial.tangents)(at)[0]
    held = getattr(trial, mode)(widened(low), vectors)
    got = getattr(trial.subject, mode)(low, vectors)[1]
    names = trial.layout.names if mode == "reverse" else trial.output_names
    theirs = functools.cache(lambda: _autodiff(trial, mode, low, vectors, got))
    for k, name in enumerate(names):
        lower = Lower(got[k], held.derivative[k], held.spread[k] * (float(info.eps) / EPS64), info, trial.tol)
        yield from _leaf(f"{name}, {dtype} {mode}", lower, theirs, k)
    yield from _scaled(trial, at, dtype, mode, vectors)


def _autodiff(trial: Trial, mode: str, low: Point, vectors: Leaves, like: Leaves) -> Leaves:
    """The derivative at a lower dtype by autodiff, another program to compile; NaN where it has none."""
    try:
        return getattr(trial.reference, mode)(low, vectors)[1]
    except Unavailable:
        return [np.full(a.shape, np.nan) for a in like]


@dataclass(frozen=True)
class Lower:
    """One leaf of the derivative at a lower dtype beside the float64 truth."""

    got: np.ndarray
    truth: Comparison
    spread: np.ndarray
    info: jnp.finfo
    tol: float

    def beside(self, theirs: np.ndarray) -> tuple[Comparison, np.ndarray, np.ndarray, float]:
        """The comparison where the dtype can hold the truth, our error and theirs, and eps at the leaf's scale."""
        got, truth = self.got, self.truth
        with np.errstate(all="ignore"):
            own = np.abs(got - truth.want) > np.abs(got - truth.got)  # at a tie the rule's own choice is a truth too
            want = np.where(own, truth.got, truth.want)
            known = np.isfinite(want) & (np.abs(want) < float(self.info.max))
            known &= np.isfinite(got) | np.isfinite(theirs)
            limit = bound(got, want, self.spread, self.info.dtype, self.tol)
            c = Comparison(got[known], want[known], limit[known])
            scale = float(self.info.eps) * float(np.max(np.abs(want[known]), initial=0.0))
            return c, np.abs(got - want)[known], np.abs(theirs - truth.want)[known], scale


def _leaf(what: str, lower: Lower, autodiff: Callable[[], Leaves], k: int) -> Iterator[Result | Finding]:
    """The error of the k-th leaf; beside autodiff's, which another program tells, where it is more than a few eps."""
    c, error, other, scale = lower.beside(np.full(lower.got.shape, np.nan))
    ours, ad = _in_eps(error, scale), np.nan
    if ours > LESS_ACCURATE or c.wrong.any() or not np.isfinite(lower.got).all():
        c, error, other, scale = lower.beside(autodiff()[k])
        ours, ad = _in_eps(error, scale), _in_eps(other, scale)
    failed = c.wrong & ~(error <= LESS_ACCURATE * other)
    tally = Tally()
    tally.add(c)
    worse = ours > LESS_ACCURATE * max(ad, 1.0)
    verdict = FAIL if failed.any() else NOTE if worse else PASS
    note = f"{ours:.2g} eps" + ("" if np.isnan(ad) else f", autodiff {ad:.2g}")
    yield Result("precision", what, verdict, c.relative(c.difference), c.relative(c.bound), tally.power, note)
    if failed.any():
        i = int(np.argmax(np.where(failed, c.excess, -1)))
        yield Finding(
            "precision",
            what,
            f"{int(failed.sum())} of {c.got.size} entries are wrong beyond rounding, where autodiff is right",
            f"rule {c.got[i]:.6g}, truth {c.want[i]:.6g}, may differ by {c.bound[i]:.1g}",
            "a formula that cancels or overflows at this dtype, or a sum kept in it",
            "compute that step in float32",
        )
    elif worse:
        yield Finding("precision", what, f"less accurate than autodiff: {ours:.2g} eps against {ad:.2g}", level="note")


def _in_eps(error: np.ndarray, scale: float) -> float:
    return float(np.max(np.nan_to_num(error, nan=np.inf), initial=0.0)) / scale if scale else 0.0


def _scaled(trial: Trial, at: Point, dtype: str, mode: str, vectors: Leaves) -> Iterator[Result | Finding]:
    """A rule that overflows where autodiff, at the same dtype, does not."""
    for factor, word in ((2.0**10, "large"), (2.0**-10, "tiny")):
        low = rounded(at.moved([a * factor for a in at.x]), dtype)
        value, got = getattr(trial.subject, mode)(low, vectors)
        if all(np.isfinite(a).all() for a in got):
            continue
        theirs = _autodiff(trial, mode, low, vectors, got)
        broken = [~np.isfinite(a) & np.isfinite(b) for a, b in zip(got, theirs, strict=True)]
        if any(b.any() for b in broken) and all(np.isfinite(y).all() for y in value):
            what = f"{dtype} {mode}, {word} inputs"
            yield Result("precision", what, FAIL)
            yield Finding(
                "precision",
                what,
                "the rule is not finite where autodiff is",
                f"arguments times {factor:g}",
                "an overflow, or 0/0",
                "",
            )


def check_extremes(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Both modes in float64 at large, tiny, zero and infinite inputs, judged by vote where the value is finite."""

    base = trial.points[0]
    for at in _extremes(base):
        try:
            value = trial.reference.value(at)
        except Unavailable:
            return
        infinite = "inf" in at.label
        if all(np.isnan(y).all() for y in value) or not (infinite or all(np.isfinite(y).all() for y in value)):
            yield Gap("extremes", at.label, f"the value is not {'a number' if infinite else 'finite'} there")
            continue
        for mode in ("reverse", "forward"):
            vectors = (trial.cotangents if mode == "reverse" else trial.tangents)(base)[0]
            try:
                held = getattr(trial, mode)(at, vectors)
            except Unavailable:
                continue
            arbiter = argument_arbiter if mode == "reverse" else output_arbiter
            matters = [Matter(c, at, arbiter(trial, at, vectors, k), sure=False) for k, c in enumerate(held.derivative)]
            if infinite:
                yield from _at_infinity(at, mode, [m.comparison for m in matters])
            else:
                yield from judge(trial, "extremes", f"{at.label}, {mode}", matters)


def _at_infinity(at: Point, mode: str, comparisons: list[Comparison]) -> Iterator[Result | Finding]:
    """What is right at infinity is often a convention: a NaN where autodiff has a number is worth a note, no more."""
    lost = sum(int((np.isnan(c.got) & np.isfinite(c.want)).sum()) for c in comparisons)
    yield Result("extremes", f"{at.label}, {mode}", NOTE if lost else PASS)
    if lost:
        what = "the rule is NaN where autodiff is a number"
        yield Finding("extremes", f"{at.label}, {mode}", what, f"{lost} entries", level="note")


def _extremes(at: Point) -> Iterator[Point]:
    """The places; at an infinity one entry of each argument is infinite, the others as drawn."""
    for word, factor in (("large", 2.0**10), ("tiny", 2.0**-30), ("zero", 0.0)):
        x = tuple(np.asarray(a * factor).astype(a.dtype) for a in at.x)
        yield dataclasses.replace(at, x=x, label=f"{word} inputs")
    for word, value in (("+inf", np.inf), ("-inf", -np.inf)):
        x = tuple(np.asarray(a).copy() for a in at.x)
        for a in x:
            a.flat[:1] = value
        yield dataclasses.replace(at, x=x, label=f"one entry {word}")


def _refused(trial: Trial, at: Point, dtype: str, mode: str, error: Unavailable) -> Iterator[Result | Finding | Gap]:
    """The function does not run at this dtype: a failure where the reference does."""
    vectors = (trial.cotangents if mode == "reverse" else trial.tangents)(at)[0]
    if not trial.subject.has(mode, at):
        yield Gap("precision", f"{dtype}, {mode}", str(error))
        return
    try:
        getattr(trial.reference, mode)(rounded(at, dtype), vectors)
    except Unavailable:
        yield Gap("precision", f"{dtype}, {mode}", f"neither function nor reference runs in it: {error}")
        return
    yield Result("precision", f"{dtype} {mode}", FAIL)
    yield Finding("precision", f"{dtype} {mode}", f"fails: {error}", advice="the reference runs at this dtype")


def rounded(at: Point, dtype: str) -> Point:
    """The same point in a lower dtype."""
    return Point(tuple(np.asarray(a).astype(jnp.dtype(dtype)) for a in at.x), at.fixed, dtype, at.label)


def widened(at: Point) -> Point:
    """A point of a lower dtype, exactly, in float64."""
    return Point(tuple(np.asarray(a).astype(np.float64) for a in at.x), at.fixed, "float64", at.label)

"""Lower dtypes against the float64 truth, and the places where formulas break: large, tiny, zero, infinite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

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
    got, theirs, _ = _both(trial, mode, low, vectors)
    names = trial.layout.names if mode == "reverse" else trial.output_names
    for name, a, b, c, s in zip(names, got, theirs, held.derivative, held.spread, strict=True):
        yield from _leaf(trial, f"{name}, {dtype} {mode}", info, a, b, c, s)
    yield from _scaled(trial, at, dtype, mode, vectors)


def _both(trial: Trial, mode: str, low: Point, vectors: Leaves) -> tuple[Leaves, Leaves, Leaves]:
    """The derivative at a lower dtype by the rule and by autodiff, and the value."""
    value, got = getattr(trial.subject, mode)(low, vectors)
    try:
        return got, getattr(trial.reference, mode)(low, vectors)[1], value
    except Unavailable:
        return got, [np.full(a.shape, np.nan) for a in got], value


def _leaf(
    trial: Trial, what: str, info: jnp.finfo, got: np.ndarray, theirs: np.ndarray, truth: Comparison, spread: np.ndarray
) -> Iterator[Result | Finding]:
    """The error of one leaf beside autodiff's, where the truth is a number that the dtype can hold."""
    with np.errstate(all="ignore"):
        own = np.abs(got - truth.want) > np.abs(got - truth.got)  # at a tie the rule's own choice is a truth too
        want = np.where(own, truth.got, truth.want)
        known = np.isfinite(want) & (np.abs(want) < float(info.max))
        known &= np.isfinite(got) | np.isfinite(theirs)
        limit = bound(got, want, spread * (float(info.eps) / EPS64), info.dtype, trial.tol)
        c = Comparison(got[known], want[known], limit[known])
        error, other = np.abs(got - want)[known], np.abs(theirs - truth.want)[known]
        failed = c.wrong & ~(error <= LESS_ACCURATE * other)
    scale = float(info.eps) * float(np.max(np.abs(want[known]), initial=0.0))
    ours, ad = (
        float(np.max(np.nan_to_num(e, nan=np.inf), initial=0.0)) / scale if scale else 0.0 for e in (error, other)
    )
    tally = Tally()
    tally.add(c)
    worse = ours > LESS_ACCURATE * max(ad, 1.0)
    verdict = FAIL if failed.any() else NOTE if worse else PASS
    yield Result(
        "precision",
        what,
        verdict,
        c.relative(c.difference),
        c.relative(c.bound),
        tally.power,
        f"{ours:.2g} eps, autodiff {ad:.2g}",
    )
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


def _scaled(trial: Trial, at: Point, dtype: str, mode: str, vectors: Leaves) -> Iterator[Result | Finding]:
    """A rule that overflows where autodiff, at the same dtype, does not."""
    for factor, word in ((2.0**10, "large"), (2.0**-10, "tiny")):
        low = rounded(at.moved([a * factor for a in at.x]), dtype)
        got, theirs, value = _both(trial, mode, low, vectors)
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
        if not all(np.isfinite(y).all() for y in value) and "inf" not in at.label:
            yield Gap("extremes", at.label, "the value is not finite there")
            continue
        for mode in ("reverse", "forward"):
            vectors = (trial.cotangents if mode == "reverse" else trial.tangents)(base)[0]
            try:
                held = getattr(trial, mode)(at, vectors)
            except Unavailable:
                continue
            arbiter = argument_arbiter if mode == "reverse" else output_arbiter
            matters = [Matter(c, at, arbiter(trial, at, vectors, k), sure=False) for k, c in enumerate(held.derivative)]
            if "inf" in at.label:
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

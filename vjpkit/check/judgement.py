"""From comparisons to a verdict: a line of the report for each leaf, and findings where rule and reference differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vjpkit.check.cause import guess
from vjpkit.check.differences import Slopes, scales, slopes
from vjpkit.check.layout import Point
from vjpkit.check.modes import Leaves, Unavailable
from vjpkit.check.report import FAIL, NOTE, PASS, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, Tally
from vjpkit.check.trial import Trial
from vjpkit.check.vote import CLOSE, Verdict, vote

LOOKED_AT = 256  # entries that differ, up to which finite differences are asked about each
Interval = tuple[float, float, float, bool]  # low, high, error, whether the two sides differ
Arbiter = Callable[[tuple[int, ...]], Interval]


@dataclass(frozen=True)
class Matter:
    """One comparison to judge: where it was made, and who decides where rule and reference differ."""

    comparison: Comparison
    at: Point
    arbiter: Arbiter | None = None
    of: str = ""  # which cotangent, row or direction
    sure: bool = True  # autodiff is right unless finite differences say otherwise; else they must say so


def judge(
    trial: Trial, check: str, argument: str, matters: list[Matter], against: str = "autodiff"
) -> Iterator[Result | Finding]:
    """The line of one argument in one check, and what it found."""
    tally, votes = Tally(), Counter[Verdict]()
    failed: tuple[float, tuple[int, ...], Verdict, Matter] | None = None
    for matter in matters:
        tally.add(matter.comparison)
        if matter.comparison.wrong.any():
            worst, counted = _decide(matter)
            votes.update(counted)
            if worst is not None and (failed is None or worst[0] > failed[0]):
                failed = (*worst, matter)
    rescued = [v for v in votes if not v.fails]
    shown = failed[-1].comparison if failed else tally.worst
    if shown is not None:
        verdict = FAIL if failed else NOTE if rescued else PASS
        note = f"{tally.blind} entries are lost in rounding" if tally.blind else ""
        error, bound = shown.relative(shown.difference), shown.relative(shown.bound)
        power = tally.power and max(tally.power, CLOSE) if any(m.arbiter for m in matters) else tally.power
        yield Result(check, argument, verdict, error, bound, power, note)
    for v in rescued:
        where = ", ".join(dict.fromkeys(m.at.label for m in matters if m.at.label and m.comparison.wrong.any()))
        entries = f"{votes[v]} entries" if votes[v] > 1 else "one entry"
        yield Finding(check, argument, v.value, f"{entries}{', ' if where else ''}{where}", level="note")
    if failed:
        yield _failure(trial, check, argument, failed[-1], failed[1], failed[2], against)


def _decide(matter: Matter) -> tuple[tuple[float, tuple[int, ...], Verdict] | None, Counter[Verdict]]:
    """The worst entry that fails, with its verdict, and how the votes went."""
    c = matter.comparison
    places = np.argwhere(c.wrong)
    order = np.argsort(-c.excess[c.wrong], kind="stable")
    counted = Counter[Verdict]()
    for k in order[:LOOKED_AT]:
        i = tuple(int(n) for n in places[k])
        v = _verdict(c, i, matter.arbiter)
        if v is Verdict.UNRELIABLE and not matter.sure:
            v = Verdict.UNDECIDED
        counted[v] += 1
        if v.fails:
            return (float(c.excess[i]), i, v), counted
    return None, counted


def _verdict(c: Comparison, i: tuple[int, ...], arbiter: Arbiter | None) -> Verdict:
    rule, autodiff = float(c.got[i]), float(c.want[i])
    if arbiter is None:
        return Verdict.RULE if c.judged[i] else Verdict.UNDEFINED
    return vote(rule, autodiff, *arbiter(i))


def _failure(
    trial: Trial, check: str, argument: str, matter: Matter, i: tuple[int, ...], verdict: Verdict, against: str
) -> Finding:
    c = matter.comparison
    cause, advice = guess(c, [np.shape(x) for x in matter.at.x])
    seen = (
        f"{int(c.wrong.sum())} of {c.wrong.size} entries differ from {against}"
        if c.wrong.size > 1
        else f"differs from {against}"
    )
    place = f"[{', '.join(map(str, i))}] " if i else ""
    where = f"{place}rule {c.got[i]:.9g}, {against} {c.want[i]:.9g}, may differ by {c.bound[i]:.1g}"
    where += "".join(f"; {extra}" for extra in (matter.of, matter.at.label) if extra)
    if matter.arbiter is not None:
        where += f"; {verdict.value}"
    return Finding(check, argument, seen, where, cause, advice)


# ----------------------------------------------------------------------------------------------- arbiters


def along(trial: Trial, at: Point, dots: Leaves) -> Callable[[], Slopes]:
    """The slopes of the reference's value along `dots`, taken when first asked for."""
    cache: list[Slopes] = []

    def get() -> Slopes:
        if not cache:
            cache.append(slopes(trial.reference.value, at, dots))
        return cache[0]

    return get


def output_arbiter(trial: Trial, at: Point, dots: Leaves, leaf: int) -> Arbiter | None:
    """Decides on an entry of an output's tangent."""
    if not at.x64:
        return None
    get, offset = along(trial, at, dots), sum(int(np.prod(s.shape)) for s in trial.subject.outputs(at)[:leaf])
    shape = trial.subject.outputs(at)[leaf].shape

    def arbiter(i: tuple[int, ...]) -> Interval:
        s = get()
        k = offset + int(np.ravel_multi_index(i, shape)) if shape else offset
        low, high, error = s.interval()
        return float(low[k]), float(high[k]), float(error[k]), bool((s.kink | s.edge)[k])

    return arbiter


def argument_arbiter(trial: Trial, at: Point, g: Leaves, leaf: int) -> Arbiter | None:
    """Decides on an entry of an argument's cotangent: each output's slope along that entry, weighted by g."""
    if not at.x64:
        return None
    size = scales(at.x)
    weights = np.concatenate([a.ravel() for a in g])

    def arbiter(i: tuple[int, ...]) -> Interval:
        key = ("slopes", at, leaf, i)
        if key not in trial.memory:
            e = [np.zeros(np.shape(a)) for a in at.x]
            e[leaf][i] = size[leaf][i]
            trial.memory[key] = slopes(trial.reference.value, at, e)
        s = trial.memory[key]
        low, high, error = s.interval()
        with np.errstate(all="ignore"):
            moved = (weights != 0) & ~((low == 0) & (high == 0) & (error == 0))
            ends = np.stack([weights * low, weights * high])[:, moved] / size[leaf][i]
            spread = float(np.sum(np.abs(weights * error)[moved])) / size[leaf][i]
        return float(ends.min(0).sum()), float(ends.max(0).sum()), spread, bool((s.kink | s.edge)[moved].any())

    return arbiter


def unavailable(check: str, error: Unavailable, what: str = "everything") -> Gap:
    """A gap for a mode that a function does not have."""
    return Gap(check, what, str(error))

"""The third opinion: slopes from values alone, where rule and autodiff might be wrong together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from vjpkit.check.differences import Slopes, scales, slopes
from vjpkit.check.judgement import unavailable
from vjpkit.check.layout import Point
from vjpkit.check.modes import Leaves, Modes, Unavailable
from vjpkit.check.report import FAIL, NOTE, PASS, SKIP, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, Tally, bound
from vjpkit.check.trial import Trial, dot

RELIABLE = 1e-4  # the relative error of a slope up to which it has a vote
AGREES = 1e-7  # what a reliable slope may differ by, beside its own error


def check_differences(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Along one argument at a time, in float64: the rule's slope against the one that values show.

    Two directions are random; along the third all entries move alike, which a tie does not notice: a rule that
    counts every winner of a tie in full shows there.
    """
    if not trial.points[0].x64:
        yield Gap("differences", "everything", f"they need float64, and this function runs in {trial.points[0].dtype}")
        return
    try:
        for k, name in enumerate(trial.layout.names):
            seen = _Seen()
            for at in (trial.points[0], *trial.specials):
                for direction in _directions(trial, at, k):
                    seen.look(trial, at, direction)
            yield from seen.told(name)
    except Unavailable as error:
        yield unavailable("differences", error)


def _directions(trial: Trial, at: Point, k: int) -> Iterator[Leaves]:
    size = scales(at.x)
    for draw in range(2):
        yield [v * s for v, s in zip(trial.tangent(at, draw, k), size, strict=True)]
    usual = float(np.median(size[k])) if size[k].size else 1.0
    yield [np.full(np.shape(a), usual if i == k else 0.0) for i, a in enumerate(at.x)]


@dataclass
class _Seen:
    """What finite differences said of one argument, along all directions."""

    tally: Tally = field(default_factory=Tally)
    orders: list[float] = field(default_factory=list)
    one_sided: int = 0
    lost: int = 0
    wrong: tuple[float, float, float] | None = None  # rule, autodiff, finite differences
    odd: tuple[float, float, float] | None = None

    def look(self, trial: Trial, at: Point, direction: Leaves) -> None:
        s = slopes(trial.reference.value, at, direction)
        g = None if trial.subject.has("forward", at) else trial.cotangents(at)[0]
        rule = _slope(trial.subject, at, direction, g)
        low, high, error, bent = _weighted(s, g)
        with np.errstate(all="ignore"):
            size = np.fmax(np.fmax(np.abs(low), np.abs(high)), np.abs(rule))
            peak = float(np.max(size[np.isfinite(size)], initial=0.0))
            votes = np.isfinite(error) & np.isfinite(size) & (error <= RELIABLE * peak)
            c = Comparison(rule[votes], np.clip(rule, low, high)[votes], (10 * error + AGREES * size)[votes])
            if c.wrong.any():
                rounding = bound(c.got, c.want, _rounding(trial, at, direction, g)[votes], np.float64, trial.tol)
                c = Comparison(c.got, c.want, c.bound + rounding)
        self.tally.add(c)
        self.one_sided += int(bent.sum())
        self.lost += int((~votes).sum())
        if g is None and (order := s.order(rule, ~bent)) is not None:
            self.orders.append(order)
        if c.wrong.any():
            self._blame(_autodiff(trial, at, direction, g)[votes], c, bent[votes])

    def _blame(self, autodiff: np.ndarray, c: Comparison, bent: np.ndarray) -> None:
        """Autodiff decides: if it is with finite differences, off a kink, the rule is wrong."""
        alone = c.wrong & ~bent & ~(np.abs(autodiff - c.want) > c.bound)
        for place, which in (("wrong", alone), ("odd", c.wrong & ~alone)):
            if which.any():
                i = int(np.argmax(np.where(which, c.excess, -1)))
                setattr(self, place, (float(c.got[i]), float(autodiff[i]), float(c.want[i])))

    def told(self, name: str) -> Iterator[Result | Finding]:
        worst = self.tally.worst
        if worst is None or not worst.got.size:
            yield Result("differences", name, SKIP, note="finite differences are unreliable here")
            return
        words = [f"Taylor slope {np.median(self.orders):.1f}"] if self.orders else []
        words += [f"{self.one_sided} slopes judged one-sided, at a kink or an edge"] if self.one_sided else []
        words += [f"{self.lost} unreliable"] if self.lost else []
        verdict = FAIL if self.wrong else NOTE if self.odd else PASS
        error, bound = worst.relative(worst.difference), worst.relative(worst.bound)
        yield Result("differences", name, verdict, error, bound, self.tally.power, "; ".join(words))
        if self.wrong:
            yield Finding(
                "differences", name, "only the rule differs: the rule is wrong", _three(self.wrong), level="failure"
            )
        if self.odd:
            what = "finite differences disagree with rule or autodiff: a kink, or a stop_gradient in the primal"
            yield Finding("differences", name, what, _three(self.odd), level="note")


def _three(opinions: tuple[float, float, float]) -> str:
    return "slope along a direction: rule {:.9g}, autodiff {:.9g}, finite differences {:.9g}".format(*opinions)


def _slope(modes: Modes, at: Point, direction: Leaves, g: Leaves | None) -> np.ndarray:
    """J d, or ⟨Jᵀ g, d⟩ where a g is given."""
    if g is None:
        return np.concatenate([y.ravel() for y in modes.forward(at, direction)[1]])
    return np.asarray([dot(modes.reverse(at, g)[1], direction)])


def _rounding(trial: Trial, at: Point, direction: Leaves, g: Leaves | None) -> np.ndarray:
    """What rounding moves the slope by: where values stand still, their differences know no error at all."""
    if g is None:
        return np.concatenate([s.ravel() for s in trial.forward(at, direction).spread])
    return np.asarray([dot(trial.reverse(at, g).spread, [np.abs(d) for d in direction])])


def _autodiff(trial: Trial, at: Point, direction: Leaves, g: Leaves | None) -> np.ndarray:
    """The reference's slope, from whichever mode it has; NaN where it has none."""
    try:
        return _slope(trial.reference, at, direction, g)
    except Unavailable:
        return np.full(1 if g is not None else sum(int(np.prod(s.shape)) for s in trial.subject.outputs(at)), np.nan)


def _weighted(s: Slopes, g: Leaves | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What finite differences allow for each output, or for the outputs weighted by g; and where they bend."""
    low, high, error = s.interval()
    bent = s.kink | s.edge
    if g is None:
        return low, high, error, bent
    weights = np.concatenate([a.ravel() for a in g])
    ends = np.stack([weights * low, weights * high])
    total = (np.abs(weights) * error).sum(keepdims=True)
    return ends.min(0).sum(keepdims=True), ends.max(0).sum(keepdims=True), total, bent.any(keepdims=True)

"""The search: every hypothesis evaluated at random probes and held against the numbers; what fits exactly explains."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.factor_mistakes import extra_factors, factor_mistakes
from vjpkit.check.diagnosis.factors import Factors, fitted
from vjpkit.check.diagnosis.mistakes import Mistake
from vjpkit.check.diagnosis.operand_mends import function_mends, number_mends, operand_mends
from vjpkit.check.diagnosis.operation_mistakes import operation_mistakes, untransposed
from vjpkit.check.diagnosis.paths import path_mistakes
from vjpkit.check.diagnosis.ratios import ratio_mistakes
from vjpkit.check.diagnosis.slope_mistakes import slope_mistakes
from vjpkit.check.diagnosis.sum_mistakes import kept_sums
from vjpkit.check.diagnosis.table import Table
from vjpkit.check.diagnosis.whole_answers import Changed, whole_answers
from vjpkit.check.diagnosis.workings import RIGHT, Derived, Workings

SLACK = 1.5  # of cost
Part = tuple[str, str, str]  # cause, detail, fix


@dataclass(frozen=True)
class Explanation:
    """One mistake, or several together, that give an arm's numbers; `cost`: how far-fetched they are."""

    parts: tuple[Part, ...]
    cost: float
    residual: float

    @property
    def causes(self) -> tuple[str, ...]:
        return tuple(p[0] for p in self.parts)


@dataclass
class Search:
    """What is known about the wrong arms, and what has been found to explain them."""

    w: Workings
    wrong: list[int]
    deadline: float
    found: dict[int, list[Explanation]] = field(default_factory=dict)
    tried: list[tuple[Mistake, list[Any]]] = field(default_factory=list)  # of the right derivative, at the first probe

    def __post_init__(self) -> None:
        self.found = {k: [] for k in self.wrong}
        self.factors = Factors(self.w)
        self.started = time.perf_counter()

    def run(self) -> dict[int, list[Explanation]]:
        with np.errstate(all="ignore"):
            for stage in self._stages():
                with contextlib.suppress(Exception):  # a hypothesis that cannot be asked about here explains nothing
                    stage()
                if self._late():
                    break
        return {k: _ranked(found) for k, found in self.found.items()}

    def _stages(self) -> Iterator[Any]:
        w = self.w
        yield self._whole
        yield lambda: self._all(slope_mistakes(w))
        yield lambda: self._all(factor_mistakes(w, w.sloped, False))
        yield lambda: self._all(operation_mistakes(w.sloped, False))
        yield lambda: self._all(kept_sums(w.sloped, False))
        yield lambda: self._paths(w.sloped, False)
        yield lambda: self._paths(w.truth, False)
        yield self._ratios
        yield lambda: self._all(operation_mistakes(w.truth, False))
        candidate = w.trace_candidate()
        if candidate is not None:
            wrong = set(self.wrong) if w.asked.kind == "vjp" else set(range(len(candidate.program.outputs)))
            yield lambda: self._all(operation_mistakes(candidate, True))
            yield lambda: self._all(kept_sums(candidate, True))
            yield lambda: self._all(untransposed(candidate))
            yield lambda: self._all(factor_mistakes(w, candidate, True))
            yield lambda: self._paths(candidate, True)
            yield lambda: self._all(number_mends(w, candidate, wrong))
            yield lambda: self._all(operand_mends(w, candidate, wrong))
            yield lambda: self._all(function_mends(w, candidate, wrong))
            yield lambda: self._if_unexplained(extra_factors(w, candidate, True))
        yield lambda: self._if_unexplained(extra_factors(w, w.sloped, False))
        yield lambda: self._if_unexplained(factor_mistakes(w, w.truth, False))
        if candidate is not None:
            yield lambda: self._meet(candidate)
        yield self._twice

    def _late(self) -> bool:
        return time.perf_counter() - self.started > self.deadline

    def _unexplained(self) -> list[int]:
        return [k for k in self.wrong if not self.found[k]]

    # ---------------------------------------------------------------------------------------------- stages

    def _whole(self) -> None:
        for k in self.wrong:
            if not any(np.any(a) for a in self.w.got[k]):
                self._note(
                    k, [("zero", "every entry is zero", "a term, where it is lost: stop_gradient, an integer cast")], 0
                )
                continue
            for changed in whole_answers(self.w, k):
                self._hold(k, changed)

    def _hold(self, k: int, changed: Changed) -> None:
        got = self.w.got[k]
        if np.shape(changed.answers[0]) != np.shape(got[0]):
            return
        c, off = fitted(got, changed.answers)
        if off > RIGHT * 10 or not c:
            return
        simple: list[Part] = [(changed.cause, changed.detail, changed.fix)] if changed.detail else []
        nameless = not self.factors.named(c)
        for rank, scalings in enumerate(self._scalings(c, k)):
            if (simple or scalings) and not (simple and nameless):  # a number without a name explains nothing beside
                self._note(k, [*simple, *scalings], changed.cost + 0.4 * bool(scalings) + 0.1 * rank + nameless)

    def _scalings(self, c: float, k: int) -> list[list[Part]]:
        """What a factor on a whole answer is, the likeliest first: no mistake, one, or a sign and another."""
        sign: list[Part] = [("sign", "the sign is flipped", "multiply by −1")] if c < 0 else []
        if math.isclose(abs(c), 1, rel_tol=1e-7):
            return [sign]
        name = self.factors.named(abs(c)) or f"{abs(c):.6g}"
        return [[*sign, (cause, f"scaled by {name}", f"divide by {name}")] for cause in self.factors.causes(c, k)]

    def _all(self, mistakes: Iterable[Mistake]) -> None:
        for n, m in enumerate(mistakes):
            if n % 64 == 63 and self._late():
                return
            self._try(m)

    def _if_unexplained(self, mistakes: Iterable[Mistake]) -> None:
        if self._unexplained():
            self._all(mistakes)

    def _try(self, m: Mistake) -> None:
        w = self.w
        first: dict[int | None, list[Any]] = {}
        for k in self.wrong:
            probes = w.of_arm(k)
            key = k if w.asked.kind == "jvp" else None
            if key not in first:
                try:
                    first[key] = m.predict(w, probes[0])
                except Exception:  # the shapes of this edit do not fit here
                    return
                if not m.mends and len(self.tried) < 3000:
                    self.tried.append((m, first[key]))
            answer, goal = w.asked.select(k, first[key]), w.want[k] if m.mends else w.got[k]
            if answer.shape != goal[0].shape or not np.any(answer):
                continue
            c, off = fitted([goal[0]], [answer])
            if off <= 100 * RIGHT and (math.isclose(c, 1, rel_tol=1e-6) or self.factors.named(c)):
                self._verify(m, k, goal)

    def _verify(self, m: Mistake, k: int, goal: list[Any]) -> None:
        answers = self._predicted(m, k)
        if answers is None:
            return
        c, off = fitted(goal, answers)
        if off > 10 * RIGHT or not c or self._same(answers, m, k):
            return
        c = 1 / c if m.mends else c
        if self.factors.named(c):
            scalings = self._scalings(c, k)[0]
            self._note(k, [(m.cause, m.detail, m.fix), *scalings], m.cost + 0.5 * len(scalings))

    def _same(self, answers: list[Any], m: Mistake, k: int) -> bool:
        """Whether an edit changes nothing: of the right answer, or of the candidate's."""
        old = self.w.got[k] if m.mends else self.w.want[k]
        return fitted(old, answers)[1] < 10 * RIGHT

    def _predicted(self, m: Mistake, k: int) -> list[Any] | None:
        try:
            return [self.w.asked.select(k, m.predict(self.w, i)) for i in self.w.of_arm(k)]
        except Exception:
            return None

    def _paths(self, d: Derived, mends: bool) -> None:
        for k in self.wrong:
            if np.shape(self.w.got[k][0]) == np.shape(self.w.want[k][0]) and not self._late():
                for parts, cost in path_mistakes(self.w, d, k, self.factors, mends):
                    self._note(k, parts, cost)

    def _ratios(self) -> None:
        for k in self._unexplained():
            for changed in ratio_mistakes(self.w, k):
                self._hold(k, changed)

    # --------------------------------------------------------------------------------------- two mistakes

    def _meet(self, candidate: Derived) -> None:
        """The right derivative with one mistake, and the candidate with one mended, meet."""
        if not self._unexplained():
            return
        w = self.w
        wrong = set(self.wrong) if w.asked.kind == "vjp" else set(range(len(candidate.program.outputs)))
        mends = [
            *operation_mistakes(candidate, True),
            *factor_mistakes(w, candidate, True),
            *operand_mends(w, candidate, wrong),
        ]
        for k in self._unexplained():
            table = Table([(m, w.asked.select(k, p)) for m, p in self.tried])
            for n, m in enumerate(mends):
                if n % 64 == 63 and self._late():
                    return
                try:
                    answer = w.asked.select(k, m.predict(w, w.of_arm(k)[0]))
                except Exception:
                    continue
                for other in table.like(answer):
                    a, b = self._predicted(m, k), self._predicted(other, k)
                    if a is None or b is None or self._same(a, m, k) or self._same(b, other, k):
                        continue
                    c, off = fitted(b, a)
                    if off < 10 * RIGHT and math.isclose(c, 1, rel_tol=1e-7):
                        parts = [(m.cause, m.detail, m.fix), (other.cause, other.detail, other.fix)]
                        self._note(k, parts, m.cost + other.cost + 1)

    def _twice(self) -> None:
        """Two mistakes in the right derivative: those that come closest first, each with every other."""
        w = self.w
        for k in self._unexplained():
            got = w.got[k]
            near = []
            for m, p in self.tried:
                answer = w.asked.select(k, p)
                if answer.shape == got[0].shape and np.any(answer) and np.isfinite(answer).all():
                    near.append((fitted([got[0]], [answer])[1], m))
            near.sort(key=lambda pair: pair[0])
            for _, first in near[:12]:
                for _, second in near:
                    if self._late():
                        return
                    if first.of is second.of and first.origin != second.origin:
                        self._together(k, first, second)

    def _together(self, k: int, first: Mistake, second: Mistake) -> None:
        w = self.w
        both = first.together(second)
        try:
            answer = w.asked.select(k, both.predict(w, w.of_arm(k)[0]))
        except Exception:
            return
        if answer.shape != w.got[k][0].shape or fitted([w.got[k][0]], [answer])[1] > 100 * RIGHT:
            return
        answers = self._predicted(both, k)
        if answers is not None and (fit := fitted(w.got[k], answers))[1] < 10 * RIGHT and self.factors.named(fit[0]):
            parts = [(m.cause, m.detail, m.fix) for m in (first, second)]
            parts += self._scalings(fit[0], k)[0]
            self._note(k, parts, first.cost + second.cost + len(parts) - 1)

    def _note(self, k: int, parts: list[Part], cost: float) -> None:
        self.found[k].append(Explanation(tuple(parts), cost + 1.5 * (len(parts) - 1), 0.0))


def _ranked(found: list[Explanation]) -> list[Explanation]:
    """The cheapest first, each combination of causes once; what is far more complicated than the best left out."""
    best: dict[tuple[str, ...], Explanation] = {}
    for e in sorted(found, key=lambda e: e.cost):
        best.setdefault(tuple(sorted(e.causes)), e)
    kept = list(best.values())
    return [e for e in kept if e.cost <= kept[0].cost + SLACK and len(e.parts) <= len(kept[0].parts)]

"""The search: every hypothesis evaluated at random probes and held against the numbers; what fits exactly explains."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.behaviour import of_ones
from vjpkit.check.diagnosis.combinations import everywhere, meet, twice, two_terms
from vjpkit.check.diagnosis.explanations import Explanation, Part, ranked
from vjpkit.check.diagnosis.factor_mistakes import extra_factors, factor_mistakes
from vjpkit.check.diagnosis.factors import Factors, fitted
from vjpkit.check.diagnosis.jacobian_parts import jacobian_parts, moved_entries
from vjpkit.check.diagnosis.mistakes import Mistake
from vjpkit.check.diagnosis.operand_mends import function_mends, number_mends, operand_mends
from vjpkit.check.diagnosis.operation_mistakes import operation_mistakes, untransposed
from vjpkit.check.diagnosis.paths import path_mistakes
from vjpkit.check.diagnosis.product_chains import product_chains
from vjpkit.check.diagnosis.ratios import ratio_mistakes
from vjpkit.check.diagnosis.relations import joined, relations
from vjpkit.check.diagnosis.slope_mistakes import slope_mistakes
from vjpkit.check.diagnosis.sum_mistakes import kept_sums
from vjpkit.check.diagnosis.unfinished import last_steps
from vjpkit.check.diagnosis.whole_answers import Changed, whole_answers
from vjpkit.check.diagnosis.workings import RIGHT, Derived, Workings

REFINED = ("wrong_operand", "slope_at_wrong_point", "value_for_slope")
SHARE = 0.07  # of the time, for one kind of hypothesis before the others have had theirs
FURTHER = 1.0  # seconds of search after everything is explained


@dataclass
class Search:
    """What is known about the wrong arms, and what has been found to explain them."""

    w: Workings
    wrong: list[int]
    deadline: float
    found: dict[int, list[Explanation]] = field(default_factory=dict)
    kinds: dict[tuple[Any, ...], dict[int, Mistake]] = field(default_factory=dict)  # the same mistake, by its place
    joined: dict[tuple[Any, ...], int] = field(default_factory=dict)  # at how many places together these were tried
    rest: list[Iterator[Mistake]] = field(default_factory=list)  # hypotheses put off
    tried: list[tuple[Mistake, list[Any]]] = field(default_factory=list)  # of the right derivative, at the first probe

    def __post_init__(self) -> None:
        self.found = {k: [] for k in self.wrong}
        self.factors = Factors(self.w)
        self.started = time.process_time()

    def run(self) -> dict[int, list[Explanation]]:
        settled = False
        with np.errstate(all="ignore"):
            for stage in self._stages():
                with contextlib.suppress(Exception):  # a hypothesis that cannot be asked about here explains nothing
                    stage()
                if self.late():
                    break
                if not settled and not self.unexplained():  # what else it could be is looked for, but not for long
                    settled = True
                    self.deadline = min(self.deadline, self._spent() + max(FURTHER, self._spent()))
        return {k: ranked(found) for k, found in self.found.items()}

    def whole(self) -> dict[int, list[Explanation]]:
        """What explains an answer as a whole."""
        with np.errstate(all="ignore"):
            self._whole()
        return {k: ranked(found) for k, found in self.found.items()}

    def mended(self) -> dict[int, list[Explanation]]:
        """Which operations of the candidate, done otherwise or on other values, make it right."""
        candidate = self.w.trace_candidate()
        with np.errstate(all="ignore"), contextlib.suppress(Exception):
            if candidate is not None:
                self._all(operation_mistakes(candidate, True), 0.5)
                self._if_unexplained(operand_mends(self.w, candidate, self.outputs_of(candidate, self.wrong)), 0.5)
        return {k: ranked(found) for k, found in self.found.items()}

    def _stages(self) -> Iterator[Any]:
        w = self.w
        yield self._whole
        yield lambda: self._changed(product_chains)
        yield lambda: self._all(slope_mistakes(w, False))
        yield lambda: self._all(factor_mistakes(w, w.sloped, False))
        yield lambda: self._all(operation_mistakes(w.sloped, False))
        yield lambda: self._all(kept_sums(w.sloped, False))
        yield lambda: self._paths(w.sloped, False)
        yield lambda: self._paths(w.truth, False)
        yield lambda: self._changed(ratio_mistakes)
        yield lambda: everywhere(self)
        yield lambda: self._all(operation_mistakes(w.truth, False))
        candidate = w.trace_candidate()
        if candidate is not None:
            wrong = self.outputs_of(candidate, self.wrong)
            yield lambda: self._all(operation_mistakes(candidate, True))
            yield lambda: self._all(kept_sums(candidate, True))
            yield lambda: self._all(untransposed(candidate))
            yield lambda: everywhere(self)
            yield lambda: self._all(number_mends(w, candidate, wrong), 4 * SHARE)
            yield lambda: everywhere(self)
            yield lambda: self._all(factor_mistakes(w, candidate, True))
            yield lambda: self._paths(candidate, True)
            yield lambda: self._all(operand_mends(w, candidate, wrong), 2 * SHARE)
            yield lambda: self._all(function_mends(w, candidate, wrong))
        yield lambda: self._all(slope_mistakes(w, True))
        if candidate is not None:
            yield lambda: self._if_unexplained(extra_factors(w, candidate, True))
        yield lambda: self._if_unexplained(extra_factors(w, w.sloped, False))
        yield lambda: self._if_unexplained(factor_mistakes(w, w.truth, False))
        if candidate is not None:
            yield lambda: self._if_unexplained(extra_factors(w, candidate, True, within=True))
        yield self._rest
        yield lambda: self._entries(jacobian_parts)
        for d in (w.sloped, w.truth):
            yield lambda d=d: two_terms(self, d)
        if candidate is not None:
            yield lambda: meet(self, candidate)
        yield lambda: twice(self)
        yield lambda: self._entries(moved_entries)

    def _spent(self) -> float:
        return time.process_time() - self.started

    def late(self) -> bool:
        """Whether the time is up."""
        return self._spent() > self.deadline

    def unexplained(self) -> list[int]:
        """The arms that nothing explains yet."""
        return [k for k in self.wrong if not self.found[k]]

    def outputs_of(self, d: Derived, arms: Iterable[int]) -> set[int]:
        """Which outputs of a derivative's program are the answers of some arms."""
        return set(arms) if self.w.asked.kind == "vjp" else set(range(len(d.program.outputs)))

    # ---------------------------------------------------------------------------------------------- stages

    def _whole(self) -> None:
        for k in self.wrong:
            if all(float(np.linalg.norm(a)) <= self.w.floor for a in self.w.got[k]):
                fix = "a term, where it is lost: stop_gradient, an integer cast"
                self.note(k, [("zero", "every entry is zero, but for rounding", fix)], 0)
                for part in of_ones(self.w, k):
                    self.note(k, [part], 0.2)
                continue
            for changed in whole_answers(self.w, k):
                self._hold(k, changed)
            self._unfinished(k)

    def _hold(self, k: int, changed: Changed) -> None:
        got = self.w.got[k]
        if np.shape(changed.answers[0]) != np.shape(got[0]):
            return
        c, off = fitted(got, changed.answers)
        if off > RIGHT * 10 or not c:
            return
        simple: list[Part] = [(changed.cause, changed.detail, changed.fix)] if changed.detail else []
        nameless = not self.factors.named(c)
        for rank, scalings in enumerate(self.scalings(c, k)):
            if (simple or scalings) and not (simple and nameless):  # a number without a name explains nothing beside
                self.note(k, [*simple, *scalings], changed.cost + 0.4 * bool(scalings) + 0.1 * rank + nameless)

    def _unfinished(self, k: int) -> None:
        got, want = self.w.got[k], self.w.want[k]
        if np.shape(got[0]) != np.shape(want[0]) or fitted(want, got)[1] < 10 * RIGHT:
            return
        for cause, detail, fix, cost, f in last_steps(np.shape(want[0])):
            c, off = fitted(want, [f(a, b) for a, b in zip(got, want, strict=True)])
            if off < 10 * RIGHT and self.factors.named(c):
                scalings = self.scalings(1 / c, k)[0]
                self.note(k, [(cause, detail, fix), *scalings], cost + 0.4 * bool(scalings))

    def scalings(self, c: float, k: int) -> list[list[Part]]:
        """What a factor on a whole answer is, the likeliest first: no mistake, one, or a sign and another."""
        sign: list[Part] = [("sign", "the sign is flipped", "multiply by −1")] if c < 0 else []
        if math.isclose(abs(c), 1, rel_tol=1e-7):
            return [sign]
        name = self.factors.named(abs(c)) or f"{abs(c):.6g}"
        return [[*sign, (cause, f"scaled by {name}", f"divide by {name}")] for cause in self.factors.causes(c, k)]

    def _all(self, mistakes: Iterable[Mistake], share: float = SHARE) -> None:
        """Each of many hypotheses tried; those for which a share of the time is too short, after all other stages."""
        rest, until = iter(mistakes), self._spent() + share * self.deadline
        for n, m in enumerate(rest):
            self.attempt(m)
            if n % 16 == 15 and self._past(until):
                self.rest.append(rest)
                return

    def _rest(self) -> None:
        rest, self.rest = self.rest, []
        for mistakes in rest if self.unexplained() else ():
            self._all(mistakes, 1.0)

    def _if_unexplained(self, mistakes: Iterable[Mistake], share: float = SHARE) -> None:
        if self.unexplained():
            self._all(mistakes, share)

    def attempt(self, m: Mistake) -> None:
        """A mistake held against every wrong arm: first at one probe, then at all of them."""
        w = self.w
        if m.kind:
            self.kinds.setdefault((id(m.of), m.cause, *m.kind), {})[m.origin] = m
        if m.ruled_out:
            return
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
        answers = self.predicted(m, k)
        if answers is None:
            return
        c, off = fitted(goal, answers)
        if off > 10 * RIGHT or not c or self.changes_nothing(answers, m, k):
            return
        c = 1 / c if m.mends else c
        if self.factors.named(c):
            scalings = self.scalings(c, k)[0]
            for n, part in enumerate(self._said(m)):
                self.note(k, [part, *scalings], m.cost + 0.1 * n + 0.5 * len(scalings))

    def _said(self, m: Mistake) -> list[Part]:
        """A mistake; where one value stands for another, first what the two have to do with each other."""
        plain = (m.cause, m.detail, m.fix)
        made = m.of.program.equations[m.origin].outputs[0] if m.mends and m.origin >= 0 else None
        if m.cause != "random_mask" and made is not None and m.of.in_masks(made):
            return [("positions_ignored", f"a mask or an index is another: {m.detail}", m.fix)]
        if m.stands is None or m.cause not in REFINED:
            return [plain]
        found = relations(*m.stands, self.w.pool, self.factors.named)
        return [*((cause, f"{m.detail}: {detail}", fix) for cause, detail, fix in found), plain]

    def changes_nothing(self, answers: list[Any], m: Mistake, k: int) -> bool:
        """Whether an edit changes nothing: of the right answer, or of the candidate's."""
        old = self.w.got[k] if m.mends else self.w.want[k]
        return fitted(old, answers)[1] < 10 * RIGHT

    def predicted(self, m: Mistake, k: int) -> list[Any] | None:
        """The answers of an edited program, None where it cannot be run."""
        try:
            return [self.w.asked.select(k, m.predict(self.w, i)) for i in self.w.of_arm(k)]
        except Exception:
            return None

    def _paths(self, d: Derived, mends: bool) -> None:
        until = self._spent() + SHARE * self.deadline

        def late() -> bool:
            return self._past(until)

        for k in self.wrong:
            if np.shape(self.w.got[k][0]) == np.shape(self.w.want[k][0]):
                for parts, cost in path_mistakes(self.w, d, k, self.factors, mends, late):
                    self.note(k, parts, cost)
                    until = self.deadline  # what explains one answer may well explain the others

    def _past(self, until: float) -> bool:
        return self._spent() > min(until, self.deadline)

    def _changed(self, ways: Callable[[Workings, int], Iterator[Changed]]) -> None:
        for k in self.wrong:
            for changed in ways(self.w, k):
                self._hold(k, changed)

    def _entries(self, found: Callable[[Workings, int], Iterator[tuple[Part, float]]]) -> None:
        for k in self.unexplained():
            for part, cost in found(self.w, k):
                self.note(k, [part], cost)

    def note(self, k: int, parts: list[Part], cost: float) -> None:
        """An explanation found."""
        if len(parts) == 2 and (ones := list(joined(*parts))):
            self.found[k] += [Explanation((one,), cost + 0.1 * n, 0.0) for n, one in enumerate(ones)]
            return
        self.found[k].append(Explanation(tuple(parts), cost + 1.5 * (len(parts) - 1), 0.0))

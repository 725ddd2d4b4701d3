"""Several mistakes at once: two that meet, two in the right derivative, two terms, the same mistake everywhere."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from vjpkit.check.diagnosis.factor_mistakes import factor_mistakes
from vjpkit.check.diagnosis.factors import fitted
from vjpkit.check.diagnosis.mistakes import Mistake
from vjpkit.check.diagnosis.operand_mends import operand_mends
from vjpkit.check.diagnosis.operation_mistakes import operation_mistakes
from vjpkit.check.diagnosis.paths import path_pairs
from vjpkit.check.diagnosis.table import Table
from vjpkit.check.diagnosis.workings import RIGHT, Derived

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.search import Search

ALL = 12  # places at which the same mistake is tried at once
NEAREST = 12  # mistakes that are tried with every other


def meet(s: Search, candidate: Derived) -> None:
    """The right derivative with one mistake, and the candidate with one mended, meet."""
    if not s.unexplained():
        return
    w = s.w
    wrong = s.outputs_of(candidate, s.wrong)
    mends = [
        *operation_mistakes(candidate, True),
        *factor_mistakes(w, candidate, True),
        *operand_mends(w, candidate, wrong),
    ]
    for k in s.unexplained():
        table = Table([(m, w.asked.select(k, p)) for m, p in s.tried])
        for n, m in enumerate(mends):
            if n % 64 == 63 and s.late():
                return
            try:
                answer = w.asked.select(k, m.predict(w, w.of_arm(k)[0]))
            except Exception:
                continue
            for other in table.like(answer):
                a, b = s.predicted(m, k), s.predicted(other, k)
                if a is None or b is None or s.changes_nothing(a, m, k) or s.changes_nothing(b, other, k):
                    continue
                c, off = fitted(b, a)
                if off < 10 * RIGHT and math.isclose(c, 1, rel_tol=1e-7):
                    parts = [(m.cause, m.detail, m.fix), (other.cause, other.detail, other.fix)]
                    s.note(k, parts, m.cost + other.cost + 1)


def twice(s: Search) -> None:
    """Two mistakes in the right derivative: those that come closest first, each with every other."""
    w = s.w
    for k in s.unexplained():
        got = w.got[k]
        near = []
        for m, p in s.tried:
            answer = w.asked.select(k, p)
            if answer.shape == got[0].shape and np.any(answer) and np.isfinite(answer).all():
                near.append((fitted([got[0]], [answer])[1], m))
        near.sort(key=lambda pair: pair[0])
        for _, first in near[:NEAREST]:
            for _, second in near:
                if s.late():
                    return
                if first.of is second.of and first.origin != second.origin:
                    _together(s, k, first, second)


def _together(s: Search, k: int, first: Mistake, second: Mistake) -> None:
    w = s.w
    both = first.together(second)
    try:
        answer = w.asked.select(k, both.predict(w, w.of_arm(k)[0]))
    except Exception:
        return
    if answer.shape != w.got[k][0].shape or fitted([w.got[k][0]], [answer])[1] > 100 * RIGHT:
        return
    answers = s.predicted(both, k)
    if answers is not None and (fit := fitted(w.got[k], answers))[1] < 10 * RIGHT and s.factors.named(fit[0]):
        parts = [(m.cause, m.detail, m.fix) for m in (first, second)]
        parts += s.scalings(fit[0], k)[0]
        s.note(k, parts, first.cost + second.cost + len(parts) - 1)


def everywhere(s: Search) -> None:
    """The same mistake at every place where it can be made."""
    if not s.unexplained():
        return
    for key, places in list(s.kinds.items()):
        if 2 <= len(places) <= ALL and s.joined.get(key) != len(places):
            s.joined[key] = len(places)
            every = functools.reduce(Mistake.together, places.values())
            detail, cost = f"{every.detail}, and so everywhere", every.cost + 1
            s.attempt(dataclasses.replace(every, detail=detail, cost=cost, kind=()))


def two_terms(s: Search, d: Derived) -> None:
    """Two terms of a derivative at once, each with a factor that has a name."""
    for k in s.unexplained():
        if np.shape(s.w.got[k][0]) == np.shape(s.w.want[k][0]) and not s.late():
            for parts, cost in path_pairs(s.w, d, k, s.factors):
                s.note(k, parts, cost)

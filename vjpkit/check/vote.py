"""Three opinions on one number: the rule's, autodiff's, and an interval from finite differences. Who is right?"""

from __future__ import annotations

from enum import Enum

import numpy as np


class Verdict(Enum):
    """What a vote says; the text is what the report says."""

    RULE = "only the rule differs: the rule is wrong"
    ALL = "rule, autodiff and finite differences all differ"
    KINK = "a kink or a tie: the rule's value lies between the one-sided slopes, and is right"
    LIMIT = "autodiff is not finite here, and the rule gives what finite differences give"
    UNDEFINED = "autodiff is not finite here, and finite differences find no slope: not judged"
    PRIMAL = "finite differences are with the rule, autodiff is not: a kink or a stop_gradient in the primal"
    UNDECIDED = "finite differences are unreliable here, and autodiff may be wrong too: not judged"
    CLOSE = "off by less than finite differences can tell and approximations leave: not judged"
    UNRELIABLE = "finite differences are unreliable here; the rule differs from autodiff"

    @property
    def fails(self) -> bool:
        return self in (Verdict.RULE, Verdict.ALL, Verdict.UNRELIABLE)


CLOSE = 2.0**15 * float(np.finfo(np.float64).eps)  # relative, in float64: what series and iterations leave


def vote(rule: float, autodiff: float, low: float, high: float, error: float, kinked: bool) -> Verdict:
    """The verdict on an entry where rule and autodiff differ; [low, high] is what finite differences allow."""
    ad = bool(np.isfinite(autodiff))
    if not (np.isfinite(rule) or ad):
        return Verdict.UNDEFINED
    if np.isnan(rule):
        known = np.isfinite([low, high, error]).all() and low - 3 * error <= autodiff <= high + 3 * error
        return Verdict.RULE if known else Verdict.UNRELIABLE
    if np.isinf(rule):
        return Verdict.RULE if np.isfinite([low, high, error]).all() else Verdict.UNDECIDED
    size = max(abs(low), abs(high), abs(rule)) if np.isfinite([low, high]).all() else np.inf
    reliable = bool(np.isfinite(error) and np.isfinite(size))
    reliable = reliable and (10 * error <= abs(rule - autodiff) if ad else error <= 1e-4 * size)
    if not reliable and ad and abs(rule - autodiff) <= CLOSE * max(abs(rule), abs(autodiff)):
        return Verdict.CLOSE
    if not reliable:
        return Verdict.UNRELIABLE if ad else Verdict.UNDEFINED
    slack = 3 * error + 1e-9 * size
    inside = low - slack <= rule <= high + slack
    if not ad:
        return (Verdict.KINK if kinked else Verdict.LIMIT) if inside else Verdict.RULE
    autodiff_inside = low - slack <= autodiff <= high + slack
    if inside and kinked:
        return Verdict.KINK
    if inside:
        return Verdict.UNRELIABLE if autodiff_inside else Verdict.PRIMAL
    return Verdict.RULE if autodiff_inside else Verdict.ALL

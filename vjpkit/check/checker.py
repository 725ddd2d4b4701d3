"""The call: a question is read, put on trial, and answered by a report."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vjpkit.check.adjoint import check_adjoint
from vjpkit.check.arguments import hiding
from vjpkit.check.diagnosis.asked import diagnose_question
from vjpkit.check.errors import CheckError
from vjpkit.check.forward import check_forward
from vjpkit.check.linearity import check_linearity
from vjpkit.check.modes import Unavailable
from vjpkit.check.precision import check_extremes, check_precision
from vjpkit.check.question import Question
from vjpkit.check.report import Finding, Gap, Report, Result
from vjpkit.check.reproducing import line
from vjpkit.check.residuals import check_residuals
from vjpkit.check.reverse import check_reverse
from vjpkit.check.second_order import check_second_order
from vjpkit.check.special import check_special
from vjpkit.check.structure import check_structure
from vjpkit.check.third_opinion import check_differences
from vjpkit.check.transformations import check_transformations
from vjpkit.check.trial import Trial
from vjpkit.check.value import check_value
from vjpkit.core.case import Case

Entry = Result | Finding | Gap
CHECKS: dict[str, Callable[[Trial], Iterator[Entry]]] = {
    "structure": check_structure,  # first, for the others stand on it
    "value": check_value,
    "linearity": check_linearity,
    "adjoint": check_adjoint,
    "reverse": check_reverse,
    "forward": check_forward,
    "differences": check_differences,
    "second order": check_second_order,
    "transformations": check_transformations,
    "precision": check_precision,
    "extremes": check_extremes,
    "special": check_special,
    "residuals": check_residuals,
}


def check(fn: Callable[..., Any], *args: Any, checks: Sequence[str] = tuple(CHECKS), **options: Any) -> Report:
    """Hold a rule, or any JAX function, against the truth; the options are in `vjpkit.check`'s docstring.

    Args:    fn: a rule, or a callable. args: arrays, numbers, pytrees, draws, specifications.
             checks: names of `CHECKS` to run.
    Returns: the report; `report.raise_if_failed()` makes an exception of it.
    Raises:  CheckError where the question is wrong: fn fails, its output is no float, nothing in args can be
             differentiated, an argument is NaN or was donated.
    """
    return _answer(Question(fn, args, **options), checks)


def check_vjp(
    f: Callable[..., Any],
    candidate_vjp: Callable[..., Any],
    *args: Any,
    checks: Sequence[str] = tuple(CHECKS),
    **options: Any,
) -> Report:
    """Hold a bare formula against autodiff of `f`: `candidate_vjp(g, *args)` gives one cotangent per argument.

    Where there is one argument it may give the bare cotangent. It may be written in JAX or in NumPy.
    """
    return _answer(Question(f, args, ("reverse", candidate_vjp), **options), checks)


def check_jvp(
    f: Callable[..., Any],
    candidate_jvp: Callable[..., Any],
    *args: Any,
    checks: Sequence[str] = tuple(CHECKS),
    **options: Any,
) -> Report:
    """Hold a bare formula against autodiff of `f`: `candidate_jvp(dots, *args)` gives the output's tangent.

    `dots` is the tuple of tangents, one per argument, None for an argument that has none.
    """
    return _answer(Question(f, args, ("forward", candidate_jvp), **options), checks)


def check_case(case: Case, **options: Any) -> Report:
    """Check a case's rule with its arguments, options, special points, independent value and tolerance."""
    said = {"static": case.static, "special": case.special, "value": case.reference, "tol": case.tol}
    return check(case.rule, *case.args, **(said | options))


def _answer(question: Question, checks: Sequence[str]) -> Report:
    """Run the checks that were asked for, and the structure in any case."""
    if unknown := set(checks) - set(CHECKS):
        raise CheckError(f"unknown checks {sorted(unknown)}; there are {', '.join(CHECKS)}")
    start = time.perf_counter()
    trial, against, gaps = question.trial()
    warnings = list(hiding(question.leaves))
    report = Report(question.name, question.seed, line(question), trial.points[0].dtype, against, warnings=warnings)
    report.diagnosing = functools.partial(diagnose_question, question)
    report.add(*gaps)
    report.seconds["reading"] = time.perf_counter() - start
    for name in CHECKS:
        start = time.perf_counter()
        with np.errstate(all="ignore"):  # what overflows or is no number is compared, not complained about
            entries = list(_run(name, trial, question, report)) if name in checks or name == "structure" else []
        report.add(*(e for e in entries if name in checks or (isinstance(e, Finding) and e.level == "failure")))
        report.seconds[name] = time.perf_counter() - start
    report.findings.sort(key=lambda f: f.level != "failure")
    return report


def _run(name: str, trial: Trial, question: Question, report: Report) -> Iterator[Entry]:
    """One check; what it cannot do is a gap."""
    if name == "extremes" and any(f.check in ("reverse", "forward") for f in report.failures):
        yield Gap(name, "everything", "the derivative is wrong at ordinary points already")
        return
    try:
        yield from CHECKS[name](trial)
        if name == "special":
            for other in question.apart():
                yield from check_special(other)
    except Unavailable as error:
        yield Gap(name, "everything", str(error))

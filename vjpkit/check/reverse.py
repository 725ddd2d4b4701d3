"""Reverse mode against autodiff of the reference: entry by entry, and row by row where there are few outputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vjpkit.check.judgement import Matter, argument_arbiter, judge, unavailable
from vjpkit.check.layout import Point
from vjpkit.check.modes import Unavailable
from vjpkit.check.report import Finding, Gap, Result
from vjpkit.check.trial import SMALL, Trial, units


def check_reverse(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """x̄ = Jᵀ g for random g of both signs at every point, and for each unit cotangent: the rows of J."""
    matters: list[list[Matter]] = [[] for _ in trial.layout.names]
    try:
        for at in trial.points:
            for draw, g in enumerate(trial.cotangents(at)):
                _add(trial, matters, at, g, f"cotangent {draw}")
        at = trial.points[0]
        outputs = sum(int(np.prod(s.shape)) for s in trial.subject.outputs(at))
        if outputs <= SMALL:
            for row, g in enumerate(units([np.zeros(s.shape) for s in trial.subject.outputs(at)])):
                _add(trial, matters, at, g, f"row {row} of the Jacobian")
        else:
            yield Gap(
                "reverse", "row by row", f"{outputs} outputs, more than {SMALL}: random cotangents in their place"
            )
    except Unavailable as error:
        yield unavailable("reverse", error)
        return
    for name, each in zip(trial.layout.names, matters, strict=True):
        yield from judge(trial, "reverse", name, each)


def _add(trial: Trial, matters: list[list[Matter]], at: Point, g: list[np.ndarray], of: str) -> None:
    for k, c in enumerate(trial.reverse(at, g).derivative):
        matters[k].append(Matter(c, at, argument_arbiter(trial, at, g, k), of))

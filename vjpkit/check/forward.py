"""Forward mode against `jax.jvp` of the reference: entry by entry, all arguments together and one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vjpkit.check.judgement import Matter, judge, output_arbiter, unavailable
from vjpkit.check.layout import Point
from vjpkit.check.modes import Unavailable
from vjpkit.check.report import Finding, Gap, Result
from vjpkit.check.trial import SMALL, Trial, units


def check_forward(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """ẏ = J ẋ for random tangents of one argument at a time, and for each unit tangent: the columns of J."""
    names = trial.layout.names
    try:
        for k, name in enumerate(names):
            matters: list[Matter] = []
            for at in trial.points:
                for draw in range(trial.draws):
                    matters += _matters(trial, at, trial.tangent(at, draw, k), f"tangent {draw} of {name}")
            yield from judge(trial, "forward", name, matters)
        at = trial.points[0]
        inputs = sum(np.size(a) for a in at.x)
        if inputs > SMALL:
            yield Gap(
                "forward", "column by column", f"{inputs} inputs, more than {SMALL}: random tangents in their place"
            )
            return
        matters = []
        for column, e in enumerate(units(at.x)):
            matters += _matters(trial, at, e, f"column {column} of the Jacobian")
        yield from judge(trial, "forward", "every column", matters)
    except Unavailable as error:
        yield unavailable("forward", error)


def _matters(trial: Trial, at: Point, dots: list[np.ndarray], of: str) -> list[Matter]:
    held = trial.forward(at, dots).derivative
    return [Matter(c, at, output_arbiter(trial, at, dots, k), of) for k, c in enumerate(held)]

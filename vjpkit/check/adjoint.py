"""The adjoint identity between the function's own two modes: no reference, no step size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vjpkit.check.judgement import Matter, judge, unavailable
from vjpkit.check.modes import Unavailable
from vjpkit.check.report import Finding, Gap, Result
from vjpkit.check.tolerance import Comparison
from vjpkit.check.trial import Trial, dot


def check_adjoint(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """⟨g, J ẋ⟩ = ⟨Jᵀ g, ẋ⟩ with ẋ in one argument at a time; may differ by what each side's entries may."""
    try:
        for k, name in enumerate(trial.layout.names):
            matters = []
            for at in trial.points:
                for draw, g in enumerate(trial.cotangents(at)):
                    x_dot = trial.tangent(at, draw, k)
                    pushed, pulled = trial.forward(at, x_dot).derivative, trial.reverse(at, g).derivative[k]
                    one_side = dot(g, [c.got for c in pushed])
                    other = float(np.sum(pulled.got * x_dot[k]))
                    limit = dot([np.abs(a) for a in g], [c.bound for c in pushed]) + float(
                        np.sum(np.abs(x_dot[k]) * pulled.bound)
                    )
                    c = Comparison(np.asarray(other), np.asarray(one_side), np.asarray(limit))
                    matters.append(Matter(c, at, None, f"⟨x̄, ẋ⟩ against ⟨g, ẏ⟩, draw {draw}"))
            yield from judge(trial, "adjoint", name, matters, "the function's own forward mode")
    except Unavailable as error:
        yield unavailable("adjoint", error)

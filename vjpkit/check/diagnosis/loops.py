"""Loops and branches that stay one equation of a program: evaluated in NumPy, step by step, with nothing compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from vjpkit.check.evaluating import Evaluation

KINDS = {"scan": Evaluation.scan, "while": Evaluation.loop, "cond": Evaluation.branch}


class Loop:
    """A loop's equation as a primitive: in NumPy where its operands are NumPy's arrays, else in JAX."""

    multiple_results = True

    def __init__(self, eqn: Any) -> None:
        self.name, self.eqn = eqn.primitive.name, eqn

    def bind(self, *values: Any, **params: Any) -> Any:
        if all(isinstance(v, np.ndarray) for v in values):
            try:
                return KINDS[self.name](Evaluation(), self.eqn, list(values))
            except Exception:  # too long, or an operation in it that only works compiled
                pass
        return self.eqn.primitive.bind(*values, **params)

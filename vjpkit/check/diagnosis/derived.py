"""A derivative as a program with the values of all its variables at every probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.pool import Series
from vjpkit.check.diagnosis.programs import Program


@dataclass
class Derived:
    """A program of a derivative, its inputs' values at every probe, and its answers."""

    program: Program
    base: list[list[Any]]  # by probe: the values of all variables
    slopes: dict[int, int] = field(default_factory=dict)  # input variable → region
    scaled: dict[Any, list[Any]] = field(default_factory=dict)  # answers where some values are scaled
    _open: set[int] | None = None

    def answers(self, probe: int) -> list[Any]:
        return [self.base[probe][v] for v in self.program.outputs]

    def in_masks(self, v: int) -> bool:
        """Whether a value has no part in the answers but through comparisons and indices."""
        if self._open is None:
            self._open = {v for v in self.program.outputs if real(self.base[0][v])}
            for eqn in reversed(self.program.equations):
                if not self._open.isdisjoint(eqn.outputs):
                    self._open.update(u for u in eqn.inputs if real(self.base[0][u]))
        return v not in self._open


def series(program: Program, values: Sequence[Sequence[Any]], said: dict[int, str]) -> Iterator[Series]:
    """What the steps of each loop read and compute."""
    seen: set[bytes] = set()
    for _, steps in program.sites():
        eqns = [program.equations[k] for k in steps]
        for column in zip(*((*e.outputs, *e.inputs) for e in eqns), strict=True) if len(steps) > 1 else ():
            first = [values[0][v] for v in column]
            if not all(real(a) and a.size for a in first) or len(set(column)) == 1:
                continue
            key = b"".join(np.ravel(a).tobytes() for a in first)
            if key not in seen:
                seen.add(key)
                yield Series(said[column[-1]], tuple(tuple(env[v] for v in column) for env in values))


def real(a: Any) -> bool:
    """Whether a value is an array of floats."""
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"

"""Answers looked up by value: which of many hypotheses gives these numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Mistake


class Table:
    """Answers by what they are up to a factor, for finding equal ones quickly."""

    def __init__(self, entries: list[tuple[Mistake, Any]]) -> None:
        self.by_shape: dict[Any, list[tuple[float, float, Mistake]]] = {}
        for m, a in entries:
            if np.isfinite(a).all():
                self.by_shape.setdefault(a.shape, []).append((*_marks(a), m))
        self.sorted = {s: sorted(e, key=lambda x: x[0]) for s, e in self.by_shape.items()}
        self.keys = {s: np.array([x[0] for x in e]) for s, e in self.sorted.items()}

    def like(self, a: Any) -> Iterator[Mistake]:
        if a.shape not in self.keys or not np.isfinite(a).all():
            return
        p, q = _marks(a)
        tolerance = 1e-9 * (abs(p) + abs(q) + 1e-12)
        low, high = np.searchsorted(self.keys[a.shape], (p - tolerance, p + tolerance))
        for _, other, m in self.sorted[a.shape][low:high]:
            if abs(other - q) <= tolerance:
                yield m


def _marks(a: Any) -> tuple[float, float]:
    flat = np.ravel(a)
    n = np.arange(flat.size)
    return float(np.real(flat @ np.sin(n + 1.0))), float(np.real(flat @ np.cos(1.7 * n + 0.3)))

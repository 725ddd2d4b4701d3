"""Products of a vector with many matrices, none of them formed where it is large: (A ⊗ B) v axis by axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.arrays import Diag, Node, Numbers, Product, Turned
from vjpkit.derive.formulas.kronecker import Kron, Moved, upright

LARGE = 2**22  # entries of a matrix that is no longer formed


@dataclass(frozen=True)
class Chain(Product):
    """A row times matrices, or matrices times a column."""

    def numbers(self, at: Numbers) -> Any:
        if self.parts[0].space.shape[:1] == (1,):
            first, *rest = self.parts
            v = first.numbers(at).T
            for m in rest:
                v = applied(upright(m), v, at)
            return v.T
        *rest, last = self.parts
        v = last.numbers(at)
        for m in rest[::-1]:
            v = applied(m, v, at)
        return v


def applied(m: Node, v: Any, at: Numbers) -> Any:
    """m v."""
    if m.space.shape[0] * m.space.shape[-1] <= LARGE:
        return m.numbers(at) @ v
    match m:
        case Diag(_, a):
            return a.numbers(at) * v
        case Moved(_, places):
            return v[list(places)]
        case Turned(_, Moved(_, places)):
            out = np.empty_like(v)
            out[list(places)] = v
            return out
        case Kron(_, parts, ()):
            each = [p.numbers(at) for p in parts]
            x = v.reshape([a.shape[1] for a in each])
            for k, a in enumerate(each):
                x = np.moveaxis(np.tensordot(a, x, (1, k)), 0, k)
            return x.reshape(-1, 1)
    return m.numbers(at) @ v

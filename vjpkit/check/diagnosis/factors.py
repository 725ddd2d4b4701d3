"""A number named: 2, ½, the size of an axis, its inverse, a square root; and whether it makes a mean of a sum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.workings import Workings

_PLAIN = {1.0: "1", 2.0: "2", 0.5: "½", 3.0: "3", 1 / 3: "⅓", 4.0: "4", 0.25: "¼", 1.5: "3/2", 2 / 3: "2/3"}


class Factors:
    """The numbers that a mistake could have brought in, for one question."""

    def __init__(self, w: Workings) -> None:
        self.names: dict[float, list[str]] = {value: [text] for value, text in _PLAIN.items()}
        for n, where in self._sizes(w):
            roots = [] if math.isqrt(n) ** 2 == n else [(math.sqrt(n), f"√{n}"), (1 / math.sqrt(n), f"1/√{n}")]
            for v, text in ((float(n), str(n)), (1 / n, f"1/{n}"), *roots):
                self.names.setdefault(v, []).append(f"{text}, with {n} {where}")
        for v in [v for v in self.names if v > 1]:  # less one, as in an unbiased variance
            for c, text in (
                (v - 1, f"{v - 1:g}"),
                (1 / (v - 1), f"1/{v - 1:g}"),
                (v / (v - 1), f"{v:g}/{v - 1:g}"),
                (1 - 1 / v, f"{v - 1:g}/{v:g}"),
            ):
                self.names.setdefault(c, [text])
        self.summed = [set(_summed_sizes(w, k)) for k in range(len(w.asked.arms))]
        sizes = {float(n) for n, _ in self._sizes(w)}
        self.divisors = {n for n in _divisors(w) if any(math.isclose(n, m, rel_tol=1e-7) for m in sizes)}

    def named(self, c: float) -> str:
        """What a number is, all its names; empty where it has none."""
        found = [
            text for value, texts in self.names.items() if math.isclose(value, abs(c), rel_tol=1e-7) for text in texts
        ]
        return ("−" if c < 0 else "") + " or ".join(dict.fromkeys(found[:3])) if found else ""

    def causes(self, c: float, k: int) -> list[str]:
        """What a whole answer |c| times the right one may be, the likeliest first."""
        size = abs(c)
        if any(math.isclose(size, 1 / n, rel_tol=1e-7) for n in self.summed[k] if n > 1):
            return ["mean_for_sum", "scale"]
        if any(math.isclose(size, n, rel_tol=1e-7) for n in self.divisors if n > 1):
            return ["sum_for_mean", "scale"]
        return ["scale"]

    def _sizes(self, w: Workings) -> Iterator[tuple[int, str]]:
        arrays = [(name, np.shape(a)) for name, a in zip(w.asked.array_names, w.asked.point, strict=True)]
        for name, shape in (*arrays, *(("the output", w.asked.outs[i].shape) for i in w.asked.spoken)):
            yield from ((n, f"the size of axis {axis} of {name}") for axis, n in enumerate(shape) if n > 1)
            if len(shape) > 1 and math.prod(shape) > 1:
                yield math.prod(shape), f"the size of {name}"


def _summed_sizes(w: Workings, k: int) -> Iterator[int]:
    """How many terms the sums have that the right derivative takes for an arm, those of loops among them."""
    for j, eqn in enumerate(w.sloped.program.equations):
        if not w.sloped.program.linear.intersection(eqn.inputs) or not any(
            k in w.sloped.program.reach(v) for v in eqn.outputs
        ):
            continue
        x = w.sloped.base[0][eqn.inputs[0]]
        if eqn.name in ("add", "add_any"):
            sizes = [len(w.sloped.program.steps(j)) + 1]
        elif eqn.name == "scan":
            sizes = [eqn.params["length"]]
        elif eqn.name == "reduce_sum":
            sizes = [x.shape[i] for i in eqn.params["axes"]]
        elif eqn.name == "dot_general":
            sizes = [x.shape[i] for i in eqn.params["dimension_numbers"][0][0]]
        else:
            continue
        yield from sizes
        yield math.prod(sizes)


def _divisors(w: Workings) -> Iterator[float]:
    """The numbers by which the function divides, as a mean does."""
    for a in w.truth.program.constants.values():
        if getattr(a, "shape", None) == () and a.dtype.kind in "fi" and float(a) != 0:
            yield abs(float(a))
            yield 1 / abs(float(a))


def fitted(got: list[Any], predicted: list[Any]) -> tuple[float, float]:
    """The number c for which c × predicted is closest to what was got, and the relative error that stays."""
    p = np.concatenate([np.ravel(a) for a in predicted])
    v = np.concatenate([np.ravel(a) for a in got])
    if p.shape != v.shape:
        return 0.0, math.inf
    size = float(np.vdot(p, p).real)
    norm = float(np.linalg.norm(v))
    if not size or not norm or not np.isfinite(size):
        return 0.0, 0.0 if norm == size == 0 else math.inf
    c = float(np.vdot(p, v).real) / size
    return c, float(np.linalg.norm(v - c * p)) / norm

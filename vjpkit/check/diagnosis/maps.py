"""The error of a candidate as a matrix: entries of an argument by entries of the output, and which are explained.

Column j is the error of the answer to the cotangent that is one at entry j of the output and zero elsewhere; for a
JVP, row i that of the tangent that is one at entry i of the argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vjpkit.check.diagnosis.answers_read import read_answer
from vjpkit.check.diagnosis.workings import RIGHT, call

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis
    from vjpkit.check.diagnosis.question import Asked

LARGEST = 40  # entries along either side
SHADES = " ·░▒▓█"


@dataclass(frozen=True)
class ErrorMap:
    """|error| of an argument's answer, [entries of the argument, entries of the outputs].

    explained   the entries that the first finding explains, with those that it is one of several mistakes with
    causes      what these findings name
    """

    name: str
    argument: tuple[int, ...]
    outputs: list[tuple[int, ...]]
    error: np.ndarray
    explained: np.ndarray
    causes: tuple[str, ...]

    @property
    def title(self) -> str:
        outputs = ", ".join(map(_shape, self.outputs))
        return f"{self.name} {_shape(self.argument)} by output {outputs}: {' and '.join(self.causes) or 'unexplained'}"

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  |{row}|" for row in self._rows())])

    def _rows(self) -> Iterator[str]:
        """A character for each entry; brackets around the runs of explained ones."""
        peak = self.error[np.isfinite(self.error)].max(initial=0) or 1.0
        for row, inside in zip(shaded(self.error / peak), self.explained, strict=True):
            edges = np.diff(np.concatenate([[0], inside.astype(int), [0]]))
            between = [{1: "[", -1: "]", 0: " "}[int(e)] for e in edges]
            yield "".join(a + b for a, b in zip(between, [*row, ""], strict=True))


def shaded(share: np.ndarray) -> list[str]:
    """A character for each entry of a matrix of shares of the largest; what is not finite is as dark as can be."""
    levels = np.ceil(np.nan_to_num(share, nan=1.0, posinf=1.0) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[n] for n in row) for row in levels]


def error_maps(diagnosis: Diagnosis) -> list[ErrorMap]:
    """A map of each argument whose answer is wrong, where argument and output are small enough."""
    found = []
    for label, (asked, k) in diagnosis.asked.items():
        if (error := operator_error(asked, k)) is None:
            continue
        own = [f for f in diagnosis.of(asked.arms[k]) if f.kind == asked.kind]
        first = own[: own[0].part] if own and own[0].residual < 1 else []
        explained = error != 0 if first else np.zeros(error.shape, bool)
        argument, outputs = np.shape(asked.point[asked.active[k]]), [asked.outs[i].shape for i in asked.spoken]
        found.append(ErrorMap(label, argument, outputs, error, explained, tuple(f.cause for f in first)))
    return found


def operator_error(asked: Asked, k: int) -> np.ndarray | None:
    """|V − J|, entry by entry, at the given arguments; None where it is too large or has another shape."""
    size, of_outputs = np.size(asked.point[asked.active[k]]), [math.prod(asked.outs[i].shape) for i in asked.spoken]
    if not 0 < size <= LARGEST or not 0 < sum(of_outputs) <= LARGEST:
        return None
    with jax.enable_x64(True), np.errstate(all="ignore"):
        units = list(asked.units(range(len(asked.spoken)) if asked.kind == "vjp" else [k]))
        try:
            got = [_flat(asked, k, read_answer(asked, call(asked, asked.point, u))) for u in units]
            want = [_flat(asked, k, answers) for answers in _right(asked, units)]
        except Exception:  # the candidate, or the function, is not defined at these vectors
            return None
    if any(a.shape != b.shape for a, b in zip(got, want, strict=True)):
        return None
    rows = np.abs(np.stack(got) - np.stack(want))
    rows[rows <= RIGHT * np.abs(np.stack(want)).max(initial=0)] = 0
    return rows.T if asked.kind == "vjp" else rows


def _right(asked: Asked, units: list[list[np.ndarray]]) -> list[list[Any]]:
    derivative = asked.derivative(asked.flat_function())
    stacked = [np.stack(v) for v in zip(*units, strict=True)]
    answers = jax.vmap(lambda *v: derivative(*asked.point, *v))(*stacked)
    return [[np.asarray(a[j]) for a in answers] for j in range(len(units))]


def _flat(asked: Asked, k: int, answers: list[Any]) -> np.ndarray:
    return np.ravel(asked.select(k, [np.asarray(a) for a in answers]))


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"

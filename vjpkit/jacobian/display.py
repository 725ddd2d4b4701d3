"""How operators and Jacobians are shown in a notebook: a formula, the facts, and the numbers where they are few."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

NUMBERS = 64  # up to which a matrix is written out


class Displayed(ABC):
    """What has a formula in LaTeX, which mathtext and MathJax read, and facts."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """In LaTeX, without dollars."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What there is to say, in words."""

    @abstractmethod
    def few_numbers(self) -> Any:
        """The matrix, where it has few entries; else None."""

    def _repr_latex_(self) -> str:
        return f"${self.formula}$"

    def _repr_markdown_(self) -> str:
        return f"${self.formula}$\n\n" + "\n".join(f"- {name}: {value}" for name, value in self.facts().items())

    def _repr_html_(self) -> str:
        facts = self.facts().items()
        rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in facts)
        matrix = self.few_numbers()
        return f"<table>{rows}</table>" + ("" if matrix is None else _matrix(np.asarray(matrix)))


def _matrix(matrix: np.ndarray) -> str:
    rows = ("".join(f"<td>{_number(v)}</td>" for v in row) for row in matrix)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _number(v: Any) -> str:
    return f"{v:.3g}" if v else "·"  # so that the structure is seen


def upright(name: str) -> str:
    """A name as it stands in a formula."""
    escaped = name.replace("_", r"\_")
    return r"\lambda" if name == "<lambda>" else rf"\mathrm{{{escaped}}}"


def reals(out: Sequence[int], of: Sequence[int]) -> str:
    """The matrices that take one shape to another."""
    m, n = (r" \cdot ".join(map(str, shape)) or "1" for shape in (out, of))
    return rf"\mathbb{{R}}^{{{_grouped(m)} \times {_grouped(n)}}}"


def _grouped(size: str) -> str:
    return f"({size})" if "cdot" in size else size

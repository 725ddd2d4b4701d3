"""What the scripts print: sections, tables, formulas in seven notations, wrong formulas with what is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from attempts import Mistake

from vjpkit.derive import Derivation


def section(title: str, *paragraphs: str) -> None:
    print(f"\n{title}\n{'─' * len(title)}")
    for paragraph in paragraphs:
        print(paragraph)


def table(rows: Iterable[Sequence[Any]]) -> None:
    """Columns of equal width."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    for row in cells:
        print("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def mistakes(found: Iterable[Mistake]) -> None:
    """Each formula at both kinds of sizes, and what vjpkit.diagnose says of it."""
    for m in found:
        rectangular, square = m.attempts()
        print(f"\n  {m.written}     should be     {m.right}     ({m.rows})")
        print(f"    no two sizes alike: {rectangular}")
        print(f"    all sizes alike:    {square}")
        for line in "\n".join(map(str, m.named())).splitlines():
            print(textwrap.fill(line, 116, initial_indent="    | ", subsequent_indent="    |   "))


def notations(found: Derivation) -> None:
    """A derivative in each notation, with the error of its numbers beside autodiff's."""
    rows = []
    for formula in found:
        first, *others = formula.text().splitlines()
        rows += [(formula.style, f"error {formula.error:.0e}", first), *(("", "", line) for line in others)]
    table(rows)

"""The structure of a matrix, as it is drawn in a small rectangle: told apart by its marks, not by colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from vjpkit.derive.brackets import Factor
from vjpkit.derive.kinds import Kind

Box = tuple[float, float, float, float]  # left, top, width, height
FILL: dict[str, Any] = {"facecolor": "tab:blue", "alpha": 0.45, "edgecolor": "black", "linewidth": 0.5}
BLOCKS = 6  # that are drawn
MARKS = 40


def sketch(axes: Any, kind: Kind, box: Box, pattern: np.ndarray | None) -> None:
    """Draw the rectangle and in it: all of it filled, blocks, a diagonal, single marks, or nothing."""
    from matplotlib.patches import Rectangle

    x, y, w, h = box
    axes.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor="black", linewidth=0.9))
    structure, factor = kind.structure, kind.factor
    if structure == "dense":
        axes.add_patch(Rectangle((x, y), w, h, **FILL))
    elif structure == "zero":
        axes.text(x + w / 2, y + h / 2, "0", ha="center", va="center", fontsize=9)
    elif structure in ("identity", "scaled", "diagonal"):
        style = {"identity": "--", "scaled": "-.", "diagonal": "-"}[structure]
        axes.plot([x, x + w], [y, y + h], style, color="black", linewidth=1.6)
    elif structure == "block-diagonal":
        _blocks(axes, box, factor.blocks, **FILL)
    elif structure.startswith("kronecker") and factor.left is not None and factor.right is not None:
        _kronecker(axes, factor.left, factor.right, box)
    else:
        _marks(axes, box, pattern)


def _blocks(axes: Any, box: Box, count: int, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    x, y, w, h = box
    count = min(count, BLOCKS)
    for k in range(count):
        axes.add_patch(Rectangle((x + k * w / count, y + k * h / count), w / count, h / count, **style))


def _kronecker(axes: Any, left: Factor, right: Factor, box: Box) -> None:
    """I ⊗ A: one block again and again; A ⊗ I: a diagonal in every block."""
    x, y, w, h = box
    if right.kind != "identity":
        _blocks(axes, box, left.m, **FILL | {"hatch": "////"})
        return
    for i in range(3):
        for j in range(3):
            at = x + j * w / 3, y + i * h / 3
            axes.plot([at[0], at[0] + w / 3], [at[1], at[1] + h / 3], color="tab:blue", linewidth=1.2)
    for k in (1, 2):
        axes.plot([x, x + w], [y + k * h / 3] * 2, ":", color="black", linewidth=0.6)
        axes.plot([x + k * w / 3] * 2, [y, y + h], ":", color="black", linewidth=0.6)


def _marks(axes: Any, box: Box, pattern: np.ndarray | None) -> None:
    """Some of the single entries, where they are; a sign of them where the pattern is too large."""
    x, y, w, h = box
    if pattern is None:
        axes.text(x + w / 2, y + h / 2, "∴", ha="center", va="center", fontsize=12)
        return
    rows, columns = np.nonzero(pattern)
    some = np.linspace(0, len(rows) - 1, min(len(rows), MARKS)).astype(int)
    m, n = pattern.shape
    at = x + w * (columns[some] + 0.5) / n, y + h * (rows[some] + 0.5) / m
    axes.plot(*at, "s", color="black", markersize=2)

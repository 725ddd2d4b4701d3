"""An explanation as a picture: the local Jacobians to scale, their patterns, and what each order costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vjpkit.derive.costs import short
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.explaining import Explanation
from vjpkit.derive.sketches import sketch
from vjpkit.derive.stages import Stage

SLOT, SIDE, ROW = 1.5, 1.1, 2.0  # inches: what a factor gets, its longest side, a line of factors
A_LINE, FEW = 8, 5  # factors; patterns, at least, so that one alone is no wider
PANELS = 24  # patterns that are shown
ENTRIES = 2**20  # up to which a pattern is listed
CELLS = 96  # of a pattern's picture, each way
CLOSE = 16  # sides that differ by more are drawn on a logarithmic scale

Local = tuple[Stage, int]


def figure(e: Explanation, path: str | Path | None = None) -> Any:
    """The matplotlib figure, written to `path` where one is given."""
    factors = e.path[::-1]  # as the chain rule writes them, the last stage's first
    shown = [f for f in factors if math.prod(_shape(f)) <= ENTRIES][:PANELS]
    panels: list[tuple[float, Callable[[Any], None]]] = [
        (0.5 + ROW * _lines(factors), lambda part: _ribbon(part, e, factors)),
        (0.3 + 1.7 * _lines(shown), lambda part: _patterns(part, shown, len(factors))),
        (1.0 + 0.32 * len(e.orders), lambda part: _costs(part, e)),
    ]
    panels = [panels[0]] * bool(factors) + [panels[1]] * bool(shown) + [panels[2]]
    heights = [height for height, _ in panels]
    whole = _empty(path)
    whole.set_size_inches(max(9.0, SLOT * min(len(factors), A_LINE) + 0.4), sum(heights))
    parts = whole.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    for part, (_, draw) in zip(parts, panels, strict=True):
        draw(part)
    if path is not None:
        whole.savefig(path, dpi=150)
    return whole


def _empty(path: str | Path | None) -> Any:
    """A figure that can be saved to the file."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DeriveError("plot needs matplotlib: pip install 'vjpkit[bench]'") from error
    found = Figure(layout="constrained")
    kinds = found.canvas.get_supported_filetypes()
    if path is not None and Path(path).suffix[1:] not in kinds:
        raise DeriveError(f"plot: {path} is of no kind that can be written, expected one of {', '.join(kinds)}")
    return found


def _lines(factors: Sequence[Local]) -> int:
    return math.ceil(len(factors) / A_LINE)


def _shape(f: Local) -> tuple[int, int]:
    stage, k = f
    return stage.output.size, stage.inputs[k].size


def label(f: Local) -> str:
    """As ∂out/∂in; of a name that is given anew, `x = x + …`, the new value has a prime."""
    stage, k = f
    out, of = (v.name or v.hint for v in (stage.output, stage.inputs[k]))
    return f"∂{out}{'′' * (out == of)}/∂{of}"


# ------------------------------------------------------------------------------------------------ ribbon


def _ribbon(part: Any, e: Explanation, factors: Sequence[Local]) -> None:
    sides = [s for f in factors for s in _shape(f)]
    logarithmic = max(sides, default=1) > CLOSE * min(sides, default=1)
    chained = len({id(stage) for stage, _ in factors}) == len(factors)
    axes = part.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    width = SLOT * min(len(factors), A_LINE)
    axes.set(xlim=(0, width), ylim=(ROW * _lines(factors), 0))
    for place, f in enumerate(factors):
        row, column = divmod(place, A_LINE)
        x, y = SLOT * (column + 0.5), ROW * (row + 0.5)
        h, w = (_side(s, max(sides), logarithmic) for s in _shape(f))
        kind = f[0].kinds[f[1]]
        sketch(axes, kind, (x - w / 2, y - h / 2, w, h), pattern(f))
        axes.text(x, y - SIDE / 2 - 0.1, label(f), ha="center", va="bottom", fontsize=9)
        told = f"{' × '.join(str(s) if s < 10**5 else short(s) for s in _shape(f))}\n{kind.structure}"
        axes.text(x, y + SIDE / 2 + 0.07, told, ha="center", va="top", fontsize=7.5, linespacing=1.1)
        if chained and place + 1 < len(factors):
            axes.text(x + SLOT / 2, y, "·", ha="center", va="center", fontsize=16)
    scale = "sides to a logarithmic scale" if logarithmic else "to scale"
    product = "multiplied as they stand" if chained else "the graph branches: products along its paths are added"
    part.suptitle(f"{e.name}: ∂out/∂{e.wrt}, local Jacobians rows × columns, {scale}; {product}", fontsize=9)


def _side(size: int, largest: int, logarithmic: bool) -> float:
    """Inches; of a logarithmic scale 1 is a sixth of the longest."""
    if not logarithmic:
        return SIDE * size / largest
    return SIDE * (1 + 5 * math.log(size) / math.log(largest)) / 6


# ---------------------------------------------------------------------------------------------- patterns


def pattern(f: Local) -> np.ndarray | None:
    """Where a local Jacobian may have entries, by the axes that are followed; None where that is too large to list."""
    stage, k = f
    kind, out, of = stage.kinds[k], stage.output.shape, stage.inputs[k].shape
    m, n = _shape(f)
    if m * n > ENTRIES:
        return None
    if kind.structure == "zero":
        return np.zeros((m, n), bool)
    if kind.places is not None:
        return kind.places[:, None] == np.arange(n)
    found = np.ones((m, n), bool)
    rows, columns = np.indices(out).reshape(len(out), m), np.indices(of).reshape(len(of), n)
    for own, followed in enumerate(kind.axes):
        if followed is not None:
            found &= rows[own][:, None] == columns[followed]
    return found


def _patterns(part: Any, shown: Sequence[Local], count: int) -> None:
    grid = part.subplots(_lines(shown), max(min(len(shown), A_LINE), FEW), squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, f in zip(grid, shown, strict=False):
        entries = pattern(f)
        assert entries is not None  # only those that are listed are shown
        m, n = entries.shape
        axes.imshow(_pooled(entries), cmap="binary", vmin=0, vmax=1.4, aspect="auto", extent=(0, n, m, 0))
        axes.set_xticks([0, n])
        axes.set_yticks([0, m])
        axes.tick_params(labelsize=6, length=2)
        axes.set_title(label(f), fontsize=8)
        axes.set_xlabel(f"{100 * entries.mean():.3g} % of entries", fontsize=7, labelpad=1)
    rest = f"; {count - len(shown)} more are too large, or too many" if count > len(shown) else ""
    part.suptitle(f"where they may have entries{rest}", fontsize=9)


def _pooled(entries: np.ndarray) -> np.ndarray:
    """At most so many cells each way; a cell is dark where any of its entries is."""
    starts = [np.unique(np.linspace(0, s, min(s, CELLS), endpoint=False).astype(int)) for s in entries.shape]
    return np.logical_or.reduceat(np.logical_or.reduceat(entries, starts[0], 0), starts[1], 1)


# ------------------------------------------------------------------------------------------------- costs


def _costs(part: Any, e: Explanation) -> None:
    axes = part.subplots()
    flops = [max(o.flops, 1) for o in e.orders]
    bars = axes.barh(range(len(flops)), flops, 0.62, color="tab:blue", alpha=0.45, edgecolor="black", linewidth=0.6)
    bars[0].set_hatch("///")
    for k, o in enumerate(e.orders):
        told = f" {short(o.flops)} FLOPs, largest matrix {short(o.largest)}" + (", the cheapest" if k == 0 else "")
        axes.text(flops[k], k, told, va="center", fontsize=8)
    low, high = min(flops), max(flops)
    axes.set(xscale="log", xlim=(low / 3, high * (3 * high / low) ** 0.75))  # room for what stands behind the bars
    axes.xaxis.set_minor_formatter("")
    axes.set_yticks(range(len(flops)), [o.name for o in e.orders], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("FLOPs of the whole derivative, by order of products (logarithmic)", fontsize=9)

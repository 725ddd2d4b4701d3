"""The ratios as a picture: a bar for each workload and setting, time beside temp memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vjpkit.bench.summary import Line, labels

LIMIT = 1000.0  # bars beyond it, and those of rules that need nothing, end there


class PlotError(ValueError):
    """There is nothing to plot with, or the file's kind is unknown."""


def require(file: Path) -> Any:
    """An empty figure that can be saved to the file."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError("--plot needs matplotlib: pip install 'vjpkit[bench]'") from error
    figure = Figure(layout="constrained")
    kinds = figure.canvas.get_supported_filetypes()
    if file.suffix[1:] not in kinds:
        raise PlotError(f"--plot {file}: unknown kind of file {file.suffix!r}, expected one of {', '.join(kinds)}")
    return figure


def plot(lines: Sequence[Line], title: str, file: Path) -> None:
    """Bars from 1, to the right where the rule is better, the worst at the top.

    Raises:  PlotError without matplotlib, or for a file of a kind that it cannot write.
    """
    figure = require(file)
    lines = sorted(lines, key=lambda line: line.worst, reverse=True)
    figure.set_size_inches(11, 2 + 0.35 * len(lines))
    times, temps = figure.subplots(1, 2, sharey=True)
    for axes, measure in ((times, "time"), (temps, "temp")):
        known = [label for label in labels(lines) if label.startswith(f"{measure} ")]
        thickness = 0.8 / max(1, len(known))
        for k, label in enumerate(known):
            ratios = [_cut(line.ratios.get(label, math.nan)) for line in lines]
            places = [i + 0.4 - (k + 0.5) * thickness for i in range(len(lines))]
            axes.barh(places, [r - 1 for r in ratios], thickness, left=1, label=_legend(label))
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8)
    times.set_xlabel("time, autodiff / rule")
    temps.set_xlabel(f"temp memory, autodiff / rule, cut at {LIMIT:g}")
    times.set_yticks(range(len(lines)), [line.workload for line in lines])
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(title, fontsize="medium")
    figure.savefig(file)


def _legend(label: str) -> str:
    """The setting, or the peer that stands in autodiff's place."""
    what = label.partition(" ")[2]
    return f"alone, {what.removeprefix('of ')} / rule" if what.startswith("of ") else what


def _cut(ratio: float) -> float:
    """Within what the axis shows; nothing where the ratio is unknown."""
    return 1.0 if math.isnan(ratio) else min(max(ratio, 1 / LIMIT), LIMIT)

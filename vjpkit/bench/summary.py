"""Many comparisons in one table: each workload's ratios to autodiff, and to a peer, the worst first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vjpkit.bench.comparison import Comparison

MEASURES = {"time": "seconds", "temp": "temp_bytes"}
MODE = "forward+reverse"


@dataclass(frozen=True)
class Line:
    """A workload and its ratios, `time alone`, `temp alone` and so on: above 1 where the rule is better."""

    workload: str
    arguments: str
    ratios: dict[str, float]

    @classmethod
    def of(cls, workload: str, comparison: Comparison, peers: Iterable[str] = ()) -> Line:
        ratios = {
            f"{label} {row.setting}": row.ratio("autodiff", measure, comparison.name)
            for row in comparison.rows
            for label, measure in MEASURES.items()
            if row.mode == MODE
        }
        ratios |= {f"time of {peer.split()[0]}": comparison.ratio(peer) for peer in peers}
        return cls(workload, comparison.arguments, ratios)

    @property
    def worst(self) -> float:
        """The least of its ratios of time."""
        return min(ratio for label, ratio in self.ratios.items() if label.startswith("time"))


def geometric_means(lines: Sequence[Line]) -> dict[str, float]:
    """Of each ratio, over the workloads where it is a number: not unknown, and not infinite for a rule without cost."""
    means = {}
    for label in labels(lines):
        logs = [math.log(r) for line in lines if 0 < (r := line.ratios.get(label, math.nan)) < math.inf]
        means[label] = math.exp(sum(logs) / len(logs)) if logs else math.nan
    return means


def labels(lines: Sequence[Line]) -> list[str]:
    """The ratios that any of the lines has, in order."""
    return list(dict.fromkeys(label for line in lines for label in line.ratios))


def table(lines: Sequence[Line]) -> str:
    """All lines, the worst first, and the geometric mean."""
    width = max(len(line.workload) for line in (*lines, _MEAN))
    known = labels(lines)
    heads = [f"{label.removeprefix('time of ')} / rule" if "time of " in label else label for label in known]
    widths = [max(8, len(head)) for head in heads]

    def row(name: str, cells: Iterable[str], last: str) -> str:
        columns = "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        return f"{name:{width}}{columns}   {last}".rstrip()

    means = geometric_means(lines)
    return "\n".join(
        (
            f"{MODE}, autodiff / rule, above 1 where the rule is better; the worst first",
            row("", heads, ""),
            *(
                row(line.workload, (_cell(line.ratios.get(label)) for label in known), line.arguments)
                for line in sorted(lines, key=lambda line: line.worst)
            ),
            row(_MEAN.workload, (_cell(means[label]) for label in known), ""),
        )
    )


_MEAN = Line("geometric mean", "", {})


def _cell(ratio: float | None) -> str:
    if ratio is None or math.isnan(ratio):
        return "-"
    return "inf" if math.isinf(ratio) else f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def plain(value: Any) -> Any:
    """The value with None in place of what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value

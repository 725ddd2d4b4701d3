"""A comparison: the costs of a function beside its rivals', as ratios first."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jaxlib

from vjpkit.bench.measure import Cost

CHECKPOINTS = "best checkpoint"


@dataclass(frozen=True)
class Row:
    """One setting and mode: what every contestant costs there."""

    setting: str
    mode: str
    costs: dict[str, Cost]

    def ratio(self, rival: str, measure: str, name: str) -> float:
        """The rival's cost over the function's: above 1 where the function is better; NaN where one is unknown."""
        ours, theirs = getattr(self.costs[name], measure), getattr(self.costs[rival], measure)
        if ours is None or theirs is None:
            return math.nan
        return theirs / ours if ours else (1.0 if not theirs else math.inf)


@dataclass(frozen=True)
class Comparison:
    """What `bench` measured: `rows`, the bytes of `residuals`, and where and with what it ran.

    `str()` gives the table, `ratio` one number of it, `to_dict()` everything.
    """

    name: str
    arguments: str
    rows: tuple[Row, ...]
    residuals: dict[str, int]
    device: str

    def ratio(
        self, rival: str = "autodiff", measure: str = "seconds", setting: str = "alone", mode: str = "forward+reverse"
    ) -> float:
        """How many times the rival costs what the function does; "best checkpoint" takes the best policy."""
        row = next(r for r in self.rows if (r.setting, r.mode) == (setting, mode))
        if rival != CHECKPOINTS:
            return row.ratio(rival, measure, self.name)
        policies = [r for r in row.costs if r.startswith("checkpoint")]
        return min(row.ratio(r, measure, self.name) for r in policies)

    def residual_ratio(self, rival: str = "autodiff") -> float:
        """How many times the bytes of residuals the rival keeps."""
        ours = self.residuals[self.name]
        return self.residuals[rival] / ours if ours else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.name}  {self.arguments}   ({self.device})"]
        head = f"rival / {self.name}"
        width = max(len(head), *(len(rival) + 2 for row in self.rows for rival in row.costs), 42)
        lines.append(f"  {head:{width}}{'time':>8}{'temp':>8}{'FLOPs':>8}{'compile':>9}   time, temp memory")
        for row in self.rows:
            ours = row.costs[self.name]
            lines.append(
                f"  {row.setting}, {row.mode}: {_time(ours.seconds)} ±{ours.spread:.0%}, {_size(ours.temp_bytes)}"
            )
            for rival in (r for r in row.costs if r != self.name):
                measures = ("seconds", "temp_bytes", "flops", "compile_seconds")
                figures = [row.ratio(rival, measure, self.name) for measure in measures]
                theirs = row.costs[rival]
                ratios = "".join(f"{_ratio(f):>{w}}" for f, w in zip(figures, (8, 8, 8, 9), strict=True))
                lines.append(f"    {rival:{width - 2}}{ratios}   {_time(theirs.seconds)}, {_size(theirs.temp_bytes)}")
        kept = ", ".join(f"{name} {_size(n)}" for name, n in self.residuals.items())
        lines.append(f"  residuals kept: {kept}")
        return "\n".join(lines)


def device_line() -> str:
    """The device and the versions, for the header."""
    device = jax.devices()[0]
    return f"{device.platform} {device.device_kind}, jax {jax.__version__}, jaxlib {jaxlib.__version__}"


def _ratio(r: float) -> str:
    return "-" if math.isnan(r) else "inf" if math.isinf(r) else f"{r:.2f}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def _size(size: int | None) -> str:
    if size is None:
        return "-"
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size / 2**10:.3g} KiB"

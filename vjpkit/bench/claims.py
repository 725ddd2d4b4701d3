"""The claims that docstrings make in their line *Wins:*, and whether the compiled programs bear them out.

    Wins:    residuals 3× less; temp memory 2× less in a scan; FLOPs 1.3× less; time 6×; finite at 0

Residual bytes, temp memory and FLOPs do not depend on the day: they are held against autodiff of the primal, on
the rule's workload, forward and reverse. The rest is prose here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vjpkit.bench.comparison import Comparison
from vjpkit.core import Rule

_HEADINGS = r"Args|Returns|Rule|Wins|Edges|Raises|Source|Units"
_CLAIM = re.compile(r"(residuals|temp memory|FLOPs) (\d+(?:\.\d+)?)× less(?: in a (stack|scan))?")
_MEASURES = {"temp memory": "temp_bytes", "FLOPs": "flops"}
ROUNDING = 0.99  # a claim is rounded for the reader


@dataclass(frozen=True)
class Claim:
    """That a rule costs `ratio` times less than autodiff of its primal."""

    rule: str
    measure: str
    ratio: float
    setting: str

    def met_by(self, comparison: Comparison) -> float | None:
        """What the comparison says instead, where it says less; None where the claim is met."""
        if self.measure == "residuals":
            found = comparison.residual_ratio()
        else:
            found = comparison.ratio("autodiff", _MEASURES[self.measure], self.setting)
        return None if found >= ROUNDING * self.ratio else found

    def __str__(self) -> str:
        where = "" if self.setting == "alone" else f" in a {self.setting}"
        return f"{self.rule}: {self.measure} {self.ratio:g}× less{where}"


def claims(rule: Rule) -> Iterator[Claim]:
    """The claims of a rule's docstring that can be held against compiled programs."""
    found = re.search(rf"^\s*Wins:(.*?)(?=^\s*(?:{_HEADINGS}):|\Z)", rule.__doc__ or "", re.M | re.S)
    for measure, ratio, setting in _CLAIM.findall(" ".join(found[1].split()) if found else ""):
        yield Claim(rule.name, measure, float(ratio), setting or "alone")

"""What explains an answer: mistakes, one or several together, and which of the explanations found are kept."""

from __future__ import annotations

from dataclasses import dataclass

SLACK = 1.5  # of cost
Part = tuple[str, str, str]  # cause, detail, fix


@dataclass(frozen=True)
class Explanation:
    """One mistake, or several together, that give an arm's numbers; `cost`: how far-fetched they are."""

    parts: tuple[Part, ...]
    cost: float
    residual: float

    @property
    def causes(self) -> tuple[str, ...]:
        return tuple(p[0] for p in self.parts)


def ranked(found: list[Explanation]) -> list[Explanation]:
    """The cheapest first, each combination of causes once; what is far more complicated than the best left out."""
    best: dict[tuple[str, ...], Explanation] = {}
    for e in sorted(found, key=lambda e: e.cost):
        best.setdefault(tuple(sorted(e.causes)), e)
    kept = list(best.values())
    return [e for e in kept if e.cost <= kept[0].cost + SLACK and len(e.parts) <= len(kept[0].parts)]

"""The differential, moved across an inner product one map at a time: ⟨ȳ, L dx⟩ = ⟨Lᵀ ȳ, dx⟩.

No layout is ever chosen: what stands beside dx in the end has the shape of x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.arrays import Dot, Node, Numbers, Total
from vjpkit.derive.formulas.graph import Line, Term
from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, Permute, Reshape, Spread, Sum
from vjpkit.derive.formulas.moves import adjoint, forward
from vjpkit.derive.formulas.notations import Notation
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scripts import ATOM, POWER, Piece, bracketed


@dataclass(frozen=True)
class Step:
    """⟨a, b⟩ + …, and the maps that have just moved over."""

    pairs: tuple[tuple[Node, Node], ...]
    moved: tuple[Map, ...] = ()
    joined: bool = False

    def numbers(self, at: Numbers) -> tuple[float, float]:
        """The inner product, and that of the absolute values, by which its rounding is judged."""
        each = [a.numbers(at) * b.numbers(at) for a, b in self.pairs]
        return float(sum(x.sum() for x in each)), float(sum(abs(x).sum() for x in each))

    def move(self, pen: Pen) -> str:
        """The names of the moves."""
        if self.joined:
            return pen.script.quoted("inner products with one differential add up")
        return "; ".join(dict.fromkeys(name(m, pen) for m in self.moved))

    def write(self, pen: Pen) -> str:
        return " + ".join(pen.script.inner(a.write(pen).code, b.write(pen).code) for a, b in self.pairs)


@dataclass(frozen=True)
class Moves:
    """The steps, and what stands beside the differential in the end."""

    steps: tuple[Step, ...]
    end: Node

    def numbers(self, at: Numbers) -> Any:
        return self.end.numbers(at)

    def write(self, pen: Pen) -> Piece:
        return self.end.write(pen)

    def disagreement(self, at: Numbers) -> float:
        """By how much the inner products of the steps differ, relative to the largest of their sums."""
        values, sizes = zip(*(s.numbers(at) for s in self.steps), strict=True)
        return (max(values) - min(values)) / (max(sizes) or 1.0)


class Differential(Notation):
    """Adjoint moves, step by step."""

    name = "differential"

    @property
    def told(self) -> str:
        return "⟨a, b⟩ = Σ a ⊙ b; of dC the part that the one differential makes"

    def right(self, line: Line) -> Moves:
        ends = tuple(self.term(t) for t in line.terms)
        end = ends[0] if len(ends) == 1 else Total(ends[0].space, ends)
        return Moves(tuple(self._steps(line, end)), end)

    def _steps(self, line: Line, end: Node) -> Iterator[Step]:
        last = max(len(t.maps) for t in line.terms)
        for k in range(last + 1):
            moved = [t.maps[-k] for t in line.terms if 0 < k <= len(t.maps)]
            pairs = tuple(self._pair(t, line, min(k, len(t.maps))) for t in line.terms)
            yield Step(pairs, tuple(moved))
        if len(line.terms) > 1:
            yield Step(((end, Dot(self.space(line.target), line.target)),), joined=True)

    def _pair(self, term: Term, line: Line, moved: int) -> tuple[Node, Node]:
        """⟨adjoints of the last maps on the cotangent, the other maps on the differential⟩."""
        still = term.maps[: len(term.maps) - moved]
        right: Node = Dot(self.space(line.target), line.target)
        for m in still:
            right = forward(m, right)
        left = self.start(term.source)
        for m in reversed(term.maps[len(still) :]):
            left = adjoint(m, left)
        return left, right

    def dots(self, seed: int) -> dict[Any, Any]:
        """Random differentials of every value."""
        draw = np.random.default_rng(seed)
        return {line.target: draw.standard_normal(line.target.shape) for line in self.graph.lines}


# ------------------------------------------------------------------------------------- what moves are called


def name(m: Map, pen: Pen) -> str:
    """What moving a map across an inner product is called."""
    words = pen.script.quoted
    match m:
        case Hadamard() if m.constant:
            return words("a number moves over")
        case Hadamard(slope, space):
            s = pen.expression(slope, pen.whole(space), True)
            short = bracketed(s, POWER) if len(s.code) < 30 else "s"
            return f"{short}{pen.script.hadamard}{words('moves over as it is')}"
        case Sum():
            return words("a sum moves over as a broadcast")
        case Spread():
            return words("a broadcast moves over as a sum")
        case Permute():
            return words("a transposition moves over as the one back")
        case Reshape():
            return words("a reshape moves over as the one back")
        case Contract():
            return _product_name(m, pen)
    raise TypeError(m)


def _product_name(m: Contract, pen: Pen) -> str:
    """`W ·` moves over as `Wᵀ ·`, `· a` as `· aᵀ`."""
    words, dot = pen.script.quoted, pen.script.dot
    a = bracketed(pen.value(m.a), ATOM)
    summed_over = [c for c in m.fixed if c in m.own and c not in m.out]
    if len(summed_over) != 1 or any(c in m.own and c in m.out for c in m.fixed) or len(m.fixed) > 2:
        return f"{words('the contraction with ')}{a}{words(' moves over, its subscripts exchanged')}"
    left = len(m.own) == 1 or m.own.index(summed_over[0]) == 0
    upright = (m.fixed[0] != summed_over[0]) if left else m.fixed[0] == summed_over[0]
    here, there = (a, pen.script.turned(a))[:: 1 if upright else -1]
    before, after = (f"{a}{dot}" if left else f"{dot}{a}" for a in (here, there))
    return f"{before.strip()}{words(' moves over as ')}{after.strip()}"

"""The seven notations: how each writes a line, what its numbers are, and how these are the argument's cotangent.

vjp            z̄ = σ′(z) ⊙ (Wᵀ ȳ)                    arrays of the arguments' shapes
index          z̄_j = σ′(z_j) Σ_i W_ij ȳ_i            components
einsum         z̄ = einsum('j,ij,i→j', σ′(z), W, ȳ)   the exchange of subscripts
numerator      ∂C/∂z = ∂C/∂y · W · diag(σ′(z))       rows; of a matrix X the shape is Xᵀ's
denominator    ∂C/∂z = diag(σ′(z)) · Wᵀ · ∂C/∂y      columns; of a matrix X the shape is X's
kronecker      vec(X̄)ᵀ = vec(Ȳ)ᵀ (Bᵀ ⊗ A)            rows, by vec
differential   dC = ⟨ȳ, W dz⟩ = ⟨Wᵀ ȳ, dz⟩           each adjoint move a step
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from vjpkit.derive.formulas.arrays import (
    SCALAR,
    Bar,
    Node,
    Numbers,
    Ones,
    Total,
)
from vjpkit.derive.formulas.components import LETTERS, Exchanged, Indexed
from vjpkit.derive.formulas.graph import Graph, Line, Term
from vjpkit.derive.formulas.moves import adjoint
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scripts import Piece
from vjpkit.derive.formulas.subscripts import Exchange
from vjpkit.derive.program import Value


class Right(Protocol):
    """What stands right of the equals sign."""

    def numbers(self, at: Numbers) -> Any: ...

    def write(self, pen: Pen) -> Piece: ...


class Notation:
    """One notation of one derivation."""

    name = "vjp"
    product = ""  # the sign between matrices, a thin space if empty

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.space = graph.reading.space
        self.seed = not graph.reading.out.shape  # the cotangent of a scalar output is 1

    @property
    def told(self) -> str:
        """The convention, in words."""
        return "every cotangent has the shape of its value"

    def right(self, line: Line) -> Right:
        terms = tuple(self.term(t) for t in line.terms)
        return terms[0] if len(terms) == 1 else Total(terms[0].space, terms)

    def term(self, term: Term, strict: bool = False) -> Node:
        node = self.start(term.source)
        for m in reversed(term.maps):
            node = adjoint(m, node, strict)
        return node

    def start(self, v: Value) -> Node:
        if v is self.graph.reading.out and self.seed:
            return Ones(SCALAR)
        return Bar(self.space(v), v)

    def left(self, v: Value, pen: Pen) -> str:
        return pen.bar(v).code

    def shapes(self, right: Right, pen: Pen) -> str:
        return ""

    def represent(self, cotangent: Any) -> Any:
        """The cotangent of an array as this notation has it."""
        return np.asarray(cotangent, float)

    def kept(self, numbers: Any, v: Value) -> Any:
        """A line's numbers as later lines read them."""
        return self.argument(numbers, v)

    def argument(self, numbers: Any, v: Value) -> Any:
        """A line's numbers in the shape of its value."""
        return np.asarray(numbers).reshape(v.shape)


class Vjp(Notation):
    """Arrays."""


class Index(Notation):
    """Components."""

    name = "index"
    nest = False
    sum: Callable[..., Right] = Indexed

    @property
    def pool(self) -> list[str]:
        """Letters for subscripts, those that name a value last."""
        taken = {v.name for v in self.graph.named}
        return sorted(LETTERS, key=taken.__contains__)

    @property
    def told(self) -> str:
        return "subscripts in the order of the axes, none for one of length 1; a letter under Σ is summed"

    def right(self, line: Line) -> Right:
        each = [
            Exchange(t, self.space(t.source), self.seed and t.source is self.graph.reading.out, self.nest)
            for t in line.terms
        ]
        return self.sum(tuple(e.components().renamed(self.pool) for e in each))

    def left(self, v: Value, pen: Pen) -> str:
        return pen.bar(v, "".join(self.pool[: sum(n != 1 for n in v.shape)])).code


class Subscripts(Index):
    """Strings of einsum."""

    name = "einsum"
    nest = True
    sum = Exchanged

    @property
    def told(self) -> str:
        return "einsum sums over every letter that is not behind the arrow; 1 is an array of ones"

    def left(self, v: Value, pen: Pen) -> str:
        return pen.bar(v).code

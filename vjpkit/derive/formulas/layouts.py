"""The notations of matrix calculus: rows or columns, Jacobians as matrices between them, and vec.

numerator      ∂C/∂z = ∂C/∂y · W · diag(σ′(z))       rows; of a matrix X the shape is Xᵀ's
denominator    ∂C/∂z = diag(σ′(z)) · Wᵀ · ∂C/∂y      columns; of a matrix X the shape is X's
kronecker      vec(X̄)ᵀ = vec(Ȳ)ᵀ (Bᵀ ⊗ A)            rows, by vec
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.arrays import (
    SCALAR,
    By,
    Diag,
    Node,
    Numbers,
    Ones,
    Product,
    Total,
    Turned,
    column,
    turned,
    two,
)
from vjpkit.derive.formulas.chains import Chain
from vjpkit.derive.formulas.graph import Graph, Line, Term
from vjpkit.derive.formulas.kronecker import flat, jacobian, simplest, upright
from vjpkit.derive.formulas.maps import Space
from vjpkit.derive.formulas.moves import Inexpressible, adjoint, scaled
from vjpkit.derive.formulas.notations import Notation, Right
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scalars import ONE, Expr, mul
from vjpkit.derive.formulas.scripts import Piece
from vjpkit.derive.program import Value


@dataclass(frozen=True)
class Row(Node):
    """∂C/∂v in numerator layout, or vec(v̄)ᵀ: what a notation of matrices has as its cotangent."""

    value: Value
    vec: bool

    def numbers(self, at: Numbers) -> Any:
        return at.bars[self.value]

    def write(self, pen: Pen) -> Piece:
        return pen.partial(self.value, self.vec)


@dataclass(frozen=True)
class VecBar(Node):
    """vec(v̄)."""

    value: Value

    def numbers(self, at: Numbers) -> Any:
        return at.bars[self.value].T

    def write(self, pen: Pen) -> Piece:
        bar = pen.bar(self.value)
        return bar if len(self.value.shape) < 2 else Piece(pen.script.call("vec", [bar.code]))


class Matrices(Notation):
    """Products of matrices alone; by vec where an operation is none of matrices as they are."""

    product = "dot"

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.vec = False
        try:
            for line in graph.lines:
                self.right(line)
        except Inexpressible:
            self.vec = True

    def right(self, line: Line) -> Right:
        each = tuple(self.by_vec(t) if self.vec else self.by_matrix(t) for t in line.terms)
        return each[0] if len(each) == 1 else Total(each[0].space, each)

    def by_matrix(self, term: Term) -> Node:
        raise NotImplementedError

    def by_vec(self, term: Term) -> Node:
        raise NotImplementedError

    def chain(self, term: Term) -> tuple[Expr, list[Node]]:
        """A number, and the Jacobians from the source's side to the value's."""
        coefficient: Expr = ONE
        factors: list[Node] = []
        for m in reversed(term.maps):
            c, matrices = jacobian(m)
            coefficient, factors = mul(coefficient, c), [*factors, *matrices]
        return coefficient, simplest(factors)

    def kept(self, numbers: Any, v: Value) -> Any:
        return numbers

    def left(self, v: Value, pen: Pen) -> str:
        return pen.partial(v, self.vec and len(v.shape) > 1).code

    def shapes(self, right: Right, pen: Pen) -> str:
        if isinstance(right, Total):
            return " + ".join(filter(None, (self.shapes(t, pen) for t in right.terms)))
        factors = _factors(right) if isinstance(right, Node) else []
        each = [two(f.space).dims for f in factors]
        s = pen.script
        return s.dot.strip().join(f"[{s.cross.join(map(s.size, d))}]" for d in each) if len(each) > 1 else ""


def _factors(node: Node) -> list[Node]:
    """The matrices that stand in a product."""
    if isinstance(node, By):
        return ([node.c] if isinstance(node.c, Node) else []) + _factors(node.a)
    return [f for p in node.parts for f in _factors(p)] if isinstance(node, Product) else [node]


def chained(space: Space, coefficient: Expr, first: Node | None, factors: list[Node], turn: bool) -> Node:
    """The product of a cotangent and of Jacobians, from either side."""
    parts = [upright(f) for f in factors[::-1]] if turn else list(factors)
    if first is not None:
        parts = [*parts, first] if turn else [first, *parts]
    while len(parts) > 1 and (merged := _summed_up(*parts[:2])) is not None:
        parts[:2] = [merged]
    while len(parts) > 1 and (merged := _summed_up(turned(parts[-1]), turned(parts[-2]))) is not None:
        parts[-2:] = [turned(merged)]
    if not parts:
        return scaled(coefficient, Ones(SCALAR))
    node = parts[0] if len(parts) == 1 else Chain(space, tuple(parts))
    return node if coefficient == ONE else scaled(coefficient, node)


def _summed_up(ones: Node, diagonal: Node) -> Node | None:
    """1ᵀ diag(s) is sᵀ."""
    if isinstance(ones, Turned) and isinstance(ones.a, Ones) and isinstance(diagonal, Diag):
        return turned(diagonal.a)
    return None


class Numerator(Matrices):
    """∂C/∂x is a row: Df, factors in the order of the composition."""

    name = "numerator"

    @property
    def told(self) -> str:
        if self.vec:
            return "numerator layout: ∂C/∂vec(X) is a row; vec(X) has the columns of X one below the other"
        return "numerator layout: ∂C/∂x of a vector is a row, ∂C/∂X of a matrix has the shape of Xᵀ"

    def by_matrix(self, term: Term) -> Node:
        space = two(self.space(term.source))
        row = Row(Space(space.shape[::-1], space.dims[::-1]), term.source, False)
        seeded = term.source is self.graph.reading.out and self.seed
        node: Node = Ones(SCALAR) if seeded else turned(row)
        for m in reversed(term.maps):
            node = adjoint(m, node, True)
        return turned(node, deep=True)

    def by_vec(self, term: Term) -> Node:
        coefficient, factors = self.chain(term)
        space = flat(self.space(term.source))
        seeded = term.source is self.graph.reading.out and self.seed
        row = Row(Space((1, *space.shape), ("1", *space.dims)), term.source, len(term.source.shape) > 1)
        return chained(row.space, coefficient, None if seeded else row, factors, False)

    def represent(self, cotangent: Any) -> Any:
        x = np.asarray(cotangent, float)
        return x.reshape(1, -1, order="F") if self.vec else column(x).T

    def argument(self, numbers: Any, v: Value) -> Any:
        return numbers.reshape(v.shape, order="F") if self.vec else numbers.T.reshape(v.shape)


class Denominator(Matrices):
    """∂C/∂x is a column: the transposes, in reversed order."""

    name = "denominator"

    @property
    def told(self) -> str:
        if self.vec:
            return "denominator layout: ∂C/∂vec(X) is a column; vec(X) has the columns of X one below the other"
        return "denominator layout: ∂C/∂x has the shape of x, a vector is a column"

    def by_matrix(self, term: Term) -> Node:
        seeded = term.source is self.graph.reading.out and self.seed
        node: Node = Ones(SCALAR) if seeded else Row(two(self.space(term.source)), term.source, False)
        for m in reversed(term.maps):
            node = adjoint(m, node, True)
        return node

    def by_vec(self, term: Term) -> Node:
        coefficient, factors = self.chain(term)
        space = two(flat(self.space(term.source)))
        seeded = term.source is self.graph.reading.out and self.seed
        start = Row(space, term.source, len(term.source.shape) > 1)
        return chained(space, coefficient, None if seeded else start, factors, True)

    def represent(self, cotangent: Any) -> Any:
        x = np.asarray(cotangent, float)
        return x.reshape(-1, 1, order="F") if self.vec else column(x)

    def argument(self, numbers: Any, v: Value) -> Any:
        return numbers.reshape(v.shape, order="F") if self.vec else numbers.reshape(v.shape)


class Kronecker(Numerator):
    """Every Jacobian as a matrix that acts on vec."""

    name = "kronecker"
    product = ""

    def __init__(self, graph: Graph) -> None:
        Notation.__init__(self, graph)
        self.vec = True

    @property
    def told(self) -> str:
        return "vec(X) has the columns of X one below the other; dvec(AXB)/dvec(X) = Bᵀ ⊗ A"

    def by_vec(self, term: Term) -> Node:
        coefficient, factors = self.chain(term)
        space = two(flat(self.space(term.source)))
        seeded = term.source is self.graph.reading.out and self.seed
        row = turned(VecBar(space, term.source))
        return chained(row.space, coefficient, None if seeded else row, factors, False)

    def left(self, v: Value, pen: Pen) -> str:
        bar = pen.bar(v).code
        if not v.shape:
            return bar
        return pen.script.turned(bar if len(v.shape) < 2 else pen.script.call("vec", [bar]))

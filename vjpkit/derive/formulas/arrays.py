"""Array expressions that can be written and computed: sums, matrix products, Hadamard products, einsums.

An array with at most two axes is computed as a matrix: a vector is a column, a number is 1×1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.calculus import computed
from vjpkit.derive.formulas.maps import Space
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scalars import Expr, Leaf
from vjpkit.derive.formulas.scripts import ATOM, POWER, TIMES, Piece, bracketed
from vjpkit.derive.program import Value

SCALAR = Space((), ())


@dataclass
class Numbers:
    """What formulas are computed with: values at a point, cotangents so far, differentials where there are any."""

    values: Mapping[Value, Any]
    bars: Mapping[Value, Any]
    dots: Mapping[Value, Any] | None = None

    def entries(self, e: Expr, shape: tuple[int, ...]) -> Any:
        """A scalar expression for every entry of its frame."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(computed(e, lambda leaf: spread_leaf(leaf, self.values, len(shape))), shape)


def spread_leaf(leaf: Leaf, values: Mapping[Value, Any], rank: int) -> Any:
    """A leaf's value with its axes where the frame has them."""
    value = np.asarray(values[leaf.value])
    value = value.reshape([n for n, a in zip(value.shape, leaf.axes, strict=True) if a is not None])
    axes = [a for a in leaf.axes if a is not None]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    return np.expand_dims(value.transpose(order), [a for a in range(rank) if a not in axes])


def column(x: Any) -> Any:
    """As a matrix, where it has no more than two axes."""
    x = np.asarray(x, float)
    return x if x.ndim > 2 else x.reshape(two(Space(x.shape, tuple(map(str, x.shape)))).shape)


def two(space: Space) -> Space:
    """The space of columns."""
    missing = 2 - len(space.shape)
    return Space(space.shape + (1,) * missing, space.dims + ("1",) * missing)


@dataclass(frozen=True)
class Node:
    """An array; `space` names its axes."""

    space: Space

    def numbers(self, at: Numbers) -> Any:
        raise NotImplementedError

    def write(self, pen: Pen) -> Piece:
        raise NotImplementedError

    def full(self, at: Numbers) -> Any:
        """The numbers in the shape of the space."""
        return self.numbers(at).reshape(self.space.shape)


@dataclass(frozen=True)
class Given(Node):
    """A value of the program."""

    value: Value

    def numbers(self, at: Numbers) -> Any:
        return column(at.values[self.value])

    def write(self, pen: Pen) -> Piece:
        return pen.value(self.value)


@dataclass(frozen=True)
class Bar(Node):
    """A cotangent."""

    value: Value

    def numbers(self, at: Numbers) -> Any:
        return column(at.bars[self.value])

    def write(self, pen: Pen) -> Piece:
        return pen.bar(self.value)


@dataclass(frozen=True)
class Dot(Node):
    """The differential of a value."""

    value: Value

    def numbers(self, at: Numbers) -> Any:
        return column((at.dots or {})[self.value])

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.differential(pen.value(self.value).code))


@dataclass(frozen=True)
class Ones(Node):
    """Ones; of shape [], the number 1, the cotangent of the cost."""

    def numbers(self, at: Numbers) -> Any:
        return column(np.ones(self.space.shape))

    def write(self, pen: Pen) -> Piece:
        if not self.space.shape:
            return Piece("1")
        return Piece(pen.script.ones(pen.script.cross.join(map(pen.script.size, self.space.dims))))


@dataclass(frozen=True)
class Point(Node):
    """A scalar expression for every entry."""

    expr: Expr

    def numbers(self, at: Numbers) -> Any:
        return column(at.entries(self.expr, self.space.shape))

    def write(self, pen: Pen) -> Piece:
        return pen.expression(self.expr, pen.whole(self.space), True)


@dataclass(frozen=True)
class Entrywise(Node):
    """a ⊙ b."""

    a: Node
    b: Node

    def numbers(self, at: Numbers) -> Any:
        return self.a.numbers(at) * self.b.numbers(at)

    def write(self, pen: Pen) -> Piece:
        sign = pen.script.hadamard
        each = (n.write(pen) for n in (self.a, self.b))
        written = (p.code if p.kind == sign.strip() else bracketed(p, POWER) for p in each)
        return Piece(sign.join(written), TIMES, sign.strip())


@dataclass(frozen=True)
class By(Node):
    """A number times an array; the number is an expression or an array of one entry."""

    c: Expr | Node
    a: Node

    def numbers(self, at: Numbers) -> Any:
        c = self.c.numbers(at) if isinstance(self.c, Node) else at.entries(self.c, ())
        return c.reshape(()) * self.a.numbers(at)

    def write(self, pen: Pen) -> Piece:
        c = self.c.write(pen) if isinstance(self.c, Node) else pen.expression(self.c, pen.whole(SCALAR), True)
        if isinstance(self.c, Node):
            return Piece(f"{bracketed(c, POWER)}{pen.product}{bracketed(self.a.write(pen), POWER)}", TIMES, "matrix")
        return pen.multiple(c, self.a.write(pen))


@dataclass(frozen=True)
class Product(Node):
    """A product of matrices; of an array with more axes, in the last two of them."""

    parts: tuple[Node, ...]

    def numbers(self, at: Numbers) -> Any:
        each = [p.numbers(at) for p in self.parts]
        if len(each) > 2 and all(x.ndim == 2 for x in each):
            return np.linalg.multi_dot(each)
        return functools.reduce(np.matmul, each)

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.product.join(bracketed(p.write(pen), POWER) for p in self.parts), TIMES, "matrix")


@dataclass(frozen=True)
class Turned(Node):
    """aᵀ."""

    a: Node

    def numbers(self, at: Numbers) -> Any:
        return self.a.numbers(at).T

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.turned(bracketed(self.a.write(pen), ATOM)))


@dataclass(frozen=True)
class Diag(Node):
    """A diagonal matrix, from its diagonal."""

    a: Node

    def numbers(self, at: Numbers) -> Any:
        return np.diag(self.a.numbers(at).ravel())

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.call("diag", [self.a.write(pen).code]))


@dataclass(frozen=True)
class Trace(Node):
    """tr(aᵀ b) = Σ a ⊙ b."""

    a: Node
    b: Node

    def numbers(self, at: Numbers) -> Any:
        return np.trace(self.a.numbers(at).T @ self.b.numbers(at)).reshape(1, 1)

    def write(self, pen: Pen) -> Piece:
        product = Product(SCALAR, (turned(self.a), self.b))
        return Piece(pen.script.call("tr", [product.write(pen).code]))


@dataclass(frozen=True)
class Function(Node):
    """sum, spread, permute, reshape: of an array with any axes."""

    name: str
    a: Node
    option: str
    compute: Callable[[Any], Any]

    def numbers(self, at: Numbers) -> Any:
        return column(self.compute(self.a.full(at)).reshape(self.space.shape))

    def write(self, pen: Pen) -> Piece:
        option = pen.script.quoted(self.option)
        return Piece(pen.script.call(self.name, [self.a.write(pen).code, option]))


@dataclass(frozen=True)
class Einsum(Node):
    """A contraction that no product of matrices is."""

    subscripts: str
    parts: tuple[Node, ...]

    def numbers(self, at: Numbers) -> Any:
        return column(np.einsum(self.subscripts, *(p.full(at) for p in self.parts), optimize=True))

    def write(self, pen: Pen) -> Piece:
        spec = pen.script.quoted(f"'{self.subscripts.replace('->', '→')}'")
        return Piece(pen.script.call("einsum", [spec, *(p.write(pen).code for p in self.parts)]))


@dataclass(frozen=True)
class Total(Node):
    """a + b + …."""

    terms: tuple[Node, ...]

    def numbers(self, at: Numbers) -> Any:
        return sum(t.numbers(at) for t in self.terms)

    def write(self, pen: Pen) -> Piece:
        return pen.sum([t.write(pen) for t in self.terms]) if len(self.terms) > 1 else self.terms[0].write(pen)


def turned(a: Node, deep: bool = False) -> Node:
    """aᵀ, with the transposition where it stands simplest; `deep`: inside Hadamard products too."""
    space = two(a.space)
    space = Space(space.shape[::-1], space.dims[::-1])
    if space.shape == (1, 1) and not isinstance(a, Product | Total):
        return a
    match a:
        case Turned(_, inner):
            return inner
        case Product(_, parts):
            return Product(space, tuple(turned(p, deep) for p in parts[::-1]))
        case Diag():
            return a
        case Total(_, terms):
            return Total(space, tuple(turned(t, deep) for t in terms))
        case By(_, c, inner):
            return By(space, c, turned(inner, deep))
        case Entrywise(_, one, other) if deep:
            return Entrywise(space, turned(one, deep), turned(other, deep))
        case Ones() if len(a.space.shape) == 2:
            return Ones(space)
    return Turned(space, a)

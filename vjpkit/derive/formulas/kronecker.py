"""Linear maps as matrices that act on vec(x), the columns of x one below the other: Kronecker products.

    vec(A X B) = (Bᵀ ⊗ A) vec(X)      vec(s ⊙ x) = diag(vec(s)) vec(x)      vec(Xᵀ) = K vec(X)
The first axis counts fastest, so that the factors stand in the axes' order backwards, however many there are.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.arrays import Diag, Node, Numbers, Ones, Point, Turned, turned, two
from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, Permute, Reshape, Space, Spread, Sum
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scalars import ONE, Expr, Leaf
from vjpkit.derive.formulas.scripts import POWER, TIMES, Piece, bracketed
from vjpkit.derive.program import Value


@dataclass(frozen=True)
class Eye(Node):
    """The identity."""

    def numbers(self, at: Numbers) -> Any:
        return np.eye(self.space.shape[0])

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.eye(length(self.space.dims[:1], pen)))


@dataclass(frozen=True)
class Unit(Node):
    """E_bb: the matrix with a single one, at b, b; a sum over b runs around it."""

    letter: str

    def numbers(self, at: Numbers) -> Any:
        raise TypeError("a unit matrix stands in a sum")

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.indexed("E", self.letter * 2))


@dataclass(frozen=True)
class Slice(Node):
    """A value as a matrix, rows by columns, for one index of each axis that is neither."""

    value: Value
    letters: str
    rows: str
    columns: str
    fixed: tuple[tuple[str, int], ...] = ()
    flipped: bool = False  # the transpose of what it was made as

    def numbers(self, at: Numbers) -> Any:
        chosen = dict(self.fixed)
        a = np.asarray(at.values[self.value])[tuple(chosen.get(c, slice(None)) for c in self.letters)]
        rest = [c for c in self.letters if c not in chosen]
        a = a.transpose([rest.index(c) for c in self.rows + self.columns])
        return a.reshape(self.space.shape, order="F")

    def write(self, pen: Pen) -> Piece:
        batch = "".join(c for c in self.letters if c not in self.rows + self.columns)
        code = pen.value(self.value, batch).code
        if len(self.rows) > 1 or len(self.columns) > 1:
            matrix = pen.script.call("mat", [code])
            return Piece(pen.script.turned(matrix) if self.flipped else matrix)
        if self.letters.replace(batch, "") == self.rows + self.columns and (self.rows or not self.columns):
            return Piece(code)
        return Piece(pen.script.turned(code))


@dataclass(frozen=True)
class Kron(Node):
    """A ⊗ B ⊗ …, summed over letters where there are any."""

    parts: tuple[Node, ...]
    batch: tuple[tuple[str, int], ...] = ()

    def numbers(self, at: Numbers) -> Any:
        out: Any = 0
        for indices in itertools.product(*(range(n) for _, n in self.batch)):
            chosen = tuple((c, i) for (c, _), i in zip(self.batch, indices, strict=True))
            out = out + functools.reduce(np.kron, (_at(p, chosen, dict(self.batch)).numbers(at) for p in self.parts))
        return out

    def write(self, pen: Pen) -> Piece:
        body = pen.script.kron.join(bracketed(p.write(pen), POWER) for p in self.parts)
        if self.batch:
            return Piece(pen.script.total("".join(c for c, _ in self.batch), body), TIMES, "kron")
        return Piece(body, TIMES, "kron")


@dataclass(frozen=True)
class Moved(Node):
    """A permutation of the entries: `places[i]` is where entry i of the result comes from."""

    places: tuple[int, ...]
    name: str
    option: str

    def numbers(self, at: Numbers) -> Any:
        return np.eye(len(self.places))[list(self.places)]

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.indexed(self.name, self.option))


@dataclass(frozen=True)
class Vec(Node):
    """vec(a), a column."""

    a: Node

    def numbers(self, at: Numbers) -> Any:
        return self.a.full(at).reshape(-1, 1, order="F")

    def write(self, pen: Pen) -> Piece:
        return Piece(pen.script.call("vec", [self.a.write(pen).code]))


def length(dims: Sequence[str], pen: Pen) -> str:
    return "".join(pen.script.size(d) for d in dims)


def flat(space: Space) -> Space:
    """The space of vec(x)."""
    dims = [d for d, n in zip(space.dims, space.shape, strict=True) if n != 1]
    n = math.prod(space.shape)
    return Space(
        (n,), ("".join(dims) if len(dims) == 1 else str(n) if all(map(str.isdigit, dims)) else "·".join(dims),)
    )


def between(y: Space, x: Space) -> Space:
    """The space of a matrix from vec(x) to vec(y)."""
    rows, columns = flat(y), flat(x)
    return Space(rows.shape + columns.shape, rows.dims + columns.dims)


def kron(space: Space, parts: Sequence[Node], batch: tuple[tuple[str, int], ...] = ()) -> Node:
    """The product without factors 1, neighbouring identities as one."""
    if parts and not batch and all(isinstance(p, Ones) for p in parts):
        return Ones(flat(Space(tuple(p.space.shape[0] for p in parts), tuple(p.space.dims[0] for p in parts))))
    if parts and not batch and all(isinstance(p, Turned) and isinstance(p.a, Ones) for p in parts):
        return turned(kron(space, [turned(p) for p in parts]))
    kept: list[Node] = []
    for p in parts:
        if two(p.space).shape == (1, 1) and isinstance(p, Eye | Ones | Turned):
            continue
        if isinstance(p, Eye) and kept and isinstance(kept[-1], Eye):
            joint = flat(
                Space(kept[-1].space.shape[:1] + p.space.shape[:1], kept[-1].space.dims[:1] + p.space.dims[:1])
            )
            kept[-1] = _eye(joint)
            continue
        kept.append(p)
    if not kept:
        return Eye(Space((1, 1), ("1", "1")))
    return kept[0] if len(kept) == 1 and not batch else Kron(space, tuple(kept), batch)


def upright(a: Node) -> Node:
    """The transpose of a Kronecker product is that of its factors."""
    if isinstance(a, Kron):
        turned_space = Space(a.space.shape[::-1], a.space.dims[::-1])
        return Kron(turned_space, tuple(p if isinstance(p, Unit) else upright(p) for p in a.parts), a.batch)
    if isinstance(a, Slice):
        return Slice(
            Space(a.space.shape[::-1], a.space.dims[::-1]),
            a.value,
            a.letters,
            a.columns,
            a.rows,
            a.fixed,
            not a.flipped,
        )
    return a if isinstance(a, Eye) else turned(a)


def jacobian(m: Map) -> tuple[Expr, list[Node]]:
    """A number and matrices, the product of which takes vec(x) to vec(L x)."""
    match m:
        case Hadamard(slope, x) if m.constant:
            return slope, []
        case Hadamard(slope, x):
            point = Point(x, slope)
            return ONE, [Diag(between(x, x), point if len(x.shape) < 2 else Vec(flat(x), point))]
        case Sum(axes, x):
            each: list[Node] = [
                turned(Ones(x.take([k]))) if k in axes else _eye(x.take([k])) for k in range(len(x.shape))
            ]
            return ONE, [kron(between(m.y, x), each[::-1])]
        case Spread(axes, y):
            each = [Ones(y.take([k])) if k in axes else _eye(y.take([k])) for k in range(len(y.shape))]
            return ONE, [kron(between(y, m.x), each[::-1])]
        case Permute(order, x):
            return ONE, [_permutation(order, x)]
        case Reshape(x, y):
            places = np.arange(math.prod(x.shape)).reshape(x.shape, order="F").reshape(y.shape).ravel(order="F")
            return ONE, [Moved(between(y, x), tuple(places.tolist()), "R", "")]
        case Contract():
            return ONE, _contraction(m)
    raise TypeError(m)


def _eye(axis: Space) -> Node:
    return Eye(Space(axis.shape * 2, axis.dims * 2))


def _permutation(order: tuple[int, ...], x: Space) -> Node:
    """K: the entries of vec(x) in the order of the vec of its transpose."""
    places = np.arange(math.prod(x.shape)).reshape(x.shape, order="F").transpose(order).ravel(order="F")
    return Moved(between(x.take(order), x), tuple(places.tolist()), "K", "".join(str(k + 1) for k in order))


def _contraction(m: Contract) -> list[Node]:
    """⊗ over the axes: an identity for an axis that stays, A for the ones that it exchanges, a sum for a batch."""
    batch = [c for c in m.own if c in m.fixed and c in m.out]
    old = [c for c in m.own if c in m.fixed and c not in m.out]
    new = [c for c in m.out if c in m.fixed and c not in m.own]
    sizes = dict(zip(m.own, zip(m.x.shape, m.x.dims, strict=True), strict=True))
    sizes |= dict(zip(m.out, zip(m.y.shape, m.y.dims, strict=True), strict=True))
    if not old and not new:
        return [_diagonal(m)]
    if len(old) <= 1 and len(new) <= 1:
        before = list(m.own)
        at = before.index(old[0]) if old else min(m.out.index(new[0]), len(before))
        after = [*before[:at], *new, *before[at + len(old) :]]
    else:
        rest = [c for c in m.own if c not in old]
        before, after, at = [*old, *rest], [*new, *rest], 0
    matrix = Slice(_by(sizes, new, old), m.a, m.fixed, "".join(new), "".join(old))
    kept = [c for c in after if c not in new]
    factors: list[Node] = [Unit(_by(sizes, [c], [c]), c) if c in batch else Eye(_by(sizes, [c], [c])) for c in kept]
    factors.insert(at, matrix)
    loops = tuple((c, sizes[c][0]) for c in batch)
    middle = kron(_by(sizes, after, before), factors[::-1], loops)
    out = [] if after == list(m.out) else [_permutation(tuple(after.index(c) for c in m.out), _space(sizes, after))]
    into = [] if before == list(m.own) else [_permutation(tuple(m.own.index(c) for c in before), m.x)]
    return [*out, middle, *into]


def _diagonal(m: Contract) -> Node:
    """Every index of A is one of x: a diagonal matrix."""
    own = {c: k for k, c in enumerate(m.own)}
    point = Point(m.x, Leaf(m.a, tuple(own[c] for c in m.fixed)))
    return Diag(between(m.x, m.x), point if len(m.x.shape) < 2 else Vec(flat(m.x), point))


def _space(sizes: dict[str, tuple[int, str]], letters: Sequence[str]) -> Space:
    return Space(tuple(sizes[c][0] for c in letters), tuple(sizes[c][1] for c in letters))


def _by(sizes: dict[str, tuple[int, str]], rows: Sequence[str], columns: Sequence[str]) -> Space:
    return between(_space(sizes, rows), _space(sizes, columns))


def _at(node: Node, chosen: tuple[tuple[str, int], ...], sizes: dict[str, int]) -> Node:
    """A factor, for one index of the batch."""
    if isinstance(node, Slice):
        return Slice(node.space, node.value, node.letters, node.rows, node.columns, _of(node, chosen), node.flipped)
    if isinstance(node, Turned):
        return Turned(node.space, _at(node.a, chosen, sizes))
    if isinstance(node, Unit):
        return Constant(node.space, np.diag(np.arange(sizes[node.letter]) == dict(chosen)[node.letter]).astype(float))
    return node


def _of(node: Slice, chosen: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((c, i) for c, i in chosen if c in node.letters)


@dataclass(frozen=True, eq=False)
class Constant(Node):
    """Numbers."""

    array: Any

    def numbers(self, at: Numbers) -> Any:
        return self.array


def simplest(parts: Sequence[Node]) -> list[Node]:
    """Matrices of a product, without identities."""
    return [p for p in parts if not isinstance(p, Eye)]

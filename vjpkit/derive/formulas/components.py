"""Components written out: with subscripts and a Σ, and as strings of `einsum`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.derive.formulas.arrays import SCALAR, Node, Numbers, Ones, Point
from vjpkit.derive.formulas.maps import Space
from vjpkit.derive.formulas.pen import Leafs, Pen
from vjpkit.derive.formulas.scalars import ONE, Expr, Leaf, leaves, mul, reframed
from vjpkit.derive.formulas.scripts import ATOM, POWER, TIMES, Piece, bracketed
from vjpkit.derive.formulas.subscripts import Components, Factor, Nested, Place, entries
from vjpkit.derive.program import Value

LETTERS = "ijklmnpqrstuvwabcdefghxyzo"


def array(f: Factor, at: Numbers) -> Any:
    """The whole array of which a factor is the entries."""
    if isinstance(f.what, Nested):
        return numbers(f.what.product, at).reshape(f.what.shape)
    if isinstance(f.what, Value):
        return (at.bars if f.bar else at.values)[f.what]
    return at.entries(f.what, f.space.shape)


def numbers(c: Components, at: Numbers) -> Any:
    """The sum, over every index that is summed, for every index that is free."""
    operands: list[Any] = []
    order = {name: k for k, name in enumerate(c.sizes)}
    for f in c.factors:
        own = list(dict.fromkeys(f.letters()))
        operands += [entries(f, own, c.sizes, array(f, at)), [order[x] for x in own]]
    present = {x for f in c.factors for x in f.letters()}
    for x in c.free:
        if x not in present:
            operands += [np.ones(c.sizes[x][0]), [order[x]]]
    coefficient = at.entries(c.coefficient, ())
    if not operands:
        return np.asarray(coefficient)
    return coefficient * np.einsum(*operands, [order[x] for x in c.free], optimize=True)


@dataclass(frozen=True)
class Indexed:
    """x̄_ij = Σ_k …, a sum of such."""

    terms: tuple[Components, ...]

    def numbers(self, at: Numbers) -> Any:
        return sum(numbers(c, at) for c in self.terms)

    def write(self, pen: Pen) -> Piece:
        return pen.sum([_written(c, pen) for c in self.terms])


def _written(c: Components, pen: Pen) -> Piece:
    summed = [x for x in c.summed if c.sizes[x][0] != 1]
    outside = [f for f in c.factors if not set(summed) & set(f.letters())]
    inside = [f for f in c.factors if f not in outside]
    if not inside:
        alone = [f for f in outside if not isinstance(f.what, Value | Nested) and all(p.letter for p in f.places)]
        if len(alone) == len(outside):
            return pen.expression(mul(c.coefficient, _joined(alone)), _leaf_by_number(pen, c), False)
        return pen.multiple(_front(c, pen), _row(outside, c, pen))
    body = _row(inside, c, pen)
    total = Piece(pen.script.total("".join(summed), bracketed(body, TIMES, body.kind)), TIMES, "Σ")
    if outside:
        row = _row(outside, c, pen)
        front = bracketed(row, POWER if row.kind == "/" else TIMES, row.kind)
        total = Piece(f"{front}{pen.script.times}{total.code}", TIMES)
    return pen.multiple(_front(c, pen), total)


def _front(c: Components, pen: Pen) -> Piece:
    return pen.expression(c.coefficient, pen.whole(SCALAR), False)


def _joined(factors: list[Factor]) -> Expr:
    """Expressions as one, in a frame of all letters."""
    return mul(*(reframed(f.what, lambda axis, f=f: _number(f.places[axis].letter)) for f in factors))  # type: ignore[arg-type, misc]


def _row(factors: list[Factor], c: Components, pen: Pen) -> Piece:
    """A product: the expressions as one, then entries, in the order of their subscripts."""
    plain = [f for f in factors if not isinstance(f.what, Value | Nested) and all(p.letter for p in f.places)]
    rest = sorted((f for f in factors if f not in plain), key=lambda f: ([*f.letters()][:1], f.bar))
    pieces = [pen.expression(_joined(plain), _leaf_by_number(pen, c), False)] if plain else []
    pieces += [_factor(f, c, pen) for f in rest]
    if len(pieces) == 1:
        return pieces[0]
    row = pen.script.times.join(bracketed(p, POWER if p.kind == "/" else TIMES, p.kind) for p in pieces)
    return Piece(row, TIMES)


def _number(c: str) -> int:
    return LETTERS.index(c)


def _leaf_by_number(pen: Pen, c: Components) -> Leafs:
    def leaf(x: Leaf) -> Piece:
        letters = [LETTERS[a] for a in x.axes if a is not None]
        return pen.value(x.value, "".join(k for k in letters if c.sizes[k][0] != 1))

    return leaf


def _factor(f: Factor, c: Components, pen: Pen) -> Piece:
    if isinstance(f.what, Value):
        return (pen.bar if f.bar else pen.value)(f.what, _subscripts(f.places, c, pen))
    assert not isinstance(f.what, Nested)
    return pen.expression(
        f.what,
        lambda x: pen.value(x.value, _subscripts([f.places[a] for a in x.axes if a is not None], c, pen)),
        False,
    )


def _subscripts(places: Sequence[Place], c: Components, pen: Pen) -> str:
    """Subscripts, none for an axis of length 1."""
    written = [p.write(pen.script) for p in places if p.parts and not (p.letter and c.sizes[p.letter][0] == 1)]
    return "".join(written) if all(len(p) == 1 for p in written) else f"({','.join(written)})"


# ------------------------------------------------------------------------------------------------- einsum


@dataclass(frozen=True)
class Exchanged:
    """A sum of einsums, with a number in front of each."""

    terms: tuple[Components, ...]

    def numbers(self, at: Numbers) -> Any:
        return sum(_einsum(c, at) for c in self.terms)

    def write(self, pen: Pen) -> Piece:
        return pen.sum([_call(c, pen) for c in self.terms])


def operands(c: Components) -> list[tuple[Factor | Node, str]]:
    """Each operand with its letters: expressions of the same axes as one, ones where no other has a letter."""
    found: dict[str, Expr] = {}
    out: list[tuple[Factor | Node, str]] = []
    spaces: dict[str, Space] = {}
    for f in c.factors:
        letters = "".join(p.letter for p in f.places)
        if isinstance(f.what, Value | Nested):
            out.append((f, letters))
            continue
        axes = sorted({a for leaf in leaves(f.what) for a in leaf.axes if a is not None})
        own = "".join(letters[a] for a in axes)
        found[own] = mul(found.get(own, ONE), reframed(f.what, axes.index))
        spaces[own] = f.space.take(axes)
    out = [*((Point(spaces[k], e), k) for k, e in found.items()), *out]
    present = {x for _, letters in out for x in letters}
    missing = [x for x in c.free if x not in present]
    return [*out, *((Ones(Space((c.sizes[x][0],), (c.sizes[x][1],))), x) for x in missing)]


def _einsum(c: Components, at: Numbers) -> Any:
    coefficient = at.entries(c.coefficient, ())
    each = operands(c)
    if not each:
        return np.asarray(coefficient)
    spec = f"{','.join(letters for _, letters in each)}->{''.join(c.free)}"
    arrays = [x.full(at) if isinstance(x, Node) else _operand(x, at) for x, _ in each]
    return coefficient * np.einsum(spec, *arrays, optimize=True)


def _operand(f: Factor, at: Numbers) -> Any:
    if isinstance(f.what, Nested):
        return _einsum(f.what.product, at).reshape(f.what.shape)
    return array(f, at)


def _call(c: Components, pen: Pen) -> Piece:
    each = operands(c)
    s = pen.script
    if not each:
        return pen.expression(c.coefficient, pen.whole(SCALAR), False)
    written = [_operand_written(x, pen) for x, _ in each]
    free = "".join(c.free)
    if len(each) == 1 and each[0][1] == free:
        body = written[0]
        if isinstance(each[0][0], Point):
            return pen.expression(mul(c.coefficient, each[0][0].expr), pen.whole(each[0][0].space), True)
    else:
        spec = s.quoted(f"'{','.join(letters for _, letters in each)}→{free}'")
        body = Piece(s.call("einsum", [spec, *(w.code for w in written)]))
    return pen.multiple(pen.expression(c.coefficient, pen.whole(SCALAR), False), body)


def _operand_written(x: Factor | Node, pen: Pen) -> Piece:
    if isinstance(x, Node):
        return x.write(pen)
    if isinstance(x.what, Nested):
        shape = pen.script.quoted("×".join(x.space.dims))
        return Piece(pen.script.call("reshape", [_call(x.what.product, pen).code, shape]), ATOM)
    assert isinstance(x.what, Value)
    return (pen.bar if x.bar else pen.value)(x.what)

"""Cotangents in components: a sum of products of entries, each with its subscripts. The rule is one of exchange:

    y = einsum("A's letters, x's letters → y's letters")      x̄ = einsum("A's letters, y's letters → x's letters")
A Hadamard product shares its letters and keeps them; a sum drops them, its adjoint has them again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vjpkit.derive.formulas.graph import Term
from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, Permute, Reshape, Shape, Space, Spread, Sum
from vjpkit.derive.formulas.scalars import ONE, Expr, Size, mul, num
from vjpkit.derive.formulas.scripts import Text
from vjpkit.derive.program import Value


@dataclass(frozen=True)
class Place:
    """A subscript: a letter, or one that counts the entries of several axes together.

    (Σ_k parts_k · strides_k) ÷ by, mod `of`; a letter has itself alone.
    """

    parts: tuple[tuple[Any, int], ...]
    by: int = 1
    of: int = 0

    def at(self, letters: dict[str, Any]) -> Any:
        whole = sum((letters[p] if isinstance(p, str) else p.at(letters)) * stride for p, stride in self.parts)
        return whole // self.by % self.of if self.of else whole // self.by

    def letters(self) -> Iterator[str]:
        for p, _ in self.parts:
            yield from [p] if isinstance(p, str) else p.letters()

    def renamed(self, names: dict[str, Any]) -> Place:
        parts = tuple((names.get(p, p) if isinstance(p, str) else p.renamed(names), stride) for p, stride in self.parts)
        (only, stride), *more = parts
        if not more and stride == 1 and isinstance(only, Place) and self.by == 1 and not self.of:
            return only
        return Place(parts, self.by, self.of)

    @property
    def letter(self) -> str:
        """The letter that it is, empty for another."""
        (p, stride), *more = self.parts
        return p if isinstance(p, str) and not more and stride == 1 and self.by == 1 and not self.of else ""

    def write(self, script: Text) -> str:
        each = [(p if isinstance(p, str) else f"({p.write(script)})", stride) for p, stride in self.parts]
        code = "+".join(p if stride == 1 else f"{stride}{p}" for p, stride in each)
        several = len(each) > 1 or each[0][1] != 1
        code = f"({code})" if several and (self.by != 1 or self.of) else code
        code += f"÷{self.by}" if self.by != 1 else ""
        return f"{code}mod{self.of}" if self.of else code


def letter(c: str) -> Place:
    return Place(((c, 1),))


@dataclass(frozen=True)
class Factor:
    """Entries of a value, of a cotangent, or of a scalar expression in its frame."""

    what: Value | Expr | Nested
    places: tuple[Place, ...]
    bar: bool = False
    space: Space = field(default=Space((), ()), compare=False)

    def renamed(self, names: dict[str, Any], pool: Sequence[str] = ()) -> Factor:
        """With other letters; what is nested has its own, from the pool."""
        nested = isinstance(self.what, Nested) and pool
        what = Nested(self.what.product.renamed(pool), self.what.shape) if nested else self.what  # type: ignore[union-attr]
        return Factor(what, tuple(p.renamed(names) for p in self.places), self.bar, self.space)

    def letters(self) -> Iterator[str]:
        for p in self.places:
            yield from p.letters()


@dataclass(frozen=True)
class Nested:
    """Another product's array, in another shape."""

    product: Components
    shape: Shape


@dataclass(frozen=True)
class Components:
    """coefficient · Σ over `summed` of the factors, for each index of `free`."""

    coefficient: Expr
    factors: tuple[Factor, ...]
    free: tuple[str, ...]
    sizes: dict[str, tuple[int, str]] = field(compare=False)

    @property
    def summed(self) -> list[str]:
        return [c for c in dict.fromkeys(c for f in self.factors for c in f.letters()) if c not in self.free]

    def renamed(self, pool: Sequence[str]) -> Components:
        """With letters in the order of the alphabet, those that are free first."""
        every = [*self.free, *self.summed]
        short = [c for c in every if self.sizes[c][0] == 1]  # written nowhere
        names = dict(zip([c for c in every if c not in short], pool, strict=False))
        names |= dict(zip(short, pool[::-1], strict=False))
        return Components(
            self.coefficient,
            tuple(f.renamed(names, pool) for f in self.factors),
            tuple(names[c] for c in self.free),
            {names[c]: self.sizes[c] for c in every},
        )


class Exchange:
    """The adjoints of a path's maps, last map first, on a cotangent in components."""

    def __init__(self, term: Term, space: Space, seed: bool, nest: bool) -> None:
        self.fresh = (f"x{k}" for k in itertools.count())
        self.nest = nest
        self.coefficient: Expr = ONE
        self.sizes: dict[str, tuple[int, str]] = {}
        self.free = [self._letter(n, d) for n, d in zip(space.shape, space.dims, strict=True)]
        places = tuple(map(letter, self.free))
        self.factors = [] if seed else [Factor(term.source, places, True, space)]
        for m in reversed(term.maps):
            self._exchange(m)

    def components(self) -> Components:
        return Components(self.coefficient, tuple(self.factors), tuple(self.free), self.sizes)

    def _letter(self, n: int, dim: str) -> str:
        c = next(self.fresh)
        self.sizes[c] = (n, dim)
        return c

    def _new(self, space: Space) -> list[str]:
        return [self._letter(n, d) for n, d in zip(space.shape, space.dims, strict=True)]

    def _exchange(self, m: Map) -> None:
        match m:
            case Hadamard(slope) if m.constant:
                self.coefficient = mul(self.coefficient, slope)
            case Hadamard(slope, space):
                self.factors.append(Factor(slope, tuple(map(letter, self.free)), False, space))
            case Sum(axes, space):
                kept = iter(self.free)
                self.free = [
                    self._letter(space.shape[k], space.dims[k]) if k in axes else next(kept)
                    for k in range(len(space.shape))
                ]
            case Spread(axes):
                self._sum([self.free[k] for k in axes])
                self.free = [c for k, c in enumerate(self.free) if k not in axes]
            case Permute():
                self.free = [self.free[k] for k in m.back]
            case Reshape(x, y):
                self._reshape(x, y)
            case Contract():
                self._contract(m)

    def _sum(self, letters: Sequence[str]) -> None:
        """Sum over letters; one that no factor has counts its entries."""
        used = {c for f in self.factors for c in f.letters()}
        for c in letters:
            if c not in used:
                n, dim = self.sizes[c]
                self.coefficient = mul(self.coefficient, num(n) if dim.isdigit() else Size(dim, n))

    def _contract(self, m: Contract) -> None:
        names = dict(zip(m.out, self.free, strict=True))
        for k, c in enumerate(m.own):
            if c not in names:
                names[c] = self._letter(m.x.shape[k], m.x.dims[k])
        own = [names[c] for c in m.own]
        dims = tuple(self.sizes[names[c]][1] for c in m.fixed)
        places = tuple(letter(names[c]) for c in m.fixed)
        self.factors.append(Factor(m.a, places, False, Space(m.a.shape, dims)))
        self._sum([names[c] for c in m.out if c not in m.own])
        self.free = own

    def _reshape(self, x: Space, y: Space) -> None:
        if self.nest:
            inner = self.components()
            self.free = self._new(x)
            self.coefficient, self.factors = (
                ONE,
                [Factor(Nested(inner, x.shape), tuple(map(letter, self.free)), False, x)],
            )
            return
        new = self._new(x)
        self.factors = [
            f.renamed(dict(zip(self.free, counted(x.shape, y.shape, new), strict=True))) for f in self.factors
        ]
        self.free = new


def counted(x: Shape, y: Shape, letters: Sequence[str]) -> list[Place]:
    """The subscripts of y's axes, row by row, by those of x's."""
    out: list[Place] = []
    for own, other in groups(x, y):
        strides = [math.prod(x[a] for a in own[k + 1 :]) for k in range(len(own))]
        parts = tuple((letters[a], s) for a, s in zip(own, strides, strict=True)) or (("", 0),)
        for k, axis in enumerate(other):
            by = math.prod(y[b] for b in other[k + 1 :])
            out.append(Place(parts, by, 0 if k == 0 else y[axis]) if own else ZERO)
    return out


ZERO = Place(())


def groups(x: Shape, y: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Axes of x and of y that hold the same entries."""
    i = j = 0
    while i < len(x) or j < len(y):
        own, other = ([i], [j]) if i < len(x) and j < len(y) else ([], [j]) if j < len(y) else ([i], [])
        i, j = i + len(own), j + len(other)
        while (a := math.prod(x[k] for k in own)) != (b := math.prod(y[k] for k in other)):
            if a < b:
                own.append(i)
                i += 1
            else:
                other.append(j)
                j += 1
        yield own, other


def entries(f: Factor, letters: Sequence[str], sizes: dict[str, tuple[int, str]], array: Any) -> Any:
    """A factor's numbers over these letters, which are those of its subscripts."""
    grids = np.ogrid[tuple(slice(sizes[c][0]) for c in letters)]
    grid = dict(zip(letters, grids, strict=True))
    index = tuple(p.at(grid) if p.parts else 0 for p in f.places)
    return np.broadcast_to(np.asarray(array)[index], [sizes[c][0] for c in letters])

"""Linear maps between arrays, as few as a derivative needs; each notation writes them, and their adjoints, its own way.

                       y = L x                         x̄ = Lᵀ ȳ
    Hadamard           s ⊙ x                           s ⊙ ȳ
    Sum                Σ over axes                     ȳ, spread over them
    Spread             x, along new axes               Σ over them
    Permute            axes in another order           axes back
    Reshape            entries, row by row             entries back
    Contract           Σ A[…] x[…] over shared axes    Σ A[…] ȳ[…]
A matrix from the left, a bias, an embedding, a slice, a cumulative sum: each is a Contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vjpkit.derive.formulas.scalars import ONE, Expr, Mul, leaves, mul
from vjpkit.derive.program import Value

Shape = tuple[int, ...]
Dims = tuple[str, ...]  # what the axes are called: a name, or the length


@dataclass(frozen=True)
class Space:
    """What a map starts from or ends in: a shape with named axes."""

    shape: Shape
    dims: Dims

    def replaced(self, axis: int, n: int, dim: str) -> Space:
        """With another length and name of one axis."""
        shape, dims = list(self.shape), list(self.dims)
        shape[axis], dims[axis] = n, dim
        return Space(tuple(shape), tuple(dims))

    def take(self, axes: Sequence[int]) -> Space:
        return Space(tuple(self.shape[a] for a in axes), tuple(self.dims[a] for a in axes))


@dataclass(frozen=True)
class Hadamard:
    slope: Expr
    x: Space

    @property
    def y(self) -> Space:
        return self.x

    @property
    def constant(self) -> bool:
        """Whether the slope is one number for all entries."""
        return all(a is None for leaf in leaves(self.slope) for a in leaf.axes)


@dataclass(frozen=True)
class Sum:
    axes: tuple[int, ...]
    x: Space

    @property
    def y(self) -> Space:
        return self.x.take([a for a in range(len(self.x.shape)) if a not in self.axes])


@dataclass(frozen=True)
class Spread:
    axes: tuple[int, ...]  # the new ones, among those of y
    y: Space

    @property
    def x(self) -> Space:
        return self.y.take([a for a in range(len(self.y.shape)) if a not in self.axes])


@dataclass(frozen=True)
class Permute:
    order: tuple[int, ...]
    x: Space

    @property
    def y(self) -> Space:
        return self.x.take(self.order)

    @property
    def back(self) -> tuple[int, ...]:
        return tuple(sorted(range(len(self.order)), key=self.order.__getitem__))


@dataclass(frozen=True)
class Reshape:
    x: Space
    y: Space


@dataclass(frozen=True)
class Contract:
    """y[out] = Σ A[fixed] x[own]: a letter for each axis, as einsum has them."""

    a: Value
    fixed: str
    own: str
    out: str
    x: Space
    y: Space


Map = Hadamard | Sum | Spread | Permute | Reshape | Contract


def simplified(maps: Sequence[Map]) -> list[Map]:
    """The same composition, first map first, with neighbours made one, and what does nothing gone.

    Numbers commute with every map: they are one, the last.
    """
    out: list[Map] = []
    factor: Expr = ONE
    for m in maps:
        if isinstance(m, Hadamard):
            constant, slope = parted(m.slope)
            factor, m = mul(factor, constant), Hadamard(slope, m.x)
        out.append(m)
        while len(out) > 1 and (joined := _joined(out[-2], out[-1])) is not None:
            out[-2:] = joined
        if out and _nothing(out[-1]):
            out.pop()
    return out if factor == ONE else [*out, Hadamard(factor, maps[-1].y)]


def parted(slope: Expr) -> tuple[Expr, Expr]:
    """The factors that are the same number for all entries, and the others."""
    factors = slope.factors if isinstance(slope, Mul) else (slope,)
    single = [f for f in factors if not any(a is not None for leaf in leaves(f) for a in leaf.axes)]
    return mul(*single), mul(*(f for f in factors if f not in single))


def _nothing(m: Map) -> bool:
    match m:
        case Hadamard(slope):
            return slope == ONE
        case Sum(axes) | Spread(axes):
            return not axes
        case Permute(order):
            return order == tuple(range(len(order)))
        case Reshape(x, y):
            return x.shape == y.shape
    return False


def _joined(a: Map, b: Map) -> list[Map] | None:
    """Two maps, a before b, as fewer."""
    match a, b:
        case Hadamard(), Hadamard():
            return [Hadamard(mul(a.slope, b.slope), a.x)]
        case Permute(), Permute():
            return [Permute(tuple(a.order[k] for k in b.order), a.x)]
        case Permute(), Contract():
            return [Contract(b.a, b.fixed, "".join(b.own[k] for k in a.back), b.out, a.x, b.y)]
        case Contract(), Permute():
            return [Contract(a.a, a.fixed, a.own, "".join(a.out[k] for k in b.order), a.x, b.y)]
        case Reshape(), Reshape():
            return [Reshape(a.x, b.y)]
        case Spread(), Sum() if a.axes == b.axes and all(a.y.shape[k] == 1 for k in a.axes):
            return []
        case Sum(), Spread() if a.axes == b.axes and a.x.shape == b.y.shape and all(a.x.shape[k] == 1 for k in a.axes):
            return []
    return None

"""Linear maps and their adjoints on array expressions: the rules by which a person moves a factor across.

`strict`: as products of matrices alone, a vector's Hadamard product as a diagonal matrix; `Inexpressible` where
an array has more than two axes.
"""

from __future__ import annotations

import numpy as np

from vjpkit.derive.formulas.arrays import (
    SCALAR,
    By,
    Diag,
    Einsum,
    Entrywise,
    Function,
    Given,
    Node,
    Ones,
    Point,
    Product,
    Total,
    Trace,
    turned,
)
from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, Permute, Reshape, Space, Spread, Sum
from vjpkit.derive.formulas.scalars import Expr, Leaf, leaves, mul, reframed
from vjpkit.derive.program import Value


class Inexpressible(Exception):
    """What a notation has no way to write."""


def forward(m: Map, x: Node, strict: bool = False) -> Node:
    """L x."""
    if isinstance(x, By):
        return _times(x, forward(m, x.a, strict))
    match m:
        case Hadamard():
            return hadamard(m, x, strict)
        case Sum(axes):
            return summed(x, axes, m.x, m.y, strict)
        case Spread(axes):
            return spread(x, axes, m.x, m.y, strict)
        case Permute(order):
            return permuted(x, order, m.y, strict)
        case Reshape(_, y):
            return reshaped(x, y, strict)
        case Contract():
            return contracted(m.a, m.fixed, x, m.own, m.out, m.x, m.y, strict)
    raise TypeError(m)


def adjoint(m: Map, g: Node, strict: bool = False) -> Node:
    """Lᵀ g."""
    if isinstance(g, By):
        return _times(g, adjoint(m, g.a, strict))
    match m:
        case Hadamard():
            return hadamard(m, g, strict)
        case Sum(axes):
            return spread(g, axes, m.y, m.x, strict)
        case Spread(axes):
            return summed(g, axes, m.y, m.x, strict)
        case Permute():
            return permuted(g, m.back, m.x, strict)
        case Reshape(x):
            return reshaped(g, x, strict)
        case Contract():
            return contracted(m.a, m.fixed, g, m.out, m.own, m.y, m.x, strict)
    raise TypeError(m)


def _times(number: By, x: Node) -> Node:
    """A number in front commutes with every map."""
    return by(number.c, x) if isinstance(number.c, Node) else scaled(number.c, x)


# ---------------------------------------------------------------------------------------------- the rules


def scaled(c: Expr, a: Node) -> Node:
    """A number times an array, the number taken into an expression where there is one."""
    match a:
        case Point(space, e):
            return Point(space, mul(c, e))
        case Ones(space) if not space.shape:
            return Point(space, c)
        case By(space, inner, rest) if not isinstance(inner, Node):
            return By(space, mul(c, inner), rest)
        case Total(space, terms):
            return Total(space, tuple(scaled(c, t) for t in terms))
    return By(a.space, c, a)


def by(g: Node, a: Node) -> Node:
    """An array of one entry times another array."""
    if isinstance(g, Ones):
        return a
    if isinstance(g, Point) and not g.space.shape:
        return scaled(g.expr, a)
    if isinstance(g, By) and not isinstance(g.c, Node):
        return scaled(g.c, by(g.a, a))
    return By(a.space, g, a)


def hadamard(m: Hadamard, x: Node, strict: bool) -> Node:
    if m.constant:
        return scaled(m.slope, x)
    return entrywise(m.slope, x, m.x, strict)


def entrywise(slope: Expr, x: Node, space: Space, strict: bool) -> Node:
    """s ⊙ x; with a diagonal matrix for a vector in strict form, and for a slope that is one for a row or column."""
    match x:
        case Ones():
            return Point(space, slope)
        case Point(_, e):
            return Point(space, mul(slope, e))
        case Total(_, terms):
            return Total(space, tuple(entrywise(slope, t, space, strict) for t in terms))
        case Entrywise(_, Point(_, e), b):
            return entrywise(mul(slope, e), b, space, strict)
    if strict and len(space.shape) > 2:
        raise Inexpressible(f"an array with {len(space.shape)} axes is no matrix")
    axes = {a for leaf in leaves(slope) for a in leaf.axes if a is not None}
    if len(space.shape) == 2 and len(axes) == 1 and (strict or 1 not in space.shape):
        (axis,) = axes
        own = space.take([axis])
        diagonal = Diag(_square(own), Point(own, reframed(slope, {axis: 0}.get)))
        return product(space, diagonal, x) if axis == 0 else product(space, x, diagonal)
    if strict and len(space.shape) == 1:
        return product(space, Diag(_square(space), Point(space, slope)), x)
    return Entrywise(space, Point(space, slope), x)


def _square(vector: Space) -> Space:
    return Space(vector.shape * 2, vector.dims * 2)


def product(space: Space, *parts: Node) -> Node:
    """A product of matrices, numbers in front, products in it opened."""
    for k, p in enumerate(parts):
        if isinstance(p, By):
            return _times(p, product(space, *parts[:k], p.a, *parts[k + 1 :]))
    opened = [q for p in parts for q in (p.parts if isinstance(p, Product) else (p,))]
    return Product(space, tuple(opened))


def summed(x: Node, axes: tuple[int, ...], whole: Space, rest: Space, strict: bool) -> Node:
    """Σ over axes: a product with ones."""
    if isinstance(x, Ones) and all(whole.shape[a] == 1 for a in axes):
        return Ones(rest)
    if len(whole.shape) > 2:
        if strict:
            raise Inexpressible(f"an array with {len(whole.shape)} axes is no matrix")
        told = f"axes {', '.join(whole.dims[a] if not whole.dims[a].isdigit() else str(a) for a in axes)}"
        return Function(rest, "sum", x, told, lambda v: v.sum(axes))
    if len(whole.shape) == 1:
        return product(SCALAR, turned(Ones(whole)), x) if whole.shape[0] != 1 else x
    rows, cols = (Ones(whole.take([k])) for k in (0, 1))
    out = x
    if 1 in axes and whole.shape[1] != 1:
        out = product(rest, out, cols)
    if 0 in axes:
        ones = whole.shape[0] != 1
        if 1 in axes:
            return product(rest, turned(rows), out) if ones else out
        return product(rest, turned(out), rows) if ones else turned(out)
    return out


def spread(x: Node, axes: tuple[int, ...], rest: Space, whole: Space, strict: bool) -> Node:
    """The same along new axes: an outer product with ones."""
    if not rest.shape:
        return by(x, Ones(whole))
    if isinstance(x, Ones):
        return Ones(whole)
    if isinstance(x, Point):
        kept = [k for k in range(len(whole.shape)) if k not in axes]
        return Point(whole, reframed(x.expr, kept.__getitem__))
    if len(whole.shape) > 2:
        if strict:
            raise Inexpressible(f"an array with {len(whole.shape)} axes is no matrix")
        told = f"along {', '.join(whole.dims[a] if not whole.dims[a].isdigit() else f'axis {a}' for a in axes)}"
        return Function(whole, "spread", x, told, lambda v: _repeated(v, axes, whole.shape))
    ones = Ones(whole.take(axes))
    if axes == (0,):
        return product(whole, ones, turned(x)) if whole.shape[0] != 1 else turned(x)
    return product(whole, x, turned(ones)) if whole.shape[1] != 1 else x


def _repeated(v: object, axes: tuple[int, ...], shape: tuple[int, ...]) -> object:
    return np.broadcast_to(np.expand_dims(v, axes), shape)  # type: ignore[call-overload]


def permuted(x: Node, order: tuple[int, ...], out: Space, strict: bool) -> Node:
    if len(order) == 2:
        return turned(x)
    if strict:
        raise Inexpressible(f"an array with {len(order)} axes is no matrix")
    return Function(out, "transpose", x, str(order), lambda v: v.transpose(order))


def reshaped(x: Node, out: Space, strict: bool) -> Node:
    if isinstance(x, Ones):
        return Ones(out)
    if strict:
        raise Inexpressible("a reshape is no product of matrices")
    return Function(out, "reshape", x, "×".join(out.dims), lambda v: v.reshape(out.shape))


def contracted(a: Value | Node, fa: str, x: Node, fx: str, out: str, of: Space, space: Space, strict: bool) -> Node:
    """Σ a x, by the letters of each: a product of matrices where it is one."""
    letters = dict(zip(fx, zip(of.shape, of.dims, strict=True), strict=True))
    letters |= dict(zip(out, zip(space.shape, space.dims, strict=True), strict=True))
    own = [
        letters.get(c) or (n, str(n))
        for c, n in zip(fa, a.space.shape if isinstance(a, Node) else a.shape, strict=True)
    ]
    given = a if isinstance(a, Node) else Given(Space(a.shape, tuple(d for _, d in own)), a)
    found = _matrices(given, fa, x, fx, out, space)
    if found is not None:
        return found
    if strict:
        raise Inexpressible(f"the contraction {fa},{fx}→{out} is no product of matrices")
    return Einsum(space, f"{fa},{fx}->{out}", (given, x))


def _matrices(a: Node, fa: str, b: Node, fb: str, out: str, space: Space) -> Node | None:
    """The product of matrices that a contraction is, if it is one."""
    if not fb:
        same = fa == out
        return by(b, a if same else turned(a)) if sorted(fa) == sorted(out) and len(fa) <= 2 else None
    if not fa:
        return by(a, b) if fb == out else None
    if len(fb) > 2 and len(fa) == 2 and fb[-1] in fa and out[:-1] == fb[:-1] and out[-1] in fa and out[-1] not in fb:
        return product(space, b, a if fa[0] == fb[-1] else turned(a))
    if len(fa) > 2 and len(fb) == 2:
        return _matrices(b, fb, a, fa, out, space)
    if max(map(len, (fa, fb, out))) > 2 or any(c not in fb + out for c in fa) or any(c not in fa + out for c in fb):
        return None
    shared = [c for c in fa if c in fb]
    summed_over = [c for c in shared if c not in out]
    if len(shared) == 2:
        return _entries(a, fa, b, fb, out, space)
    if len(shared) == 1 and not summed_over:
        return _scaled_rows(a, fa, b, fb, out, space)
    if not shared:
        if out == fa + fb:
            return product(space, a, turned(b))
        return product(space, b, turned(a)) if out == fb + fa else None
    (k,) = summed_over
    left = a if fa[-1] == k and len(fa) == 2 else turned(a)  # rows are what is kept
    right = b if fb[0] == k else turned(b)
    kept_a, kept_b = fa.replace(k, ""), fb.replace(k, "")
    if out == kept_a + kept_b and not (kept_b and not kept_a):
        return product(space, left, right)
    return product(space, turned(right), turned(left))


def _entries(a: Node, fa: str, b: Node, fb: str, out: str, space: Space) -> Node | None:
    """Both letters shared: tr(aᵀ b), the sum of a ⊙ b along one axis, or a ⊙ b."""
    b = b if fa == fb else turned(b)
    if not out:
        return Trace(SCALAR, a, b)
    both = entrywise(Leaf(a.value, (0, 1)), b, a.space, False) if isinstance(a, Given) else Entrywise(a.space, a, b)
    if len(out) == 1:
        return summed(both, (1 if out == fa[0] else 0,), both.space, space, True)
    return both if out == fa else turned(both)


def _scaled_rows(a: Node, fa: str, b: Node, fb: str, out: str, space: Space) -> Node | None:
    """One letter shared and kept: a diagonal matrix, of the one that is a vector, times the other."""
    if len(fa) == len(fb) == 1:
        return entrywise(Leaf(a.value, (0,)), b, space, True) if isinstance(a, Given) else None
    vector, matrix, c, letters = (a, b, fa, fb) if len(fa) == 1 else (b, a, fb, fa)
    if len(c) != 1 or sorted(out) != sorted(letters):
        return None
    diagonal = Diag(_square(vector.space), vector)
    if isinstance(vector, Ones):
        return matrix if out == letters else turned(matrix)
    made = product(matrix.space, diagonal, matrix) if letters[0] == c else product(matrix.space, matrix, diagonal)
    return made if out == letters else turned(made)

"""The structure of a stage's Jacobian, from its tangent program alone, and the product that it makes of a cotangent.

Its axes followed (`following.py`), all of them: a diagonal, or the identity times a number. Some: blocks along these.
None: a dense matrix. A contraction with something that does not move is a Kronecker product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vjpkit.derive.brackets import Factor, block_diagonal, dense, diagonal, identity, kronecker, selection, zero
from vjpkit.derive.following import FACTORS, RESHAPES, SAME, SUMS, Axes, Form, factor_of, followed, path, places
from vjpkit.derive.program import Equation, Value

THROUGH = FACTORS | SAME | SUMS | RESHAPES | {"transpose"}  # what may stand beside the one contraction, or sum


class Kind(NamedTuple):
    """The structure, the product that it makes of a vector, and the factor that brackets are counted with.

    `axes` are the axes of the input that those of the output follow; `places`, of what only moves, the entry that
    each entry of the output is.
    """

    structure: str
    product: str
    factor: Factor
    axes: Axes = ()
    places: np.ndarray | None = None


def kind(tangent: Sequence[Equation], x_dot: Value, y_dot: Value, primal: Sequence[Equation]) -> Kind:
    """The Jacobian of the linear program that takes x_dot to y_dot; `primal` made what it reads besides."""
    equations = path(tangent, x_dot, y_dot)
    forms = followed(equations, x_dot)
    form = forms.get(y_dot)
    if form is None or form.scale == 0:
        return nothing(y_dot.size, x_dot.size)
    at = places(equations, x_dot, y_dot) if form.scale is not None else None
    return _kind(equations, forms, x_dot, y_dot, at, primal)._replace(axes=form.axes, places=at)


def nothing(m: int, n: int) -> Kind:
    """Where no derivative passes."""
    return Kind("zero", "nothing: J is 0", zero(m, n))


def _kind(
    equations: Sequence[Equation],
    forms: dict[Value, Form],
    x_dot: Value,
    y_dot: Value,
    at: np.ndarray | None,
    primal: Sequence[Equation],
) -> Kind:
    form, factor = forms[y_dot], _single_factor(equations, forms)
    ops = [e.op for e in equations if e.op not in THROUGH]
    if factor is not None and ops == ["dot_general"]:
        return _contraction(equations, forms, factor, y_dot, primal)
    if factor is not None and ops == ["reduce_sum"]:
        return _sum(next(e for e in equations if e.op == "reduce_sum"), factor, form, x_dot, y_dot)
    if "conv_general_dilated" in ops and len(ops) == 1:
        return _convolution(next(e for e in equations if e.op == "conv_general_dilated"), forms, form, x_dot, y_dot)
    if form.scale is not None:
        return _movement(equations, form.scale, form, at, x_dot, y_dot)
    return _by_axes(form, x_dot, y_dot)


def _single_factor(equations: Sequence[Equation], forms: dict[Value, Form]) -> float | None:
    """The number that one chain of equations multiplies with beside its contraction; None where it branches."""
    total = 1.0
    for e in equations:
        moving = [v for v in e.inputs if v in forms]
        if len(moving) != 1:
            return None
        if e.op in FACTORS:
            factor = factor_of(e, moving[0])
            if factor is None:
                return None
            total *= factor
        if e.op == "sub" and e.inputs[1] in forms:
            total = -total
    return total


# ------------------------------------------------------------------------------------------- contractions


def _contraction(
    equations: Sequence[Equation], forms: dict[Value, Form], factor: float, y: Value, primal: Sequence[Equation]
) -> Kind:
    """Of z = x w in x or in w: I ⊗ wᵀ, w ⊗ I, and what stands for them without a batch."""
    eqn = next(e for e in equations if e.op == "dot_general")
    first = eqn.inputs[0] in forms
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    own, other = eqn.inputs if first else eqn.inputs[::-1]
    own_c, own_b = (lc, lb) if first else (rc, rb)
    batch, summed = _size(own.shape, own_b), _size(own.shape, own_c)
    free, new = own.size // (batch * summed), other.size // (batch * summed)
    weight, transposed = _names(other, primal)
    m, n, times = y.size, own.size, _times(factor)
    if batch > 1:
        return Kind("block-diagonal", f"{times}batched product with {transposed}", block_diagonal(batch, m, n))
    if free == 1 and not own_b:
        return Kind("dense", f"{times}{transposed} g: adjoint of v ↦ {times}{weight} v", dense(m, n))
    # The axes that stay must lie beside those that are summed as a matrix product has them
    kept = range(len(own.shape) - len(own_c)) if first else range(len(own_c), len(own.shape))
    moved = any(e.op == "transpose" for e in equations) or set(kept) & set(own_c)
    structure = "kronecker, permuted" if moved and free > 1 and summed > 1 else "kronecker"
    if new == 1:
        told = f"outer product: row i of the result reads row i alone, times {times}{weight}"
        return Kind(structure, told, kronecker(identity(free), dense(1, summed)))
    matrix = dense(new, summed)
    pair = (identity(free), matrix) if first else (matrix, identity(free))
    product = f"{times}g {transposed}" if first else f"{times}{transposed} g"
    forward = f"{times}v {weight}" if first else f"{times}{weight} v"
    return Kind(structure, f"{product}: adjoint of v ↦ {forward}", kronecker(*pair))


def _names(weight: Value, primal: Sequence[Equation]) -> tuple[str, str]:
    """What a factor is called, and its transpose."""
    maker = next((e for e in primal if weight in e.outputs), None)
    if maker is not None and maker.op == "transpose" and len(weight.shape) == 2 and maker.inputs[0].name:
        return f"{maker.inputs[0].name}ᵀ", maker.inputs[0].name
    name = weight.name or weight.hint or "M"
    return name, f"{name}ᵀ"


def _sum(eqn: Equation, factor: float, form: Form, x: Value, y: Value) -> Kind:
    told = f"{_times(factor)}broadcast: adjoint of the sum over {_axes(tuple(eqn.params['axes']))}"
    structure = "kronecker" if _kept(form, x) else "dense"
    return Kind(structure, told, block_diagonal(y.size, y.size, x.size))


def _convolution(eqn: Equation, forms: dict[Value, Form], form: Form, x: Value, y: Value) -> Kind:
    blocks = _size(x.shape, _kept(form, x))
    structure = "block-diagonal" if blocks > 1 else "dense"
    image = eqn.inputs[0] in forms
    told = f"correlation of g with the {'kernel' if image else 'image'}: adjoint of the convolution"
    return Kind(structure, told, block_diagonal(blocks, y.size, x.size))


# ------------------------------------------------------------------------------------ one entry in a row


def _movement(
    equations: Sequence[Equation], scale: float, form: Form, at: np.ndarray | None, x: Value, y: Value
) -> Kind:
    """A number times entries that only move."""
    m, n, times = y.size, x.size, _times(scale)
    moved = {x, *(v for e in equations for v in e.outputs)}
    if any(e.op == "pad" or (e.op == "concatenate" and not moved.issuperset(e.inputs)) for e in equations):
        return Kind("sparse", f"{times}the slice of g: adjoint of putting zeros around", selection(m, n))
    if m == n and _in_order(form, x):
        return _multiple(scale, n)
    if m == n and at is not None and np.array_equal(at, np.arange(n)):
        return _multiple(scale, n)
    moves = any(e.op in ("gather", "concatenate") for e in equations)
    if m == n and at is not None and np.bincount(at, minlength=n).all():
        return Kind("permutation" if scale == 1 else "sparse", f"{times}the same movement, back", identity(n))
    if not moves and m > n:
        gone = [a for a, f in enumerate(form.axes) if f is None]
        told = f"{times}sum over {_axes(gone)}: adjoint of the broadcast" if gone else f"{times}sum"
    elif not moves and m < n:
        told = f"zeros with {times}g put in place: adjoint of the slice"
    else:
        told = f"zeros, and {times}g added in place: adjoint of the selection"
    return Kind("selection" if scale == 1 else "sparse", told, selection(m, n))


def _multiple(scale: float, n: int) -> Kind:
    if scale == 1:
        return Kind("identity", "g itself", identity(n))
    return Kind("scaled", f"{_times(scale)}g", diagonal(n))


# ---------------------------------------------------------------------------------------------- by axes


def _by_axes(form: Form, x: Value, y: Value) -> Kind:
    m, n = y.size, x.size
    kept = _kept(form, x)
    everything = len(kept) == sum(s != 1 for s in x.shape)
    if everything and m == n:
        if _in_order(form, x):
            return Kind("diagonal", "Hadamard, because J is diagonal", diagonal(n))
        return Kind("sparse", "Hadamard, and the axes back in their place", diagonal(n))
    if everything:
        gone = [a for a, f in enumerate(form.axes) if f is None and y.shape[a] != 1]
        return Kind("sparse", f"Hadamard, then sum over {_axes(gone)}", block_diagonal(n, m, n))
    if kept:
        told = f"one Jacobian for each index of {_axes(kept)}"
        return Kind("block-diagonal", told, block_diagonal(_size(x.shape, kept), m, n))
    return Kind("dense", "Jᵀ g", dense(m, n))


def _kept(form: Form, x: Value) -> list[int]:
    """The axes of x that are followed, but for those of length 1; none where one is followed twice."""
    kept = [a for a in form.axes if a is not None and x.shape[a] != 1]
    return sorted(kept) if len(set(kept)) == len(kept) else []


def _in_order(form: Form, x: Value) -> bool:
    """Whether the flat order of entries stays."""
    long = [a for a, s in enumerate(x.shape) if s != 1]
    return [a for a in form.axes if a is not None and x.shape[a] != 1] == long


def _size(shape: Sequence[int], axes: Sequence[int]) -> int:
    return math.prod(shape[a] for a in axes)


def _times(factor: float) -> str:
    """The factor as it stands before a product; nothing for 1."""
    return {1.0: "", -1.0: "−"}.get(factor, f"{factor:.4g} ".replace("-", "−"))


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"

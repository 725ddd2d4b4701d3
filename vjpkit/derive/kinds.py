"""The structure of a stage's Jacobian from its equations alone: which axes of the output follow which of the input.

An axis of a value follows an axis of the input where index k of the one reads index k of the other and no other.
All axes followed: a diagonal. Some: blocks along these. None: a dense matrix. A contraction with something that
does not depend on the input is a Kronecker product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vjpkit.derive.brackets import Factor, block_diagonal, dense, diagonal, identity, kronecker
from vjpkit.derive.costs import FREE
from vjpkit.derive.idioms import FUNCTIONS, INFIX
from vjpkit.derive.program import Equation, Value

Axes = tuple[int | None, ...]
ELEMENTWISE = {*INFIX, *FUNCTIONS, "div", "neg", "integer_pow", "square", "pow", "select_n", "clamp", "rem", "round"}
ELEMENTWISE |= {"convert_element_type", "copy", "stop_gradient", "not", "exp", "log", "tanh"}

BIAS = {"add", "broadcast_in_dim", "reshape"}


class Kind(NamedTuple):
    """The structure, the product that it makes of a vector, and the factor that brackets are counted with."""

    structure: str
    product: str
    factor: Factor


def kind(equations: Sequence[Equation], x: Value, y: Value, name: str) -> Kind:
    """The Jacobian of y, which the equations compute, in x, which has this name."""
    m, n = y.size, x.size
    contraction = next(
        (e for e in equations if e.op in ("dot_general", "conv_general_dilated") and x in e.inputs), None
    )
    rest = [e for e in equations if e is not contraction]
    if contraction is not None and all(e.op in ("add", "sub", "broadcast_in_dim", "transpose") for e in rest):
        return _contraction(contraction, x, m, n)
    moves = [e for e in equations if e.op not in FREE]
    if not moves and equations:
        return _movement(x, y)
    if [e.op for e in equations if e.op not in FREE] == ["reduce_sum"]:
        axes = tuple(next(e for e in equations if e.op == "reduce_sum").params["axes"])
        return Kind("kronecker", f"broadcast: adjoint of the sum over {_axes(axes)}", dense(m, n))
    return _by_axes(equations, x, y)


def _contraction(eqn: Equation, x: Value, m: int, n: int) -> Kind:
    """Of z = x w in x or in w: I ⊗ wᵀ, x ⊗ I, and what stands for them without a batch."""
    if eqn.op != "dot_general":
        return Kind("toeplitz", "correlation: adjoint of the convolution", dense(m, n))
    first = eqn.inputs[0] is x
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    own, other = (eqn.inputs[0], eqn.inputs[1]) if first else (eqn.inputs[1], eqn.inputs[0])
    own_c, own_b = (lc, lb) if first else (rc, rb)
    size = lambda v, axes: _product(v.shape[a] for a in axes)  # noqa: E731
    batch, summed = size(own, own_b), size(own, own_c)
    free = own.size // (batch * summed)
    new = other.size // (batch * summed)
    weight = other.name or other.hint or "w"
    matrix = dense(new, summed)
    if batch > 1:
        return Kind("block-diagonal", f"batched product with {weight}, transposed", block_diagonal(batch, m, n))
    if free == 1:
        return Kind("dense", f"{weight}ᵀ g: adjoint of v ↦ {weight} v", dense(m, n))
    if new == 1:
        return Kind(
            "kronecker",
            f"outer product: row i of the result reads row i alone, times {weight}",
            kronecker(identity(free), dense(1, summed)),
        )
    factor = kronecker(identity(free), matrix) if first else kronecker(matrix, identity(free))
    side = f"g {weight}ᵀ: adjoint of v ↦ v {weight}" if first else f"{weight}ᵀ g: adjoint of v ↦ {weight} v"
    return Kind("kronecker", side, factor)


def _movement(x: Value, y: Value) -> Kind:
    if y.size == x.size:
        return Kind("permutation", "the same movement, back", identity(x.size))
    if y.size > x.size:
        return Kind("selection", "sum: adjoint of the broadcast", dense(y.size, x.size))
    return Kind("selection", "zeros with g put in place: adjoint of the slice", dense(y.size, x.size))


def _by_axes(equations: Sequence[Equation], x: Value, y: Value) -> Kind:
    m, n = y.size, x.size
    values = followed(equations, x)
    follows = values.get(y, ())
    reading = [e for e in equations if any(v in values for v in e.inputs)]
    added = all(
        e.op in ("add", "broadcast_in_dim", "reshape") or (e.op == "sub" and e.inputs[0] in values) for e in reading
    )
    kept = [a for a in follows if a is not None]
    if len(set(kept)) == len(kept) == len(x.shape) and m == n:
        structure = "identity" if added else "diagonal"
        factor = identity(n) if structure == "identity" else diagonal(n)
        told = "g itself" if structure == "identity" else "Hadamard, because J is diagonal"
        return Kind(structure, told, factor)
    if len(set(kept)) == len(kept) == len(x.shape):
        gone = [a for a, f in enumerate(follows) if f is None]
        told = "sum" if added else "Hadamard, then sum"
        return Kind("selection", f"{told} over {_axes(gone)}: adjoint of the broadcast", dense(m, n))
    if kept:
        blocks = _product(x.shape[a] for a in set(kept))
        told = f"one Jacobian for each index of {_axes(sorted(set(kept)))}"
        return Kind("block-diagonal", told, block_diagonal(blocks, m, n))
    return Kind("dense", "Jᵀ g", dense(m, n))


def followed(equations: Sequence[Equation], x: Value) -> dict[Value, Axes]:
    """For each value that depends on x: the axis of x that each of its axes follows."""
    found: dict[Value, Axes] = {x: tuple(range(len(x.shape)))}
    for eqn in equations:
        operands = [v for v in eqn.inputs if v in found]
        if operands:
            for v in eqn.outputs:
                found[v] = _follow(eqn, operands, found, v)
    return found


def _follow(eqn: Equation, operands: list[Value], found: dict[Value, Axes], y: Value) -> Axes:
    nothing: Axes = (None,) * len(y.shape)
    v = operands[0]
    own = found[v]
    if eqn.op in ELEMENTWISE:
        each = [found[u] if u.shape == y.shape else _stretched(found[u], u, y) for u in operands]
        return tuple(a[0] if len(set(a)) == 1 else None for a in zip(*each, strict=True)) if y.shape else ()
    if eqn.op == "broadcast_in_dim":
        at = {d: own[k] if v.shape[k] == y.shape[d] else None for k, d in enumerate(eqn.params["broadcast_dimensions"])}
        return tuple(at.get(k) for k in range(len(y.shape)))
    if eqn.op == "transpose":
        return tuple(own[k] for k in eqn.params["permutation"])
    if eqn.op.startswith(("reduce_", "arg")) and "axes" in eqn.params:
        return tuple(a for k, a in enumerate(own) if k not in eqn.params["axes"])
    if eqn.op in ("reshape", "squeeze", "expand_dims"):
        return _reshaped(own, v.shape, y.shape)
    if eqn.op.startswith("cum"):
        return tuple(None if k == eqn.params["axis"] else a for k, a in enumerate(own))
    if eqn.op == "dot_general" and len(operands) == 1:
        (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
        batch, summed = (lb, lc) if eqn.inputs[0] is v else (rb, rc)
        free = [own[k] for k in range(len(own)) if k not in (*batch, *summed)]
        others = len(y.shape) - len(batch) - len(free)
        placed = [*free, *[None] * others] if eqn.inputs[0] is v else [*[None] * others, *free]
        return (*(own[k] for k in batch), *placed)
    return nothing


def _stretched(axes: Axes, u: Value, y: Value) -> Axes:
    """A value that broadcasts: along axes of length 1 nothing is followed."""
    if len(u.shape) != len(y.shape):
        return (None,) * len(y.shape)
    return tuple(a if s == t else None for a, s, t in zip(axes, u.shape, y.shape, strict=True))


def _reshaped(axes: Axes, before: Sequence[int], after: Sequence[int]) -> Axes:
    """Axes that keep their place, from the front and, apart from ones, throughout."""
    core = [(s, a) for s, a in zip(before, axes, strict=True) if s != 1]
    if [s for s, _ in core] == [s for s in after if s != 1]:
        rest = iter(a for _, a in core)
        return tuple(None if s == 1 else next(rest) for s in after)
    out: list[int | None] = [None] * len(after)
    for k, (s, t) in enumerate(zip(before, after, strict=False)):
        if s != t:
            break
        out[k] = axes[k]
    return tuple(out)


def _product(sizes: object) -> int:
    total = 1
    for s in sizes:  # type: ignore[attr-defined]
        total *= s
    return total


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"

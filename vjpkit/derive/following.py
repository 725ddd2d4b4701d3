"""A linear program followed from one vector: which axis of it each axis of a result follows, and with what factor.

An axis of a value follows an axis of the vector where index k of the one reads index k of the other and no other.
A value that is one number times entries of the vector, moved among zeros, has that number as its scale. What another
vector contributes is left out: a sum passes on the one term that moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vjpkit.derive.program import Equation, Value, alive, dependent

Axes = tuple[int | None, ...]
SUMS = {"add", "add_any", "sub"}
FACTORS = {"mul", "div", "neg"}
SAME = {"convert_element_type", "copy", "copy_p", "reduce_precision", "pvary", "pcast"}
RESHAPES = {"reshape", "squeeze", "expand_dims"}
PLACES = 2**22  # entries up to which a movement is run


class Form(NamedTuple):
    """The axis of the vector that each axis follows; the number that times an entry of it is each entry, or None."""

    axes: Axes
    scale: float | None


def path(tangent: Sequence[Equation], x: Value, y: Value) -> list[Equation]:
    """The equations by which y follows from x."""
    moved = dependent(tangent, [x])
    return alive([e for e in tangent if any(v in moved for v in e.inputs)], [y])


def followed(equations: Sequence[Equation], x: Value) -> dict[Value, Form]:
    """The form of each value that depends on x."""
    found = {x: Form(tuple(range(len(x.shape))), 1.0)}
    for eqn in equations:
        if any(v in found for v in eqn.inputs):
            found.update({v: _followed(eqn, found, v) for v in eqn.outputs})
    return found


def _followed(eqn: Equation, found: dict[Value, Form], y: Value) -> Form:
    forms = [_stretched(found[v], v, y) if eqn.op in ELEMENTWISE else found[v] for v in eqn.inputs if v in found]
    if eqn.op in SUMS or eqn.op == "select_n":
        return _joined(eqn, found, forms)
    v = next(v for v in eqn.inputs if v in found)
    own = forms[0]
    if eqn.op in FACTORS or eqn.op in SAME:
        factor = factor_of(eqn, v)
        return Form(own.axes, None if factor is None or own.scale is None else own.scale * factor)
    if eqn.op == "concatenate":
        each = tuple(common(a) for a in zip(*(f.axes for f in forms), strict=True))
        return Form(_except([eqn.params["dimension"]], each), common([f.scale for f in forms]))
    axes = AXES[eqn.op](eqn, v, own.axes, y) if eqn.op in AXES else (None,) * len(y.shape)
    return Form(axes, own.scale if eqn.op in MOVES or eqn.op in ("gather", "dynamic_slice", "pad") else None)


def _joined(eqn: Equation, found: dict[Value, Form], forms: list[Form]) -> Form:
    """A sum of terms, or a choice between them; what does not move is zero."""
    axes = tuple(common(a) for a in zip(*(f.axes for f in forms), strict=True))
    scales = [f.scale for f in forms]
    if len(forms) == 1 and eqn.op in SUMS:
        sign = -1.0 if eqn.op == "sub" and eqn.inputs[1] in found else 1.0
        return Form(axes, None if scales[0] is None else sign * scales[0])
    same_entries = all(f.axes == axes for f in forms) and None not in axes and None not in scales
    if not same_entries:
        return Form(axes, None)
    if eqn.op in SUMS:
        return Form(axes, scales[0] - scales[1] if eqn.op == "sub" else scales[0] + scales[1])  # type: ignore[operator]
    return Form(axes, common(scales) if len(forms) == len(eqn.inputs) - 1 else None)


def factor_of(eqn: Equation, v: Value) -> float | None:
    """The number with which an equation multiplies v; None where it is no number."""
    if eqn.op in SAME:
        return 1.0
    if eqn.op == "neg":
        return -1.0
    other = eqn.inputs[1] if eqn.inputs[0] is v else eqn.inputs[0]
    n = other.number
    if not isinstance(n, int | float) or (eqn.op == "div" and not n):
        return None
    return float(n) if eqn.op == "mul" else 1 / n


def common(items: Sequence[Any]) -> Any:
    """What all are, None where they differ."""
    return items[0] if len(set(items)) == 1 else None


# ------------------------------------------------------------------------------------------------- axes


def _stretched(form: Form, v: Value, y: Value) -> Form:
    """A value that broadcasts: along axes of length 1 nothing is followed."""
    if v.shape == y.shape:
        return form
    lead = len(y.shape) - len(v.shape)
    axes = tuple(a if s == y.shape[k + lead] else None for k, (a, s) in enumerate(zip(form.axes, v.shape, strict=True)))
    return Form((None,) * lead + axes, form.scale)


def _broadcast(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    at = {d: own[k] for k, d in enumerate(eqn.params["broadcast_dimensions"]) if v.shape[k] == y.shape[d]}
    return tuple(at.get(k) for k in range(len(y.shape)))


def _reshaped(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    """Axes that keep their place, from the front and, apart from ones, throughout."""
    core = [(s, a) for s, a in zip(v.shape, own, strict=True) if s != 1]
    if [s for s, _ in core] == [s for s in y.shape if s != 1]:
        rest = iter(a for _, a in core)
        return tuple(None if s == 1 else next(rest) for s in y.shape)
    out: list[int | None] = [None] * len(y.shape)
    for k, (s, t) in enumerate(zip(v.shape, y.shape, strict=False)):
        if s != t:
            break
        out[k] = own[k]
    return tuple(out)


def _contracted(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    first = eqn.inputs[0] is v
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    batch, summed = (lb, lc) if first else (rb, rc)
    free = tuple(own[k] for k in range(len(own)) if k not in (*batch, *summed))
    others: Axes = (None,) * (len(y.shape) - len(batch) - len(free))
    return (*(own[k] for k in batch), *(free + others if first else others + free))


def _convolved(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    """The batch of the image, the output's channels of the kernel."""
    d = eqn.params["dimension_numbers"]
    image = eqn.inputs[0] is v
    grouped = eqn.params["batch_group_count"] > 1
    at, axis = (d.out_spec[0], d.lhs_spec[0]) if image else (d.out_spec[1], d.rhs_spec[0])
    return tuple(own[axis] if k == at and not grouped else None for k in range(len(y.shape)))


def _gathered(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    """The axes that are taken whole."""
    d, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    gone = {*d.collapsed_slice_dims, *d.operand_batching_dims}
    stays = [own[k] if sizes[k] == v.shape[k] else None for k in range(len(own)) if k not in gone]
    at = dict(zip(d.offset_dims, stays, strict=True))
    return tuple(at.get(k) for k in range(len(y.shape)))


def _without(axes: Sequence[int], own: Axes) -> Axes:
    return tuple(a for k, a in enumerate(own) if k not in axes)


def _except(axes: Sequence[int], own: Axes) -> Axes:
    return tuple(None if k in axes else a for k, a in enumerate(own))


def _resized(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    """The axes whose length stays: a slice of all of them, or padding by nothing."""
    return tuple(a if s == t else None for a, s, t in zip(own, v.shape, y.shape, strict=True))


def _padded(eqn: Equation, v: Value, own: Axes, y: Value) -> Axes:
    moved = [k for k, config in enumerate(eqn.params["padding_config"]) if any(config)]
    return _except(moved, own)


AXES: dict[str, Callable[[Equation, Value, Axes, Value], Axes]] = {
    "broadcast_in_dim": _broadcast,
    **dict.fromkeys(RESHAPES, _reshaped),
    "transpose": lambda e, v, own, y: tuple(own[k] for k in e.params["permutation"]),
    "rev": lambda e, v, own, y: _except(e.params["dimensions"], own),
    "slice": _resized,
    "dynamic_slice": _resized,
    "pad": _padded,
    "gather": _gathered,
    "reduce_sum": lambda e, v, own, y: _without(e.params["axes"], own),
    **dict.fromkeys(("cumsum", "cumprod", "cummax"), lambda e, v, own, y: _except([e.params["axis"]], own)),
    "dot_general": _contracted,
    "conv_general_dilated": _convolved,
}
ELEMENTWISE = SUMS | FACTORS | SAME | {"select_n"}


# ------------------------------------------------------------------------------------------------- places


def places(equations: Sequence[Equation], x: Value, y: Value) -> np.ndarray | None:
    """Which entry of x each entry of y is, flat, by running the movement; None where that is no fixed movement."""
    if max(x.size, *(e.outputs[0].size for e in equations), 1) > PLACES:
        return None
    at: dict[Value, np.ndarray] = {x: np.arange(x.size).reshape(x.shape)}
    for e in equations:
        moving = [v for v in e.inputs if v in at]
        if len(moving) != (len(e.inputs) if e.op == "concatenate" else 1):
            return None
        passes = e.op in SAME | FACTORS | SUMS and moving[0].shape == e.outputs[0].shape
        if not passes and e.op not in MOVES:
            return None
        at[e.outputs[0]] = at[moving[0]] if passes else MOVES[e.op](e, *(at[v] for v in moving))
    return at[y].ravel()


def _spread(e: Equation, a: np.ndarray) -> np.ndarray:
    shape = e.outputs[0].shape
    lengths = dict(zip(e.params["broadcast_dimensions"], a.shape, strict=True))
    return np.broadcast_to(a.reshape([lengths.get(k, 1) for k in range(len(shape))]), shape)


def _sliced(e: Equation, a: np.ndarray) -> np.ndarray:
    starts, ends = e.params["start_indices"], e.params["limit_indices"]
    return a[tuple(map(slice, starts, ends, e.params["strides"] or (1,) * a.ndim))]


MOVES: dict[str, Callable[..., np.ndarray]] = {
    **dict.fromkeys(RESHAPES, lambda e, a: a.reshape(e.outputs[0].shape)),
    "broadcast_in_dim": _spread,
    "transpose": lambda e, a: a.transpose(e.params["permutation"]),
    "rev": lambda e, a: np.flip(a, e.params["dimensions"]),
    "slice": _sliced,
    "concatenate": lambda e, *parts: np.concatenate(parts, e.params["dimension"]),
}

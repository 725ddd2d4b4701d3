"""Gathers and scatters as one indexes in jnp: rows, entries along an axis; what is neither stays a call of jax.lax."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vjpkit.derive.program import Equation, Value
from vjpkit.derive.text import Text, call, literal

if TYPE_CHECKING:
    from vjpkit.derive.writer import Writer

LAID_OUT = ("reshape", "broadcast_in_dim", "expand_dims", "convert_element_type")  # between indices and their use
METHODS = {"scatter": "set", "scatter-add": "add", "scatter-mul": "multiply"}


def from_the_end(eqn: Equation, makers: dict[Value, Equation]) -> tuple[Value, int] | None:
    """i and n, of an equation that computes i where i ≥ 0 and i + n elsewhere, as indexing does by itself."""
    if eqn.op != "select_n" or len(eqn.inputs) != 3 or any(v not in makers for v in (eqn.inputs[0], eqn.inputs[2])):
        return None
    below, shifted, i = makers[eqn.inputs[0]], makers[eqn.inputs[2]], eqn.inputs[1]
    negative = below.op == "lt" and below.inputs[0] is i and below.inputs[1].number == 0
    if not negative or shifted.op != "add" or shifted.inputs[0] is not i or shifted.inputs[1].number is None:
        return None
    return i, shifted.inputs[1].number


def gather(w: Writer, eqn: Equation) -> Text:
    x, index = eqn.inputs
    d, mode, sizes = eqn.params["dimension_numbers"], _mode(eqn), tuple(map(int, eqn.params["slice_sizes"]))
    of_rows = sizes == (1, *x.shape[1:]) and tuple(d.offset_dims) == _window(index, eqn.outputs[0])
    if _is_of_rows(d.collapsed_slice_dims, d.start_index_map, d.operand_batching_dims, index) and of_rows:
        at, wraps = _index(w, index, x.shape[0])
        if wraps and mode == "promise_in_bounds":
            return Text(f"{w.text(x).atom}[{at.code}]")
        return call(f"{w.text(x).atom}.at[{at.code}].get", mode=f'"{mode}"', **_fill(eqn))
    axis = _along(d.collapsed_slice_dims, d.start_index_map, d.operand_batching_dims, d.start_indices_batching_dims, x)
    if axis is not None and mode == "fill" and eqn.outputs[0].shape == index.shape[:-1]:
        at, wraps = _index(w, index, x.shape[axis])
        if wraps:
            return call("jnp.take_along_axis", w.text(x).code, at.code, str(axis), **_fill(eqn))
    options = {"dimension_numbers": numbers(d), "slice_sizes": repr(sizes), "mode": f'"{mode}"'} | _fill(eqn)
    return call("jax.lax.gather", w.text(x).code, w.text(index).code, **options)


def scatter(w: Writer, eqn: Equation) -> Text:
    x, index, updates = eqn.inputs
    d, mode = eqn.params["dimension_numbers"], _mode(eqn)
    gone, to = d.inserted_window_dims, d.scatter_dims_to_operand_dims
    where = None
    rest = len(index.shape) - 1
    if (
        _is_of_rows(gone, to, d.operand_batching_dims, index)
        and tuple(d.update_window_dims) == _window(index, updates)
        and updates.shape[rest:] == x.shape[1:]
    ):
        where, wraps = _index(w, index, x.shape[0])
    axis = _along(gone, to, d.operand_batching_dims, d.scatter_indices_batching_dims, x)
    if axis is not None and updates.shape == index.shape[:-1]:
        at, wraps = _index(w, index, x.shape[axis])
        grid = [_counting(n, len(x.shape) - 1 - k) for k, n in enumerate(x.shape)]
        where = Text(", ".join([*grid[:axis], at.code, *grid[axis + 1 :]])) if wraps else None
    if where is None or eqn.op not in METHODS:
        name = "jax.lax." + eqn.op.replace("-", "_")
        arguments = (w.text(v).code for v in (x, index, updates))
        return call(name, *arguments, dimension_numbers=numbers(d), mode=f'"{mode}"')
    how = "" if mode == "drop" else f', mode="{mode}"'
    return Text(f"{w.text(x).atom}.at[{where.code}].{METHODS[eqn.op]}({w.text(updates).code}{how})")


def numbers(d: Any) -> str:
    """Dimension numbers, with Python's integers for NumPy's."""
    return "jax.lax." + re.sub(r"np\.int\d+\((-?\d+)\)", r"\1", repr(d))


def _is_of_rows(gone: Any, to: Any, batching: Any, index: Value) -> bool:
    return tuple(gone) == tuple(to) == (0,) and not batching and index.shape[-1] == 1


def _window(index: Value, y: Value) -> tuple[int, ...]:
    return tuple(range(len(index.shape) - 1, len(y.shape)))


def _along(gone: Any, to: Any, batching: Any, of_index: Any, x: Value) -> int | None:
    """The one axis that is indexed, where every other is counted along; None where it is not so."""
    if len(gone) != 1 or tuple(gone) != tuple(to):
        return None
    others = tuple(k for k in range(len(x.shape)) if k != gone[0])
    return int(gone[0]) if others and tuple(batching) == tuple(of_index) == others else None


def _counting(n: int, behind: int) -> str:
    return f"jnp.arange({n})" + (f"[:{', None' * behind}]" if behind else "")


def _index(w: Writer, index: Value, n: int) -> tuple[Text, bool]:
    """The index as one writes it, and whether it may count from the end, an axis having n entries."""
    v = index
    while v in w.makers and w.makers[v].op in LAID_OUT and w.makers[v].inputs[0].size == v.size:
        inner = w.makers[v].inputs[0]
        if v.shape == index.shape[:-1] != inner.shape:
            break
        v = inner
    if v.shape != index.shape[:-1]:
        return Text(f"{w.text(index).atom}[..., 0]"), False
    found = from_the_end(w.makers[v], w.makers) if v in w.makers else None
    if found is None or found[1] != n:
        return w.text(v), False
    return w.text(found[0]), True


def _fill(eqn: Equation) -> dict[str, str]:
    """What stands where an index is out of range, unless it is NaN, as it is by default."""
    fill = eqn.params.get("fill_value")
    return {} if fill is None or fill != fill else {"fill_value": literal(fill).code}


def _mode(eqn: Equation) -> str:
    name = getattr(eqn.params["mode"], "name", "FILL_OR_DROP")
    otherwise = "fill" if eqn.op == "gather" else "drop"
    return {"CLIP": "clip", "PROMISE_IN_BOUNDS": "promise_in_bounds"}.get(name, otherwise)


INDEXING: dict[str, Callable[[Any, Equation], Text]] = {
    "gather": gather,
    **dict.fromkeys((*METHODS, "scatter-min", "scatter-max"), scatter),
}

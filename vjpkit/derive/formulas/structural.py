"""Operations that are no elementwise ones, each as the linear maps that its differential is, at a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vjpkit.derive.contractions import subscripts
from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, Permute, Reshape, Space, Spread, Sum
from vjpkit.derive.formulas.scalars import Leaf, leaves
from vjpkit.derive.formulas.selections import MOVES, described, matrix, ones_at, origins, selection, separate
from vjpkit.derive.program import Equation, Value

if TYPE_CHECKING:
    from vjpkit.derive.formulas.reading import Reading


def total(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """y = Σ x."""
    return [Sum(tuple(eqn.params["axes"]), r.space(eqn.inputs[k]))]


def extreme(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """y = max x: the entries that are the largest, in equal parts."""
    (x,), (y,) = eqn.inputs, eqn.outputs
    axes = tuple(eqn.params["axes"])
    source, _ = r.source(x)

    def numbers(env: dict[Value, Any]) -> Any:
        largest = env[x] == np.expand_dims(env[y], axes)
        return largest / largest.sum(axes, keepdims=True)

    which = "largest" if eqn.op == "reduce_max" else "smallest"
    space = r.space(x)
    told = f"1 where {{}} is {which}, else 0; equal ones share it"
    mask = r.make("M", space, numbers, told, (source,))
    return [Hadamard(Leaf(mask, tuple(range(len(x.shape)))), space), Sum(axes, space)]


def contraction(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """y = Σ a x over the axes that both have."""
    letters = subscripts(eqn)
    other, permuted = _view(r, eqn.inputs[1 - k], letters[1 - k])
    x, y = eqn.inputs[k], eqn.outputs[0]
    return [Contract(other, permuted, letters[k], letters[2], r.space(x), r.space(y))]


def _view(r: Reading, v: Value, letters: str) -> tuple[Value, str]:
    """The value of which v is the transpose, with its letters; v itself where it is no transpose."""
    source, maps = r.source(v)
    if not maps:
        return source, letters
    if len(maps) == 1 and isinstance(maps[0], Permute):
        return source, "".join(letters[k] for k in maps[0].back)
    return v, letters


def cumulative(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """y_i = Σ_j≤i x_j: a triangle of ones."""
    x, axis = eqn.inputs[0], eqn.params["axis"]
    n, backwards = x.shape[axis], eqn.params["reverse"]
    ones = np.tri(n).T if backwards else np.tri(n)
    sign = "≥" if backwards else "≤"
    square = r.space(x).take([axis, axis])
    triangle = r.make("L", square, lambda env: ones, f"1 at i, j where j {sign} i, else 0", ())
    own = "abcdefgh"[: len(x.shape)]
    changed = own.replace(own[axis], "z")
    return [Contract(triangle, "z" + own[axis], own, changed, r.space(x), r.space(eqn.outputs[0]))]


def movement(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """y = S x, an axis at a time where the axes go by themselves: entries of x in other places."""
    x, y = r.space(eqn.inputs[k]), r.space(eqn.outputs[out])
    wide = [a for a, n in enumerate(y.shape) if n != 1]
    unit = tuple(a for a in range(len(y.shape)) if a not in wide)
    narrow = y.take(wide) if len(x.shape) != len(y.shape) else y

    def places(env: dict[Value, Any]) -> np.ndarray:
        return origins(eqn, [env[v] for v in eqn.inputs], k, out).reshape(narrow.shape)

    here = places(r.point)
    each = separate(here, x.shape)
    if each is None and narrow is y:
        narrow = y.take(wide)
        here = here.reshape(narrow.shape)
    maps = _at_once(r, eqn, k, here, x, narrow, places) if each is None else _by_axis(r, eqn, k, each, x, places)
    return maps if narrow is y else [*maps, Spread(unit, y)]


Places = Callable[[dict[Value, Any]], np.ndarray]


def _by_axis(r: Reading, eqn: Equation, k: int, each: list[np.ndarray], x: Space, places: Places) -> list[Map]:
    """A matrix for each axis that changes."""
    maps: list[Map] = []
    space, own = x, "abcdefgh"[: len(x.shape)]
    y = r.space(eqn.outputs[0]) if len(eqn.outputs[0].shape) == len(x.shape) else x
    for axis, line in enumerate(each):
        if np.array_equal(line, np.arange(x.shape[axis])):
            continue
        n = (len(line), x.shape[axis])
        dims = (y.dims[axis] if y.shape[axis] == len(line) else str(len(line)), x.dims[axis])

        def numbers(env: dict[Value, Any], axis: int = axis) -> Any:
            lines = separate(places(env), x.shape)
            assert lines is not None
            return ones_at(lines[axis], x.shape[axis])

        told, about = _told(r, eqn, k, line)
        chooser = r.make("S", Space(n, dims), numbers, told, about)
        after = space.replaced(axis, n[0], dims[0])
        maps.append(Contract(chooser, "z" + own[axis], own, own.replace(own[axis], "z"), space, after))
        space = after
    return maps


def _told(r: Reading, eqn: Equation, k: int, line: np.ndarray) -> tuple[str, tuple[Value, ...]]:
    """What the matrix takes, in words."""
    if eqn.op == "gather" and len(eqn.inputs) > 1:
        indices = r.expr.get(eqn.inputs[1])
        read = [leaf.value for leaf in leaves(indices)] if indices is not None else [eqn.inputs[1]]
        if len(read) == 1 and read[0] in r.program.inputs:
            return "1 at i, j where j is entry i of {}, else 0", (read[0],)
    source, _ = r.source(eqn.inputs[k])
    if words := described(line):
        return words, ()
    return f"1 where {eqn.op} takes that entry of {{}}, else 0", (source,)


def _at_once(r: Reading, eqn: Equation, k: int, here: np.ndarray, x: Space, y: Space, places: Places) -> list[Map]:
    """One array for all axes."""
    s = selection(here, x.shape)

    def numbers(env: dict[Value, Any]) -> Any:
        return matrix(s, places(env).reshape(y.shape), x.shape)

    axes = {c: space.take([i]) for space, letters in ((x, s.own), (y, s.out)) for i, c in enumerate(letters)}
    shape = Space(tuple(axes[c].shape[0] for c in s.fixed), tuple(axes[c].dims[0] for c in s.fixed))
    told, about = _told(r, eqn, k, np.array([]))
    chooser = r.make("S", shape, numbers, told, about)
    return [Contract(chooser, s.fixed, s.own, s.out, x, y)]


def reshape(r: Reading, eqn: Equation, k: int, out: int) -> list[Map]:
    """The same entries, row by row."""
    return [Reshape(r.space(eqn.inputs[0]), r.space(eqn.outputs[0]))]


STRUCTURAL: dict[str, Callable[[Reading, Equation, int, int], list[Map]]] = {
    "reduce_sum": total,
    "reduce_max": extreme,
    "reduce_min": extreme,
    "dot_general": contraction,
    "cumsum": cumulative,
    "reshape": reshape,
    **dict.fromkeys(MOVES, movement),
}

"""The dimensions of a program: which axes of its values are one and the same, and what they are called.

Axes that meet in an operation have one name; axes of equal length that never meet may have different ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.formulas.maps import Space
from vjpkit.derive.program import Equation, Value
from vjpkit.derive.source import place

Axis = tuple[Value, int]


class Dimensions:
    """Classes of axes, each with a name where one was given."""

    def __init__(self, equations: Sequence[Equation]) -> None:
        self.parent: dict[Axis, Axis] = {}
        self.names: dict[Axis, str] = {}
        self.met: list[tuple[Axis, Axis, Equation]] = []
        for eqn in equations:
            for a, b in meetings(eqn):
                self.met.append((a, b, eqn))

    def name(self, given: Mapping[Axis, str], lengths: Mapping[str, int]) -> None:
        """Name axes of arguments, then every other axis of a length that has a name."""
        sizes: dict[str, int] = {}
        for (v, k), name in given.items():
            if sizes.setdefault(name, v.shape[k]) != v.shape[k]:
                raise DeriveError(f"dims: {name} is {sizes[name]} in one place, {v.shape[k]} in axis {k} of {v.name}")
            self.names[v, k] = name
        for a, b, eqn in self.met:
            self._join(a, b, eqn)
        self.lengths = {n: symbol for symbol, n in lengths.items()}

    def of(self, v: Value, axis: int) -> str:
        """What an axis is called; its length where it has no name."""
        n = v.shape[axis]
        return self.names.get(self._root((v, axis))) or self.lengths.get(n) or str(n)

    def space(self, v: Value) -> Space:
        return Space(v.shape, tuple(self.of(v, k) for k in range(len(v.shape))))

    def _root(self, axis: Axis) -> Axis:
        while axis in self.parent:
            axis = self.parent[axis]
        return axis

    def _join(self, a: Axis, b: Axis, eqn: Equation) -> None:
        a, b = self._root(a), self._root(b)
        if a == b:
            return
        one, other = self.names.get(a), self.names.get(b)
        if one and other and one != other:
            raise DeriveError(
                f"dims: {eqn.op} brings together an axis that is {one} and one that is {other}{place(eqn.where)}"
            )
        self.parent[a] = b
        if one:
            self.names[b] = one


def meetings(eqn: Equation) -> Iterable[tuple[Axis, Axis]]:
    """Pairs of axes that an operation makes one."""
    p, inputs = eqn.params, eqn.inputs
    y = eqn.outputs[0]
    x = inputs[0] if inputs else y
    if eqn.op == "dot_general":
        (lc, rc), (lb, rb) = p["dimension_numbers"]
        a, b = inputs
        yield from (((a, i), (b, j)) for i, j in zip((*lc, *lb), (*rc, *rb), strict=True))
        free_a = [i for i in range(len(a.shape)) if i not in (*lc, *lb)]
        free_b = [j for j in range(len(b.shape)) if j not in (*rc, *rb)]
        origin = [(a, i) for i in (*lb, *free_a)] + [(b, j) for j in free_b]
        yield from ((axis, (y, k)) for k, axis in enumerate(origin))
    elif eqn.op == "broadcast_in_dim":
        for k, axis in enumerate(p["broadcast_dimensions"]):
            if x.shape[k] == y.shape[axis]:
                yield (x, k), (y, axis)
    elif eqn.op == "transpose":
        yield from (((x, axis), (y, k)) for k, axis in enumerate(p["permutation"]))
    elif eqn.op.startswith("reduce_") and "axes" in p:
        kept = [k for k in range(len(x.shape)) if k not in p["axes"]]
        yield from (((x, axis), (y, k)) for k, axis in enumerate(kept))
    elif eqn.op in ("reshape", "squeeze", "expand_dims"):
        yield from (((x, i), (y, j)) for i, j in alike(x.shape, y.shape))
    elif eqn.op == "stack":
        new = p["axis"]
        yield from (((v, k), (y, k + (k >= new))) for v in inputs for k in range(len(v.shape)))
    elif eqn.op == "gather":
        offsets, d = p["dimension_numbers"].offset_dims, p["dimension_numbers"]
        whole = [k for k in range(len(x.shape)) if k not in (*d.collapsed_slice_dims, *d.operand_batching_dims)]
        yield from (((x, i), (y, j)) for i, j in zip(whole, offsets, strict=True) if x.shape[i] == y.shape[j])
        given = inputs[1]
        batch = [j for j in range(len(y.shape)) if j not in offsets]
        yield from (
            ((given, k), (y, j)) for k, j in enumerate(batch) if k < len(given.shape) and given.shape[k] == y.shape[j]
        )
    elif eqn.op == "concatenate":
        for v in inputs:
            yield from (((v, k), (y, k)) for k in range(len(y.shape)) if k != p["dimension"])
    elif len(eqn.outputs) == 1 and eqn.op != "scatter":
        for v in inputs:
            if len(v.shape) == len(y.shape):
                yield from (((v, k), (y, k)) for k in range(len(y.shape)) if v.shape[k] == y.shape[k])


def alike(a: Sequence[int], b: Sequence[int]) -> Iterable[tuple[int, int]]:
    """The axes that a reshape leaves as they are: the same length, as many entries before them."""
    i = j = 0
    before_a = before_b = 1
    while i < len(a) and j < len(b):
        if before_a == before_b and a[i] == b[j]:
            yield i, j
            before_a, before_b, i, j = before_a * a[i], before_b * b[j], i + 1, j + 1
        elif before_a * a[i] <= before_b * b[j]:
            before_a, i = before_a * a[i], i + 1
        else:
            before_b, j = before_b * b[j], j + 1


def unit_reshape(a: Sequence[int], b: Sequence[int]) -> dict[int, int] | None:
    """Where each axis went, of a reshape that only adds and drops axes of length 1; None for another."""
    kept_a, kept_b = ([k for k, n in enumerate(s) if n != 1] for s in (a, b))
    if [a[k] for k in kept_a] != [b[k] for k in kept_b]:
        return None
    return dict(zip(kept_a, kept_b, strict=True))


def spelled(dims: Any, arguments: Mapping[str, Value]) -> tuple[dict[Axis, str], dict[str, int]]:
    """`dims` as the caller gives it: names of an argument's axes, and names of lengths."""
    given: dict[Axis, str] = {}
    lengths: dict[str, int] = {}
    for key, entry in dict(dims or {}).items():
        if isinstance(entry, int):
            if entry in lengths.values():
                other = next(s for s, n in lengths.items() if n == entry)
                raise DeriveError(
                    f"dims: {other} and {key} are both {entry}; "
                    f"name them by argument, as in {{'x': ('{other}', '{key}')}}"
                )
            if not any(entry in v.shape for v in arguments.values()):
                raise DeriveError(f"dims: {key} is {entry}, and no argument has an axis of that length")
            lengths[key] = entry
        elif key not in arguments:
            raise DeriveError(f"dims: no argument {key!r} among {', '.join(arguments)}")
        else:
            words = entry.split() if isinstance(entry, str) else list(entry)
            v = arguments[key]
            if len(words) != len(v.shape):
                raise DeriveError(
                    f"dims: {key} has shape {list(v.shape)}, got {len(words)} names: {', '.join(map(str, words))}"
                )
            given.update({(v, k): str(word) for k, word in enumerate(words) if word is not None})
    return given, lengths

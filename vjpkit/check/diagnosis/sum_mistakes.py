"""Sums: over another axis, one entry in place of a sum, a broadcast along another axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Found, Mistake, at, where
from vjpkit.check.diagnosis.programs import Edit, Equation
from vjpkit.check.diagnosis.workings import Derived


def kept_sums(d: Derived, mends: bool) -> Iterator[Mistake]:
    """A sum with its axes kept, as in `sum(0, keepdims=True)`, over other axes."""
    for k, steps in d.program.sites():
        eqn = d.program.equations[k]
        if eqn.name not in ("reduce_sum", "reduce_max") or not eqn.params["axes"]:
            continue
        axes, rank = tuple(eqn.params["axes"]), d.base[0][eqn.inputs[0]].ndim
        kept = tuple(1 if i in axes else n for i, n in enumerate(d.base[0][eqn.inputs[0]].shape))
        users = [
            (s, j)
            for s in steps
            for j in d.program.users.get(d.program.equations[s].outputs[0], ())
            if d.base[0][d.program.equations[j].outputs[0]].shape == kept
        ]
        for other in itertools.chain.from_iterable(itertools.combinations(range(rank), n) for n in range(1, rank + 1)):
            over = set(axes) <= set(other)  # of fewer sums, each is repeated
            if (not users and not over) or other == axes:
                continue
            wrong, right = (axes, other) if mends else (other, axes)
            shape = d.base[0][eqn.inputs[0]].shape
            counts = [int(np.prod([shape[i] for i in which])) for which in (axes, other)]
            for word, c in {"sum": 1.0, "mean": counts[0] / counts[1]}.items():
                if word == "mean" and eqn.name == "reduce_max":
                    continue
                text = f"the {word} runs over {_axes(wrong)} in place of {_axes(right)}"
                summing = partial(_kept, np.max if eqn.name == "reduce_max" else np.sum, other, c)
                edits = {s: summing for s, _ in users} | {j: _as_it_is for _, j in users}
                yield Mistake(
                    "wrong_axis", f"{text} {where(d, k, steps)}".strip(), f"{word} over {_axes(right)}", 1.5, d,
                    edits=at(steps, partial(_repeated_sum, axes, other, c)) if over else partial(_same_at, edits),
                    mends=mends, origin=k, kind=(text,),
                )  # fmt: skip


def _repeated_sum(axes: tuple[int, ...], other: tuple[int, ...], c: float, x: list[Any]) -> list[Any]:
    total = c * x[0].sum(other, keepdims=True)
    shape = [1 if i in axes else n for i, n in enumerate(x[0].shape)]
    return [np.squeeze(np.broadcast_to(total, shape), axes)]


def _kept(total: Any, axes: tuple[int, ...], c: float, x: list[Any]) -> list[Any]:
    return [c * total(x[0], axes, keepdims=True)]


def _as_it_is(x: list[Any]) -> list[Any]:
    return [x[0]]


def _same_at(edits: Mapping[int, Edit], place: int) -> Mapping[int, Edit]:
    return edits


def summed(eqn: Equation, x: list[Any], mends: bool) -> Iterator[Found]:
    """A sum, or the broadcast that is the transpose of one."""
    if eqn.name in ("reduce_sum", "reduce_max") and eqn.params.get("axes"):
        axes, shape = tuple(eqn.params["axes"]), x[0].shape
        out = tuple(n for i, n in enumerate(shape) if i not in axes)
        for other in itertools.combinations(range(len(shape)), len(axes)):
            left = tuple(n for i, n in enumerate(shape) if i not in other)
            if other != axes and (left == out or int(np.prod(left)) == int(np.prod(out))):
                wrong, right = (axes, other) if mends else (other, axes)
                yield (
                    "wrong_axis",
                    f"the sum runs over {_axes(wrong)} in place of {_axes(right)}",
                    f"sum over {_axes(right)}",
                    1.5,
                    _sum(other, out),
                )
        others = tuple(i for i in range(len(shape)) if i not in axes)
        if others and (len(others) != len(axes) or (mends and int(np.prod(shape)) != int(np.prod(out)) ** 2)):
            wrong, right = (axes, others) if mends else (others, axes)
            yield (
                "wrong_axis",
                f"the sum runs over {_axes(wrong)} in place of {_axes(right)}",
                f"sum over {_axes(right)}",
                2,
                _sum(others, out),
            )
        if not mends:
            yield (
                "missing_sum",
                f"one entry along {_axes(axes)} in place of the sum over them",
                f"sum over {_axes(axes)}",
                1.5,
                _first(axes),
            )
            yield (
                "missing_sum",
                f"the last entry along {_axes(axes)} in place of the sum over them",
                f"sum over {_axes(axes)}",
                2,
                _last(axes),
            )
    if eqn.name == "broadcast_in_dim" and x[0].ndim:
        shape, dims = eqn.params["shape"], tuple(eqn.params["broadcast_dimensions"])
        for other in itertools.permutations(range(len(shape)), len(dims)):
            if other != dims and (1 in shape or all(n == shape[i] for n, i in zip(x[0].shape, other, strict=True))):
                wrong, right = (dims, other) if mends else (other, dims)
                yield (
                    "wrong_axis",
                    f"laid along {_axes(wrong)} in place of {_axes(right)}",
                    f"lay it along {_axes(right)}",
                    2,
                    _laid(shape, other),
                )
    if mends and eqn.name in ("slice", "gather", "dynamic_slice", "squeeze") and x[0].size > 1:
        out = eqn(x)[0].shape
        for axis in range(x[0].ndim):
            summed = tuple(n for i, n in enumerate(x[0].shape) if i != axis)
            if int(np.prod(summed)) == int(np.prod(out)) and x[0].shape[axis] > 1:
                yield (
                    "missing_sum",
                    f"one entry along axis {axis} in place of the sum over it",
                    f"sum over axis {axis}",
                    1.5,
                    _sum((axis,), out),
                )


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _sum(axes: tuple[int, ...], shape: tuple[int, ...]) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        total = x[0].sum(axes)
        return [total.reshape(shape) if total.size == np.prod(shape, dtype=int) else np.resize(total, shape)]

    return edit


def _first(axes: tuple[int, ...]) -> Edit:
    return lambda x: [x[0][tuple(0 if i in axes else slice(None) for i in range(x[0].ndim))]]


def _last(axes: tuple[int, ...]) -> Edit:
    return lambda x: [x[0][tuple(-1 if i in axes else slice(None) for i in range(x[0].ndim))]]


def _laid(shape: tuple[int, ...], dims: tuple[int, ...]) -> Edit:
    """Laid along these axes; where the shape has axes of size one, which are broadcast later, along them too."""

    def edit(x: list[Any]) -> list[Any]:
        turned = np.transpose(x[0], np.argsort(dims))
        expanded = np.expand_dims(turned, tuple(i for i in range(len(shape)) if i not in dims))
        return [expanded if 1 in shape else np.broadcast_to(expanded, shape)]

    return edit

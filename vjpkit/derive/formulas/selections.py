"""Operations that only move entries, as products with a matrix of zeros and ones, found by moving numbers instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from vjpkit.derive.program import Equation

MOVES = {
    "slice",
    "dynamic_slice",
    "gather",
    "rev",
    "pad",
    "concatenate",
    "stack",
    "split",
    "tile",
    "dynamic_update_slice",
    "scatter",
}


@dataclass(frozen=True)
class Selection:
    """y[o] = Σ S[…] x[…]: letters of S, of x and of y; the rest are axes that x and y share."""

    fixed: str
    own: str
    out: str


def origins(eqn: Equation, values: Sequence[Any], operand: int, result: int) -> np.ndarray:
    """For each entry of a result the place, counted row by row, of the entry of the operand it is; −1 for none."""
    probes = [np.asarray(v) for v in values]
    floating = [np.issubdtype(p.dtype, np.floating) for p in probes]
    probes = [np.zeros(p.shape) if f else p for p, f in zip(probes, floating, strict=True)]
    x = probes[operand]
    probes[operand] = np.arange(1.0, x.size + 1).reshape(x.shape)
    moved = eqn.apply(*(jnp.asarray(p, v.dtype) for p, v in zip(probes, eqn.inputs, strict=True)))
    return np.nan_to_num(np.asarray(moved[result], float)).astype(int) - 1


def selection(places: np.ndarray, shape: tuple[int, ...]) -> Selection:
    """The letters, from the places alone: an axis that x and y share is no axis of S."""
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    out = [next(letters) for _ in places.shape]
    known = places >= 0
    index = [np.where(known, i, -1) for i in np.unravel_index(np.where(known, places, 0), shape)] if shape else []
    grid = np.indices(places.shape)
    own, chosen, shared = [], [], set()
    for i, n in enumerate(shape):
        same = [
            k
            for k, m in enumerate(places.shape)
            if m == n and k not in shared and not _varies(known, k) and (index[i] == grid[k])[known].all()
        ]
        if same:
            shared.add(same[0])
            own.append(out[same[0]])
        else:
            own.append(next(letters))
            chosen.append(i)
    fixed = [c for k, c in enumerate(out) if k not in shared or any(_varies(index[i], k) for i in chosen)]
    return Selection("".join(fixed) + "".join(own[i] for i in chosen), "".join(own), "".join(out))


def _varies(values: np.ndarray, axis: int) -> bool:
    return bool((np.diff(values.astype(int), axis=axis) != 0).any())


def separate(places: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray] | None:
    """Axis by axis, where each axis of x goes to the same axis of y by itself: for each index of y that of x, or −1."""
    if places.ndim != len(shape) or not places.size:
        return None
    known = places >= 0
    index = np.unravel_index(np.where(known, places, 0), shape)
    each = []
    for k in range(len(shape)):
        others = tuple(a for a in range(len(shape)) if a != k)
        each.append(np.where(known.any(others), np.where(known, index[k], -1).max(others), -1))
    together: Any = np.full(places.shape, 0)
    for k, line in enumerate(each):
        across = np.expand_dims(line, [a for a in range(len(shape)) if a != k])
        together = np.where((across < 0) | (together < 0), -1, together * shape[k] + across)
    return each if (together == places).all() else None


def ones_at(line: np.ndarray, n: int) -> np.ndarray:
    """The matrix that takes the entries at these places, none for −1."""
    return (line[:, None] == np.arange(n)).astype(float)


def described(line: np.ndarray) -> str:
    """In words, where the places are in a row; empty elsewhere."""
    known = np.flatnonzero(line >= 0)
    if not known.size:
        return ""
    steps = set(np.diff(line[known]).tolist())
    step = steps.pop() if len(steps) == 1 else 1 if known.size == 1 else 0
    if steps or not step or (np.diff(known) != 1).any():
        return ""
    start = int(line[known[0]] - step * known[0])
    slope = {1: "i", -1: "−i"}.get(step, f"{step} i")
    shift = f" + {start}" if start > 0 else f" − {-start}" if start < 0 else ""
    return f"1 at i, j where j = {slope}{shift}, else 0"


def matrix(s: Selection, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """S itself."""
    size = dict(zip(s.own, shape, strict=True)) | dict(zip(s.out, places.shape, strict=True))
    found = np.zeros([size[c] for c in s.fixed])
    grid: dict[str, Any] = dict(zip(s.out, np.indices(places.shape), strict=True))
    known = places >= 0
    index: dict[str, Any] = (
        dict(zip(s.own, np.unravel_index(np.where(known, places, 0), shape), strict=True)) if shape else {}
    )
    found[tuple((grid[c] if c in grid else index[c])[known] for c in s.fixed)] = 1.0
    return found

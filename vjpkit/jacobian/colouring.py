"""Columns that share no row are found together: one product with their sum gives the entries of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def entries(masks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The places of a pattern's entries, by rows: their rows and their columns."""
    rows: list[int] = []
    columns: list[int] = []
    for i, mask in enumerate(masks):
        mask = int(mask)
        while mask:
            bit = mask & -mask
            rows.append(i)
            columns.append(bit.bit_length() - 1)
            mask ^= bit
    return np.array(rows, int), np.array(columns, int)


def colour(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """A colour for each of n columns, such that two of one colour share no row: greedily, the fullest first."""
    touched = [0] * n
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        touched[j] |= 1 << i
    colours = np.zeros(n, int)
    taken: list[int] = []
    for j in sorted(range(n), key=lambda j: -touched[j].bit_count()):
        free = next((c for c, used in enumerate(taken) if not used & touched[j]), len(taken))
        if free == len(taken):
            taken.append(0)
        taken[free] |= touched[j]
        colours[j] = free
    return colours


def mirrored(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of a pattern and of its transpose, by rows, each once."""
    both = np.concatenate([np.stack([rows, columns]), np.stack([columns, rows])], 1)
    i, j = np.unique(both, axis=1)
    return i, j


def star(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """A colour for each of the n columns of a symmetric pattern, such that no path of four has two colours alone.

    Each entry then stands alone among its colour in its row, or in its column: greedily, as Gebremedhin, Manne and
    Pothen, "What color is your Jacobian?" (2005), algorithm 4.1, have it; entries on the diagonal count as the others.
    """
    near: list[set[int]] = [set() for _ in range(n)]
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if i != j:
            near[i].add(j)
    colours = np.full(n, -1)
    for v in sorted(range(n), key=lambda v: -len(near[v])):
        forbidden = set()
        for w in near[v]:
            forbidden.add(colours[w])
            for x in near[w] - {v}:
                if colours[w] < 0 or any(colours[y] == colours[w] for y in near[x] - {w}):
                    forbidden.add(colours[x])
        colours[v] = next(c for c in range(n) if c not in forbidden)
    return colours

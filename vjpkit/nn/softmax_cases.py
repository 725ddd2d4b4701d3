"""The cases of sparse and sampled softmaxes: shapes, options, special points, each value by NumPy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from scipy import special

from vjpkit.core import Case, Special
from vjpkit.core.draw import booleans, keys, normal
from vjpkit.nn.sampled_softmaxes import gumbel_softmax, top_k_mask
from vjpkit.nn.sparse_softmaxes import entmax15, sparsemax

INF = np.inf
KEY = np.array([3, 141592653], np.uint32)

# -------------------------------------------------------------------------------------------------- sparse


def _rows(x: Any, axis: Any, where: Any) -> tuple[Any, Any]:
    """The rows of x, and how to put them back."""
    x = x if where is None else np.where(where, x, -INF)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    rows = moved.reshape(*moved.shape[: -len(axes)], -1)
    return rows, lambda y: np.moveaxis(y.reshape(moved.shape), last, axes)


def _by_sorting(rows: Any, tau_of: Any) -> Any:
    """τ of each row: the one of the k largest entries that is below the last of them, for the largest such k."""
    z = -np.sort(-rows, -1)
    tau = np.stack([tau_of(z[..., :k]) for k in range(1, z.shape[-1] + 1)], -1)
    size = np.sum(np.nan_to_num(tau, nan=INF) < z, -1, keepdims=True)
    return np.take_along_axis(tau, np.maximum(size - 1, 0), -1)


def _sparsemax_tau(z: Any) -> Any:
    return (z.sum(-1) - 1) / z.shape[-1]


def _entmax_tau(z: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return z.mean(-1) - np.sqrt(1 / z.shape[-1] - z.var(-1))


def sparsemax_(x: Any, where: Any = None, *, axis: Any = -1) -> Any:
    rows, back = _rows(x, axis, where)
    return back(np.maximum(rows - _by_sorting(rows, _sparsemax_tau), 0))


def entmax15_(x: Any, where: Any = None, *, axis: Any = -1) -> Any:
    rows, back = _rows(x, axis, where)
    return back(np.maximum(rows / 2 - _by_sorting(rows / 2, _entmax_tau), 0) ** 2)


ABSENT = np.array([[0, -INF, 0], [-INF, -INF, -INF]])
HALVES = np.array([[0.5, 0, 0.5], [0, 0, 0]])
ALONE = np.array([[5.0, 0, 1], [1e4, -1e4, 0]])
FIRST = np.array([[1, 0, 0], [1, 0, 0]])
MASK = np.array([[1, 1, 0], [0, 0, 0]], bool)


def _centred(g: Any, shares: Any, scale: float) -> Any:
    """scale · (v − mean v) where there are shares."""
    inside = shares > 0
    mean = np.sum(g * inside, -1, keepdims=True) / np.maximum(inside.sum(-1, keepdims=True), 1)
    return scale * np.where(inside, g - mean, 0)


def _specials(scale: float) -> tuple[Special, ...]:
    return (
        Special((ABSENT,), "−∞ has no share; an empty row", HALVES, lambda g: (_centred(g, HALVES, scale), None)),
        Special((ALONE,), "one entry alone: slope 0", FIRST, lambda g: (0 * g, None)),
        Special((np.zeros((2, 3)), MASK), "where, and all left out", MASK * 0.5,
                lambda g: (_centred(g, MASK, scale), None)),
    )  # fmt: skip


# The entries around ½ make sure that some, and not all, have a share.
SPARSE = (
    Case(sparsemax, (normal(3, 7, scale=0.5),), {}, tuple(
        Special((*s.args, None)[:2], s.why, s.value, s.cotangents) for s in _specials(1.0)
    ), sparsemax_),
    Case(sparsemax, (normal(2, 5, 7, scale=0.5), booleans(5, 7)), {"axis": (0, 2)}, reference=sparsemax_),
    Case(entmax15, (normal(3, 7),), {}, tuple(
        Special((*s.args, None)[:2], s.why, s.value, s.cotangents) for s in _specials(np.sqrt(0.5))
    ), entmax15_),
    Case(entmax15, (normal(2, 5, 7), booleans(5, 7)), {"axis": None}, reference=entmax15_),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- sampled


def gumbel_(x: Any, key: Any, temperature: Any = 1.0, *, hard: bool = False, axis: int = -1) -> Any:
    z = (x + np.asarray(jax.random.gumbel(key, x.shape, np.float32), np.float64)) / temperature
    return (z == z.max(axis, keepdims=True)).astype(float) if hard else special.softmax(z, axis)


def top_k_(x: Any, k: int, *, axis: int = -1) -> Any:
    order = np.argsort(np.argsort(-x, axis, kind="stable"), axis, kind="stable")
    return (order < k).astype(float)


def _softmax_slope(p: Any) -> Any:
    return lambda g: p * (g - np.sum(p * g, -1, keepdims=True))


SAMPLED = (
    Case(gumbel_softmax, (normal(3, 5), KEY, 0.7), {}, (
        Special((np.full((2, 3), -INF), KEY, 1), "rows of −∞: no share", np.zeros((2, 3)),
                lambda g: (0 * g, None, None)),
        Special((np.array([[0, -INF]]), KEY, 1), "one class alone", np.array([[1, 0]]), lambda g: (0 * g, None, None)),
    ), gumbel_),
    Case(gumbel_softmax, (normal(2, 5, 3), keys(), 0.5), {"hard": True, "axis": 1}, (
        Special((np.full((1, 2, 3), -INF), KEY, 1), "rows of −∞, hard: none is chosen", np.zeros((1, 2, 3)),
                lambda g: (0 * g, None, None)),
    )),
    Case(gumbel_softmax, (normal(3, 5), KEY, 2), {"hard": True}, reference=gumbel_),
    Case(top_k_mask, (normal(3, 7),), {"k": 3}, (
        Special((np.zeros((2, 3)),), "ties: the first", np.array([[1, 1, 0]] * 2), _softmax_slope(np.full(3, 1 / 3)),
                {"k": 2}),
        Special((ABSENT,), "−∞ is never chosen", HALVES * 2, _softmax_slope(HALVES), {"k": 3}),
    ), top_k_),
    Case(top_k_mask, (normal(2, 5, 3),), {"k": 2, "axis": 1}, reference=top_k_),
)  # fmt: skip

CASES: tuple[Case, ...] = (*SPARSE, *SAMPLED)

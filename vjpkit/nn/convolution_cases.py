"""Cases of convolution, pooling and resizing: shapes, options, special points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vjpkit.core import Case, Special
from vjpkit.core.draw import normal
from vjpkit.nn import convolution_references as by_numpy
from vjpkit.nn.convolutions import conv, conv_transpose
from vjpkit.nn.global_pooling import adaptive_avg_pool, global_avg_pool, global_max_pool
from vjpkit.nn.pooling import avg_pool, max_pool
from vjpkit.nn.resizing import pixel_shuffle, pixel_unshuffle, upsample_bilinear, upsample_nearest

NAN, INF = np.nan, np.inf


def column(*numbers: float) -> Any:
    """One example of one channel, [1, len, 1]."""
    return np.array(numbers, float).reshape(1, -1, 1)


def taps(*numbers: float) -> Any:
    """A window from one channel to one, [len, 1, 1]."""
    return np.array(numbers, float).reshape(-1, 1, 1)


def bars(x: Any, w: Any = None) -> Callable[[Any], tuple[Any, ...]]:
    """The cotangents of a column and, where there are some, of taps, given as matrices from the output's entries."""
    if w is None:
        return lambda g: (column(*(np.array(x) @ np.ravel(g))),)
    return lambda g: (column(*(np.array(x) @ np.ravel(g))), taps(*(np.array(w) @ np.ravel(g))), None)


# ----------------------------------------------------------------------------------------- convolution


def convolution(x: tuple[int, ...], w: tuple[int, ...], b: int | None, *points: Special, **static: Any) -> Case:
    bias = None if b is None else normal(b)
    return Case(conv, (normal(*x), normal(*w), bias), static, points, by_numpy.conv_)


def transposed(x: tuple[int, ...], w: tuple[int, ...], b: int | None, *points: Special, **static: Any) -> Case:
    bias = None if b is None else normal(b)
    return Case(conv_transpose, (normal(*x), normal(*w), bias), static, points, by_numpy.conv_transpose_)


IMPULSE = Special(
    (column(0, 3, 0), taps(1, 2, 4), None),
    "one entry: the window, turned round",
    column(12, 6, 3),
    bars([[2, 1, 0], [4, 2, 1], [0, 4, 2]], [[0, 0, 3], [0, 3, 0], [3, 0, 0]]),
)
WIDE = Special(
    (column(3), taps(1, 2, 4, 8, 16), None),
    "a window that is mostly in the padding",
    column(12),
    bars([[4]], [[0], [0], [3], [0], [0]]),
)
SPREAD = Special(
    (column(3, 5), taps(1, 2), None),
    "side by side: each entry times the window, turned round",
    column(6, 3, 10, 5),
    bars([[2, 1, 0, 0], [0, 0, 2, 1]], [[0, 3, 0, 5], [3, 0, 5, 0]]),
    static={"strides": 2, "padding": "VALID"},
)

CONVOLUTIONS = (
    convolution((2, 7, 3), (5, 3, 7), 7, IMPULSE, WIDE),
    convolution((2, 7, 5, 3), (5, 2, 3, 7), 7, strides=(3, 2), dilation=(1, 2)),
    convolution((7, 5, 3), (5, 2, 3, 7), None, padding=((1, 2), (0, 3))),
    convolution((2, 7, 5, 3), (1, 3, 7), 7),  # a product of matrices, with two leading axes
    convolution((3, 4, 5, 2), (3, 1, 4, 2, 5), 5, strides=(2, 1, 1), dilation=(1, 1, 2)),
    convolution((2, 7, 5, 6), (3, 1, 2, 9), None, feature_group_count=3, strides=2),
    convolution((2, 7, 3), (5, 1, 3), 3, feature_group_count=3, padding="CAUSAL", dilation=2),  # depthwise, as the next
    convolution((2, 7, 5, 3), (5, 2, 1, 6), None, feature_group_count=3, padding="VALID", strides=(2, 1)),
    transposed((2, 7, 3), (5, 3, 7), 7, SPREAD, strides=2),
    transposed((5, 3, 2), (3, 5, 7, 2), None, strides=(2, 3), padding="VALID", dilation=(2, 1), transpose_kernel=True),
    transposed((3, 4, 5, 2), (3, 1, 4, 2, 5), 5, strides=(2, 1, 2), padding=((1, 2), (0, 3), (2, 1))),
)

# --------------------------------------------------------------------------------------------- pooling


def largest(x: tuple[int, ...], window: tuple[int, ...], *points: Special, **static: Any) -> Case:
    return Case(max_pool, (normal(*x),), {"window_shape": window, **static}, points, by_numpy.max_pool_)


def average(x: tuple[int, ...], window: tuple[int, ...], *points: Special, **static: Any) -> Case:
    return Case(avg_pool, (normal(*x),), {"window_shape": window, **static}, points, by_numpy.avg_pool_)


def picked(why: str, x: Any, y: Any, *argmax: int | None, **static: Any) -> Special:
    """Windows of three entries over a column: their largest, and which entry of the column it is."""
    matrix = [[float(i == a) for a in argmax] for i in range(x.shape[1])]
    return Special((x,), why, y, bars(matrix), static)


PICKED = (
    picked("ties: the first", column(2, 1, 2, 2, 0), column(2, 2, 2), 0, 2, 2),
    picked("a constant: the first", column(1, 1, 1, 1, 1), column(1, 1, 1), 0, 1, 2),
    picked("NaN: the first NaN", column(1, NAN, 2, NAN, 3), column(NAN, NAN, NAN), 1, 1, 3),
    picked("−∞: a number like any other", column(-INF, -INF, -INF, -INF), column(-INF, -INF), 0, 1),
    picked("+∞: a number like any other", column(1, INF, INF, 2), column(INF, INF), 1, 1),
    picked("negative numbers: padding never wins", column(-1, -2, -3), column(-1, -1, -2), 0, 0, 1, padding="SAME"),
    picked(
        "−∞ beside the padding: the first on the axis", column(-INF, -INF), column(-INF, -INF), 0, 0, padding="SAME"
    ),
    picked("padding alone: −∞, from nowhere", column(5), column(5, -INF), 0, None, padding=((0, 5),), strides=(3,)),
)
PADDING_ALONE = Special(
    (column(6),),
    "padding alone, which does not count: 0, from nowhere",
    column(6, 0),
    bars([[1, 0]]),
    {"window_shape": (3,), "strides": (3,), "padding": ((0, 5),), "count_include_pad": False},
)
MORE = Special(
    (column(1, 3),),
    "more parts than entries: both in the middle",
    column(1, 2, 3),
    bars([[1, 0.5, 0], [0, 0.5, 1]]),
    {"output_shape": (3,)},
)
EQUAL = Special(
    (column(1, 3, 5, 9),),
    "equal parts",
    column(2, 7),
    bars([[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]]),
    {"output_shape": (2,)},
)
ACROSS = Special(
    (np.array([[1.0, 0, 1], [0, 1, 0]]).reshape(1, 2, 3, 1),),
    "ties across rows: the first in row-major order",
    np.ones((1, 1, 2, 1)),
    lambda g: (np.array([[g[0, 0, 0, 0], 0, g[0, 0, 1, 0]], [0, 0, 0]]).reshape(1, 2, 3, 1),),
    {"window_shape": (2, 2)},
)
FAR_ACROSS = Special(
    (np.array([[0.0] * 7 + [1], [1] + [0] * 7]).reshape(1, 2, 8, 1),),
    "ties across rows of a window that is pooled axis by axis: the first in row-major order",
    np.ones((1, 1, 1, 1)),
    lambda g: (np.eye(16)[7].reshape(1, 2, 8, 1) * g,),
    {"window_shape": (2, 8)},
)

POOLING = (
    largest((2, 7, 3), (3,), *PICKED, ACROSS, FAR_ACROSS),
    largest((7, 5, 3), (2, 3), strides=(1, 2), padding=((1, 0), (0, 2))),
    largest((2, 7, 5, 3), (5, 3), padding="SAME"),
    largest((3, 4, 5, 2), (2, 1, 3), strides=(2, 1, 1), padding="SAME_LOWER"),
    average((2, 7, 5, 3), (3, 2), PADDING_ALONE),
    average((7, 5, 3), (2, 3), strides=(1, 2), padding=((1, 0), (0, 2)), count_include_pad=False),
    average((2, 7, 5, 3), (5, 3), strides=(2, 3), padding="SAME_LOWER", count_include_pad=False),
    average((2, 7, 5, 3), (5, 3), strides=(5, 3), padding=((1, 2), (0, 1))),
    Case(global_avg_pool, (normal(2, 7, 5, 3),), {"keepdims": True}, (), by_numpy.global_avg_pool_),
    Case(
        global_max_pool,
        (normal(2, 7, 5, 3),),
        {"keepdims": False},
        (
            Special((column(1, 3, 3),), "ties: the first", [[3.0]], bars([[0], [1], [0]])),
            Special((column(1, NAN, 3, NAN),), "NaN: the first NaN", [[NAN]], bars([[0], [1], [0], [0]])),
            Special((column(-INF, -INF),), "−∞: a number like any other", [[-INF]], bars([[1], [0]])),
        ),
        by_numpy.global_max_pool_,
    ),
    Case(
        adaptive_avg_pool, (normal(2, 7, 5, 3),), {"output_shape": (3, 2)}, (MORE, EQUAL), by_numpy.adaptive_avg_pool_
    ),
)

# -------------------------------------------------------------------------------------------- resizing

EDGES = Special(
    (column(0, 4),),
    "between two entries, and beyond them",
    column(0, 1, 3, 4),
    bars([[1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1]]),
    {"factors": (2,)},
)
ALONE = Special((column(3),), "one entry: a constant", column(3, 3, 3), bars([[1, 1, 1]]), {"factors": (3,)})

RESIZING = (
    Case(upsample_nearest, (normal(7, 5, 3),), {"factors": (2, 3)}, (ALONE,), by_numpy.upsample_nearest_),
    Case(upsample_bilinear, (normal(7, 5, 3),), {"factors": (2, 3)}, (EDGES, ALONE), by_numpy.upsample_bilinear_),
    Case(pixel_shuffle, (normal(5, 3, 12),), {"factors": (2, 3)}, (), by_numpy.pixel_shuffle_),
    Case(pixel_unshuffle, (normal(3, 4, 6, 2),), {"factors": (2, 3)}, (), by_numpy.pixel_unshuffle_),
)

CASES: tuple[Case, ...] = (*CONVOLUTIONS, *POOLING, *RESIZING)

"""What the losses are held against: shapes of distinct primes, special points, NumPy's or SciPy's value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from vjpkit.core.case import Case, Special
from vjpkit.core.draw import booleans, integers, normal, probabilities, uniform
from vjpkit.losses.classification import (
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from vjpkit.losses.regression import half_mean_squared_error, l2_loss, squared_error

INF = np.inf

# ---------------------------------------------------------------------------------- the values, by other means


def _half_mean_squared_error(p: Any, t: Any) -> Any:
    return np.sum((p - t) ** 2) / (2 * np.size(p))


def _sigmoid_binary_cross_entropy(x: Any, y: Any) -> Any:
    return -(y * special.log_expit(x) + (1 - y) * special.log_expit(-x))


def _log_softmax(x: Any, axis: Any, where: Any) -> Any:
    return special.log_softmax(x if where is None else np.where(where, x, -INF), axis)


def _softmax_cross_entropy(x: Any, y: Any, where: Any = None, *, axis: Any = -1) -> Any:
    log_p = _log_softmax(x, axis, where)
    return -np.sum(np.where(np.isneginf(log_p), 0, y * log_p), axis)


def _integer_labels(x: Any, k: Any, where: Any = None, *, axis: Any = -1) -> Any:
    if isinstance(axis, tuple):
        x, axis = x.reshape(*x.shape[: -len(axis)], -1), -1
    log_z = special.logsumexp(x if where is None else np.where(where, x, -INF), axis)
    return log_z - np.take_along_axis(x, np.expand_dims(k, axis), axis).squeeze(axis)


# --------------------------------------------------------------------------------------------------- regression


_SAME = np.array([2.0, -3.0])


def _at_zero_and_far(scale: float) -> tuple[Special, ...]:
    """The error at 0, and far from it."""
    return (
        Special((_SAME, _SAME), "no error: slope 0", np.zeros(2), lambda g: (0 * g, 0 * g)),
        Special(
            (np.array([1e4, -1e4]), None),
            "large errors",
            scale * np.array([1e8, 1e8]),
            lambda g: (2 * scale * np.array([1e4, -1e4]) * g, None),
        ),
    )


_REGRESSION = (
    Case(squared_error, (normal(2, 3, 5), normal(2, 3, 5)), {}, _at_zero_and_far(1.0), lambda p, t: (p - t) ** 2),
    Case(squared_error, (normal(3, 5), None), reference=lambda p, t: p**2),
    Case(squared_error, (normal(3, 5), integers(3, 5, high=7)), reference=lambda p, t: (p - t) ** 2),
    Case(l2_loss, (normal(2, 3, 5), normal(2, 3, 5)), {}, _at_zero_and_far(0.5), lambda p, t: (p - t) ** 2 / 2),
    Case(l2_loss, (normal(3, 5), None), reference=lambda p, t: p**2 / 2),
    Case(l2_loss, (normal(3, 5), booleans(3, 5)), reference=lambda p, t: (p - t) ** 2 / 2),
    Case(half_mean_squared_error, (normal(7), normal(7)), reference=_half_mean_squared_error),
    Case(
        half_mean_squared_error,
        (normal(3, 5), normal(3, 5)),
        special=(
            Special((_SAME, _SAME), "no error: slope 0", 0.0, lambda g: (np.zeros(2),) * 2),
            Special(
                (np.array([3.0, 0, 0]), np.array([0.0, 0, 0])),
                "one error of three: e/N is 1",
                1.5,
                lambda g: (g * np.array([1.0, 0, 0]), g * np.array([-1.0, 0, 0])),
            ),
        ),
        reference=_half_mean_squared_error,
    ),
    Case(half_mean_squared_error, (normal(3, 5), integers(3, 5, high=7)), reference=_half_mean_squared_error),
)

# ------------------------------------------------------------------------------- sigmoid binary cross-entropy

_BINARY = (
    Case(
        sigmoid_binary_cross_entropy,
        (normal(3, 5, scale=3.0), uniform(3, 5)),
        special=(
            Special(
                (np.array([1e4, -1e4, 1e4, -1e4]), np.array([1, 0, 0, 1])),
                "±1e4: nothing overflows or cancels",
                np.array([0, 0, 1e4, 1e4]),
                lambda g: (g * np.array([0, 0, 1, -1]), None),
            ),
            Special(
                (np.array([INF, -INF, INF, -INF]), np.array([1, 0, 0, 1])),
                "±inf: the limits, 0 where optax has NaN",
                np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, 1, -1]), None),
            ),
            Special(
                (np.array([30.0, -30.0]), np.array([1, 0])),
                "σ(30) − 1 is 0 in float32, the slope is not",
                special.log1p(np.exp([-30.0, -30.0])),
                lambda g: (g * special.expit([-30.0, -30.0]) * np.array([-1, 1]), None),
            ),
            Special(
                (np.array([0.0, 0.0]), np.array([0.25, 1.0])),
                "x = 0, where value and slope are split",
                np.log([2.0, 2.0]),
                lambda g: (g * np.array([0.25, -0.5]), 0 * g),
            ),
        ),
        reference=_sigmoid_binary_cross_entropy,
    ),
    Case(sigmoid_binary_cross_entropy, (normal(2, 3, 5), uniform(3, 1)), reference=_sigmoid_binary_cross_entropy),
    Case(sigmoid_binary_cross_entropy, (normal(5), booleans(3, 5)), reference=_sigmoid_binary_cross_entropy),
)

# ----------------------------------------------------------------------------------- softmax cross-entropy


def _rows(slope: Any) -> Callable[[Any], Any]:
    """The logits' cotangent g ↦ g · slope, row by row."""
    return lambda g: g[:, None] * np.array(slope)


_OVERFLOW = np.array([[0, INF, 5], [INF, 0, INF]])
_ABSENT = np.array([[0, -INF, 0], [0, -INF, 0]])
_LARGE = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]])
_CONFIDENT = np.array([[30.0, 0, 0]])
_REST = 2 * np.exp(-30.0) / (1 + 2 * np.exp(-30.0))  # 1 − p of the confident class

_LADDER = np.array([[1.0, 2, 3, 4, 5]] * 3)
_MASK = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
_H = np.log(np.exp([1.0, 3, 4]).sum()) - [1, 3, 4]  # the surprisals in the first row of the ladder under the mask


def _first_row(a: float, b: float, c: float) -> Any:
    """What the three classes that the mask leaves in the first row get; all else gets 0."""
    return np.array([[a, 0, b, c, 0], [0] * 5, [0] * 5])


# One example a row, with the label as a distribution and as an integer.
_EITHER = (
    (_LARGE, [0, 1, 2], "±1e4", [0, np.log(3), 2e4 + np.log(2)], [[0] * 3, [1 / 3, -2 / 3, 1 / 3], [0.5, 0.5, -1]]),
    (_ABSENT, [0, 1], "a logit of −inf, label 0 and 1", [np.log(2), INF], [[-0.5, 0, 0.5], [0.5, -1, 0.5]]),
    (_OVERFLOW, [1, 0], "+inf: all the probability, shared among ties", [0, np.log(2)], [[0] * 3, [-0.5, 0, 0.5]]),
    (np.full((2, 3), -INF), [1, 2], "rows without a class: 0", [0, 0], np.zeros((2, 3))),
    (_CONFIDENT, [0], "p = 1 in float32: 1 − p is not 0", [-np.log1p(-_REST)], [[-_REST, _REST / 2, _REST / 2]]),
)

_SOFTMAX = (
    Case(
        softmax_cross_entropy,
        (normal(3, 5, scale=2.0), probabilities(3, 5)),
        special=(
            *(
                Special((x, np.eye(3, dtype=int)[k]), why, np.array(value), lambda g, s=slope: (_rows(s)(g), None))
                for x, k, why, value, slope in _EITHER
            ),
            Special(
                (_LADDER, np.array([[0.5, 9, 0.5, 0, 9]] * 3), _MASK),
                "where: three classes left, one, none",
                np.array([0.5 * _H[0] + 0.5 * _H[1], 0, 0]),
                lambda g: (_rows(_first_row(*(np.exp(-_H) - [0.5, 0.5, 0])))(g), _rows(_first_row(*_H))(g), None),
            ),
        ),
        reference=_softmax_cross_entropy,
    ),
    Case(softmax_cross_entropy, (normal(3, 5, 7), uniform(3, 5, 7)), {"axis": 1}, reference=_softmax_cross_entropy),
    Case(softmax_cross_entropy, (normal(3, 5, 7), uniform(7)), {"axis": (1, 2)}, reference=_softmax_cross_entropy),
    Case(softmax_cross_entropy, (normal(5), uniform(3, 5)), reference=_softmax_cross_entropy),
    Case(
        softmax_cross_entropy,
        (normal(2, 5), uniform(2, 5), _MASK[:2]),
        special=(
            Special(
                (np.array([[30.0, 99, 0, 0, 99]]), np.array([[1, 0, 0, 0, 0]]), _MASK[:1]),
                "where, and p = 1 in float32: 1 − p is not 0",
                np.array([-np.log1p(-_REST)]),
                lambda g: (_rows([[-_REST, 0, _REST / 2, _REST / 2, 0]])(g), None, None),
            ),
        ),
        reference=_softmax_cross_entropy,
    ),
)

_INTEGER = (
    Case(
        softmax_cross_entropy_with_integer_labels,
        (normal(3, 5, scale=2.0), integers(3, high=5)),
        special=(
            *(
                Special((x, np.array(k)), why, np.array(value), lambda g, s=slope: (_rows(s)(g), None))
                for x, k, why, value, slope in _EITHER
            ),
            Special(
                (np.zeros((2, 3)), np.array([-1, 3])),
                "a label of −1 is the last; one out of range: NaN, as an index, but its slope is p",
                np.array([np.log(3), np.nan]),
                lambda g: (_rows([[1 / 3, 1 / 3, -2 / 3], [1 / 3] * 3])(g), None),
            ),
            Special(
                (_LADDER, np.array([2, 1, 0]), _MASK),
                "where: three classes left, one, none",
                np.array([_H[1], 0, 0]),
                lambda g: (_rows(_first_row(*(np.exp(-_H) - [0, 1, 0])))(g), None, None),
            ),
            Special(
                (_LADDER[:1], np.array([4]), _MASK[:1]),
                "where leaves the label out: lse − x[k], slope p − 1ₖ with p[k] = 0",
                _H[:1] + 1 - 5,
                lambda g: (_rows((_first_row(*np.exp(-_H)) - np.eye(5)[4])[:1])(g), None, None),
            ),
        ),
        reference=_integer_labels,
    ),
    Case(
        softmax_cross_entropy_with_integer_labels,
        (normal(3, 5, 7), integers(3, 7, high=5, low=-5)),
        {"axis": 1},
        reference=_integer_labels,
    ),
    Case(
        softmax_cross_entropy_with_integer_labels,
        (normal(3, 5, 7), integers(3, high=35)),
        {"axis": (1, 2)},
        reference=_integer_labels,
    ),
    Case(
        softmax_cross_entropy_with_integer_labels,
        (normal(2, 5), integers(2, high=5), _MASK[:2]),
        special=(
            Special(
                (_LADDER[:1], np.array([1]), _MASK[:1]),
                "a label that where leaves out: its slope is −1",
                np.array([_H[0] + 1 - 2]),
                lambda g: (_rows([np.exp(-_H[[0, 0, 1, 2, 0]]) * _MASK[0] - np.eye(5)[1]])(g), None, None),
            ),
        ),
        reference=_integer_labels,
    ),
)

CASES: tuple[Case, ...] = (*_REGRESSION, *_BINARY, *_SOFTMAX, *_INTEGER)

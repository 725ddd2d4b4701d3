"""The cases of losses of scores against labels: of two kinds, of several, and cross-entropy's relatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from vjpkit.core import Case, Special
from vjpkit.core.draw import booleans, integers, normal, probabilities, uniform
from vjpkit.losses.binary import hinge_loss, perceptron_loss, sigmoid_focal_loss, sparsemax_loss
from vjpkit.losses.cross_entropies import poly_loss_cross_entropy, smooth_labels
from vjpkit.losses.margins import multiclass_hinge_loss, multiclass_perceptron_loss, multiclass_sparsemax_loss

INF = np.inf

# -------------------------------------------------------------------------------------------------- binary


def focal_(x: Any, y: Any, alpha: Any = None, gamma: Any = 2.0) -> Any:
    entropy = -(y * special.log_expit(x) + (1 - y) * special.log_expit(-x))
    p = special.expit(x)
    weight = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return weight * entropy * (p * (1 - y) + (1 - p) * y) ** gamma


def sparse_(x: Any, y: Any) -> Any:
    u = np.where(y, -x, x)
    return np.where(u <= -1, 0, np.where(u >= 1, u, (u + 1) ** 2 / 4))


SIDES = np.array([1, -1, 1, -1])
ENDS = np.array([INF, -INF, -INF, INF])
KINDS = np.array([1, 0, 1, 0])
FAR = np.array([1e4, -1e4, -1e4, 1e4])
CONFIDENT = np.array([30.0, -30.0])
MISS = special.expit(-30.0)

BINARY = (
    Case(hinge_loss, (normal(3, 5, scale=2.0), normal(3, 5)), {}, (
        Special((np.array([1.0, -1, 0.5, 2]), SIDES), "at the kink half the slope, and either side",
                np.array([0, 0, 0.5, 3]), lambda g: (g * np.array([-0.5, 0.5, -1, 1]), None)),
        Special((ENDS, SIDES), "±∞, right and wrong", np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, -1, 1]), None)),
    ), lambda x, t: np.maximum(0, 1 - x * t)),
    Case(hinge_loss, (normal(3, 5, scale=2.0), -1), reference=lambda x, t: np.maximum(0, 1 - x * t)),
    Case(perceptron_loss, (normal(3, 5), normal(3, 5)), {}, (
        Special((np.array([0.0, 0, 2, 2]), SIDES), "at the kink half the slope, and either side",
                np.array([0, 0, 0, 2]), lambda g: (g * np.array([-0.5, 0.5, 0, 1]), None)),
        Special((ENDS, SIDES), "±∞, right and wrong", np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, -1, 1]), None)),
    ), lambda x, t: np.maximum(0, -x * t)),
    Case(sparsemax_loss, (normal(3, 5, scale=2.0), booleans(3, 5)), {}, (
        Special((np.array([1.0, -1, -1, 0]), KINDS), "where it is split", np.array([0, 0, 1, 0.25]),
                lambda g: (g * np.array([0, 0, -1, 0.5]), None)),
        Special((ENDS, KINDS), "±∞, right and wrong", np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, -1, 1]), None)),
    ), sparse_),
    Case(sparsemax_loss, (normal(3, 5, scale=2.0), 1), reference=sparse_),
    Case(sigmoid_focal_loss, (normal(3, 5, scale=2.0), uniform(3, 5), 0.25, 2.0), {}, (
        Special((FAR, KINDS, None, 2), "±1e4, right and wrong", np.array([0, 0, 1e4, 1e4]),
                lambda g: (g * np.array([0, 0, -1, 1]), None, None, None)),
        Special((ENDS, KINDS, None, 2), "±∞, right and wrong", np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, -1, 1]), None, None, None)),
        Special((ENDS, KINDS, None, 0), "γ = 0 at ±∞: cross-entropy", np.array([0, 0, INF, INF]),
                lambda g: (g * np.array([0, 0, -1, 1]), None, None, None)),
        Special((CONFIDENT, np.array([1, 0]), None, 1), "1 − σ(30) is 0 in float32, value and slope are not",
                MISS * -np.log1p(-np.array([MISS, MISS])),
                lambda g: (g * np.array([-1, 1]) * MISS * (MISS - (1 - MISS) * np.log1p(-MISS)), None, None, None)),
        Special((np.zeros(2), np.array([0.0, 1.0]), None, 2), "labels 0 and 1: their slope, wrong in optax",
                np.full(2, np.log(2) / 4),
                lambda g: (g * np.array([1, -1]) * (np.log(2) / 4 + 1 / 8), 0 * g, None, None)),
    ), focal_),
    Case(sigmoid_focal_loss, (normal(2, 3, 5), booleans(3, 5), None, uniform(5, low=0.3, high=3.0)), reference=focal_),
    Case(sigmoid_focal_loss, (normal(5), uniform(3, 5, low=0.1, high=0.9), uniform(5), 0.5), reference=focal_),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- margins


def _violation(x: Any, k: Any, margin: int) -> Any:
    own = np.take_along_axis(x, k[..., None], -1)
    one_hot = np.arange(x.shape[-1]) == k[..., None] % x.shape[-1]
    return np.max(x + margin * ~one_hot, -1) - own[..., 0]


def sparsemax_(x: Any, k: Any) -> Any:
    z = -np.sort(-x, -1)
    j = np.arange(1, x.shape[-1] + 1)
    size = np.sum(1 + j * z > np.cumsum(z, -1), -1, keepdims=True)
    tau = (np.take_along_axis(np.cumsum(z, -1), size - 1, -1) - 1) / size
    above = np.where(x > tau, x**2 - tau**2, 0).sum(-1)
    return -np.take_along_axis(x, k[..., None], -1)[..., 0] + above / 2 + 0.5


def _rows(*slopes: Any) -> Any:
    return lambda g: (g[:, None] * np.array(slopes), None)


TIED = np.array([[2.0, 2, 0], [0, 0, 0]])
INFINITE = np.array([[INF, 0, 1], [-INF, 0, 1]])
MARGINS = (
    Case(multiclass_hinge_loss, (normal(3, 5, scale=2.0), integers(3, high=5)), {}, (
        Special((TIED, np.array([2, 1])), "ties share the slope", np.array([3.0, 1]),
                _rows([0.5, 0.5, -1], [0.5, -1, 0.5])),
        Special((INFINITE, np.array([0, 0])), "an infinite score of the label", np.array([0, INF]),
                _rows([0, 0, 0], [-1, 0, 1])),
        Special((TIED, np.array([-1, 7])), "a label of −1 is the last, one out of range NaN, with a finite slope",
                np.array([3, np.nan]), _rows([0.5, 0.5, -1], [1 / 3, 1 / 3, 1 / 3])),
    ), lambda x, k: _violation(x, k, 1)),
    Case(multiclass_perceptron_loss, (normal(2, 3, 5), integers(2, 3, high=5)), {}, (
        Special((TIED - np.eye(3)[[2, 2]], np.array([2, 1])), "ties share the slope", np.array([3.0, 0]),
                _rows([0.5, 0.5, -1], [0.5, -0.5, 0])),
        Special((INFINITE, np.array([0, 0])), "an infinite score of the label", np.array([0, INF]),
                _rows([0, 0, 0], [-1, 0, 1])),
    ), lambda x, k: _violation(x, k, 0)),
    Case(multiclass_sparsemax_loss, (normal(2, 3, 5), integers(2, 3, high=5)), {}, (
        Special((np.array([[3.0, 1, 0], [1e4, 0, -1e4]]), np.array([0, 1])), "a margin of more than 1, and 1e4",
                np.array([0, 1e4]), _rows([0, 0, 0], [1, -1, 0])),
        Special((np.zeros((2, 3)), np.array([1, -1])), "ties", np.full(2, 1 / 3),
                _rows([1 / 3, -2 / 3, 1 / 3], [1 / 3, 1 / 3, -2 / 3])),
        Special((np.array([[-INF, 0, 0], [-INF, -INF, -INF]]), np.array([1, 0])), "−∞: no share; a row without class",
                np.array([0.25, 0]), _rows([0, -0.5, 0.5], [0, 0, 0])),
    ), sparsemax_),
)  # fmt: skip

# ------------------------------------------------------------------------------------------ cross-entropies


def poly_(x: Any, y: Any, epsilon: Any, where: Any = None, *, axis: Any = -1) -> Any:
    log_p = special.log_softmax(x if where is None else np.where(where, x, -INF), axis)
    terms = np.where(y == 0, 0, y * (epsilon * (1 - np.exp(log_p)) - np.where(np.isneginf(log_p), 0, log_p)))
    return np.sum(terms, axis, where=True if where is None else where)


def smooth_(t: Any, alpha: Any, where: Any = None, *, axis: Any = -1) -> Any:
    n = np.sum(np.broadcast_to(True if where is None else where, t.shape), axis, keepdims=True)
    return (1 - alpha) * t + alpha / n


MASK = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0]], bool)
REST = 2 * np.exp(-30.0) / (1 + 2 * np.exp(-30.0))
CROSS_ENTROPIES = (
    Case(poly_loss_cross_entropy, (normal(3, 5, scale=2.0), probabilities(3, 5), 0.7), {}, (
        Special((np.array([[30.0, 0, 0]]), np.array([[1, 0, 0]]), 1), "p = 1 in float32: 1 − p is not 0",
                np.array([REST - np.log1p(-REST)]),
                lambda g: (g[:, None] * REST * (1 - REST / 2) * np.array([[-2, 1, 1]]), None, None)),
        Special((np.array([[0, -INF, 0], [-INF, -INF, -INF]]), np.array([[1, 0, 0], [1, 0, 0]]), 2),
                "−∞: p = 0; a row without class", np.array([np.log(2) + 1, 0]),
                lambda g: (g[:, None] * np.array([[-1, 0, 1], [0, 0, 0]]), None, None)),
    ), poly_),
    Case(poly_loss_cross_entropy, (normal(2, 5), uniform(2, 5), uniform(2), MASK), reference=lambda x, y, e, where, **o:
         poly_(x, y, e[:, None], where, **o)),
    Case(poly_loss_cross_entropy, (normal(3, 5, 7), uniform(7), 2.0), {"axis": (1, 2)}, reference=poly_),
    Case(smooth_labels, (probabilities(3, 5), 0.1), reference=smooth_),
    Case(smooth_labels, (uniform(2, 5), uniform(2, 1), MASK), {}, (
        Special((np.ones((2, 3)), 0.5, np.zeros((2, 1), bool)), "a row that where empties: 1/n counts as 0",
                np.full((2, 3), 0.5), lambda g: (g / 2, -np.sum(g), None)),
    ), smooth_),
    Case(smooth_labels, (uniform(3, 5, 7), 0.1), {"axis": (0, 2)}, reference=smooth_),
)  # fmt: skip

CASES: tuple[Case, ...] = (*BINARY, *MARGINS, *CROSS_ENTROPIES)

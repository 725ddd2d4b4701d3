"""The cases of losses that compare: distributions, angles, embeddings, regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from vjpkit.core import Case, Rule, Special
from vjpkit.core.draw import booleans, integers, normal, probabilities, uniform
from vjpkit.losses.angles import cosine_distance, cosine_similarity
from vjpkit.losses.contrasts import ntxent, triplet_margin_loss
from vjpkit.losses.divergences import generalized_kl_divergence, kl_divergence, kl_divergence_with_log_targets
from vjpkit.losses.overlaps import dice_loss

INF, NAN = np.inf, np.nan

# --------------------------------------------------------------------------------------------- divergences


def _total(terms: Any, axis: Any, where: Any) -> Any:
    return np.sum(terms, axis, where=True if where is None else where)


def kl_(q: Any, t: Any, where: Any = None, *, axis: Any = -1) -> Any:
    return _total(special.xlogy(t, t) - t * q, axis, where)


def kl_log_(q: Any, r: Any, where: Any = None, *, axis: Any = -1) -> Any:
    return _total(np.exp(r) * (r - q), axis, where)


def kl_generalized_(q: Any, t: Any, where: Any = None, *, axis: Any = -1) -> Any:
    return _total(special.xlogy(t, t) - t * q + np.exp(q) - t, axis, where)


Q = np.array([[-1.0, -INF, -2], [-1, NAN, -2]])
T = np.array([[0.5, 0, 0.5], [0.5, 0.25, 0.25]])
LEFT_IN = np.array([[True, True, True], [True, False, True]])
H = 0.5 * np.log(0.5)
R = np.log(np.array([[0.5, 1, 0.5], [0.5, 1, 0.25]])) - np.array([[0, INF, 0], [0, 0, 0]])


def _kl_special(value: Any, slope_q: Any, slope_t: Any, t: Any = T) -> Special:
    return Special(
        (Q, t, LEFT_IN), "0 ln 0 = 0, q = −∞ for t = 0, and a NaN left out", np.array(value),
        lambda g: (g[:, None] * np.array(slope_q), g[:, None] * np.array(slope_t), None),
    )  # fmt: skip


LOGS = normal(3, 5, mean=-2.0)
DIVERGENCES = (
    Case(kl_divergence, (LOGS, probabilities(3, 5)), {}, (
        _kl_special([2 * H + 1.5, H + 0.25 * np.log(0.25) + 1], [[-0.5, 0, -0.5], [-0.5, 0, -0.25]],
                    [[np.log(0.5) + 2, 0, np.log(0.5) + 3], [np.log(0.5) + 2, 0, np.log(0.25) + 3]]),
    ), kl_),
    Case(kl_divergence, (normal(2, 3, 5), probabilities(3, 5), booleans(3, 5)), {"axis": (1, 2)}, reference=kl_),
    Case(kl_divergence_with_log_targets, (LOGS, normal(3, 5, mean=-2.0)), {}, (
        _kl_special([2 * H + 1.5, H + 0.25 * np.log(0.25) + 1], [[-0.5, 0, -0.5], [-0.5, 0, -0.25]],
                    [[H + 1, 0, H + 1.5], [H + 1, 0, 0.25 * (np.log(0.25) + 3)]], R),
    ), kl_log_),
    Case(kl_divergence_with_log_targets, (normal(2, 3, 5), normal(2, 3, 5), booleans(3, 5)), {"axis": None},
         reference=kl_log_),
    Case(generalized_kl_divergence, (LOGS, uniform(3, 5, low=0.1)), {}, (
        _kl_special([2 * H + 1.5 + np.exp(-1) + np.exp(-2) - 1, H + 0.25 * np.log(0.25) + 1 + np.exp(-1) + np.exp(-2)
                     - 0.75],
                    [[np.exp(-1) - 0.5, 0, np.exp(-2) - 0.5], [np.exp(-1) - 0.5, 0, np.exp(-2) - 0.25]],
                    [[np.log(0.5) + 1, 0, np.log(0.5) + 2], [np.log(0.5) + 1, 0, np.log(0.25) + 2]]),
    ), kl_generalized_),
    Case(generalized_kl_divergence, (normal(2, 3, 5), uniform(5, low=0.1), booleans(2, 3, 1)),
         reference=kl_generalized_),
)  # fmt: skip

# -------------------------------------------------------------------------------------------------- angles


def cosine_(a: Any, b: Any, where: Any = None, *, epsilon: float = 0.0, axis: Any = -1) -> Any:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (np.where(True if where is None else where, np.broadcast_to(v, shape), 0) for v in (a, b))
    norms = (np.sqrt(np.maximum(np.sum(v * v, axis), epsilon)) for v in (a, b))
    return np.sum(a * b, axis) / np.prod(list(norms), 0)


NOUGHT = (np.array([[0.0, 0], [0, 0]]), np.array([[3.0, 4], [0, 0]]))


def _angles(rule: Rule, reference: Any, at_nought: float, sign: int) -> tuple[Case, ...]:
    nought = np.full(2, at_nought)
    return (
        Case(rule, (normal(3, 5), normal(3, 5)), {}, (
            Special(NOUGHT, "vectors of 0: slope 0", nought, lambda g: (0 * g[:, None], 0 * g[:, None])),
            Special(NOUGHT, "vectors of 0 below ε: their scale is constant", nought,
                    lambda g: (sign * g[:, None] * NOUGHT[1] / 5, 0 * g[:, None]), {"epsilon": 1.0}),
        ), reference),
        Case(rule, (normal(2, 3, 5), normal(2, 1, 5)), {"axis": (0, 2), "epsilon": 9.0}, reference=reference),
        Case(rule, (normal(2, 3, 5), normal(2, 3, 5), booleans(3, 5)), {"axis": None}, reference=reference),
    )  # fmt: skip


ANGLES = (
    *_angles(cosine_similarity, cosine_, 0.0, 1),
    *_angles(cosine_distance, lambda *args, **options: 1 - cosine_(*args, **options), 1.0, -1),
)

# ----------------------------------------------------------------------------------------------- contrasts


def triplet_(
    a: Any, p: Any, n: Any, margin: Any = 1.0, *, axis: Any = -1, norm_degree: Any = 2, eps: Any = 1e-6
) -> Any:
    near, far = ((np.sum(abs(u) ** norm_degree, axis) + eps) ** (1 / norm_degree) for u in (a - p, a - n))
    return np.maximum(near - far + margin, 0)


def ntxent_(x: Any, k: Any, temperature: Any = 0.07) -> Any:
    u = x / np.linalg.norm(x, axis=-1, keepdims=True)
    s = np.exp(u @ u.T / temperature)
    unlike = (s * (k[:, None] != k)).sum(1)
    pairs = [(i, j) for i in range(len(k)) for j in range(len(k)) if i != j and k[i] == k[j]]
    return np.mean([-np.log(s[i, j] / (unlike[i] + s[i, j])) for i, j in pairs])


POINT, ORIGIN = np.array([[3.0, 4.0]]), np.zeros((1, 2))
ALIKE = np.array([0, 0, 1])
CONTRASTS = (
    Case(triplet_margin_loss, (normal(3, 5), normal(3, 5), normal(3, 5), 1.0), {}, (
        Special((ORIGIN, ORIGIN, POINT, 6), "the anchor on the positive, and no ε", np.ones(1),
                lambda g: (g[:, None] * POINT / 5, 0 * g[:, None], -g[:, None] * POINT / 5, None), {"eps": 0.0}),
        Special((ORIGIN, ORIGIN, POINT, 5), "at the kink half the slope", np.zeros(1),
                lambda g: (g[:, None] * POINT / 10, 0 * g[:, None], -g[:, None] * POINT / 10, None), {"eps": 0.0}),
        Special((ORIGIN, ORIGIN, POINT, 1), "far enough: 0", np.zeros(1), lambda g: (*(0 * g[:, None],) * 3, None)),
    ), triplet_),
    Case(triplet_margin_loss, (normal(2, 3, 5), normal(2, 3, 5), normal(2, 3, 5), uniform(5)),
         {"axis": 1, "norm_degree": 3}, (), triplet_),
    Case(triplet_margin_loss, (normal(3, 5), normal(3, 5), normal(3, 5), 3), {"norm_degree": 1}, reference=triplet_),
    Case(ntxent, (normal(7, 5), integers(7, high=3), 0.3), {}, (
        Special((np.eye(3), np.array([0, 1, 2]), 1), "no like pair: 0", 0.0, lambda g: (np.zeros((3, 3)), None, None)),
        Special((np.eye(3), np.zeros(3, int), 1), "none unlike: 0", 0.0, lambda g: (np.zeros((3, 3)), None, None)),
        Special((np.array([[2.0, 0], [2, 0], [0, 1]]), ALIKE, 1), "a like pair that is equal",
                np.log1p(np.exp(-1))),
    ), ntxent_),
    Case(ntxent, (normal(5, 3), integers(5, high=2)), reference=ntxent_),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ overlaps


def dice_(
    x: Any, t: Any, w: Any = None, s: Any = 1.0, a: Any = 0.5, b: Any = 0.5, *,
    apply_softmax: bool = True, reduction: str = "mean", ignore_background: bool = False, axis: Any = None,
) -> Any:  # fmt: skip
    t = t[..., None] if t.ndim < x.ndim else t
    p = x if not apply_softmax else special.expit(x) if x.shape[-1] == 1 else special.softmax(x, -1)
    axis = tuple(range(1, x.ndim - 1)) if axis is None else axis
    both, only_p, only_t = (np.sum(v, axis) for v in (p * t, p * (1 - t), (1 - p) * t))
    loss = (1 - (both + s) / (both + a * only_p + b * only_t + s)) * (1 if w is None else w)
    loss = loss[..., 1:] if ignore_background and loss.shape[-1] > 1 else loss
    return loss if reduction == "none" else loss.mean(-1) if reduction == "mean" else loss.sum(-1)


OVERLAPS = (
    Case(dice_loss, (normal(2, 5, 7, 3), uniform(2, 5, 7, 3), uniform(3), 0.7, 0.3, 0.8), reference=dice_),
    Case(dice_loss, (normal(5, 7, 2, 3), booleans(5, 7, 2, 3), None), {
        "reduction": "none", "ignore_background": True, "axis": (0, 2)}, reference=dice_),
    Case(dice_loss, (normal(3, 7, 1), uniform(3, 7)), {"reduction": "sum"}, reference=dice_),
    Case(dice_loss, (probabilities(2, 7, 3), booleans(2, 7, 3)), {"apply_softmax": False}, (
        Special((np.zeros((1, 2, 1)), np.zeros((1, 2, 1), int), None, 0), "an empty class and no s: 0", np.zeros(1),
                lambda g: (np.zeros((1, 2, 1)), None, None, None)),
    ), dice_),
)  # fmt: skip

CASES: tuple[Case, ...] = (*DIVERGENCES, *ANGLES, *CONTRASTS, *OVERLAPS)

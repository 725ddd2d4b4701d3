"""The cases of this package: shapes, options, special points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from vjpkit import nn
from vjpkit.core import Case, Rule, Special
from vjpkit.core.draw import normal, uniform
from vjpkit.nn.references import (
    celu_,
    elu_,
    gelu_,
    leaky_,
    log_softmax_,
    logsumexp_,
    mish_,
    silu_,
    softmax_,
    softplus_,
    squareplus_,
)

INF = np.inf

# ------------------------------------------------------------------------------------------ activations


def at(why: str, x: Sequence[float], y: Sequence[float], slope: Sequence[float], *options: Any) -> Special:
    """Points of an elementwise function, with its value and its slope in x there; options are no floats."""
    return Special((np.array(x), *options), why, np.array(y), lambda g: (g * np.array(slope), *(None for _ in options)))


def activation(rule: Rule, reference: Callable[..., Any], *points: Special, **static: Any) -> Case:
    return Case(rule, (normal(2, 3, 5, scale=3.0),), static, points, reference)


SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # of selu
R = np.hypot(1e4, 2)  # of squareplus at ±1e4
FAR, BEYOND = (-1e4, 1e4), (-INF, INF)
GATE = at("a gate that is shut or open", [*FAR, *BEYOND], [0, 1e4, 0, INF], [0, 1, 0, 1])

PIECEWISE = (
    activation(
        nn.relu,
        lambda x: np.where(x > 0, x, 0),
        at("kink: slope 0, as jax.nn", [0.0, -0.0], [0, 0], [0, 0]),
        at("far", [*FAR, *BEYOND], [0, 1e4, 0, INF], [0, 1, 0, 1]),
    ),
    activation(
        nn.relu6,
        lambda x: np.clip(x, 0, 6),
        at("kinks: slope 0, as jax.nn", [0.0, -0.0, 6.0], [0, 0, 6], [0, 0, 0]),
        at("far", [*FAR, *BEYOND], [0, 6, 0, 6], [0, 0, 0, 0]),
    ),
    activation(
        nn.hard_tanh,
        lambda x: np.clip(x, -1, 1),
        at("kinks: slope 1, as jax.nn", [-1.0, 1.0], [-1, 1], [1, 1]),
        at("far", [*FAR, *BEYOND], [-1, 1, -1, 1], [0, 0, 0, 0]),
    ),
    activation(
        nn.leaky_relu,
        leaky_,
        at("kink: slope 1, as jax.nn", [0.0, -0.0], [0, 0], [1, 1]),
        at("far, a negative slope", [*FAR, *BEYOND], [2e4, 1e4, INF, INF], [-2, 1, -2, 1], -2),
    ),
    Case(nn.leaky_relu, (normal(2, 3, 5), uniform(3, 5, low=-1.0)), reference=leaky_),
    Case(nn.leaky_relu, (normal(2, 3, 5), uniform(low=0.1)), reference=leaky_),
)

EXPONENTIAL = (
    activation(
        nn.elu,
        elu_,
        at("kink: slope α, as jax.nn", [0.0, -0.0], [0, 0], [2, 2], 2),
        at("far", [*FAR, *BEYOND], [-1, 1e4, -1, INF], [0, 1, 0, 1]),
        at("tail, where y + α would be 0", [-50.0], [-1], [np.exp(-50.0)]),
        at("far, α < 0", [*FAR, *BEYOND], [2, 1e4, 2, INF], [0, 1, 0, 1], -2),
    ),
    Case(nn.elu, (normal(2, 3, 5, scale=2.0), uniform(5, low=-1.0)), reference=elu_),
    activation(
        nn.selu,
        lambda x: SCALE * elu_(x, ALPHA),
        at("kink: slope λ α, as jax.nn", [0.0, -0.0], [0, 0], [SCALE * ALPHA] * 2),
        at("far", [*FAR, *BEYOND], [-SCALE * ALPHA, SCALE * 1e4, -SCALE * ALPHA, INF], [0, SCALE, 0, SCALE]),
        at("tail, where y + λ α would be 0", [-50.0], [-SCALE * ALPHA], [SCALE * ALPHA * np.exp(-50.0)]),
    ),
    activation(
        nn.celu,
        celu_,
        at("no kink", [0.0, -0.0], [0, 0], [1, 1]),
        at("far", [*FAR, *BEYOND], [-1, 1e4, -1, INF], [0, 1, 0, 1]),
        Special(
            (np.array([*FAR, *BEYOND]), np.array([2.0])),
            "far: slope −1 in α, the limit",
            np.array([-2, 1e4, -2, INF]),
            lambda g: (g * np.array([0, 1, 0, 1]), -(g[:1] + g[2:3])),
        ),
    ),
    Case(nn.celu, (normal(2, 3, 5, scale=2.0), uniform(2, 1, 5, low=0.5, high=2.0)), reference=celu_),
)

SMOOTH = (
    activation(nn.sigmoid, special.expit, at("far", [*FAR, *BEYOND], [0, 1, 0, 1], [0, 0, 0, 0])),
    activation(nn.tanh, np.tanh, at("far", [*FAR, *BEYOND], [-1, 1, -1, 1], [0, 0, 0, 0])),
    activation(
        nn.softplus,
        softplus_,
        at("far", [*FAR, *BEYOND], [0, 1e4, 0, INF], [0, 1, 0, 1]),
        at("tail, where 1 − e⁻ʸ cancels", [-50.0], [np.exp(-50.0)], [np.exp(-50.0)]),
    ),
    activation(
        nn.log_sigmoid,
        special.log_expit,
        at("far", [*FAR, *BEYOND], [-1e4, 0, -INF, 0], [1, 0, 1, 0]),
        at("tail, where 1 − eʸ cancels", [50.0], [-np.exp(-50.0)], [np.exp(-50.0)]),
    ),
    activation(
        nn.silu,
        silu_,
        GATE,
        at("tail", [-50.0], [-50 * np.exp(-50.0)], [-49 * np.exp(-50.0)]),
    ),
    activation(
        nn.mish,
        mish_,
        GATE,
        at("tail", [-50.0], [-50 * np.exp(-50.0)], [-49 * np.exp(-50.0)]),
    ),
    activation(
        nn.gelu,
        gelu_,
        GATE,
        at("x³ overflows", [-1e30, 1e30], [0, 1e30], [0, 1]),
        Special((np.array([-7.0]),), "tail, where 1 + tanh u is 0"),
        approximate=True,
    ),
    activation(
        nn.gelu,
        gelu_,
        GATE,
        at("x² overflows", [-1e30, 1e30], [0, 1e30], [0, 1]),
        Special((np.array([-7.0]),), "tail, where 1 + erf is 0"),
        approximate=False,
    ),
    activation(
        nn.squareplus,
        squareplus_,
        at("far", BEYOND, [0, INF], [0, 1]),
        at("tail, where x + r cancels", [-1e4], [2 / (1e4 + R)], [2 / (1e4 + R) / R]),
        at("x² overflows", [-1e30, 1e30], [0, 1e30], [0, 1]),
        at("b = 0 is relu: slope 0 at 0", [0.0, -0.0, -2.0, 3.0], [0, 0, 0, 3], [0, 0, 0, 1], 0),
    ),
    Case(nn.squareplus, (normal(2, 3, 5, scale=2.0), uniform(3, 1, low=0.5, high=4.0)), reference=squareplus_),
)

# ---------------------------------------------------------------------------------------------- layers

LAYERS = (
    *(
        Case(nn.dense, (normal(*rows, 3), normal(3, 5), normal(5)), reference=lambda x, w, b: x @ w + b)
        for rows in ((), (7,), (2, 7))
    ),
    Case(nn.dense, (normal(2, 3), normal(3, 5)), reference=lambda x, w: x @ w),
    Case(nn.affine, (normal(3, 5), normal(5), normal(3)), reference=lambda w, x, b: w @ x + b),
    Case(nn.affine, (normal(3, 5), normal(5, 7), normal(3)), reference=lambda w, x, b: w @ x + b[:, None]),
    *(
        Case(
            nn.einsum,
            (normal(*x), normal(*w)),
            {"subscripts": subscripts},
            reference=lambda x, w, subscripts: np.einsum(subscripts, x, w),
        )
        for subscripts, x, w in (
            ("ij,jk->ik", (2, 3), (3, 5)),
            ("ij,jk", (2, 3), (3, 5)),
            ("ji,kj->ki", (3, 2), (5, 3)),
            ("ijk,jl->li", (2, 3, 5), (3, 7)),
            ("ij,ij->j", (2, 3), (2, 3)),
            ("i,j->ji", (2,), (3,)),
            ("bij,bjk->bik", (2, 3, 5), (2, 5, 7)),
            ("bij,bjk->ki", (1, 3, 5), (2, 5, 7)),
            ("...ij,...jk->...ik", (2, 3, 5), (11, 2, 5, 7)),
            ("...ij,j->...", (7, 2, 3), (3,)),
        )
    ),
)

# -------------------------------------------------------------------------------------------- softmaxes

SOME = np.arange(15).reshape(3, 5) % 3 != 1  # a mask that leaves something in every row and every column
ROW, EMPTY, MASK = [2.0, -INF, 1.0], [-INF] * 3, np.array([[True, False, True], [False] * 3])
SHARES = np.array([[special.expit(1), 0, special.expit(-1)], [0, 0, 0]])  # of ROW and EMPTY, and of MASKED under MASK
MASKED = np.array([[2.0, 5.0, 1.0], [3.0, 1.0, 2.0]])
HUGE = np.array([[1e4, -1e4, 1e4 - 1], [-1e4, 1 - 1e4, -1e4]])


def rows(why: str, x: Any, where: Any, value: Any, bar: Callable[[Any], Any]) -> Special:
    """Rows of logits, with the value and the cotangent of the logits there."""
    return Special((np.array(x), where), why, np.array(value), lambda g: (bar(g), None))


def softmax_bar(y: np.ndarray) -> Callable[[Any], Any]:
    return lambda g: y * (g - (y * g).sum(-1, keepdims=True))


def log_softmax_bar(y: np.ndarray, live: Any) -> Callable[[Any], Any]:
    return lambda g: g * live - np.exp(y) * (g * live).sum(-1, keepdims=True)


with np.errstate(divide="ignore"):
    LOGS = np.log(SHARES)
P, Q = special.softmax(HUGE, -1), special.log_softmax(HUGE, -1)

SOFTMAXES = (
    *(
        Case(rule, (normal(2, 3, 5, scale=2.0), where), {"axis": axis}, reference=reference)
        for rule, reference in ((nn.softmax, softmax_), (nn.log_softmax, log_softmax_))
        for axis, where in ((0, None), ((0, -1), SOME), (None, SOME[:, :1]))
    ),
    Case(
        nn.softmax,
        (normal(2, 3, 5, scale=2.0), SOME),
        {"axis": -1},
        (
            rows("−∞, and a row of it: 0", [ROW, EMPTY], None, SHARES, softmax_bar(SHARES)),
            rows("left out, and a row of it: 0", MASKED, MASK, SHARES, softmax_bar(SHARES)),
            rows("huge logits", HUGE, None, P, softmax_bar(P)),
        ),
        softmax_,
    ),
    Case(
        nn.log_softmax,
        (normal(2, 3, 5, scale=2.0), SOME),
        {"axis": -1},
        (
            rows("−∞: slope 1; a row of it: 0", [ROW, EMPTY], None, LOGS, log_softmax_bar(LOGS, np.array([[1], [0]]))),
            rows("left out, and a row of it: 0", MASKED, MASK, LOGS, log_softmax_bar(LOGS, MASK)),
            rows("huge logits", HUGE, None, Q, log_softmax_bar(Q, 1)),
        ),
        log_softmax_,
    ),
    *(
        Case(nn.logsumexp, (normal(*a, scale=2.0), b, where), options, reference=logsumexp_)
        for a, b, where, options in (
            ((2, 3, 5), None, None, {"axis": None}),
            ((2, 3, 5), None, SOME, {"axis": (0, 2), "keepdims": True}),
            ((2, 3, 5), uniform(3, 1, low=0.2, high=2.0), None, {"axis": 1}),
            ((3, 5), uniform(2, 3, 5, low=0.2, high=2.0), SOME, {"axis": 1}),
        )
    ),
    Case(
        nn.logsumexp,
        (normal(2, 3, 5, scale=2.0), None, None),
        {"axis": -1},
        (
            Special(
                (np.array([ROW, EMPTY]), None, None),
                "−∞, and a row of it: gradient 0",
                np.array([2 + np.log1p(np.exp(-1)), -INF]),
                lambda g: (g[:, None] * SHARES, None, None),
            ),
            Special(
                (MASKED, None, MASK),
                "left out, and a row of it: gradient 0",
                np.array([2 + np.log1p(np.exp(-1)), -INF]),
                lambda g: (g[:, None] * SHARES, None, None),
            ),
            Special(
                (HUGE, None, None), "huge logits", special.logsumexp(HUGE, -1), lambda g: (g[:, None] * P, None, None)
            ),
            Special(
                (np.array([1.0, 2.0]), np.array([1.0, 0.0]), None),
                "a factor 0 has the derivative p, not 0",
                1.0,
                lambda g: (g * np.array([1, 0]), g * np.array([1, np.e]), None),
            ),
            Special(
                (np.array([2.0, 2.0]), np.array([1.0, -1.0]), None),
                "the sum is 0: gradient 0",
                -INF,
                lambda g: (np.zeros(2), np.zeros(2), None),
            ),
        ),
        logsumexp_,
    ),
)

CASES: tuple[Case, ...] = (*PIECEWISE, *EXPONENTIAL, *SMOOTH, *LAYERS, *SOFTMAXES)

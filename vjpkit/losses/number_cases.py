"""The cases of losses of numbers: robust ones and likelihoods, each value by NumPy or SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from vjpkit.core import Case, Special
from vjpkit.core.draw import integers, normal, uniform
from vjpkit.losses.likelihoods import gaussian_nll_loss, poisson_nll_loss
from vjpkit.losses.robust import huber_loss, log_cosh, quantile_loss

INF = np.inf
ENDS, FAR = np.array([INF, -INF]), np.array([1e4, -1e4])

# ------------------------------------------------------------------------------------------------- robust


def huber_(p: Any, t: Any = None, delta: Any = 1.0) -> Any:
    return special.huber(delta, p if t is None else p - t)


def log_cosh_(p: Any, t: Any = None) -> Any:
    e = p if t is None else p - t
    return np.log1p(2 * np.sinh(e / 2) ** 2)  # which does not cancel


def quantile_(p: Any, t: Any = None, quantile: Any = 0.5) -> Any:
    e = p if t is None else p - t
    return np.maximum(-quantile * e, (1 - quantile) * e)


def _slope(*slope: float) -> Any:
    """The cotangents of predictions alone."""
    return lambda g: (g * np.array(slope), None)


def _and_none(*slope: float) -> Any:
    """The cotangents of predictions and of an option that is an integer."""
    return lambda g: (g * np.array(slope), None, None)


SMALL = np.array([1e-4, -1e-4])
ROBUST = (
    Case(huber_loss, (normal(2, 3, 5, scale=2.0), normal(2, 3, 5), 0.7), {}, (
        Special((np.array([2.0, -2, 0]), None, 2), "at ±δ and 0", np.array([2.0, 2, 0]), _and_none(2, -2, 0)),
        Special((ENDS, None, 2), "±∞: slope ±δ", ENDS**2, _and_none(2, -2)),
        Special((FAR, None, 2), "±1e4", np.array([19998.0, 19998]), _and_none(2, -2)),
    ), huber_),
    Case(huber_loss, (normal(3, 5, scale=2.0), integers(3, 5, high=3), uniform(5, low=0.5, high=1.5)), {}, (), huber_),
    Case(huber_loss, (normal(3, 5), None), reference=huber_),
    Case(log_cosh, (normal(2, 3, 5), normal(2, 3, 5)), {}, (
        Special((np.zeros(2), None), "no error: slope 0", np.zeros(2), _slope(0, 0)),
        Special((SMALL, None), "small errors: half the square", SMALL**2 / 2 - SMALL**4 / 12, _slope(*np.tanh(SMALL))),
        Special((np.array([1.0, -1]), None), "where the value is split", np.log(np.cosh([1.0, 1])),
                _slope(np.tanh(1), -np.tanh(1))),
        Special((FAR, None), "±1e4: nothing overflows", abs(FAR) - np.log(2), _slope(1, -1)),
        Special((ENDS, None), "±∞: slope ±1, NaN in optax", ENDS**2, _slope(1, -1)),
    ), log_cosh_),
    Case(log_cosh, (normal(3, 5), integers(3, 5, high=3)), reference=log_cosh_),
    Case(quantile_loss, (normal(2, 3, 5), normal(2, 3, 5), 0.3), {}, (
        Special((np.array([0.0, 2, -2]), None, 0.25), "no error: slope 0; and either side", np.array([0, 1.5, 0.5]),
                lambda g: (g * np.array([0, 0.75, -0.25]), None, np.sum(g * np.array([0, -2, 2])))),
        Special((ENDS, None, 1), "±∞, where one side costs nothing", np.array([0, INF]), _and_none(0, -1)),
    ), quantile_),
    Case(quantile_loss, (normal(3, 5), integers(3, 5, high=3), uniform(5)), reference=quantile_),
)  # fmt: skip

# --------------------------------------------------------------------------------------------- likelihoods


def poisson_(x: Any, t: Any, *, log_input: bool = True, full: bool = False, eps: float = 1e-8) -> Any:
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    some = np.where(t > 1, t, 1)
    stirling = some * np.log(some) - some + 0.5 * np.log(2 * np.pi * some)
    return loss + np.where(t > 1, stirling, 0) * full


def gaussian_(x: Any, t: Any, v: Any, *, full: bool = False, eps: float = 1e-6) -> Any:
    v = np.maximum(v, eps)
    return 0.5 * (np.log(v) + (x - t) ** 2 / v) + 0.5 * np.log(2 * np.pi) * full


COUNTS = np.array([0, 3])
LIKELIHOODS = (
    Case(poisson_nll_loss, (normal(3, 5), uniform(3, 5, high=7.0)), {}, (
        Special((-ENDS[[0, 0]], COUNTS), "λ = 0: 0 ln 0 = 0", np.array([0, INF]), lambda g: (g * -COUNTS, None)),
        Special((np.array([-1e4, -50.0]), COUNTS), "λ = 0 but for rounding", np.array([0, 150]),
                lambda g: (g * -COUNTS, None)),
    ), poisson_),
    Case(poisson_nll_loss, (uniform(3, 5, low=0.1, high=5.0), integers(3, 5, high=7)), {"log_input": False}, (
        Special((np.zeros(1), np.zeros(1, int)), "λ = 0 and nothing counted: slope 1", np.zeros(1),
                lambda g: (g, None)),
    ), poisson_),
    Case(poisson_nll_loss, (normal(3, 5), uniform(3, 5, high=7.0)), {"full": True}, (), poisson_),
    Case(gaussian_nll_loss, (normal(3, 5), normal(3, 5), uniform(3, 1, low=0.5, high=2.0)), {}, (
        Special((np.ones(2), np.ones(2), np.array([0.0, 1e-9])), "a variance below ε: the slope of ε, as PyTorch",
                0.5 * np.log([1e-6, 1e-6]), lambda g: (0 * g, 0 * g, g / 2e-6)),
    ), gaussian_),
    Case(gaussian_nll_loss, (normal(2, 3, 5), integers(2, 3, 5, high=3), uniform(5, low=0.5)), {"full": True},
         reference=gaussian_),
)  # fmt: skip

CASES: tuple[Case, ...] = (*ROBUST, *LIKELIHOODS)

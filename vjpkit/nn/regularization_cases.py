"""The cases of dropout and of gradients changed on purpose: shapes, options, special points, each value by NumPy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vjpkit.core import Case, Special
from vjpkit.core.draw import booleans, keys, normal, uniform
from vjpkit.nn.dropout import dropout, stochastic_depth
from vjpkit.nn.dropout_norms import dropout_add_layer_norm, dropout_add_rms_norm
from vjpkit.nn.gradients import reverse_gradient, scale_gradient, stop_gradient_where, straight_through
from vjpkit.nn.norms_cases import layer_norm_, rms_norm_

INF, NAN = np.inf, np.nan
KEY = np.array([3, 141592653], np.uint32)
FAR = np.array([INF, -INF, NAN, 2.0, INF, -INF, NAN])
ENDS = np.array([INF, -INF, 0.0, 3.0])


def mask_(key: Any, shape: tuple[int, ...], rate: float) -> Any:
    """Entry k of a row is kept where bits 16 (k mod 2) and up of the row's word k // 2 are a number below q 2¹⁶."""
    *rows, n = shape or (1,)
    words = np.asarray(jax.random.bits(key, (*rows, (n + 1) // 2), np.uint32))
    k = np.arange(n)
    bits = (words[..., k // 2] >> (16 * (k % 2)).astype(np.uint32)) % 2**16
    return (bits < round((1 - rate) * 2**16)).reshape(shape)


def dropout_(x, key, rate=0.5, *, broadcast_dims=(), deterministic=False):
    if deterministic:
        return x
    same = [d % x.ndim for d in broadcast_dims]
    q = round((1 - rate) * 2**16) / 2**16
    m = mask_(key, tuple(1 if d in same else n for d, n in enumerate(x.shape)), rate)
    return np.where(m, x, 0) / (q or 1)


def stochastic_depth_(x, key, rate, *, mode="row", deterministic=False):
    dims = tuple(range(x.ndim))[mode == "row" :]
    return dropout_(x, key, rate, broadcast_dims=dims, deterministic=deterministic)


def dropout_add_layer_norm_(x, residual, key, scale=None, bias=None, *, rate, broadcast_dims=(), **static):
    s = residual + dropout_(x, key, rate, broadcast_dims=broadcast_dims)
    return layer_norm_(s, scale, bias, **static), s


def dropout_add_rms_norm_(x, residual, key, scale=None, *, rate, broadcast_dims=(), **static):
    s = residual + dropout_(x, key, rate, broadcast_dims=broadcast_dims)
    return rms_norm_(s, scale, **static), s


DROPOUT = (
    Case(dropout, (normal(3, 5), KEY), special=(
        Special((FAR, KEY), "±∞ and NaN, dropped and kept"),
        Special((FAR, KEY), "rate 1: no 0/0", 0.0, lambda g: (0 * g, None), {"rate": 1.0}),
        Special((FAR, KEY), "rate 0: the identity", FAR, lambda g: (g, None), {"rate": 0.0}),
        Special((np.float64(2.0), KEY), "a number"),
    ), reference=dropout_),
    Case(dropout, (normal(3, 7), keys()), {"rate": 0.1}),
    Case(dropout, (normal(2, 3, 5), KEY), {"rate": 0.3, "broadcast_dims": (1, -1)}, reference=dropout_),
    Case(dropout, (normal(2, 5), None), {"deterministic": True}, reference=dropout_),
    Case(stochastic_depth, (normal(7, 2, 3), KEY), {"rate": 0.25}, special=(
        Special((FAR, KEY), "±∞ and NaN, dropped and kept"),
        Special((FAR, KEY), "rate 1: no 0/0", 0.0, lambda g: (0 * g, None), {"rate": 1.0}),
        Special((FAR, KEY), "rate 0: the identity", FAR, lambda g: (g, None), {"rate": 0.0}),
    ), reference=stochastic_depth_),
    Case(stochastic_depth, (normal(3, 5), KEY), {"rate": 0.25, "mode": "batch"}, reference=stochastic_depth_),
    Case(stochastic_depth, (normal(5, 3), None), {"rate": 0.25, "deterministic": True}, reference=stochastic_depth_),
)  # fmt: skip

ROWS = (normal(3, 7), normal(3, 7))
W, B = uniform(7, low=0.5, high=2.0), normal(7)

FUSED = (
    Case(dropout_add_layer_norm, (*ROWS, KEY, W, None), {"rate": 0.25}, special=(
        Special((np.zeros((3, 2)), np.ones((3, 2)), KEY, None, None), "constant rows: h = 0"),
    ), reference=dropout_add_layer_norm_),
    Case(dropout_add_layer_norm, (*ROWS, keys(), None, B), {"rate": 0.5, "broadcast_dims": (0,)}),
    Case(dropout_add_rms_norm, (*ROWS, KEY, W), {"rate": 0.25}, special=(
        Special((np.zeros((3, 2)), np.zeros((3, 2)), KEY, None), "rows of zeros: h = 0"),
    ), reference=dropout_add_rms_norm_),
    Case(dropout_add_rms_norm, (*ROWS, keys(), W), {"rate": 0.1, "casting": "llama", "offset": 1.0}),
)  # fmt: skip

GRADIENTS = (
    Case(scale_gradient, (normal(3, 5), 0.25), special=(
        Special((ENDS, 0.25), "±∞ pass", ENDS, lambda g: (0.25 * g, 0.0)),
        Special((ENDS, 3), "an integer for scale", ENDS, lambda g: (3 * g, None)),
    ), reference=lambda x, scale: x),
    Case(scale_gradient, (normal(3, 5), normal(5)), reference=lambda x, scale: x),
    Case(reverse_gradient, (normal(3, 5), 0.25), special=(
        Special((ENDS, 0.25), "±∞ pass", ENDS, lambda g: (-0.25 * g, 0.0)),
    ), reference=lambda x, scale: x),
    Case(straight_through, (normal(3, 5), normal(3, 5)), special=(
        Special((ENDS, np.array([2.0, -3.0, 0.5, 0.0])), "±∞ in hard", ENDS, lambda g: (0 * g, g)),
    ), reference=lambda hard, soft: hard),
    Case(stop_gradient_where, (normal(3, 5), booleans(3, 5)), special=(
        Special((ENDS, np.array([True, False, True, False])), "±∞ pass", ENDS, lambda g: (g * np.array([0, 1, 0, 1]),
                None)),
    ), reference=lambda x, where: x),
    Case(stop_gradient_where, (normal(3, 5), booleans(5)), reference=lambda x, where: x),
)  # fmt: skip

CASES: tuple[Case, ...] = (*DROPOUT, *FUSED, *GRADIENTS)

"""The cases of the norms: shapes, options, special points, and each value by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vjpkit.core import Case, Special
from vjpkit.core.draw import normal, uniform
from vjpkit.nn.batch_norms import batch_norm
from vjpkit.nn.group_norms import group_norm, instance_norm
from vjpkit.nn.norms import layer_norm, rms_norm
from vjpkit.nn.residual_norms import add_layer_norm, add_rms_norm
from vjpkit.nn.standardization import l2_normalize, standardize, weight_standardize

# ------------------------------------------------------------------------------------------ their values


def mean_(v: Any, axis: Any, where: Any = None) -> Any:
    return v.mean(axis, keepdims=True, where=True if where is None else np.broadcast_to(where, v.shape))


def beside_(x: Any, axis: Any, p: Any) -> Any:
    """A parameter of the shape of the axes `axis` beside all the rest of `x`."""
    own = {a % x.ndim for a in (range(x.ndim) if axis is None else np.atleast_1d(axis))}
    return p if np.ndim(p) == 0 else np.expand_dims(p, [a for a in range(x.ndim) if a not in own])


def standardize_(x, mean=None, variance=None, epsilon=1e-5, where=None, *, axis=-1, algorithm="fast"):
    c = x - (mean_(x, axis, where) if mean is None else mean)
    return c / np.sqrt((mean_(c**2, axis, where) if variance is None else variance) + epsilon)


def layer_norm_(x, scale=None, bias=None, where=None, *, axis=-1, epsilon=1e-6):
    w, b = (beside_(x, axis, otherwise if p is None else p) for p, otherwise in ((scale, 1.0), (bias, 0.0)))
    return standardize_(x, epsilon=epsilon, where=where, axis=axis) * w + b


def rms_norm_(x, scale=None, where=None, *, axis=-1, epsilon=1e-6, offset=0.0, casting="gemma"):
    w = beside_(x, axis, 1.0 if scale is None else offset + scale)
    return x / np.sqrt(mean_(x**2, axis, where) + epsilon) * w


def add_layer_norm_(x, residual, scale=None, bias=None, **static):
    return layer_norm_(x + residual, scale, bias, **static), x + residual


def add_rms_norm_(x, residual, scale=None, **static):
    return rms_norm_(x + residual, scale, **static), x + residual


def l2_normalize_(x, *, axis=-1, epsilon=1e-12):
    return x / np.sqrt((x**2).sum(axis, keepdims=True) + epsilon)


def weight_standardize_(w, *, feature_axes=-1, epsilon=1e-5):
    others = tuple(set(range(w.ndim)) - {a % w.ndim for a in np.atleast_1d(feature_axes)})
    return (w - mean_(w, others)) / (w.std(others, keepdims=True) + epsilon)


def batch_norm_(
    x, scale=None, bias=None, mean=None, var=None, where=None, *, axis=-1, epsilon=1e-5, momentum=0.99, **static
):
    others = tuple(set(range(x.ndim)) - {a % x.ndim for a in np.atleast_1d(axis)})
    w, b = (beside_(x, axis, otherwise if p is None else p) for p, otherwise in ((scale, 1.0), (bias, 0.0)))
    if static.get("use_running_average"):
        return standardize_(x, beside_(x, axis, mean), beside_(x, axis, var), epsilon) * w + b
    mu = mean_(x, others, where)
    v = mean_((x - mu) ** 2, others, where)
    y = standardize_(x, mu, v, epsilon) * w + b
    moved = [
        (momentum * p + (1 - momentum) * np.squeeze(m, others)) for p, m in ((mean, mu), (var, v)) if p is not None
    ]
    return (y, *moved) if moved else y


def group_norm_(x, scale=None, bias=None, where=None, *, num_groups=32, group_size=None, epsilon=1e-6):
    groups = (num_groups or x.shape[-1] // group_size, -1)
    grouped = x.reshape(*x.shape[:-1], *groups)
    where = None if where is None else np.broadcast_to(where, x.shape).reshape(grouped.shape)
    h = standardize_(grouped, epsilon=epsilon, where=where, axis=(*range(1, x.ndim - 1), -1)).reshape(x.shape)
    return h * (1.0 if scale is None else scale) + (0.0 if bias is None else bias)


def instance_norm_(x, scale=None, bias=None, where=None, *, axis=-1, epsilon=1e-6):
    w, b = (beside_(x, axis, otherwise if p is None else p) for p, otherwise in ((scale, 1.0), (bias, 0.0)))
    pixels = tuple(set(range(1, x.ndim)) - {a % x.ndim for a in np.atleast_1d(axis)})
    return standardize_(x, epsilon=epsilon, where=where, axis=pixels) * w + b


# ---------------------------------------------------------------------------------------- their cases

X = normal(2, 3, 5)
WHERE = np.array([[True], [True], [False]])  # [3, 1]: the same of each row along the last axis
SOME = np.array([[True, False, True, True, False], [False] * 4 + [True], [True] * 5])  # [3, 5]: all rows have one
W, B = np.array([0.5, -2.0, 3.0]), np.array([1.0, -1.0, 0.25])

# Rows that are singular in other ways, for ε = 3: at mean 1e4, where ⟨x²⟩ − μ² has no digit left in float32, with
# r = 1/2; one that does not vary, with r = 1/√3; one of which nothing counts, with μ = 0 and r = 1/√3.
SINGULAR = "rows at mean 1e4, that do not vary, of which nothing counts"
ROWS = np.array([[1e4, 1e4 + 2], [7.0, 7.0], [3.0, -2.0]])
COUNT = np.array([[True], [True], [False]])
H = np.array([[-0.5, 0.5], [0.0, 0.0], [3 / 3**0.5, -2 / 3**0.5]])

EQUAL = np.full((2, 3), 2.0)
SINGLE = np.array([[3.0], [-2.0], [0.0]])


def x_bar(m: Any) -> Any:
    """r (m − ⟨m⟩ − h ⟨h m⟩) in the first of ROWS."""
    r, share = np.array([[3 / 8], [3**-0.5], [3**-0.5]])[: len(m)], np.array([[1.0], [1.0], [0.0]])[: len(m)]
    return r * (m - share * m.mean(-1, keepdims=True))


def at(why: str, *args: Any, value: Any = None, bars: Callable[[Any], Any] | None = None, **static: Any) -> Special:
    return Special(args, why, value, bars, static)


STANDARDIZED = (
    Case(standardize, (X, None, None, 1e-3, SOME), {"axis": (0, -1)}, (
        at(SINGULAR, ROWS, None, None, 3.0, COUNT, axis=-1, value=H,
           bars=lambda g: (x_bar(g), None, None, -(g * H * np.array([[1 / 8], [0.0], [1 / 6]])).sum(), None)),
        at("epsilon 0 in rows that do not vary: 0, gradient 0", EQUAL, None, None, 0.0, None, axis=-1, value=0.0,
           bars=lambda g: (0 * g, None, None, 0.0, None)),
    ), standardize_),
    Case(standardize, (X, normal(5), None, 1e-5, WHERE), {"axis": 1, "algorithm": "stable"}, reference=standardize_),
    Case(standardize, (X, None, uniform(3, 1, low=0.5, high=2.0), 1e-3, SOME), {"axis": None}, reference=standardize_),
    Case(l2_normalize, (X,), {"axis": (0, 2), "epsilon": 0.5}, (
        at("a row of zeros: 0, slope 1 / √ε", 0 * EQUAL, value=0.0, bars=lambda g: (1e6 * g,), axis=-1, epsilon=1e-12),
        at("rows of one entry and epsilon 0: the sign, gradient 0", SINGLE, value=np.sign(SINGLE),
           bars=lambda g: (0 * g,), axis=-1, epsilon=0.0),
    ), l2_normalize_),
    Case(weight_standardize, (X,), {"feature_axes": (0, 2), "epsilon": 0.1}, (
        at("features at mean 1e4 and of equal weights", ROWS[:2].T, value=np.array([[-0.5, 0.0], [0.5, 0.0]]),
           bars=lambda g: (np.array([0.25, 1.0]) * (g - g.mean(0)),), feature_axes=-1, epsilon=1.0),
        at("equal weights and epsilon 0: 0, gradient 0", EQUAL, value=0.0, bars=lambda g: (0 * g,),
           feature_axes=-1, epsilon=0.0),
    ), weight_standardize_),
)  # fmt: skip

LAYERS = (
    Case(layer_norm, (X, normal(5), normal(5), None), {}, (
        at(SINGULAR, ROWS, W[:2], B[:2], COUNT, value=H * W[:2] + B[:2],
           bars=lambda g: (x_bar(W[:2] * g), (H * g).sum(0), g.sum(0), None), epsilon=3.0),
        at("rows of one entry and epsilon 0: h = 0, gradient 0", SINGLE, W[:1], B[:1], None, value=B[0],
           bars=lambda g: (0 * g, 0 * g[0], g.sum(0), None), epsilon=0.0),
    ), layer_norm_),
    Case(layer_norm, (X, normal(2, 5), None, SOME), {"axis": (0, -1), "epsilon": 0.1}, reference=layer_norm_),
    Case(layer_norm, (X, None, normal(2, 3, 5), WHERE), {"axis": None}, reference=layer_norm_),
    Case(rms_norm, (X, normal(5), SOME), {"offset": 1.0}, (
        at("a row of zeros: slope w / √ε", 0 * EQUAL, W, None, value=0.0, bars=lambda g: (1e3 * W * g, 0 * W, None),
           offset=0.0),
        at("rows of one entry and epsilon 0: the sign, gradient 0", SINGLE, W[:1], None,
           value=W[0] * np.sign(SINGLE), bars=lambda g: (0 * g, g[0] - g[1], None), offset=0.0, epsilon=0.0),
    ), rms_norm_),
    Case(rms_norm, (X, normal(2, 3), None), {"axis": (1, 0), "casting": "llama"}, reference=rms_norm_),
    Case(add_layer_norm, (X, normal(2, 3, 5), normal(5), normal(5)), {}, (
        at("sums at mean 1e4, and that do not vary", ROWS[:2] - 5.0, 0 * ROWS[:2] + 5.0, W[:2], B[:2],
           value=(H[:2] * W[:2] + B[:2], ROWS[:2]), bars=lambda g: (
               x_bar(W[:2] * g[0]) + g[1], x_bar(W[:2] * g[0]) + g[1], (H[:2] * g[0]).sum(0), g[0].sum(0)),
           epsilon=3.0),
    ), add_layer_norm_),
    Case(add_rms_norm, (X, normal(2, 3, 5), normal(2, 3)), {"axis": (0, 1), "offset": 1.0}, (
        at("a sum of zeros", EQUAL, -EQUAL, W, axis=-1, offset=0.0, value=(0 * EQUAL, 0 * EQUAL),
           bars=lambda g: (1e3 * W * g[0] + g[1], 1e3 * W * g[0] + g[1], 0 * W)),
    ), add_rms_norm_),
)  # fmt: skip

CHANNELS = normal(3), normal(3)
RUNNING = normal(3), uniform(3, low=0.5, high=2.0)

BATCHES = (
    Case(batch_norm, (X, *CHANNELS, *RUNNING, SOME), {"axis": 1, "momentum": 0.9}, reference=batch_norm_),
    Case(batch_norm, (X, None, normal(2, 5), None, None, WHERE), {"axis": (0, -1), "epsilon": 0.1}, (
        at(SINGULAR, ROWS.T, W, B, None, None, COUNT.T, value=H.T * W + B, axis=-1, epsilon=3.0,
           bars=lambda g: (x_bar((W * g).T).T, (H.T * g).sum(0), g.sum(0), None, None, None)),
        at("epsilon 0 in channels that do not vary: h = 0, gradient 0", EQUAL, W, B, None, None, None,
           value=B, bars=lambda g: (0 * g, 0 * W, g.sum(0), None, None, None), axis=-1, epsilon=0.0),
    ), batch_norm_),
    Case(batch_norm, (normal(2, 5, 3), *CHANNELS, *RUNNING, None), {"use_running_average": True}, (
        at("running variance 0 and epsilon 0: 0, gradient 0", EQUAL, None, None, 0 * W, 0 * W, None, value=0.0,
           bars=lambda g: (0 * g, None, None, 0 * g[0], 0 * g[0], None), epsilon=0.0),
    ), batch_norm_),
    # the channels are no prime, for groups must divide them
    Case(group_norm, (normal(2, 3, 6), None, normal(6), SOME[:, :1]), {"num_groups": None, "group_size": 3}, (
        at(SINGULAR, ROWS, W[:2], B[:2], COUNT, value=H * W[:2] + B[:2], num_groups=1, group_size=None, epsilon=3.0,
           bars=lambda g: (x_bar(W[:2] * g), (H * g).sum(0), g.sum(0), None)),
        at("groups of one entry and epsilon 0: h = 0, gradient 0", EQUAL, W, B, None, value=B,
           bars=lambda g: (0 * g, 0 * W, g.sum(0), None), num_groups=3, group_size=None, epsilon=0.0),
    ), group_norm_),
    Case(group_norm, (normal(2, 5, 6), normal(6), None, None), {"num_groups": 2}, reference=group_norm_),
    Case(instance_norm, (normal(5, 2, 3), normal(2), normal(2), SOME[::2, :3]), {"axis": 1, "epsilon": 0.1}, (
        at(SINGULAR, ROWS[..., None], W[:1], B[:1], COUNT[..., None], value=H[..., None] * W[0] + B[0],
           bars=lambda g: (x_bar(W[0] * g[..., 0])[..., None], (H[..., None] * g).sum((0, 1)), g.sum((0, 1)), None),
           axis=-1, epsilon=3.0),
        at("one pixel and epsilon 0: h = 0, gradient 0", EQUAL, W, B, None, value=B,
           bars=lambda g: (0 * g, 0 * W, g.sum(0), None), axis=-1, epsilon=0.0),
    ), instance_norm_),
)  # fmt: skip

CASES: tuple[Case, ...] = (*STANDARDIZED, *LAYERS, *BATCHES)

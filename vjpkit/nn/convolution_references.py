"""Convolution, pooling and resizing in NumPy, by a view of the windows: the values that the cases are held against."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def global_avg_pool_(x, *, keepdims=False):
    return x.mean(tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_max_pool_(x, *, keepdims=False):
    return x.max(tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def _padded(x: Any, padding: Any, spans: Any, strides: Any, fill: float = 0.0) -> Any:
    """x, [n, *spatial, c], with the padding that jax.lax gives these words."""
    pairs = []
    for axis, (span, s) in enumerate(zip(spans, strides, strict=True)):
        n = x.shape[1 + axis]
        missing = max((-(-n // s) - 1) * s + span - n, 0)
        words = {
            "VALID": (0, 0),
            "SAME": (missing // 2, missing - missing // 2),
            "SAME_LOWER": (missing - missing // 2, missing // 2),
            "CAUSAL": (span - 1, 0),
        }
        pairs.append(words[padding] if isinstance(padding, str) else padding[axis])
    return np.pad(x, [(0, 0), *pairs, (0, 0)], constant_values=fill)


def _seen(x: Any, window: Any, strides: Any, dilation: Any) -> Any:
    """[n, *places, c, *window]: what every window over x, already padded, holds."""
    spans, axes = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)], range(1, x.ndim - 1)
    view = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(axes))
    return view[
        (slice(None), *(slice(None, None, s) for s in strides), slice(None), *(slice(None, None, d) for d in dilation))
    ]


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _rows(x: Any, rank: int) -> Any:
    return x.reshape(-1, *x.shape[x.ndim - rank - 1 :])


def conv_(x, w, b, *, strides=1, padding="SAME", dilation=1, feature_group_count=1):
    rank = w.ndim - 2
    strides, dilation = _each(strides, rank), _each(dilation, rank)
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape, dilation, strict=False)]
    seen = _seen(_padded(_rows(x, rank), padding, spans, strides), w.shape[:rank], strides, dilation)
    groups = np.split(seen, feature_group_count, 1 + rank), np.split(w, feature_group_count, -1)
    over = (1 + rank, *range(2 + rank, 2 + 2 * rank)), (rank, *range(rank))
    y = np.concatenate([np.tensordot(x, w, over) for x, w in zip(*groups, strict=True)], -1)
    return y.reshape(*x.shape[: x.ndim - rank - 1], *y.shape[1:]) + (0 if b is None else b)


def conv_transpose_(x, w, b, *, strides=1, padding="SAME", dilation=1, transpose_kernel=False):
    rank = w.ndim - 2
    strides, dilation = _each(strides, rank), _each(dilation, rank)
    if transpose_kernel:
        w = np.flip(w, tuple(range(rank))).swapaxes(-1, -2)
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape, dilation, strict=False)]
    if padding == "SAME":  # as many places as strides times entries
        lows = [k - 1 if s > k - 1 else -(-(k + s - 2) // 2) for k, s in zip(spans, strides, strict=True)]
        padding = [(low, k + s - 2 - low) for low, k, s in zip(lows, spans, strides, strict=True)]
    elif padding == "VALID":  # every place that an entry reaches, and no fewer than strides times entries
        padding = [(k - 1, max(k, s) - 1) for k, s in zip(spans, strides, strict=True)]
    lead, sizes = x.shape[: x.ndim - rank - 1], x.shape[-rank - 1 : -1]
    spread = np.zeros((*lead, *((n - 1) * s + 1 for n, s in zip(sizes, strides, strict=True)), x.shape[-1]))
    entries: Any = (..., *(slice(None, None, s) for s in strides), slice(None))
    spread[entries] = x
    return conv_(spread, w, b, padding=padding, dilation=dilation)


def _pool(x, window_shape, strides, padding, fill, reduce):
    rank = len(window_shape)
    strides = strides or (1,) * rank
    seen = _seen(_padded(_rows(x, rank), padding, window_shape, strides, fill), window_shape, strides, (1,) * rank)
    y = reduce(seen, tuple(range(-rank, 0)))
    return y.reshape(*x.shape[: x.ndim - rank - 1], *y.shape[1:])


def max_pool_(x, *, window_shape, strides=None, padding="VALID"):
    return _pool(x, window_shape, strides, padding, -np.inf, np.max)


def avg_pool_(x, *, window_shape, strides=None, padding="VALID", count_include_pad=True):
    total = _pool(x, window_shape, strides, padding, 0.0, np.sum)
    count = _pool(np.ones_like(x), window_shape, strides, padding, 0.0, np.sum)
    return total / (np.prod(window_shape) if count_include_pad else np.maximum(count, 1))


def adaptive_avg_pool_(x, *, output_shape):
    lead, sizes = x.shape[: x.ndim - len(output_shape) - 1], x.shape[-len(output_shape) - 1 : -1]
    y = np.zeros((*lead, *output_shape, x.shape[-1]))
    axes = tuple(range(-len(sizes) - 1, -1))
    for p in np.ndindex(*output_shape):
        part = [slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(p, sizes, output_shape, strict=True)]
        y[(..., *p, slice(None))] = x[(..., *part, slice(None))].mean(axes)
    return y


def upsample_nearest_(x, *, factors):
    for axis, s in enumerate(factors, x.ndim - len(factors) - 1):
        x = x.repeat(s, axis)
    return x


def upsample_bilinear_(x, *, factors):
    for axis, s in enumerate(factors, x.ndim - len(factors) - 1):
        n = x.shape[axis]
        at = np.clip((np.arange(s * n) + 0.5) / s - 0.5, 0, n - 1)
        left = np.floor(at).astype(int)
        right = np.minimum(left + 1, n - 1)
        share = (at - left).reshape(-1, *(1,) * (x.ndim - axis - 1))
        x = (1 - share) * x.take(left, axis) + share * x.take(right, axis)
    return x


def pixel_shuffle_(x, *, factors):
    rank, m = len(factors), int(np.prod(factors))
    lead, sizes = x.shape[: x.ndim - rank - 1], x.shape[-rank - 1 : -1]
    y = np.zeros((*lead, *(n * s for n, s in zip(sizes, factors, strict=True)), x.shape[-1] // m))
    for j, strided in enumerate(_places_in_a_block(factors)):
        y[strided] = x[..., j::m]
    return y


def pixel_unshuffle_(x, *, factors):
    y = np.stack([x[strided] for strided in _places_in_a_block(factors)], -1)
    return y.reshape(*y.shape[:-2], -1)


def _places_in_a_block(factors: Any) -> list[Any]:
    """For every place in a block, the index of what all blocks have there."""
    ranges = [[slice(j, None, s) for j in range(s)] for s in factors]
    return [(..., *strided, slice(None)) for strided in itertools.product(*ranges)]

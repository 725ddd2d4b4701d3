"""Convolution in NumPy, for one evaluation after another of small arrays: nothing is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def convolved(p: Mapping[str, Any], x: Any, w: Any) -> Any:
    """`conv_general_dilated` with its parameters."""
    dims = p["dimension_numbers"]
    if p["batch_group_count"] != 1 or x.dtype.kind not in "fc" or 0 in x.shape or 0 in w.shape:
        return NotImplemented
    x, w = np.transpose(x, dims.lhs_spec), np.transpose(w, dims.rhs_spec)  # batch, channels, …; out, in, …
    x, w = _dilated(x, p["lhs_dilation"]), _dilated(w, p["rhs_dilation"])
    inner = tuple(
        slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(p["padding"], x.shape[2:], strict=True)
    )
    x = x[(slice(None), slice(None), *inner)]
    x = np.pad(x, [(0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in p["padding"])])
    if any(n < m for n, m in zip(x.shape[2:], w.shape[2:], strict=True)):
        return NotImplemented
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], tuple(range(2, x.ndim)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in p["window_strides"]))]
    groups, space = p["feature_group_count"], x.ndim - 2
    over = tuple(range(2 + space, 2 + 2 * space))
    parts = [
        np.tensordot(a, b, ((1, *over), (1, *range(2, 2 + space))))  # batch, space…, out
        for a, b in zip(np.split(windows, groups, 1), np.split(w, groups, 0), strict=True)
    ]
    out = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    return np.transpose(out, np.argsort(dims.out_spec))


def _dilated(a: Any, by: tuple[int, ...]) -> Any:
    """With zeros between its entries along the axes of space."""
    if all(d == 1 for d in by):
        return a
    shape = (*a.shape[:2], *(d * (n - 1) + 1 for d, n in zip(by, a.shape[2:], strict=True)))
    out = np.zeros(shape, a.dtype)
    out[(slice(None), slice(None), *(slice(None, None, d) for d in by))] = a
    return out

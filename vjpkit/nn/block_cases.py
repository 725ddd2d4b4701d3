"""The cases of feed-forward blocks: each norm, unit and choice of what is kept, and the value by NumPy."""

from __future__ import annotations

import numpy as np

from vjpkit.core import Case
from vjpkit.core.draw import normal
from vjpkit.nn.activations import tanh
from vjpkit.nn.blocks import gated_mlp, mlp
from vjpkit.nn.gated_units import geglu
from vjpkit.nn.references import gelu_, silu_


def norm_(x, scale, bias, norm, epsilon, offset=0.0):
    if norm is None:
        return x
    centred = x - x.mean(-1, keepdims=True) if norm == "layer" else x
    h = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return h * (1 if scale is None else offset + scale) + (0 if bias is None else bias)


def mlp_(x, w_in, w_out, b_in=0, b_out=0, scale=None, bias=None, *, activation=None, norm="layer", epsilon=1e-6, **_):
    h = norm_(x, scale, bias, norm, epsilon) @ w_in + (0 if b_in is None else b_in)
    return (np.tanh(h) if activation is tanh else gelu_(h, True)) @ w_out + (0 if b_out is None else b_out)


def gated_mlp_(
    x, w_gate, w_value, w_out, scale=None, bias=None, *, unit=None, norm="rms", epsilon=1e-6, offset=0.0, **_
):
    n = norm_(x, scale, bias, norm, epsilon, offset)
    gate = n @ w_gate
    return ((gelu_(gate, True) if unit is geglu else silu_(gate)) * (n @ w_value)) @ w_out


X, W, V = normal(2, 3, 5), normal(5, 11), normal(11, 7)

CASES = (
    Case(mlp, (X, W, V, normal(11), normal(7), normal(5), normal(5)), reference=mlp_),
    Case(mlp, (X, W, V, None, normal(7), normal(5)), {"norm": "rms", "activation": tanh, "save": "out"}, (), mlp_),
    Case(mlp, (normal(3, 5), W, V, normal(11)), {"norm": None, "save": "none"}, reference=mlp_),
    Case(gated_mlp, (X, W, W, V, normal(5)), reference=gated_mlp_),
    Case(gated_mlp, (X, W, W, V, normal(5)), {"unit": geglu, "offset": 1.0, "save": "none"}, reference=gated_mlp_),
    Case(gated_mlp, (X, W, W, V, normal(5), normal(5)), {"norm": "layer", "save": "out"}, reference=gated_mlp_),
)  # fmt: skip

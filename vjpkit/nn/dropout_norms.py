"""Dropout, the residual connection after it, and the norm that follows: one array kept for the three."""

from __future__ import annotations

from typing import Any

from jax import Array

from vjpkit.core import rule
from vjpkit.nn.dropout import dropped, fit
from vjpkit.nn.norms import known_casting
from vjpkit.nn.residual_norms import (
    add_layer_norm,
    add_layer_norm_fwd,
    add_layer_norm_jvp,
    add_layer_norm_vjp,
    add_rms_norm,
    add_rms_norm_fwd,
    add_rms_norm_jvp,
    add_rms_norm_vjp,
    fit_addends,
)
from vjpkit.nn.rows import Axis

# ------------------------------------------------------------------------------------------------- layer norm


@rule(static=("rate", "broadcast_dims", "deterministic", "axis", "epsilon", "dtype"))
def dropout_add_layer_norm(
    x: Array,
    residual: Array,
    key: Array | None,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    rate: float,
    broadcast_dims: tuple[int, ...] = (),
    deterministic: bool = False,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    dtype: Any = None,
) -> tuple[Array, Array]:
    """Dropout, a residual connection, and the layer norm that follows it.

        s = residual + dropout(x),   y = layer_norm(s)

    Args:    x, residual: one shape, one real float dtype.
             key, rate, broadcast_dims, deterministic: as in dropout.  The others: as in layer_norm.
    Returns: (y, s): the norm, and the sum for the next residual connection.
    Rule:    ṡ = residual's tangent + ẋ m / q, ẏ as layer_norm's of ṡ
             residual's cotangent is c = g_s + s̄, s̄ as layer_norm's of g_y     x̄ = c m / q
             keeps s, per row μ and r, and the key, from which m is drawn again.
    Wins:    residuals 4.2× less; temp memory 3.9× less alone; temp memory 2.6× less in a stack;
             temp memory 2.1× less in a scan.
    Edges:   as dropout's, and layer_norm's of the sum as it is rounded to its dtype.
    Raises:  ShapeError, DtypeError where x and residual differ, and as dropout and layer_norm; ValueError for a rate
             outside [0, 1].
    Source:  dropout, s and layer_norm.
    """
    fit_addends("dropout_add_layer_norm", x, residual, axis, scale=scale, bias=bias)
    fit("dropout_add_layer_norm", x, key, rate, broadcast_dims, deterministic)
    x = dropped(x, key, rate, broadcast_dims, deterministic)
    return add_layer_norm.primal(x, residual, scale, bias, axis=axis, epsilon=epsilon, dtype=dtype)


def dropout_add_layer_norm_fwd(x, residual, key, scale, bias, *, rate, broadcast_dims, deterministic, **norm_options):
    x = dropped(x, key, rate, broadcast_dims, deterministic)
    out, res = add_layer_norm_fwd(x, residual, scale, bias, **norm_options)
    return out, (key, res)


def dropout_add_layer_norm_jvp(
    res, x_dot, residual_dot, key_dot, scale_dot, bias_dot, *, rate, broadcast_dims, deterministic, **norm_options
):  # ṡ = ẋ m / q + residual_dot    ẏ of ṡ
    key, norm_res = res
    x_dot = dropped(x_dot, key, rate, broadcast_dims, deterministic)
    return add_layer_norm_jvp(norm_res, x_dot, residual_dot, scale_dot, bias_dot, **norm_options)


def dropout_add_layer_norm_vjp(
    res, g, *, rate, broadcast_dims, deterministic, **norm_options
):  # residual_bar = g_s + s̄ of g_y    x̄ = residual_bar m / q
    key, norm_res = res
    x_bar, residual_bar, *of_norm = add_layer_norm_vjp(norm_res, g, **norm_options)
    return dropped(x_bar, key, rate, broadcast_dims, deterministic), residual_bar, None, *of_norm


dropout_add_layer_norm.defrule(
    fwd=dropout_add_layer_norm_fwd, jvp=dropout_add_layer_norm_jvp, vjp=dropout_add_layer_norm_vjp, recompute=True
)


# --------------------------------------------------------------------------------------------------- RMS norm


@rule(static=("rate", "broadcast_dims", "deterministic", "axis", "epsilon", "offset", "casting", "dtype"))
def dropout_add_rms_norm(
    x: Array,
    residual: Array,
    key: Array | None,
    scale: Array | None = None,
    *,
    rate: float,
    broadcast_dims: tuple[int, ...] = (),
    deterministic: bool = False,
    axis: Axis = -1,
    epsilon: float = 1e-6,
    offset: float = 0.0,
    casting: str = "gemma",
    dtype: Any = None,
) -> tuple[Array, Array]:
    """Dropout, a residual connection, and the RMS norm that follows it.

        s = residual + dropout(x),   y = rms_norm(s)

    Args:    x, residual: one shape, one real float dtype.
             key, rate, broadcast_dims, deterministic: as in dropout.  The others: as in rms_norm.
    Returns: (y, s): the norm, and the sum for the next residual connection.
    Rule:    ṡ = residual's tangent + ẋ m / q, ẏ as rms_norm's of ṡ
             residual's cotangent is c = g_s + s̄, s̄ as rms_norm's of g_y     x̄ = c m / q
             keeps s, per row r, and the key, from which m is drawn again.
    Wins:    residuals 4.2× less; temp memory 1.8× less in a stack; temp memory 2.2× less in a scan.
    Edges:   as dropout's, and rms_norm's of the sum as it is rounded to its dtype.
    Raises:  ShapeError, DtypeError where x and residual differ, and as dropout and rms_norm; ValueError for a rate
             outside [0, 1] and another casting.
    Source:  dropout, s and rms_norm.
    """
    known_casting("dropout_add_rms_norm", casting)
    fit_addends("dropout_add_rms_norm", x, residual, axis, scale=scale)
    fit("dropout_add_rms_norm", x, key, rate, broadcast_dims, deterministic)
    x = dropped(x, key, rate, broadcast_dims, deterministic)
    return add_rms_norm.primal(
        x, residual, scale, axis=axis, epsilon=epsilon, offset=offset, casting=casting, dtype=dtype
    )


def dropout_add_rms_norm_fwd(x, residual, key, scale, *, rate, broadcast_dims, deterministic, **norm_options):
    x = dropped(x, key, rate, broadcast_dims, deterministic)
    out, res = add_rms_norm_fwd(x, residual, scale, **norm_options)
    return out, (key, res)


def dropout_add_rms_norm_jvp(
    res, x_dot, residual_dot, key_dot, scale_dot, *, rate, broadcast_dims, deterministic, **norm_options
):  # ṡ = ẋ m / q + residual_dot    ẏ of ṡ
    key, norm_res = res
    x_dot = dropped(x_dot, key, rate, broadcast_dims, deterministic)
    return add_rms_norm_jvp(norm_res, x_dot, residual_dot, scale_dot, **norm_options)


def dropout_add_rms_norm_vjp(
    res, g, *, rate, broadcast_dims, deterministic, **norm_options
):  # residual_bar = g_s + s̄ of g_y    x̄ = residual_bar m / q
    key, norm_res = res
    x_bar, residual_bar, *of_norm = add_rms_norm_vjp(norm_res, g, **norm_options)
    return dropped(x_bar, key, rate, broadcast_dims, deterministic), residual_bar, None, *of_norm


dropout_add_rms_norm.defrule(
    fwd=dropout_add_rms_norm_fwd, jvp=dropout_add_rms_norm_jvp, vjp=dropout_add_rms_norm_vjp, recompute=True
)

"""What a rule refuses, and how: a named error that says which function and argument, what it wanted and what came."""

from __future__ import annotations

import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from vjpkit import losses, nn
from vjpkit.core import Rule, registry
from vjpkit.core.docstring import sections

from .refusals import FIELDS, FLOAT, REAL, B, Bad, C, F, H, I, U, dtype, kind, shape, value
from .refused_losses import CHOICES as REFUSED_CHOICES
from .refused_losses import MORE_LOSSES as REFUSED_LOSSES

# ------------------------------------------------------------------------------------------------- layers

LINEAR = (
    shape(nn.dense, F(2, 3), F(5, 7), F(7), says=("w", "[3, o]", "float32[5,7]")),
    shape(nn.dense, F(2, 3), F(3, 7), F(5), says=("b", "[7]", "float32[5]")),
    shape(nn.dense, F(), F(3, 7), F(7), says=("x", "[..., i]", "float32[]")),
    shape(nn.dense, F(2, 3), None, F(7), says=("w", "[3, o]", "None")),
    dtype(nn.dense, I(2, 3), F(3, 7), F(7), says=("x", FIELDS, "int32[2,3]")),
    dtype(nn.dense, F(2, 3), H(3, 7), F(7), says=("w", "float32, the dtype of x", "bfloat16[3,7]")),
    shape(nn.affine, F(7, 3), F(5, 2), F(7), says=("x", "[3, n]", "float32[5,2]")),
    shape(nn.affine, F(7, 3), F(3, 2), F(3), says=("b", "[7]", "float32[3]")),
    shape(nn.affine, F(3), F(3, 2), F(7), says=("w", "[o, i]", "float32[3]")),
    dtype(nn.affine, F(7, 3), I(3, 2), F(7), says=("x", "float32, the dtype of w", "int32[3,2]")),
    dtype(nn.affine, I(7, 3), I(3, 2), I(7), says=("w", FIELDS, "int32[7,3]")),
    shape(nn.einsum, x=F(2, 3), w=F(5, 7), subscripts="ij,jk->ik", says=("subscripts", "one size for 'j'", "3 in x")),
    shape(nn.einsum, x=F(3, 3), w=F(3, 7), subscripts="ii,ik->ik", says=("subscripts", "each letter once", "'ii'")),
    shape(nn.einsum, x=F(2, 3), w=F(3, 7), subscripts="ij->i", says=("subscripts", "two arrays", "ij->i")),
    shape(nn.einsum, x=F(2, 3, 5), w=F(3, 7), subscripts="ij,jk->ik", says=("subscripts", "2 axes", "an array of 3")),
    shape(nn.einsum, x=F(2, 3), w=F(3, 7), subscripts="ij,jk->iq", says=("subscripts", "only letters of", "'iq'")),
    dtype(nn.einsum, x=F(2, 3), w=H(3, 7), subscripts="ij,jk->ik", says=("w", "float32", "bfloat16[3,7]")),
    dtype(nn.einsum, x=I(2, 3), w=I(3, 7), subscripts="ij,jk->ik", says=("x", FIELDS, "int32[2,3]")),
)

GATED = (nn.swiglu, nn.geglu, nn.reglu)
UNITS = (
    *(
        shape(
            r,
            F(2, 3),
            F(
                3,
            ),
            says=("value", "[2, 3]", "float32[3]"),
        )
        for r in GATED
    ),
    *(dtype(r, C(2, 3), F(2, 3), says=("gate", REAL, "complex64[2,3]")) for r in GATED),
    *(dtype(r, F(2, 3), C(2, 3), says=("value", REAL, "complex64[2,3]")) for r in GATED),
    shape(nn.glu, F(2, 3), says=("x", "axis -1 of even length", "float32[2,3]")),
    shape(nn.glu, F(2, 3), axis=2, says=("x", "axis 2 of even length", "float32[2,3]")),
    dtype(nn.glu, C(3, 2), says=("x", REAL, "complex64[3,2]")),
)

POSITIONS = (
    shape(nn.rotary, F(5, 2, 3), I(5), says=("x", "d even", "float32[5,2,3]")),
    shape(nn.rotary, F(5, 2), I(5), says=("x", "[..., t, h, d]", "float32[5,2]")),
    shape(nn.rotary, F(5, 2, 4), I(3), says=("positions", "[5]", "int32[3]")),
    dtype(nn.rotary, I(5, 2, 4), I(5), says=("x", FLOAT, "int32[5,2,4]")),
    dtype(nn.rotary, F(5, 2, 4), F(5), says=("positions", "an integer dtype", "float32[5]")),
    shape(nn.alibi, F(5, 7), says=("logits", "[..., h, q, k]", "float32[5,7]")),
    shape(nn.alibi, F(3, 5, 7), F(5), says=("slopes", "[3]", "float32[5]")),
    dtype(nn.alibi, I(3, 5, 7), says=("logits", FLOAT, "int32[3,5,7]")),
    dtype(nn.alibi, F(3, 5, 7), C(3), says=("slopes", FLOAT, "complex64[3]")),
    shape(nn.sinusoidal, F(5), features=7, says=("features", "an even number above 0", "7")),
    shape(nn.sinusoidal, F(5), features=0, says=("features", "an even number above 0", "0")),
    dtype(nn.sinusoidal, C(5), features=6, says=("positions", REAL, "complex64[5]")),
    dtype(nn.sinusoidal, F(5), features=6, dtype=jnp.int32, says=("dtype", FLOAT, "int32")),
    dtype(nn.embed, F(5), F(7, 3), says=("ids", "an integer dtype", "float32[5]")),
    dtype(nn.embed, B(5), F(7, 3), says=("ids", "an integer dtype", "bool[5]")),
    dtype(nn.embed, I(5), I(7, 3), says=("table", FIELDS, "int32[7,3]")),
    shape(nn.embed, I(5), F(7), says=("table", "[v, d]", "float32[7]")),
    shape(nn.attend, F(2, 5), F(7, 3), says=("table", "[v, 5]", "float32[7,3]")),
    shape(nn.attend, F(), F(7, 3), says=("x", "[..., d]", "float32[]")),
    dtype(nn.attend, F(2, 3), H(7, 3), says=("table", "float32, the dtype of x", "bfloat16[7,3]")),
    dtype(nn.attend, I(2, 3), I(7, 3), says=("x", FIELDS, "int32[2,3]")),
)

# ------------------------------------------------------------------------------------- softmaxes and norms

ALONG = (nn.softmax, nn.log_softmax)
SOFTMAXES = (
    *(shape(r, F(2, 3), where=B(2), says=("where", "[2, 3]", "bool[2]")) for r in ALONG),
    *(dtype(r, F(2, 3), where=F(2, 3), says=("where", "bool", "float32[2,3]")) for r in ALONG),
    *(dtype(r, C(2, 3), says=("x", REAL, "complex64[2,3]")) for r in ALONG),
    *(shape(r, F(2, 3), axis=2, says=("axis", "axes of an array of 2", "2")) for r in (*ALONG, nn.logsumexp)),
    shape(nn.softmax, F(2, 3), axis=(1, -1), says=("axis", "axes of an array of 2", "(1, -1)")),
    shape(nn.logsumexp, F(2, 3), b=F(2), says=("b", "[2, 3]", "float32[2]")),
    shape(nn.logsumexp, F(2, 3), where=B(2), says=("where", "[2, 3]", "bool[2]")),
    dtype(nn.logsumexp, C(2, 3), says=("a", REAL, "complex64[2,3]")),
    dtype(nn.logsumexp, F(2, 3), b=C(2, 3), says=("b", REAL, "complex64[2,3]")),
    dtype(nn.logsumexp, F(2, 3), where=I(2, 3), says=("where", "bool", "int32[2,3]")),
)


def norm(rule: Rule, *residual: Any, **more: Any) -> list[Bad]:
    """What every norm refuses of x, axis and its parameters."""
    x, row = (2, 3, 6), {"scale": (6,), "bias": (6,)}
    names = [name for name in row if name in inspect.signature(rule).parameters]
    axis = [shape(rule, F(*x), *residual, axis=3, says=("axis", "axes of an array of 3", "3"))]
    return [
        *(axis if "axis" in rule.static else []),
        *(
            dtype(rule, a(*x), *residual, **more, says=("x", FLOAT, f"{n}[2,3,6]"))
            for a, n in ((I, "int32"), (C, "complex64"))
        ),
        *(shape(rule, F(*x), *residual, **{n: F(2)}, **more, says=(n, "[6]", "float32[2]")) for n in names),
        *(dtype(rule, F(*x), *residual, **{n: I(6)}, **more, says=(n, FLOAT, "int32[6]")) for n in names),
    ]


def masked(rule: Rule, **more: Any) -> list[Bad]:
    """What every rule with a mask refuses of it."""
    return [
        shape(rule, F(2, 3, 6), where=B(5), **more, says=("where", "broadcasts to [2, 3, 6]", "bool[5]")),
        dtype(rule, F(2, 3, 6), where=I(2, 3, 6), **more, says=("where", "bool", "int32[2,3,6]")),
    ]


MASKED = (nn.layer_norm, nn.rms_norm, nn.standardize, nn.batch_norm, nn.instance_norm)
ADDED = (nn.add_layer_norm, nn.add_rms_norm)
NORMS = (
    *(row for rule in (nn.layer_norm, nn.rms_norm, nn.batch_norm, nn.instance_norm) for row in norm(rule)),
    *(row for rule in ADDED for row in norm(rule, F(2, 3, 6))),
    *(row for rule in MASKED for row in masked(rule)),
    *norm(nn.group_norm, num_groups=2),
    *masked(nn.group_norm, num_groups=2),
    *(shape(r, F(2, 5), F(5), says=("residual", "[2, 5]", "float32[5]")) for r in ADDED),
    *(dtype(r, F(2, 5), H(2, 5), says=("residual", "float32, the dtype of x", "bfloat16[2,5]")) for r in ADDED),
    *(
        value(r, F(2, 5), *more, casting="t5", says=("casting", "'gemma' or 'llama'", "'t5'"))
        for r, *more in ((nn.rms_norm,), (nn.add_rms_norm, F(2, 5)))
    ),
    shape(nn.group_norm, F(2, 6), num_groups=4, says=("x", "c a multiple of 4", "float32[2,6]")),
    shape(nn.group_norm, F(2, 6), num_groups=None, group_size=4, says=("x", "c a multiple of 4", "float32[2,6]")),
    value(nn.group_norm, F(2, 6), num_groups=None, says=("num_groups", "one of them", "None and None")),
    value(nn.group_norm, F(2, 6), num_groups=2, group_size=3, says=("group_size", "one of them", "2 and 3")),
    shape(nn.instance_norm, F(2, 3, 6), axis=0, says=("axis", "axes after the batch's", "0")),
    shape(nn.batch_norm, F(2, 6), mean=F(2), var=F(6), says=("mean", "[6]", "float32[2]")),
    shape(nn.batch_norm, F(2, 6), mean=F(6), var=F(2), says=("var", "[6]", "float32[2]")),
    dtype(nn.batch_norm, F(2, 6), mean=I(6), var=F(6), says=("mean", FLOAT, "int32[6]")),
    value(nn.batch_norm, F(2, 6), mean=F(6), says=("var", "both or neither", "mean")),
    value(nn.batch_norm, F(2, 6), use_running_average=True, says=("mean", "both in inference", "neither")),
    *(
        shape(nn.standardize, F(2, 5), **{n: F(3)}, says=(n, "[2, 5]", "float32[3]"))
        for n in ("mean", "variance", "epsilon")
    ),
    *(
        dtype(nn.standardize, F(2, 5), **{n: C(2, 1)}, says=(n, REAL, "complex64[2,1]"))
        for n in ("mean", "variance", "epsilon")
    ),
    dtype(nn.standardize, C(2, 5), says=("x", REAL, "complex64[2,5]")),
    value(nn.standardize, F(2, 5), algorithm="slow", says=("algorithm", "'fast' or 'stable'", "'slow'")),
    shape(nn.standardize, F(2, 5), axis=2, says=("axis", "axes of an array of 2", "2")),
    shape(nn.l2_normalize, F(2, 5), axis=2, says=("axis", "axes of an array of 2", "2")),
    *(dtype(nn.l2_normalize, a(2, 5), says=("x", FLOAT, n)) for a, n in ((I, "int32[2,5]"), (C, "complex64[2,5]"))),
    shape(nn.weight_standardize, F(2, 5), feature_axes=2, says=("feature_axes", "axes of an array of 2", "2")),
    *(
        dtype(nn.weight_standardize, a(2, 5), says=("w", FLOAT, n))
        for a, n in ((I, "int32[2,5]"), (C, "complex64[2,5]"))
    ),
)

# ------------------------------------------------------------------------------------------------- windows

RESIZED = (
    (nn.adaptive_avg_pool, "output_shape"),
    *((r, "factors") for r in (nn.upsample_nearest, nn.upsample_bilinear, nn.pixel_shuffle, nn.pixel_unshuffle)),
)
WINDOWS = (
    *(row for r, wanted in ((nn.max_pool, FLOAT), (nn.avg_pool, FIELDS)) for row in (
        shape(r, F(5, 3), window_shape=(2, 2), says=("x", "[..., n0, n1, c]", "float32[5,3]")),
        shape(r, F(5, 5, 3), window_shape=(2, 0), says=("window_shape", "a positive integer", "(2, 0)")),
        shape(r, F(5, 5, 3), window_shape=(2, 2), strides=(1,), says=("strides", "each of 2 spatial axes", "(1,)")),
        shape(r, F(5, 5, 3), window_shape=(2, 2), strides=(0, 1), says=("strides", "a positive integer", "(0, 1)")),
        shape(r, F(5, 5, 3), window_shape=(2, 2), padding="ALL", says=("padding", "'VALID', 'SAME'", "'ALL'")),
        shape(r, F(5, 5, 3), window_shape=(2, 2), padding=((0, 1),), says=("padding", "each of 2", "((0, 1),)")),
        dtype(r, I(5, 5, 3), window_shape=(2, 2), says=("x", wanted, "int32[5,5,3]")),
    )),
    dtype(nn.max_pool, C(5, 5, 3), window_shape=(2, 2), says=("x", FLOAT, "complex64[5,5,3]")),
    *(shape(r, F(3), says=("x", "[n, c]", "float32[3]")) for r in (nn.global_avg_pool, nn.global_max_pool)),
    dtype(nn.global_avg_pool, I(2, 5, 3), says=("x", FIELDS, "int32[2,5,3]")),
    dtype(nn.global_max_pool, I(2, 5, 3), says=("x", FLOAT, "int32[2,5,3]")),
    dtype(nn.global_max_pool, C(2, 5, 3), says=("x", FLOAT, "complex64[2,5,3]")),
    *(row for r, option in RESIZED for row in (
        shape(r, F(5, 3), **{option: (2, 2)}, says=("x", "[..., n0, n1, c]", "float32[5,3]")),
        shape(r, F(5, 4, 3), **{option: (0, 2)}, says=(option, "a positive integer", "(0, 2)")),
        dtype(r, I(4, 6, 8), **{option: (2, 2)}, says=("x", FIELDS, "int32[4,6,8]")),
    )),
    shape(nn.pixel_shuffle, F(5, 4, 3), factors=(2, 2), says=("x", "channels in blocks of 4", "float32[5,4,3]")),
    shape(nn.pixel_unshuffle, F(5, 4, 3), factors=(2, 2), says=("x", "blocks of (2, 2)", "float32[5,4,3]")),
)  # fmt: skip

CONVOLUTIONS = (
    *(row for r, i in ((nn.conv, "c"), (nn.conv_transpose, "i")) for row in (
        shape(r, F(2, 7, 3), F(2, 5, 7), says=("w", "[w, 3, o]", "float32[2,5,7]")),
        shape(r, F(2, 7, 3), F(3, 7), says=("w", "1 to 3 window axes", "0")),
        shape(r, F(3), F(2, 3, 7), says=("x", f"[..., w, {i}]", "float32[3]")),
        shape(r, F(2, 7, 3), F(2, 3, 7), F(5), says=("b", "[7]", "float32[5]")),
        shape(r, F(2, 7, 3), F(2, 3, 7), strides=(1, 1), says=("strides", "each of 1 spatial axes", "(1, 1)")),
        shape(r, F(2, 7, 3), F(2, 3, 7), dilation=0, says=("dilation", "a positive integer", "0")),
        shape(r, F(2, 7, 3), F(2, 3, 7), padding="ALL", says=("padding", "'SAME'", "'ALL'")),
        shape(r, F(2, 7, 3), F(11, 3, 7), padding=((0, 0),), says=("w", "a window that fits into x", "(11,) places")),
        dtype(r, I(2, 7, 3), I(2, 3, 7), says=("x", FIELDS, "int32[2,7,3]")),
        dtype(r, F(2, 7, 3), H(2, 3, 7), says=("w", "float32, the dtype of x", "bfloat16[2,3,7]")),
        dtype(r, F(2, 7, 3), F(2, 3, 7), H(7), says=("b", "float32, the dtype of x", "bfloat16[7]")),
    )),
    shape(nn.conv, F(2, 5, 7, 3), F(2, 2, 3, 7), padding="CAUSAL", says=("padding", "'VALID' or a pair", "'CAUSAL'")),
    shape(nn.conv, F(2, 7, 3), F(2, 3, 7), feature_group_count=2, says=("feature_group_count", "a divisor of 3", "2")),
    shape(nn.conv_transpose, F(2, 7, 3), F(2, 7, 5), transpose_kernel=True, says=("w", "[w, o, 3]", "float32[2,7,5]")),
)  # fmt: skip

# -------------------------------------------------------------------------------------------------- losses

REGRESSION = (losses.squared_error, losses.l2_loss, losses.half_mean_squared_error)
BINARY, CLASSES = losses.sigmoid_binary_cross_entropy, losses.softmax_cross_entropy
INTEGER = losses.softmax_cross_entropy_with_integer_labels
LOSSES = (
    *(row for r in REGRESSION for row in (
        dtype(r, I(2, 3), F(2, 3), says=("predictions", "floating", "int32[2,3]")),
        dtype(r, C(2, 3), F(2, 3), says=("predictions", "floating", "complex64[2,3]")),
        dtype(r, F(2, 3), C(2, 3), says=("targets", "floating or integer or bool", "complex64[2,3]")),
        shape(r, F(2, 1), F(2), says=("targets", "the shape of predictions, [2, 1]", "float32[2]")),
    )),
    *(row for r in (BINARY, CLASSES) for row in (
        dtype(r, I(2, 3), F(2, 3), says=("logits", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), C(2, 3), says=("labels", "floating or integer or bool", "complex64[2,3]")),
        shape(r, F(2, 3), F(2), says=("labels", "[2, 3] of logits", "[2]")),
    )),
    shape(CLASSES, F(2, 1), F(2, 3), says=("labels", "the classes of logits, [2, 1] along axis -1", "[2, 3]")),
    *(row for r, labels in ((CLASSES, F(2, 3)), (INTEGER, I(2))) for row in (
        shape(r, F(2, 3), labels, axis=2, says=("axis", "distinct axes of 2-dimensional logits", "2")),
        shape(r, F(2, 3), labels, where=B(5), says=("where", "[2, 3] of logits", "[5]")),
        dtype(r, F(2, 3), labels, where=I(2, 3), says=("where", "bool", "int32[2,3]")),
    )),
    shape(INTEGER, F(2, 3), I(2), axis=None, says=("axis", "an int or a tuple of ints", "None")),
    shape(INTEGER, F(2, 3), I(5), says=("labels", "[2] of the examples", "[5]")),
    shape(INTEGER, F(2, 3), I(2, 3), says=("labels", "the shape of logits without axis -1, [2]", "[2, 3]")),
    dtype(INTEGER, I(2, 3), I(2), says=("logits", "floating", "int32[2,3]")),
    dtype(INTEGER, F(2, 3), F(2), says=("labels", "integer", "float32[2]")),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- blocks

MLP, GATED = (F(2, 3), F(3, 11), F(11, 7)), (F(2, 3), F(3, 11), F(3, 11), F(11, 7))

BLOCKS = (
    shape(nn.mlp, F(), *MLP[1:], says=("x", "[..., d]", "float32[]")),
    shape(nn.mlp, F(2, 3), F(5, 11), F(11, 7), says=("w_in", "[3, 11]", "float32[5,11]")),
    shape(nn.mlp, *MLP, F(7), says=("b_in", "[11]", "float32[7]")),
    shape(nn.mlp, *MLP, b_out=F(11), says=("b_out", "[7]", "float32[11]")),
    shape(nn.mlp, *MLP, scale=F(2, 3), says=("scale", "[3]", "float32[2,3]")),
    dtype(nn.mlp, I(2, 3), *MLP[1:], says=("x", FLOAT, "int32[2,3]")),
    dtype(nn.mlp, F(2, 3), H(3, 11), F(11, 7), says=("w_in", "float32, the dtype of x", "bfloat16[3,11]")),
    dtype(nn.mlp, *MLP, scale=I(3), says=("scale", FLOAT, "int32[3]")),
    kind(nn.mlp, *MLP, activation=jax.nn.hard_tanh, says=("activation", "rule of 1 argument", "PjitFunction")),
    kind(nn.mlp, *MLP, activation=nn.swiglu, says=("activation", "rule of 1 argument", "<rule swiglu")),
    value(nn.mlp, *MLP, norm="batch", says=("norm", "'layer', 'rms' or None", "'batch'")),
    value(nn.mlp, *MLP, save="all", says=("save", "'pre', 'out' or 'none'", "'all'")),
    value(nn.mlp, *MLP, bias=F(3), norm="rms", says=("bias", "None for norm='rms'", "float32[3]")),
    value(nn.mlp, *MLP, scale=F(3), norm=None, says=("scale", "None for norm=None", "float32[3]")),
    shape(nn.gated_mlp, F(2, 3), F(3, 11), F(3, 5), F(11, 7), says=("w_value", "[3, 11]", "float32[3,5]")),
    shape(nn.gated_mlp, *GATED[:3], F(7), says=("w_out", "[f, o]", "float32[7]")),
    dtype(nn.gated_mlp, *GATED[:3], C(11, 7), says=("w_out", "float32, the dtype of x", "complex64[11,7]")),
    kind(nn.gated_mlp, *GATED, unit=nn.gelu, says=("unit", "rule of 2 arguments", "<rule gelu")),
    value(nn.gated_mlp, *GATED, bias=F(3), says=("bias", "None for norm='rms'", "float32[3]")),
)

# ----------------------------------------------------------------------------------------- regularisation

KEY, RAW = jax.ShapeDtypeStruct((), jax.random.key(0).dtype), U(2)
FUSED = (nn.dropout_add_layer_norm, nn.dropout_add_rms_norm)

REGULARIZATION = (
    dtype(nn.dropout, I(3), KEY, says=("x", FIELDS, "int32[3]")),
    dtype(nn.dropout, F(3), F(2), says=("key", "a key or its uint32 data", "float32[2]")),
    dtype(nn.dropout, F(3), I(), says=("key", "a key or its uint32 data", "int32[]")),
    shape(nn.dropout, F(3), U(5, 2), says=("key", "one key, [2]", "uint32[5,2]")),
    kind(nn.dropout, F(3), None, says=("key", "a key unless deterministic", "None")),
    value(nn.dropout, F(3), KEY, rate=1.5, says=("rate", "a probability", "1.5")),
    value(nn.dropout, F(3), KEY, rate=-0.1, says=("rate", "a probability", "-0.1")),
    shape(nn.dropout, F(2, 3), KEY, broadcast_dims=(2,), says=("broadcast_dims", "axes of an array of 2", "(2,)")),
    shape(nn.stochastic_depth, F(), KEY, rate=0.5, says=("x", "[n, ...]", "float32[]")),
    value(nn.stochastic_depth, F(3), KEY, rate=0.5, mode="column", says=("mode", "'row' or 'batch'", "'column'")),
    dtype(nn.stochastic_depth, I(3), KEY, rate=0.5, says=("x", FIELDS, "int32[3]")),
    kind(nn.stochastic_depth, F(3), None, rate=0.5, says=("key", "a key unless deterministic", "None")),
    *(shape(r, F(2, 5), F(2, 3), RAW, rate=0.5, says=("residual", "[2, 5]", "float32[2,3]")) for r in FUSED),
    *(shape(r, F(2, 5), F(2, 5), RAW, F(2), rate=0.5, says=("scale", "[5]", "float32[2]")) for r in FUSED),
    *(dtype(r, F(5), H(5), RAW, rate=0.5, says=("residual", "float32, the dtype of x", "bfloat16[5]")) for r in FUSED),
    *(value(r, F(5), F(5), RAW, rate=2.0, says=("rate", "a probability", "2.0")) for r in FUSED),
    value(FUSED[1], F(5), F(5), RAW, rate=0.5, casting="x", says=("casting", "'gemma' or 'llama'", "'x'")),
    *(
        shape(r, F(2, 3), F(2), says=("scale", "[2, 3]", "float32[2]"))
        for r in (nn.scale_gradient, nn.reverse_gradient)
    ),
    *(dtype(r, I(3), F(3), says=("x", FLOAT, "int32[3]")) for r in (nn.scale_gradient, nn.reverse_gradient)),
    dtype(nn.scale_gradient, F(3), C(3), says=("scale", FLOAT, "complex64[3]")),
    shape(nn.straight_through, F(2, 3), F(3), says=("soft", "[2, 3]", "float32[3]")),
    dtype(nn.straight_through, F(3), H(3), says=("soft", "float32, the dtype of hard", "bfloat16[3]")),
    dtype(nn.straight_through, I(3), F(3), says=("hard", FLOAT, "int32[3]")),
    shape(nn.stop_gradient_where, F(2, 3), B(2), says=("where", "[2, 3]", "bool[2]")),
    dtype(nn.stop_gradient_where, F(3), F(3), says=("where", "bool", "float32[3]")),
)

# ----------------------------------------------------------------------------- losses with an output layer

TOKENS, TEACHER = (F(2, 3), F(3, 11), I(2)), (F(2, 3), F(3, 11), F(2, 5), F(5, 11))
CE, LOG_P, DIVERGENCE, CLIP = (
    losses.linear_cross_entropy,
    losses.linear_log_probs,
    losses.linear_divergence,
    losses.clip_loss,
)

LINEAR_LOSSES = (
    *(row for r in (CE, LOG_P) for row in (
        dtype(r, I(2, 3), *TOKENS[1:], says=("h", "floating", "int32[2,3]")),
        dtype(r, F(2, 3), H(3, 11), I(2), says=("w", "float32, the dtype of h", "bfloat16[3,11]")),
        dtype(r, *TOKENS, H(11), says=("b", "float32, the dtype of h", "bfloat16[11]")),
        dtype(r, F(2, 3), F(3, 11), F(2), says=("labels", "integer", "float32[2]")),
        shape(r, F(), F(3, 11), I(), says=("h", "[..., d]", "float32[]")),
        shape(r, F(2, 3), F(5, 11), I(2), says=("w", "[3, C]", "float32[5,11]")),
        shape(r, F(2, 3), F(3, 11), I(2), tied=True, says=("w", "[C, 3]", "float32[3,11]")),
        shape(r, *TOKENS, F(3), says=("b", "[11]", "float32[3]")),
        shape(r, F(2, 3), F(3, 11), I(3), says=("labels", "h without d, [2]", "int32[3]")),
        value(r, *TOKENS, softcap=0.0, says=("softcap", "above 0", "0.0")),
        value(r, *TOKENS, block_size=(2, 3, 5), says=("block_size", "or two of them", "(2, 3, 5)")),
    )),
    dtype(CE, *TOKENS, class_weights=I(11), says=("class_weights", "floating", "int32[11]")),
    shape(CE, *TOKENS, class_weights=F(3), says=("class_weights", "[11]", "float32[3]")),
    value(CE, *TOKENS, label_smoothing=1.5, says=("label_smoothing", "in [0, 1]", "1.5")),
    value(LOG_P, *TOKENS, temperature=0.0, says=("temperature", "above 0", "0.0")),
    dtype(DIVERGENCE, F(2, 3), F(3, 11), I(2, 5), F(5, 11), says=("teacher_h", "floating", "int32[2,5]")),
    dtype(DIVERGENCE, *TEACHER[:3], H(5, 11), says=("teacher_w", "float32, the dtype of teacher_h", "bfloat16[5,11]")),
    dtype(DIVERGENCE, *TEACHER, where=I(2), says=("where", "bool", "int32[2]")),
    shape(DIVERGENCE, *TEACHER[:3], F(5, 7), says=("teacher_w", "11 classes, as w", "float32[5,7]")),
    shape(DIVERGENCE, *TEACHER[:2], F(3, 5), F(5, 11), says=("teacher_h", "the tokens of h, [2, 'e']", "float32[3,5]")),
    shape(DIVERGENCE, *TEACHER, where=B(3), says=("where", "h without d, [2]", "bool[3]")),
    value(DIVERGENCE, *TEACHER, beta=-0.1, says=("beta", "in [0, 1]", "-0.1")),
    value(DIVERGENCE, *TEACHER, teacher_softcap=-1.0, says=("teacher_softcap", "above 0", "-1.0")),
    value(DIVERGENCE, *TEACHER, block_size=(2, 3), says=("block_size", "a number above 0", "(2, 3)")),
    dtype(CLIP, I(2, 3), I(2, 3), F(), says=("u", "floating", "int32[2,3]")),
    dtype(CLIP, F(2, 3), H(2, 3), F(), says=("v", "float32, the dtype of u", "bfloat16[2,3]")),
    dtype(CLIP, F(2, 3), F(2, 3), I(), says=("scale", "floating", "int32[]")),
    shape(CLIP, F(3), F(3), F(), says=("u", "[n, d]", "float32[3]")),
    shape(CLIP, F(2, 3), F(5, 3), F(), says=("v", "the shape of u, [2, 3]", "float32[5,3]")),
    shape(CLIP, F(2, 3), F(2, 3), F(2), says=("scale", "a number", "float32[2]")),
    value(CLIP, F(2, 3), F(2, 3), F(), block_size=0, says=("block_size", "above 0", "0")),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- attention

Q, KV, ATTENTION_ = F(2, 5, 6, 3), F(2, 7, 2, 3), nn.dot_product_attention
IDS = {"query_segment_ids": I(2, 5), "key_value_segment_ids": I(2, 7)}

ATTENTION = (
    shape(ATTENTION_, F(6, 3), KV, KV, says=("query", "[T, N, H] or [B, T, N, H]", "float32[6,3]")),
    shape(ATTENTION_, Q, F(7, 2, 3), KV, says=("key", "[2, S, K, 3]", "float32[7,2,3]")),
    shape(ATTENTION_, Q, KV, F(2, 7, 1, 3), says=("value", "[2, 7, 2, 3]", "float32[2,7,1,3]")),
    shape(ATTENTION_, F(2, 5, 3, 3), KV, KV, says=("query", "a multiple of 2, that of key", "float32[2,5,3,3]")),
    shape(ATTENTION_, Q, KV, KV, F(3, 5, 7), says=("bias", "broadcasts to [2, 6, 5, 7]", "float32[3,5,7]")),
    shape(ATTENTION_, Q, KV, KV, mask=B(7, 5), says=("mask", "broadcasts to [2, 6, 5, 7]", "bool[7,5]")),
    shape(ATTENTION_, Q, KV, KV, query_seq_lengths=I(5), says=("query_seq_lengths", "[2]", "int32[5]")),
    shape(ATTENTION_, Q, KV, KV, **IDS | {"query_segment_ids": I(5)}, says=("query_segment_ids", "[2, 5]", "int32[5]")),
    shape(ATTENTION_, Q, KV, KV, sinks=F(2), says=("sinks", "[6]", "float32[2]")),
    shape(ATTENTION_, Q, KV, KV, dropout_key=U(3, 2), dropout_rate=0.5, says=("dropout_key", "one key", "uint32[3,2]")),
    dtype(ATTENTION_, I(2, 5, 6, 3), KV, KV, says=("query", FLOAT, "int32[2,5,6,3]")),
    dtype(ATTENTION_, Q, H(2, 7, 2, 3), KV, says=("key", "float32, the dtype of query", "bfloat16[2,7,2,3]")),
    dtype(ATTENTION_, Q, KV, KV, I(5, 7), says=("bias", FLOAT, "int32[5,7]")),
    dtype(ATTENTION_, Q, KV, KV, mask=I(5, 7), says=("mask", "bool", "int32[5,7]")),
    dtype(ATTENTION_, Q, KV, KV, key_value_seq_lengths=F(2), says=("key_value_seq_lengths", "integer", "float32[2]")),
    dtype(ATTENTION_, Q, KV, KV, dropout_key=F(2), dropout_rate=0.5, says=("dropout_key", "a key", "float32[2]")),
    kind(ATTENTION_, Q, KV, KV, dropout_rate=0.5, says=("dropout_key", "a key", "None")),
    kind(ATTENTION_, Q, KV, KV, query_segment_ids=I(2, 5), says=("key_value_segment_ids", "both or none", "one")),
    value(ATTENTION_, Q, KV, KV, dropout_rate=1.5, says=("dropout_rate", "a probability", "1.5")),
    value(ATTENTION_, Q, KV, KV, softcap=0.0, says=("softcap", "above 0", "0.0")),
    value(ATTENTION_, Q, KV, KV, local_window_size=(1, 2, 3), says=("local_window_size", "or two", "(1, 2, 3)")),
    value(ATTENTION_, Q, KV, KV, block_size=(4, 0), says=("block_size", "above 0, or two", "(4, 0)")),
    value(ATTENTION_, Q, KV, KV, implementation="cudnn", says=("implementation", "None or 'xla'", "'cudnn'")),
)

BAD = (*LINEAR, *UNITS, *BLOCKS, *POSITIONS, *ATTENTION, *SOFTMAXES, *NORMS, *WINDOWS, *CONVOLUTIONS, *REGULARIZATION,
       *LOSSES, *LINEAR_LOSSES, *REFUSED_LOSSES, *REFUSED_CHOICES)  # fmt: skip


@pytest.mark.parametrize("row", BAD, ids=str)
def test_a_bad_call_is_refused(row: Bad) -> None:
    given = {name: a for name, a in row.named.items() if isinstance(a, jax.ShapeDtypeStruct)}
    options = {name: a for name, a in row.named.items() if name not in given}
    with pytest.raises(row.error, match=f"^{row.rule.name}: ") as caught:
        jax.eval_shape(lambda args, given: row.rule(*args, **given, **options), row.args, given)
    assert type(caught.value) is row.error, caught.value
    message = str(caught.value)
    for part in (rf"^{row.rule.name}: (argument|option)s? ", rf"\b{row.argument}\b.*: expected ", r": expected .*"):
        assert re.search(part, message), message
    wanted, _, came = message.partition(": expected ")[2].rpartition(", got ")
    assert row.expected in wanted, message
    assert row.got in came, message


def test_every_error_that_a_docstring_names_has_a_row() -> None:
    tested = {(row.rule, row.error.__name__) for row in BAD}
    promised = {
        (rule, error)
        for path, rule in registry.items()
        if path.startswith(("vjpkit.nn.", "vjpkit.losses."))
        for error in re.findall(r"\w+Error", " ".join(sections(rule.__doc__).get("Raises", [])))
    }
    assert promised
    assert not {(rule.name, error) for rule, error in promised - tested}
    assert not {(rule.name, error) for rule, error in tested - promised}

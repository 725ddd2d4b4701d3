"""The sizes at which the library's own rules are measured, and the function that each of them mirrors."""

from __future__ import annotations

import jax.numpy as jnp

from vjpkit import losses, nn
from vjpkit.bench import mirrors
from vjpkit.bench.attention_workloads import attention
from vjpkit.bench.linear_loss_workloads import losses_with_an_output_layer
from vjpkit.bench.loss_workloads import losses_of_scores_and_numbers, softmaxes
from vjpkit.bench.workload import Workload as Workload
from vjpkit.core import Draw
from vjpkit.core.draw import booleans, integers, keys, normal, probabilities, uniform


def workloads() -> tuple[Workload, ...]:
    """All of them, in the order of the families; a rule's claims are about the first of its own."""
    return (
        *_dense(),
        *_activations(),
        *_gated(),
        *_positions(),
        *_embeddings(),
        *_norms(),
        *_blocks(),
        *attention(),
        *_regularization(),
        *_convolutions(),
        *_pooling(),
        *_losses(),
        *losses_of_scores_and_numbers(),
        *losses_with_an_output_layer(),
        *softmaxes(),
    )


MATRIX = normal(1024, 2048)
ROWS = normal(4096, 1024)
PER_FEATURE = (normal(1024), normal(1024))
IMAGES = normal(32, 32, 32, 64)
PER_CHANNEL = (normal(64), normal(64))


def _dense() -> tuple[Workload, ...]:
    return (
        Workload(nn.dense, (normal(1024, 512), normal(512, 2048, scale=0.05), normal(2048))),
        Workload(nn.affine, (normal(2048, 512, scale=0.05), normal(512, 1024), normal(2048))),
        Workload(
            nn.einsum,
            (normal(8, 128, 8, 64), normal(8, 128, 8, 64)),
            {"subscripts": "bqhd,bkhd->bhqk"},
            {"jnp.einsum": jnp.einsum},
        ),
    )


def _activations() -> tuple[Workload, ...]:
    smooth = ("sigmoid", "tanh", "softplus", "log_sigmoid", "squareplus", "gelu", "silu", "mish")
    kinked = ("relu", "relu6", "hard_tanh", "leaky_relu", "elu", "selu", "celu")
    along = ("softmax", "log_softmax", "logsumexp")
    return (
        *(Workload(getattr(nn, n), (MATRIX,), against=mirrors.jax_nn(n)) for n in (*kinked, *smooth)),
        *(Workload(getattr(nn, n), (MATRIX,), {"axis": -1}, mirrors.jax_nn(n)) for n in along),
    )


def _gated() -> tuple[Workload, ...]:
    return (
        *(Workload(getattr(nn, n), (MATRIX, MATRIX)) for n in ("swiglu", "geglu", "reglu")),
        Workload(nn.glu, (normal(1024, 4096),), against=mirrors.jax_nn("glu")),
    )


def _positions() -> tuple[Workload, ...]:
    return (
        Workload(nn.rotary, (normal(8, 512, 8, 64), integers(512, high=512))),
        Workload(nn.alibi, (normal(8, 8, 256, 512), normal(8))),
        Workload(nn.sinusoidal, (uniform(4096, high=1000.0),), {"features": 512}),
    )


def _embeddings() -> tuple[Workload, ...]:
    return (
        Workload(nn.embed, (integers(8, 512, high=32000), normal(32000, 512))),
        Workload(nn.embed, (integers(4096, high=64), normal(64, 512)), label="few rows"),
        Workload(nn.attend, (normal(1024, 512), normal(4096, 512, scale=0.05))),
    )


def _norms() -> tuple[Workload, ...]:
    half = {"dtype": jnp.bfloat16, "label": "bfloat16"}
    return (
        Workload(nn.layer_norm, (ROWS, *PER_FEATURE)),
        Workload(nn.layer_norm, (ROWS, *PER_FEATURE), **half),
        Workload(nn.rms_norm, (ROWS, PER_FEATURE[0])),
        Workload(nn.rms_norm, (ROWS, PER_FEATURE[0]), **half),
        Workload(nn.add_layer_norm, (ROWS, ROWS, *PER_FEATURE)),
        Workload(nn.add_rms_norm, (ROWS, ROWS, PER_FEATURE[0])),
        Workload(nn.standardize, (ROWS,), against=mirrors.jax_nn("standardize")),
        Workload(nn.l2_normalize, (ROWS,)),
        Workload(nn.batch_norm, (IMAGES, *PER_CHANNEL)),
        Workload(nn.group_norm, (IMAGES, *PER_CHANNEL), {"num_groups": 8}),
        Workload(nn.instance_norm, (IMAGES, *PER_CHANNEL)),
        Workload(nn.weight_standardize, (normal(3, 3, 256, 512),)),
    )


def _blocks() -> tuple[Workload, ...]:
    d, f = 512, 2048
    weights = normal(d, f, scale=0.05), normal(f, d, scale=0.02)
    gated = (normal(1024, 256), *(normal(256, 768, scale=0.05),) * 2, normal(768, 256, scale=0.05), normal(256))
    return (
        Workload(nn.mlp, (normal(1024, d), *weights, normal(f), normal(d), normal(d), normal(d))),
        Workload(nn.gated_mlp, gated),
        Workload(nn.gated_mlp, gated, {"unit": nn.geglu}, label="geglu"),
    )


def _regularization() -> tuple[Workload, ...]:
    rate = {"rate": 0.1}
    return (
        Workload(nn.dropout, (ROWS, keys()), rate, {"flax's": mirrors.dropout}),
        Workload(nn.stochastic_depth, (IMAGES, keys()), rate),
        Workload(nn.dropout_add_layer_norm, (ROWS, ROWS, keys(), *PER_FEATURE), rate),
        Workload(nn.dropout_add_rms_norm, (ROWS, ROWS, keys(), PER_FEATURE[0]), rate),
        Workload(nn.scale_gradient, (ROWS, normal())),
        Workload(nn.reverse_gradient, (ROWS, normal())),
        Workload(nn.straight_through, (ROWS, ROWS)),
        Workload(nn.stop_gradient_where, (ROWS, booleans(4096, 1))),
    )


def _convolutions() -> tuple[Workload, ...]:
    lax_conv = {"lax.conv_general_dilated": mirrors.conv}
    depthwise = {"padding": "CAUSAL", "feature_group_count": 256}
    return (
        Workload(nn.conv, (normal(8, 512, 256), normal(4, 1, 256)), depthwise, lax_conv, label="depthwise"),
        Workload(nn.conv, (normal(16, 32, 32, 32), normal(3, 3, 32, 32, scale=0.1)), {}, lax_conv, label="3x3"),
        Workload(nn.conv, (normal(8, 28, 28, 64), normal(3, 3, 64, 128, scale=0.1)), {}, lax_conv, label="3x3 wide"),
        Workload(
            nn.conv_transpose,
            (normal(16, 16, 16, 64), normal(4, 4, 64, 32, scale=0.1)),
            {"strides": 2},
            {"lax.conv_transpose": mirrors.conv_transpose},
        ),
    )


def _pooling() -> tuple[Workload, ...]:
    halves = {"window_shape": (2, 2), "strides": (2, 2)}
    twice = {"factors": (2, 2)}
    small = normal(16, 32, 32, 32)
    resized = {f"jax.image.resize {how}": mirrors.resize(how) for how in ("nearest", "bilinear")}
    nearest, bilinear = ({label: f} for label, f in resized.items())
    return (
        Workload(nn.max_pool, (IMAGES,), halves, {"lax.reduce_window": mirrors.max_pool}),
        Workload(nn.avg_pool, (IMAGES,), halves, {"lax.reduce_window": mirrors.avg_pool}),
        Workload(nn.global_max_pool, (IMAGES,), {}, {"jnp.max": mirrors.over_pixels(jnp.max)}),
        Workload(nn.global_avg_pool, (IMAGES,), {}, {"jnp.mean": mirrors.over_pixels(jnp.mean)}),
        Workload(nn.adaptive_avg_pool, (IMAGES,), {"output_shape": (8, 8)}),
        Workload(nn.upsample_nearest, (small,), twice, nearest),
        Workload(nn.upsample_bilinear, (small,), twice, bilinear),
        Workload(nn.pixel_shuffle, (small,), twice),
        Workload(nn.pixel_unshuffle, (small,), twice),
    )


def _losses() -> tuple[Workload, ...]:
    logits = normal(1024, 4096)

    def loss(name: str, *args: Draw) -> Workload:
        return Workload(getattr(losses, name), args, against=mirrors.optax_losses(name))

    return (
        loss("squared_error", MATRIX, MATRIX),
        loss("l2_loss", MATRIX, MATRIX),
        loss("half_mean_squared_error", MATRIX, MATRIX),
        loss("sigmoid_binary_cross_entropy", MATRIX, probabilities(1024, 2048)),
        loss("softmax_cross_entropy", logits, probabilities(1024, 4096)),
        loss("softmax_cross_entropy_with_integer_labels", logits, integers(1024, high=4096)),
    )

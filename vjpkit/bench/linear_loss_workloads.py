"""The sizes at which losses that have the output layer in them are measured, beside the usual form of each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit import losses
from vjpkit.bench.workload import Workload
from vjpkit.core import Draw
from vjpkit.core.draw import integers, normal


def _log_probs(h: Array, w: Array, labels: Array) -> Array:
    logits = jnp.matmul(h, w, preferred_element_type=jnp.float32)
    own = jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
    return own - jax.nn.logsumexp(logits, -1)


def _cross_entropy(h: Array, w: Array, labels: Array) -> Array:
    return -_log_probs(h, w, labels)


def _divergence(h: Array, w: Array, teacher_h: Array, teacher_w: Array) -> Array:
    log_p, log_q = (jax.nn.log_softmax(a @ b) for a, b in ((h, w), (teacher_h, teacher_w)))
    return jnp.sum(jnp.exp(log_q) * (log_q - log_p), -1)


def _clip(u: Array, v: Array, scale: Array) -> Array:
    logits = scale * u @ v.T
    return -(jnp.diag(jax.nn.log_softmax(logits, 1)) + jnp.diag(jax.nn.log_softmax(logits, 0))) / 2


def _tokens(n: int, d: int, classes: int) -> tuple[Draw, Draw, Draw]:
    return normal(n, d), normal(d, classes, scale=0.05), integers(n, high=classes)


def _layers(n: int) -> tuple[Draw, ...]:
    return normal(n, 256), normal(256, 16384, scale=0.05), normal(n, 384), normal(384, 16384, scale=0.05)


def losses_with_an_output_layer() -> tuple[Workload, ...]:
    """The first of each rule is that of its claims."""
    usual = {"jax.nn": _cross_entropy}
    large = _tokens(4096, 256, 32768)
    return (
        Workload(losses.linear_cross_entropy, large, against=usual),
        Workload(losses.linear_cross_entropy, large, {}, usual, jnp.bfloat16, "bfloat16"),
        Workload(losses.linear_cross_entropy, _tokens(1024, 256, 16384), against=usual, label="16384 classes"),
        Workload(losses.linear_log_probs, _tokens(1024, 256, 16384), against={"jax.nn": _log_probs}),
        Workload(losses.linear_divergence, _layers(2048), against={"jax.nn": _divergence}),
        Workload(losses.linear_divergence, _layers(1024), against={"jax.nn": _divergence}, label="1024 tokens"),
        Workload(losses.clip_loss, (normal(4096, 512), normal(4096, 512), normal()), against={"jax.nn": _clip}),
    )

"""Layers as people write them, for the tools that read functions: with the arguments to read them at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit.core.draw import integers, normal, probabilities

Row = tuple[Callable[..., Any], tuple[Any, ...]]


def dense(x: Array, w: Array, b: Array) -> Array:
    return x @ w + b


def dense_columns(w: Array, x: Array, b: Array) -> Array:
    return w @ x + b[:, None]


def perceptron(x: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    h = jnp.tanh(x @ w1 + b1)
    return h @ w2 + b2


def network(params: list[dict[str, Array]], x: Array) -> Array:
    for layer in params:
        x = jax.nn.gelu(x @ layer["w"] + layer["b"])
    return x


def half_mean_squared_error(a: Array, y: Array) -> Array:
    return jnp.mean((a - y) ** 2) / 2


def cross_entropy(logits: Array, labels: Array) -> Array:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, labels[:, None], 1).mean()


def softmax(x: Array) -> Array:
    e = jnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    r = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return centred * r * gain + bias


def rms_norm(x: Array, gain: Array) -> Array:
    return x * lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6) * gain


def batch_norm(x: Array, gain: Array, bias: Array) -> Array:
    mean, var = x.mean(0), x.var(0)
    return (x - mean) / jnp.sqrt(var + 1e-5) * gain + bias


def attention(q: Array, k: Array, v: Array) -> Array:
    scores = jnp.einsum("btd,bsd->bts", q, k) / jnp.sqrt(q.shape[-1])
    p = jax.nn.softmax(scores)
    return p @ v


def causal_attention(q: Array, k: Array, v: Array) -> Array:
    scores = jnp.einsum("bthd,bshd->bhts", q, k)
    mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    p = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
    return jnp.einsum("bhts,bshd->bthd", p, v)


def gated_unit(x: Array, w: Array, v: Array) -> Array:
    return jax.nn.silu(x @ w) * (x @ v)


def residual_block(x: Array, gain: Array, w1: Array, w2: Array) -> Array:
    h = rms_norm(x, gain)
    return x + jax.nn.gelu(h @ w1) @ w2


def embedding(table: Array, ids: Array) -> Array:
    return table[ids] * jnp.sqrt(table.shape[1])


def convolution(x: Array, w: Array) -> Array:
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def depthwise(x: Array, w: Array) -> Array:
    return lax.conv_general_dilated(
        x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=x.shape[-1]
    )


def average_pool(x: Array) -> Array:
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4


def recurrent(w: Array, u: Array, xs: Array) -> Array:
    def step(h: Array, x: Array) -> tuple[Array, Array]:
        h = jnp.tanh(w @ h + u @ x)
        return h, h

    return lax.scan(step, jnp.zeros(w.shape[0], w.dtype), xs)[1]


def gru(h: Array, x: Array, w: Array, u: Array) -> Array:
    r, z, n = jnp.split(x @ w, 3, -1)
    a, b, c = jnp.split(h @ u, 3, -1)
    gate = jax.nn.sigmoid(z + b)
    return (1 - gate) * jnp.tanh(n + jax.nn.sigmoid(r + a) * c) + gate * h


def linear_recurrence(a: Array, x: Array) -> Array:
    return lax.scan(lambda h, xa: ((y := xa[1] * h + xa[0]), y), jnp.zeros_like(x[0]), (x, a))[1]


def exponential_average(x: Array) -> Array:
    return lax.fori_loop(0, 3, lambda _, y: 0.9 * y + 0.1 * jnp.sin(y), x)


def switched(x: Array, w: Array) -> Array:
    return lax.cond(x.sum() > 0, lambda v: jnp.sin(v @ w), lambda v: (v @ w) ** 2, x)


def rotary(x: Array) -> Array:
    angle = jnp.arange(x.shape[0])[:, None] / 10 ** jnp.linspace(0, 1, x.shape[1] // 2)
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([a * jnp.cos(angle) - b * jnp.sin(angle), a * jnp.sin(angle) + b * jnp.cos(angle)], -1)


def gaussian(x: Array, mean: Array, log_scale: Array) -> Array:
    z = (x - mean) * jnp.exp(-log_scale)
    return -(z**2 / 2 + log_scale + jnp.log(2 * jnp.pi) / 2).sum(-1)


def contrastive(a: Array, b: Array) -> Array:
    a = a / jnp.linalg.norm(a, axis=-1, keepdims=True)
    b = b / jnp.linalg.norm(b, axis=-1, keepdims=True)
    return -jnp.diagonal(jax.nn.log_softmax(a @ b.T / 0.1)).mean()


def scattered(x: Array, ids: Array) -> Array:
    return jnp.zeros((5, x.shape[1]), x.dtype).at[ids].add(jnp.sin(x))


def two_outputs(x: Array, w: Array) -> tuple[Array, Array]:
    y = jnp.tanh(x @ w)
    return y, (y**2).sum()


def layers() -> Iterator[Row]:
    """All of them."""
    n = normal
    yield dense, (n(2, 3), n(3, 5), n(5))
    yield dense_columns, (n(5, 3), n(3, 2), n(5))
    yield perceptron, (n(2, 3), n(3, 5), n(5), n(5, 7), n(7))
    yield network, ([{"w": n(3, 5), "b": n(5)}, {"w": n(5, 7), "b": n(7)}], n(2, 3))
    yield half_mean_squared_error, (n(2, 3), n(2, 3))
    yield cross_entropy, (n(7, 5), integers(7, high=5))
    yield softmax, (n(3, 5),)
    yield layer_norm, (n(3, 5), n(5), n(5))
    yield rms_norm, (n(3, 5), n(5))
    yield batch_norm, (n(7, 5), n(5), n(5))
    yield attention, (n(2, 3, 5), n(2, 7, 5), n(2, 7, 5))
    yield causal_attention, (n(2, 5, 3, 7), n(2, 5, 3, 7), n(2, 5, 3, 7))
    yield gated_unit, (n(2, 3), n(3, 5), n(3, 5))
    yield residual_block, (n(2, 3), n(3), n(3, 7), n(7, 3))
    yield embedding, (n(5, 3), integers(7, high=5))
    yield convolution, (n(2, 7, 5, 3), n(3, 2, 3, 11))
    yield depthwise, (n(2, 7, 5), n(3, 1, 5))
    yield average_pool, (n(2, 6, 4, 3),)
    yield recurrent, (n(3, 3), n(3, 5), n(7, 5))
    yield gru, (n(2, 5), n(2, 3), n(3, 15), n(5, 15))
    yield linear_recurrence, (n(7, 3), n(7, 3))
    yield exponential_average, (n(3, 5),)
    yield switched, (n(3), n(3, 5))
    yield rotary, (n(7, 6),)
    yield gaussian, (n(3, 5), n(5), n(5))
    yield contrastive, (n(5, 3), n(5, 3))
    yield scattered, (n(7, 3), integers(7, high=5))
    yield two_outputs, (n(2, 3), n(3, 5))
    yield jax.nn.softmax, (probabilities(3, 5),)

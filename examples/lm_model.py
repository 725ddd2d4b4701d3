"""A decoder-only transformer, written once over the layers that it is given: this library's, or plain JAX's.

x = E[ids];   x += attention(norm(x));   x += swiglu block(norm(x)), for each layer;   logits = norm(x) Eᵀ
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from vjpkit import losses, nn

Params = dict[str, Any]


class Shape(NamedTuple):
    """The sizes of a model."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    hidden: int = 704  # 8/3 of the width, in whole 64s: a gated block as large as an ungated one of 4 widths
    vocabulary: int = 16384


class Layers(NamedTuple):
    """What the model is made of."""

    embed: Callable[[Array, Array], Array]
    dense: Callable[[Array, Array], Array]
    norm: Callable[[Array, Array], Array]
    rotary: Callable[[Array, Array], Array]
    attention: Callable[[Array, Array, Array], Array]  # causal
    block: Callable[[Array, Array, Array, Array, Array], Array]  # of x, W, U, V and the norm's scale
    loss: Callable[[Array, Array, Array], Array]  # of [n, d], the table [v, d] and labels [n]


def initial(shape: Shape, seed: int) -> Params:
    """Weights N(0, 1/fan-in), what is added to x smaller by the root of twice the number of layers; scales 1."""
    rng = np.random.default_rng(seed)
    n, d, f = shape.layers, shape.width, shape.hidden

    def normal(*size: int, scale: float) -> np.ndarray:
        return rng.normal(0, scale, size).astype(np.float32)

    added = (2 * n) ** -0.5
    layers = {
        "attention_norm": np.ones((n, d), np.float32),
        "query_key_value": normal(n, d, 3 * d, scale=d**-0.5),
        "attention_out": normal(n, d, d, scale=added * d**-0.5),
        "block_norm": np.ones((n, d), np.float32),
        "gate": normal(n, d, f, scale=d**-0.5),
        "value": normal(n, d, f, scale=d**-0.5),
        "block_out": normal(n, f, d, scale=added * f**-0.5),
    }
    table = normal(shape.vocabulary, d, scale=d**-0.5)
    return {"table": table, "layers": layers, "norm": np.ones(d, np.float32)}


def features(layers: Layers, params: Params, ids: Array, heads: int) -> Array:
    """[b, t] ids to [b, t, d], what the output layer reads."""
    positions = jnp.arange(ids.shape[-1])

    def layer(x: Array, p: Params) -> tuple[Array, None]:
        joint = layers.dense(layers.norm(x, p["attention_norm"]), p["query_key_value"])
        query, key, value = jnp.split(joint.reshape(*x.shape[:2], 3 * heads, -1), 3, axis=2)
        seen = layers.attention(layers.rotary(query, positions), layers.rotary(key, positions), value)
        x = x + layers.dense(seen.reshape(x.shape), p["attention_out"])
        return x + layers.block(x, p["gate"], p["value"], p["block_out"], p["block_norm"]), None

    x = layers.embed(ids, params["table"]) * params["table"].shape[-1] ** 0.5
    x, _ = jax.lax.scan(layer, x, params["layers"])
    return layers.norm(x, params["norm"])


def loss(layers: Layers, params: Params, tokens: Array, heads: int) -> Array:
    """Mean cross-entropy, in nats a token, of each token of [b, t + 1] but the first, given those before it."""
    x = features(layers, params, tokens[:, :-1], heads)
    return layers.loss(x.reshape(-1, x.shape[-1]), params["table"], tokens[:, 1:].reshape(-1)).mean()


# ----------------------------------------------------------------------------------------- this library's layers

OURS = Layers(
    embed=nn.embed,
    dense=nn.dense,
    norm=nn.rms_norm,
    rotary=nn.rotary,
    attention=lambda query, key, value: nn.dot_product_attention(query, key, value, is_causal=True),
    block=nn.gated_mlp,
    loss=lambda x, table, labels: losses.linear_cross_entropy(x, table, labels, tied=True),
)


# ------------------------------------------------------------------------------------ jax.nn, optax and autodiff


def _norm(x: Array, scale: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * scale


def _rotary(x: Array, positions: Array) -> Array:
    half = x.shape[-1] // 2
    angle = positions[:, None, None] * 10000.0 ** (-jnp.arange(half) / half)
    x1, x2 = x[..., :half], x[..., half:]
    cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    return jnp.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)


def _block(x: Array, gate: Array, value: Array, out: Array, scale: Array) -> Array:
    n = _norm(x, scale)
    return (jax.nn.silu(n @ gate) * (n @ value)) @ out


PLAIN = Layers(
    embed=lambda ids, table: table[ids],
    dense=jnp.matmul,
    norm=_norm,
    rotary=_rotary,
    attention=lambda query, key, value: jax.nn.dot_product_attention(query, key, value, is_causal=True),
    block=_block,
    loss=lambda x, table, labels: optax.losses.softmax_cross_entropy_with_integer_labels(x @ table.T, labels),
)

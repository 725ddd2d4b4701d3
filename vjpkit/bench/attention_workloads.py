"""The sizes at which attention is measured, beside jax.nn's and what plain JAX does best."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit import nn
from vjpkit.bench.contestants import Function
from vjpkit.bench.workload import Workload
from vjpkit.core.draw import normal


def attention() -> tuple[Workload, ...]:
    causal = {"is_causal": True}
    rivals: dict[str, Function] = {
        "jax.nn.dot_product_attention": jax.nn.dot_product_attention,
        "dense": dense_attention,
    }
    scanned = rivals | {"checkpointed scan": scanned_attention}
    short, long = (normal(2048, 8, 64),) * 3, (normal(8192, 4, 64),) * 3
    return (
        Workload(nn.dot_product_attention, short, causal, scanned, label="causal 8x2048x64"),
        Workload(nn.dot_product_attention, long, causal, scanned, label="causal 4x8192x64"),
        Workload(nn.dot_product_attention, short, {}, rivals, label="8x2048x64"),
        Workload(nn.dot_product_attention, short, {"local_window_size": (256, 0)}, rivals, label="window 8x2048x64"),
        Workload(nn.dot_product_attention, short, causal, dtype=jnp.bfloat16, label="causal 8x2048x64 bfloat16"),
    )


def dense_attention(q: Array, k: Array, v: Array, *, is_causal: bool = False, local_window_size: Any = None) -> Array:
    """Attention as it is written, for autodiff: all logits at once."""
    x = jnp.einsum("tnh,snh->nts", q, k, preferred_element_type=jnp.float32) / jnp.sqrt(q.shape[-1])
    t, s = jnp.arange(x.shape[1])[:, None], jnp.arange(x.shape[2])
    before, after = local_window_size or (s.size, s.size)
    seen = (s >= t - before) & (s <= t + (0 if is_causal else after))
    p = jax.nn.softmax(jnp.where(seen, x, -jnp.inf))
    return jnp.einsum("nts,snh->tnh", p.astype(v.dtype), v)


def scanned_attention(q: Array, k: Array, v: Array, *, is_causal: bool) -> Array:
    """A checkpointed scan over blocks of keys, with no gradient through the running maximum: plain JAX at its best."""
    t, n, h = q.shape
    size = min(t, 512)
    places = jnp.arange(t)[:, None]

    @jax.checkpoint
    def step(so_far: Any, block: Any) -> Any:
        high, total, out = so_far
        k, v, j = block
        x = jnp.einsum("tnh,snh->nts", q, k) / jnp.sqrt(h)
        x = jnp.where(places >= j * size + jnp.arange(size), x, -1e30) if is_causal else x
        higher = lax.stop_gradient(jnp.maximum(high, x.max(-1)))
        p, fade = jnp.exp(x - higher[..., None]), jnp.exp(high - higher)
        out = out * fade.T[..., None] + jnp.einsum("nts,snh->tnh", p, v)
        return (higher, total * fade + p.sum(-1), out), None

    blocks = [x.reshape(-1, size, n, h) for x in (k, v)]
    none = jnp.full((n, t), -1e30)
    start = (none, jnp.zeros_like(none), jnp.zeros_like(q))
    (_, total, out), _ = lax.scan(step, start, (*blocks, jnp.arange(t // size)))
    return out / total.T[..., None]

"""The logits of attention and what acts on them, tile by tile: softcap, bias, who sees whom, and what is dropped."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from vjpkit.nn.attention_tiles import Tiles, products, products_turned, turned
from vjpkit.nn.dropout import STEPS
from vjpkit.nn.precision import wide


class Operands(NamedTuple):
    """The arguments that have a derivative, or their tangents, in the layout of tiles."""

    query: Array  # [B, K, G, T, H]
    key: Array  # [B, K, S, H]
    value: Array  # [B, K, S, H]
    bias: Array | None  # [B, K, G, T, S], where any of them may be 1
    sinks: Array | None  # [K, G, 1, 1]


@dataclass(frozen=True)
class Scores(Tiles):
    """Attention at a point: what all its maps read."""

    operands: Operands
    mask: Array | None  # [B, K, G, T, S], where any of them may be 1
    lengths: tuple[Array | None, Array | None]  # of queries and of keys, [B]
    segments: tuple[Array, Array] | None  # [B, T] and [B, S]
    words: tuple[Array, Array] | None  # random ones, [B, K, G, T, 1] and [B, K, G, 1, S]; None: nothing is dropped
    kept: int  # of STEPS, how much is not dropped
    scale: float
    softcap: float | None

    def logits(self, i: Any, j: Any) -> tuple[Array, Any]:
        """x = c tanh(scale q kᵀ / c) + b, −∞ where not seen, and the slope of x in q kᵀ."""
        q, k = self.row(self.operands.query, i), self.column(self.operands.key, j)
        return self._logits(products(q, k), i, j, lambda tile: tile)

    def shares(self, i: Any, j: Any, lse: Array) -> tuple[Array, Any]:
        """p = exp(x − lse), and the slope of x in q kᵀ."""
        x, slope = self.logits(i, j)
        return jnp.exp(x - self.row(lse, i)), slope

    def shares_turned(self, i: Any, j: Any, lse: Array) -> tuple[Array, Any]:
        """Both, turned."""
        q, k = self.row(self.operands.query, i), self.column(self.operands.key, j)
        x, slope = self._logits(products_turned(q, k), i, j, turned)
        return jnp.exp(x - turned(self.row(lse, i))), slope

    def _logits(self, x: Array, i: Any, j: Any, laid: Callable[[Array], Array]) -> tuple[Array, Any]:
        """From x = q kᵀ, in a tile that is `laid` in this way or that."""
        x = self.scale * x
        slope: Any = self.scale
        if self.softcap is not None:
            y = jnp.tanh(x / self.softcap)
            x, slope = self.softcap * y, self.scale * (1 - y * y)
        if self.operands.bias is not None:
            x = x + laid(wide(self.tile(self.operands.bias, i, j)))
        visible = self.visible(i, j)
        return x if visible is None else jnp.where(laid(visible), x, -jnp.inf), slope

    def start(self) -> tuple[Array, Array]:
        """A high and Σ exp(x − high), for each query, before it has seen a key: those of its sink, or of nothing."""
        q, *_, sinks = self.operands
        none = jnp.zeros_like(wide(q[..., :1]))
        if sinks is None:
            return none + jnp.finfo(none.dtype).min, none
        high = finite(wide(sinks))
        return none + high, none + jnp.exp(wide(sinks) - high)

    def visible(self, i: Any, j: Any) -> Array | None:
        """Which queries see which keys, of what is fresh in the tile; None: all all."""
        t, s = self.rows.places(i)[:, None], self.columns.places(j)
        before, after = self.band
        conditions = [
            self.rows.fresh(i)[:, None] if self.rows.ragged else None,
            self.columns.fresh(j) if self.columns.ragged else None,
            s >= t - before if before is not None else None,
            s <= t + after if after is not None else None,
            *(n < m[:, None, None, None, None] for n, m in zip((t, s), self.lengths, strict=True) if m is not None),
            self._same_segment(*self.segments, i, j) if self.segments else None,
            self.tile(self.mask, i, j) if self.mask is not None else None,
        ]
        given = [c for c in conditions if c is not None]
        return functools.reduce(operator.and_, given) if given else None

    def _same_segment(self, of_t: Array, of_s: Array, i: Any, j: Any) -> Array:
        of_t, of_s = self.rows.take(of_t, i, 1), self.columns.take(of_s, j, 1)
        return (of_t[:, :, None] == of_s[:, None, :])[:, None, None]

    def drop(self, v: Array, i: Any, j: Any, laid: Callable[[Array], Array] = lambda tile: tile) -> Array:
        """v m / q of a tile: the mask m is drawn from the place of each entry, and so in tiles of any size the same."""
        if self.words is None:
            return v
        of_t, of_s = self.words
        word = _mixed(laid(self.rows.take(of_t, i, 3) + self.columns.take(of_s, j, 4)))
        return jnp.where(word >> 16 < self.kept, v * (STEPS / max(self.kept, 1)), 0)


def finite(x: Array) -> Array:
    """x cut to finite, and constant for derivatives: for softmax, any number near the maximum is as good."""
    limits = jnp.finfo(x.dtype)
    return stop_gradient(jnp.clip(x, limits.min, limits.max))


def words(key: Array, b: int, k: int, g: int, t: int, s: int) -> tuple[Array, Array]:
    """Random words, one for each query and one for each key; each pair of them, mixed, is the word of an entry."""
    of_t, of_s = jax.random.split(key)
    return jax.random.bits(of_t, (b, k, g, t, 1), jnp.uint32), jax.random.bits(of_s, (b, k, g, 1, s), jnp.uint32)


def _mixed(h: Array) -> Array:
    """A word in which every bit hangs on every bit of h: the finalizer of MurmurHash3."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)

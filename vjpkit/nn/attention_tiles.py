"""Attention in tiles, a block of queries beside a block of keys: how they are read, multiplied and added up.

Letters, as in jax.nn: batch B, queries T, keys S, heads N = K G, in K groups of G that share a key head, features H.
The heads come first, so that products run along memory: what there is for each query is [B, K, G, T, ·], for each key
[B, K, S, ·]. A row is [B, K, G, t, ·], a column [B, K, s, ·], their tile [B, K, G, t, s]. Turned, with its keys first,
a tile is [B, K, s, G, t]: whatever is summed over all queries that share a key is then a product along memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.core.chunks import Blocks, over, pairs
from vjpkit.nn.precision import wide

Adding = Callable[[Array, Any, Any, Array], Array]


@dataclass(frozen=True)
class Tiles:
    """Blocks of rows and of columns; i is the number of a row, j of a column."""

    rows: Blocks
    columns: Blocks
    band: tuple[int | None, int | None]  # how far a query sees before and after its own place; None: without end

    def seen(self) -> tuple[Any, ...]:
        """The numbers of the tiles in which any query may see any key, row by row."""
        before, after = self.band

        def wanted(i: int, j: int) -> bool:
            (t, last_t), (s, last_s) = self.rows.span(i), self.columns.span(j)
            return (before is None or last_s >= t - before) and (after is None or s <= last_t + after)

        return pairs(self.rows, self.columns, wanted)

    def sums(self, part: Callable[..., Any], *totals: tuple[Any, Adding]) -> list[Any]:
        """Σ part(i, j) over the tiles that are seen: for each of its answers, an array like it, and how it is added.

        Nothing of a tile is kept for the reverse mode of a higher order: it computes the part again.
        """
        part = jax.checkpoint(part, prevent_cse=False)
        start = [None if like is None else jnp.zeros_like(wide(like)) for like, _ in totals]

        def step(so_far: Any, i: Any, j: Any) -> Any:
            each = zip(so_far, part(i, j), totals, strict=True)
            return [None if total is None else add(total, i, j, more) for total, more, (_, add) in each]

        return over(step, start, *self.seen())

    # ------------------------------------------------------------------------------------- reading and adding

    def row(self, x: Array, i: Any) -> Array:
        """Row i of x: [B, K, G, T, ·]."""
        return self.rows.take(x, i, 3)

    def put_row(self, x: Array, i: Any, part: Array) -> Array:
        """x with another row i."""
        return self.rows.put(x, i, part, 3)

    def add_row(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in row i."""
        return self.rows.add(x, i, part, 3)

    def column(self, x: Array, j: Any) -> Array:
        """Column j of x: [B, K, S, ·]."""
        return self.columns.take(x, j, 2)

    def add_column(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in column j."""
        return self.columns.add(x, j, part, 2)

    def tile(self, x: Array, i: Any, j: Any) -> Array:
        """Tile i, j of x: [B, K, G, T, S], where any of them may be 1, for all."""
        x = x if x.shape[3] == 1 else self.rows.take(x, i, 3)
        return x if x.shape[4] == 1 else self.columns.take(x, j, 4)

    def add_tile(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in tile i, j, summed where x has 1."""
        part = part.sum([axis for axis, n in enumerate(x.shape) if n == 1], keepdims=True)
        row = x if x.shape[3] == 1 else self.rows.take(x, i, 3)
        row = row + part if x.shape[4] == 1 else self.columns.add(row, j, part, 4)
        return row if x.shape[3] == 1 else self.rows.put(x, i, row, 3)


# --------------------------------------------------------------------------------------------------- the layout


def by_query(x: Array, k: int) -> Array:
    """[B, T, N, ·] as [B, K, G, T, ·]."""
    b, t, n, h = x.shape
    return jnp.moveaxis(x.reshape(b, t, k, n // k, h), 1, 3)


def by_query_back(x: Array) -> Array:
    """[B, K, G, T, ·] as [B, T, N, ·]."""
    b, k, g, t, h = x.shape
    return jnp.moveaxis(x, 3, 1).reshape(b, t, k * g, h)


def by_key(x: Array) -> Array:
    """[B, S, K, ·] as [B, K, S, ·], and back."""
    return jnp.swapaxes(x, 1, 2)


def turned(x: Array) -> Array:
    """A tile, or what broadcasts to one, with its keys first: [B, K, G, t, s] as [B, K, s, G, t]."""
    return jnp.moveaxis(x.reshape((1,) * (5 - x.ndim) + x.shape), 4, 2)


def turned_back(x: Array) -> Array:
    """[B, K, s, G, t] as [B, K, G, t, s]."""
    return jnp.moveaxis(x, 2, 4)


# --------------------------------------------------------------------------------------------------- products


def products(q: Array, k: Array) -> Array:
    """q kᵀ, the tile of a row and a column."""
    return _matmul(_flat(q), jnp.swapaxes(k, -1, -2), q).reshape(*q.shape[:-1], k.shape[-2])


def products_turned(q: Array, k: Array) -> Array:
    """k qᵀ, their tile turned."""
    b, heads, g, t, _ = q.shape
    return _matmul(k, jnp.swapaxes(_flat(q), -1, -2), q).reshape(b, heads, k.shape[-2], g, t)


def onto_row(p: Array, v: Array) -> Array:
    """p v, the row of a tile and a column."""
    return _matmul(_flat(p), v, v).reshape(*p.shape[:-1], v.shape[-1])


def turned_onto_row(p: Array, k: Array) -> Array:
    """p k, the row of a turned tile and a column; by (kᵀ p)ᵀ, for k is the smaller one to transpose."""
    b, heads, s, g, t = p.shape
    row = _matmul(jnp.swapaxes(k, -1, -2), p.reshape(b, heads, s, g * t), k)
    return jnp.swapaxes(row, -1, -2).reshape(b, heads, g, t, k.shape[-1])


def turned_onto_column(p: Array, g: Array) -> Array:
    """pᵀ g, the column of a turned tile and a row."""
    return _matmul(p.reshape(*p.shape[:3], -1), _flat(g), g)


def _flat(p: Array) -> Array:
    """Heads that share a key, below each other."""
    b, k, g, t, s = p.shape
    return p.reshape(b, k, g * t, s)


def _matmul(a: Array, b: Array, like: Array) -> Array:
    """a b of operands in the dtype of `like`, added up in float32 at least."""
    return jnp.matmul(a.astype(like.dtype), b.astype(like.dtype), preferred_element_type=wide(like).dtype)

"""Attention in tiles, a block of queries beside a block of keys: how they are read, multiplied and added up.

Letters, as in jax.nn: batch B, queries T, keys S, heads N = K G, in K groups of G that share a key head, features H.
In a tile the heads come first, so that products run along memory: a row is [B, K, G, t, H], a column [B, K, s, H],
their tile [B, K, G, t, s], and what there is one of for each query is [B, K, G, t, 1].
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
    groups: int  # K
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

    def heads_first(self, x: Array) -> Array:
        """[B, T, N, h] as [B, K, G, T, h]."""
        b, t, n, h = x.shape
        return jnp.moveaxis(x.reshape(b, t, self.groups, n // self.groups, h), 1, 3)

    def heads_last(self, x: Array) -> Array:
        """[B, K, G, T, h] as [B, T, N, h]."""
        b, k, g, t, h = x.shape
        return jnp.moveaxis(x, 3, 1).reshape(b, t, k * g, h)

    def row(self, x: Array, i: Any) -> Array:
        """Row i of x: [B, T, N, H]."""
        return self.heads_first(self.rows.take(x, i, 1))

    def put_row(self, x: Array, i: Any, part: Array) -> Array:
        """x with another row i."""
        return self.rows.put(x, i, self.heads_last(part), 1)

    def add_row(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in row i."""
        return self.put_row(x, i, self.row(x, i) + part)

    def column(self, x: Array, j: Any) -> Array:
        """Column j of x: [B, S, K, H]."""
        return jnp.moveaxis(self.columns.take(x, j, 1), 1, 2)

    def add_column(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in column j."""
        return self.columns.put(x, j, jnp.moveaxis(self.column(x, j) + part, 2, 1), 1)

    def per_query(self, x: Array, i: Any) -> Array:
        """Row i of x: [B, K, G, T, 1]."""
        return self.rows.take(x, i, 3)

    def put_per_query(self, x: Array, i: Any, part: Array) -> Array:
        """x with another row i."""
        return self.rows.put(x, i, part, 3)

    def add_per_query(self, x: Array, i: Any, j: Any, part: Array) -> Array:
        """x with more in row i."""
        return self.rows.add(x, i, part, 3)

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


# --------------------------------------------------------------------------------------------------- products


def products(q: Array, k: Array) -> Array:
    """q kᵀ, the tile of a row and a column."""
    return _matmul(_flat(q), jnp.swapaxes(k, -1, -2), q).reshape(*q.shape[:-1], k.shape[-2])


def onto_row(p: Array, v: Array) -> Array:
    """p v, the row of a tile and a column."""
    return _matmul(_flat(p), v, v).reshape(*p.shape[:-1], v.shape[-1])


def onto_column(p: Array, g: Array) -> Array:
    """pᵀ g, the column of a tile and a row; by (gᵀ p)ᵀ, for g is the smaller one to transpose."""
    return jnp.swapaxes(_matmul(jnp.swapaxes(_flat(g), -1, -2), _flat(p), g), -1, -2)


def _flat(p: Array) -> Array:
    """Heads that share a key, below each other."""
    b, k, g, t, s = p.shape
    return p.reshape(b, k, g * t, s)


def _matmul(a: Array, b: Array, like: Array) -> Array:
    """a b of operands in the dtype of `like`, added up in float32 at least."""
    return jnp.matmul(a.astype(like.dtype), b.astype(like.dtype), preferred_element_type=wide(like).dtype)

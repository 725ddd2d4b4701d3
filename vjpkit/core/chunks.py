"""Long axes in blocks: a loop that has one block at a time, so that what a function would have whole never exists.

keys, tokens = Blocks.of(s, 512), Blocks.of(t, 256)

def step(total, i, j):
    part = f(tokens.take(x, i, 0), keys.take(y, j, 0), where=tokens.fresh(i)[:, None] & keys.fresh(j))
    return tokens.add(total, i, part, 0)

total = over(step, jnp.zeros_like(x), *pairs(tokens, keys))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


@dataclass(frozen=True)
class Blocks:
    """An axis of `length` in `count` blocks of one `size`, by number.

    Nothing is padded: where the size does not divide the length, the last block begins early enough to be whole, and
    what it has in common with the one before is not `fresh` in it. Sums must leave that out.
    """

    length: int
    size: int

    @classmethod
    def of(cls, length: int, most: int) -> Blocks:
        """As few blocks of at most `most` as there can be, and those as small as there can be."""
        count = -(-length // most)
        return cls(length, -(-length // max(count, 1)))

    @property
    def count(self) -> int:
        return -(-self.length // max(self.size, 1))

    @property
    def ragged(self) -> bool:
        """Whether the last block repeats entries of the one before."""
        return self.count * self.size != self.length

    def span(self, i: int) -> tuple[int, int]:
        """The first and the last place that is fresh in block i, a plain number."""
        return i * self.size, min((i + 1) * self.size, self.length) - 1

    def start(self, i: Any) -> Any:
        """Where block i begins."""
        return jnp.minimum(i * self.size, self.length - self.size)

    def places(self, i: Any) -> Array:
        """Where the entries of block i stand on the axis."""
        return self.start(i) + jnp.arange(self.size)

    def fresh(self, i: Any) -> Array:
        """Which entries of block i no block before it has."""
        return self.places(i) >= i * self.size

    def take(self, x: Array, i: Any, axis: int) -> Array:
        """Block i of x."""
        if self.count == 1:
            return x
        return lax.dynamic_slice_in_dim(x, self.start(i), self.size, axis)

    def put(self, x: Array, i: Any, part: Array, axis: int) -> Array:
        """x with `part` in place of block i."""
        part = part.astype(x.dtype)
        return part if self.count == 1 else lax.dynamic_update_slice_in_dim(x, part, self.start(i), axis)

    def add(self, x: Array, i: Any, part: Array, axis: int) -> Array:
        """x with `part`, 0 where it is not fresh, added to block i."""
        return self.put(x, i, self.take(x, i, axis) + part, axis)


def pairs(a: Blocks, b: Blocks, wanted: Callable[[int, int], bool] = lambda i, j: True) -> tuple[np.ndarray, ...]:
    """The numbers i of blocks of a and j of blocks of b, row by row, of those pairs that are wanted."""
    chosen = [(i, j) for i in range(a.count) for j in range(b.count) if wanted(i, j)]
    i, j = np.array(chosen, np.int32).reshape(-1, 2).T
    return i, j


def over(step: Callable[..., Any], carry: Any, *numbers: Iterable[int]) -> Any:
    """What `carry` is after carry = step(carry, i, …) for all the numbers in turn: a scan, of any order's derivative.

    Reverse mode through it keeps what step computes at each turn, unless step says `jax.checkpoint`.
    """
    columns = [jnp.asarray(np.asarray(n, np.int32)) for n in numbers]
    if len(columns[0]) == 0:
        return carry
    if len(columns[0]) == 1:
        return step(carry, *(c[0] for c in columns))
    if jax.sharding.get_abstract_mesh().manual_axes:
        carry = _varying_as_after(step, carry, *(c[0] for c in columns))
    return lax.scan(lambda carry, i: (step(carry, *i), None), carry, columns)[0]


def _varying_as_after(step: Callable[..., Any], carry: Any, *first: Array) -> Any:
    """In shard_map: the carry, varying over the mesh axes that it varies over after a step."""

    def cast(x: Any, after: Any) -> Any:
        missing = jax.typeof(after).manual_axis_type.varying - jax.typeof(x).manual_axis_type.varying
        return lax.pcast(x, tuple(sorted(missing)), to="varying") if missing else x

    return jax.tree.map(cast, carry, jax.eval_shape(step, carry, *first))


def side(entries: int, *, least: int = 128, most: int = 1024) -> int:
    """The side, a power of 2, of a square block of at most that many entries, within bounds."""
    return min(max(1 << (isqrt(max(entries, 1)).bit_length() - 1), least), most)

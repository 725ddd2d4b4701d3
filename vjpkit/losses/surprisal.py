"""The surprisal of each class in a row of logits, −ln p in nats: what every cross-entropy is an average of.

    h = −ln p = lse(x) − x = L − s        s = x − max x        L = ln Σ exp s

The normaliser lse(x) = max x + L is kept as that pair and never added up: near 1e4 the spacing of float32 is
1e-3, and p = exp(x − lse) would be wrong by as much. Beside it is kept what decides how wrong a confident model
still is: 1 − p of one class, which 1 − exp(−h) would lose to cancellation where p → 1. That class is the label, or,
where labels are distributions, the top one, max x: no other can have p > ½.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.losses.arguments import wide

Axes = tuple[int, ...]


class Row(NamedTuple):
    """Three numbers for each row, the class axes kept with size 1."""

    peak: Array  # max x; −inf where the row has no class
    log_sum: Array  # L
    others: Array  # 1 − p of the class that is marked, or of a top one

    @property
    def lse(self) -> Array:
        """ln Σ exp x, 0 for a row that has no class."""
        return jnp.where(self.peak == -jnp.inf, 0, self.peak) + self.log_sum


def present(logits: Array, where: Array | None) -> Array:
    """The logits in float32 or wider, −inf for those that `where` leaves out: exp makes nothing of either."""
    return wide(logits) if where is None else jnp.where(where, wide(logits), -jnp.inf)


def read_row(x: Array, marked: Array, own: Array, axes: Axes) -> Row:
    """The row's numbers, with at most one class marked, and `own` its logit, −inf where none is."""
    peak = jax.lax.stop_gradient(jnp.max(x, axes, keepdims=True, initial=-jnp.inf))
    others = jnp.sum(jnp.exp(shifted(x, peak)) * ~marked, axes, keepdims=True)
    return Part(peak, others, own).row()


class Part(NamedTuple):
    """What is known of rows [n, 1] of which some classes have been read."""

    peak: Array  # max x
    others: Array  # Σ exp s over the classes that are not marked
    own: Array  # the logit of the marked one, −inf before it has been read

    @classmethod
    def nothing(cls, n: int, dtype: Any) -> Part:
        return cls(jnp.full((n, 1), -jnp.inf, dtype), jnp.zeros((n, 1), dtype), jnp.full((n, 1), -jnp.inf, dtype))

    def row(self) -> Row:
        """The row's numbers, all classes read."""
        total = self.others + jnp.exp(shifted(self.own, self.peak))
        total = jnp.where(total == 0, 1, total)
        return Row(self.peak, jnp.log(total), self.others / total)


def top_row(x: Array, axes: Axes) -> Row:
    """The row's numbers, with a top class for the one that is marked: h is then exact to rounding everywhere.

    Nothing is stopped here: where the top class moves, all the shifts do.
    """
    peak = jnp.max(x, axes, keepdims=True, initial=-jnp.inf)
    ties = jnp.sum((shifted(x, peak) == 0).astype(x.dtype), axes, keepdims=True)  # XLA sums integers slower
    others = jnp.sum(below_top(x, peak), axes, keepdims=True) + jnp.maximum(ties - 1, 0)
    return Row(peak, jnp.log1p(others), others / (1 + others))


def below_top(x: Array, peak: Array) -> Array:
    """exp s, and 0 for a top class."""
    s = shifted(x, peak)
    return jnp.where(s == 0, 0, jnp.exp(s))


def surprisal(x: Array, row: Row) -> Array:
    """h = L − s, +inf for a class that is left out."""
    return row.log_sum - shifted(x, row.peak)


def marked_surprisal(h: Array, row: Row) -> Array:
    """h of the marked class: −ln(1 − Σ others) where that class has more than half of the probability."""
    confident = row.others < 0.5
    return jnp.where(confident, -jnp.log1p(-jnp.where(confident, row.others, 0)), h)


def shifted(x: Array, peak: Array) -> Array:
    """s = x − max x. The largest number stands for +inf, so that s is 0 there; a row of −inf is not shifted."""
    largest = jnp.finfo(x.dtype).max
    return jnp.minimum(x, largest) - jnp.where(peak == -jnp.inf, 0, jnp.minimum(peak, largest))

"""The surprisal of each class in a row of logits, −ln p in nats: what every cross-entropy is an average of.

    h = −ln p = lse(x) − x = L − s        s = x − max x        L = ln Σ exp s

The normaliser lse(x) = max x + L is kept as that pair and never added up: near 1e4 the spacing of float32 is
1e-3, and p = exp(x − lse) would be wrong by as much. Beside it is kept what decides how wrong a confident model
still is: 1 − p of the class that the label marks, which 1 − exp(−h) would lose to cancellation where p → 1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.losses.arguments import wide

Axes = tuple[int, ...]


class Row(NamedTuple):
    """Three numbers for each row, the class axes kept with size 1."""

    peak: Array  # max x; −inf where the row has no class
    log_sum: Array  # L
    others: Array  # Σ p over the classes that are not marked: 1 − p of the marked one


def present(logits: Array, where: Array | None) -> Array:
    """The logits in float32 or wider, −inf for those that `where` leaves out: exp makes nothing of either."""
    return wide(logits) if where is None else jnp.where(where, wide(logits), -jnp.inf)


def read_row(x: Array, marked: Array, own: Array, axes: Axes) -> Row:
    """The row's numbers, with at most one class marked, and `own` its logit, −inf where none is."""
    peak = jax.lax.stop_gradient(jnp.max(x, axes, keepdims=True, initial=-jnp.inf))
    others = jnp.sum(jnp.exp(_shifted(x, peak)) * ~marked, axes, keepdims=True)
    total = others + jnp.exp(_shifted(own, peak))
    total = jnp.where(total == 0, 1, total)
    return Row(peak, jnp.log(total), others / total)


def surprisal(x: Array, row: Row) -> Array:
    """h = L − s, +inf for a class that is left out."""
    return row.log_sum - _shifted(x, row.peak)


def marked_surprisal(h: Array, row: Row) -> Array:
    """h of the marked class: −ln(1 − Σ others) where that class has more than half of the probability."""
    confident = row.others < 0.5
    return jnp.where(confident, -jnp.log1p(-jnp.where(confident, row.others, 0)), h)


def _shifted(x: Array, peak: Array) -> Array:
    """s = x − max x. The largest number stands for +inf, so that s is 0 there; a row of −inf is not shifted."""
    largest = jnp.finfo(x.dtype).max
    return jnp.minimum(x, largest) - jnp.where(peak == -jnp.inf, 0, jnp.minimum(peak, largest))

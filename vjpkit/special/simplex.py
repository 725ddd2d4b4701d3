"""Where a sparse softmax cuts a row off: the threshold τ that leaves shares which sum to one.

    sparsemax     Σ max(x − τ, 0)  = 1
    entmax-1.5    Σ max(x − τ, 0)² = 1

Both sums are convex and fall with τ, so that Newton's steps from below rise to the root and do not pass it. A few
passes over a row do, where sorting takes as long as many, and more memory. The steps only tell which entries are
above the threshold; τ is then solved for in closed form, and is differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

Axes = int | tuple[int, ...] | None


def sparsemax_threshold(x: Array, axes: Axes) -> Array:
    """τ of each row, the axes kept with size 1; the largest entry of a row is 0, or −∞."""

    def root(above: Array) -> Array:  # Σ (x − τ) = 1
        return (_sum(x, above, axes) - 1) / _count(above, axes, x.dtype)

    # where the sum is linear between two entries, Newton's step is its root
    return root(_above(x, lambda tau, above: root(above)))


def entmax15_threshold(x: Array, axes: Axes) -> Array:
    """τ of each row, the axes kept with size 1; the largest entry of a row is 0, or −∞."""

    def newton(tau: Array, above: Array) -> Array:
        excess = jnp.where(above, x - tau, 0)
        total = jnp.sum(excess, axes, keepdims=True)
        return tau + (jnp.sum(jnp.square(excess), axes, keepdims=True) - 1) / (2 * jnp.where(total == 0, 1, total))

    above = _above(x, newton)
    mean = _sum(x, above, axes) / _count(above, axes, x.dtype)  # Σ (x − τ)² = Σ (x − mean)² + n (mean − τ)² = 1
    spread = _sum(jnp.square(jnp.where(above, x - mean, 0)), above, axes)
    return mean - jnp.sqrt((1 - spread) / _count(above, axes, x.dtype))


def _above(x: Array, step: Callable[[Array, Array], Array]) -> Array:
    """The entries above the root that `step` rises to from −1, which is below: what is under it has no share."""

    def rise(state: tuple[Array, Array]) -> tuple[Array, Array]:
        tau = state[0]
        risen = jnp.maximum(tau, lax.stop_gradient(step(tau, x > tau)))
        return risen, jnp.any(risen > tau)

    start = lax.stop_gradient(step(jnp.asarray(-1, x.dtype), x > -1))
    tau, _ = lax.while_loop(lambda state: state[1], rise, (start, jnp.any(start > -1)))
    return x > tau


def _sum(x: Array, above: Array, axes: Axes) -> Array:
    return jnp.sum(jnp.where(above, x, 0), axes, keepdims=True)


def _count(above: Array, axes: Axes, dtype: Any) -> Array:
    return jnp.maximum(jnp.sum(above.astype(dtype), axes, keepdims=True), 1)  # XLA sums integers slower

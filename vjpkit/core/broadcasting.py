"""Broadcasting and its transpose, once for every rule."""

from __future__ import annotations

import jax
import jax.numpy as jnp

Shape = tuple[int, ...]


def unbroadcast(x: jax.Array, shape: Shape) -> jax.Array:
    """The transpose of `broadcast_to`: sum over the axes that broadcasting from `shape` added or stretched.

    y = B x  ⇒  ⟨g, B x⟩ = ⟨Bᵀ g, x⟩ with Bᵀ the sum over every axis along which x was repeated.
    """
    if x.shape == shape:
        return x
    lead = x.ndim - len(shape)
    stretched = [lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1]
    return jnp.sum(x, axis=(*range(lead), *stretched), keepdims=True).reshape(shape)

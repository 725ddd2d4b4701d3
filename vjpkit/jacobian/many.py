"""Products of one linear map with many vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flat(product: Callable[[Any, Any], Any], like: Any) -> Callable[[Any, Any], Any]:
    """A product with a linear map, from flat vectors to flat vectors."""
    return lambda J, v: product(J, v.reshape(like.shape)).ravel()


def chunked(product: Callable[[Any, Any], Any], J: Any, like: Any, chunk: int = 16) -> Callable[[Any], np.ndarray]:
    """The product of J with each row of an array [k, size], so many at a time: one program, whatever k is."""
    program = jax.jit(jax.vmap(product, (None, 0)))  # J's residuals are its arguments, not constants in it

    def products(rows: Any) -> np.ndarray:
        rows = np.asarray(rows)
        padded = np.concatenate([rows, np.zeros((-len(rows) % chunk, like.size))])
        parts = [np.asarray(program(J, jnp.asarray(p, like.dtype))) for p in padded.reshape(-1, chunk, like.size)]
        return np.concatenate(parts)[: len(rows)]

    return products

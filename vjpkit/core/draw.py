"""Random arguments as data: a shape and a distribution, drawn when a check needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """An argument that is drawn: `draw.sample(key, dtype)` gives an array of `draw.shape`.

    `dtype` applies to float draws; integers and booleans keep their own. A complex dtype draws real and
    imaginary parts independently.
    """

    shape: Shape
    distribution: Callable[[jax.Array, Shape, Any], jax.Array]
    floating: bool = True

    def sample(self, key: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
        if not self.floating:
            return self.distribution(key, self.shape, None)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            real = jnp.finfo(dtype).dtype
            parts = [self.distribution(k, self.shape, real) for k in jax.random.split(key)]
            return jax.lax.complex(*parts)
        return self.distribution(key, self.shape, jnp.float32).astype(dtype)

    def reshaped(self, *shape: int) -> Draw:
        """The same distribution at another shape."""
        return replace(self, shape=shape)


def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Draw:
    """Gaussian numbers."""
    return Draw(shape, lambda key, shape, dtype: mean + scale * jax.random.normal(key, shape, dtype))


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Draw:
    """Numbers between `low` and `high`."""
    return Draw(shape, lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, low, high))


def integers(*shape: int, high: int, low: int = 0) -> Draw:
    """Integers in [low, high), one of them repeated wherever there are two: what a gather must accumulate."""

    def distribution(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
        flat = jax.random.randint(key, shape, low, high).reshape(-1)
        return (flat.at[-1].set(flat[0]) if flat.size > 1 else flat).reshape(shape)

    return Draw(shape, distribution, floating=False)


def booleans(*shape: int) -> Draw:
    """Fair coins."""
    return Draw(shape, lambda key, shape, dtype: jax.random.bernoulli(key, 0.5, shape), floating=False)


def probabilities(*shape: int) -> Draw:
    """Rows that are positive and sum to one."""
    return Draw(shape, lambda key, shape, dtype: jax.nn.softmax(jax.random.normal(key, shape, dtype)))

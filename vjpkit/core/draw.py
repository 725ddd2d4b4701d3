"""Random arguments as data: a shape and a distribution, drawn when a check needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Shape = tuple[int, ...]
Distribution = Callable[[np.random.Generator, Shape], np.ndarray]


@dataclass(frozen=True)
class Draw:
    """An argument that is drawn: `draw.sample(seed, dtype)` gives an array of `draw.shape`.

    `dtype` applies to float draws, which are rounded to float32 first, so that every dtype from there up gets the
    same numbers; integers and booleans keep their own. A complex dtype draws real and imaginary parts
    independently. NumPy draws, for JAX would compile a program for each shape.
    """

    shape: Shape
    distribution: Distribution
    floating: bool = True

    def sample(self, seed: int | Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        rng = np.random.default_rng(seed)
        if not self.floating:
            return jnp.asarray(self.distribution(rng, self.shape))
        values = self.distribution(rng, self.shape).astype(np.float32)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            values = values + 1j * self.distribution(rng, self.shape).astype(np.float32)
        return jnp.asarray(values.astype(dtype))

    def reshaped(self, *shape: int) -> Draw:
        """The same distribution at another shape."""
        return replace(self, shape=shape)


def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Draw:
    """Gaussian numbers."""
    return Draw(shape, lambda rng, shape: np.asarray(rng.normal(mean, scale, shape)))


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Draw:
    """Numbers between `low` and `high`."""
    return Draw(shape, lambda rng, shape: np.asarray(rng.uniform(low, high, shape)))


def integers(*shape: int, high: int, low: int = 0) -> Draw:
    """Integers in [low, high), one of them repeated wherever there are two: what a gather must accumulate."""

    def distribution(rng: np.random.Generator, shape: Shape) -> np.ndarray:
        flat = rng.integers(low, high, int(np.prod(shape)), dtype=np.int32)
        flat[-1:] = flat[:1]
        return flat.reshape(shape)

    return Draw(shape, distribution, floating=False)


def booleans(*shape: int) -> Draw:
    """Fair coins."""
    return Draw(shape, lambda rng, shape: np.asarray(rng.random(shape) < 0.5), floating=False)


def keys(*shape: int) -> Draw:
    """Random keys, of JAX's own type."""

    def distribution(rng: np.random.Generator, shape: Shape) -> Any:
        return jax.random.split(jax.random.key(int(rng.integers(2**31))), shape)

    return Draw(shape, distribution, floating=False)


def probabilities(*shape: int) -> Draw:
    """Rows that are positive and sum to one."""

    def distribution(rng: np.random.Generator, shape: Shape) -> np.ndarray:
        e = np.exp(rng.standard_normal(shape))
        return e / e.sum(-1, keepdims=True)

    return Draw(shape, distribution)

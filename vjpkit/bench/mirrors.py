"""The functions that rules mirror, where those stand in another library under other arguments."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from vjpkit.bench.contestants import Function


def jax_nn(name: str) -> dict[str, Function]:
    """The function of `jax.nn`, none where this jax has none."""
    return {f"jax.nn.{name}": getattr(jax.nn, name)} if hasattr(jax.nn, name) else {}


def optax_losses(name: str) -> dict[str, Function]:
    """The function of `optax.losses`, none where optax is not installed or has none."""
    try:
        module: Any = importlib.import_module("optax.losses")
    except ImportError:
        return {}
    return {f"optax.{name}": getattr(module, name)} if hasattr(module, name) else {}


def conv(x: Array, w: Array, *, padding: str = "SAME", feature_group_count: int = 1) -> Array:
    """`lax.conv_general_dilated` with channels last and strides of 1."""
    window = w.shape[:-2]
    pads: Any = [(window[0] - 1, 0)] if padding == "CAUSAL" else padding
    strides = (1,) * len(window)
    return lax.conv_general_dilated(
        x, w, strides, pads, dimension_numbers=_letters(len(window)), feature_group_count=feature_group_count
    )


def conv_transpose(x: Array, w: Array, *, strides: int) -> Array:
    """`lax.conv_transpose` with channels last."""
    window = w.shape[:-2]
    return lax.conv_transpose(x, w, (strides,) * len(window), "SAME", dimension_numbers=_letters(len(window)))


def max_pool(x: Array, *, window_shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """`lax.reduce_window` with the maximum."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window_shape, 1), (1, *strides, 1), "VALID")


def avg_pool(x: Array, *, window_shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """`lax.reduce_window` with the sum, divided."""
    total = lax.reduce_window(x, 0.0, lax.add, (1, *window_shape, 1), (1, *strides, 1), "VALID")
    return total / math.prod(window_shape)


def over_pixels(reduction: Callable[..., Array]) -> Function:
    """A reduction over the spatial axes."""
    return lambda x: reduction(x, axis=tuple(range(1, x.ndim - 1)))


def resize(method: str) -> Function:
    """`jax.image.resize` by factors."""

    def resized(x: Array, *, factors: tuple[int, ...]) -> Array:
        sizes = [n * f for n, f in zip(x.shape[1:-1], factors, strict=True)]
        return jax.image.resize(x, (x.shape[0], *sizes, x.shape[-1]), method)

    return resized


def dropout(x: Array, key: Array, *, rate: float) -> Array:
    """`flax.linen.Dropout`, as it is written there."""
    mask = jax.random.bernoulli(key, 1 - rate, x.shape)
    return lax.select(mask, x / (1 - rate), jnp.zeros_like(x))


def _letters(n: int) -> tuple[str, str, str]:
    spatial = "DHW"[-n:]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"

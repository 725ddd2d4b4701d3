"""Half precision, computed in float32 and rounded once; infinite arguments, cut where nothing changes any more."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def wide(x: Any) -> jax.Array:
    """`x` in float32 where its dtype is narrower, otherwise as it is."""
    x = jnp.asarray(x)
    return x.astype(jnp.float32) if _is_half(x.dtype) else x


def narrow(y: jax.Array, *args: Any) -> jax.Array:
    """`y`, computed from `wide` arguments, in the dtype that the arguments promote to."""
    dtype = jnp.result_type(*args)
    return y.astype(dtype) if _is_half(dtype) else y


FAR = 1e3  # e^−1000 is 0 in every dtype


def within(x: Any) -> jax.Array:
    """`wide(x)` cut at ±FAR, for functions at their limits from there on: neither ∞ − ∞ nor 0 · ∞ can arise."""
    x = wide(x)
    return x if jnp.iscomplexobj(x) else jnp.clip(x, -FAR, FAR)


def _is_half(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating)) and jnp.finfo(dtype).bits < 32

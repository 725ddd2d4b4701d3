"""The arguments of attention: whether they fit, and how they are laid out in tiles."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.core import DtypeError, ShapeError
from vjpkit.core.chunks import Blocks, side
from vjpkit.nn.arguments import floating, integer, misfit, random_key, same_dtype, shaped
from vjpkit.nn.attention_scores import Operands, Scores, words
from vjpkit.nn.attention_tiles import by_key, by_query
from vjpkit.nn.dropout import STEPS

Window = int | tuple[int | None, int | None] | None
BlockSize = int | tuple[int, int] | None

# ------------------------------------------------------------------------------------------------ the layout


def arrange(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None,
    mask: Array | None,
    query_seq_lengths: Array | None,
    key_value_seq_lengths: Array | None,
    query_segment_ids: Array | None,
    key_value_segment_ids: Array | None,
    sinks: Array | None,
    dropout_key: Array | None,
    *,
    scale: float | None,
    is_causal: bool,
    local_window_size: Window,
    softcap: float | None,
    dropout_rate: float,
    block_size: BlockSize,
    **others: Any,
) -> Scores:
    """Arguments that fit, as the maps read them."""
    at = operands(query, key, value, bias, sinks)
    (b, k, g, t, h), s = at.query.shape, at.key.shape[2]
    before, after = window = local_window_size if isinstance(local_window_size, tuple) else (local_window_size,) * 2
    sizes = block_sizes(b * k * g, block_size)
    kept = round((1 - dropout_rate) * STEPS)
    of_t, of_s = query_segment_ids, key_value_segment_ids
    return Scores(
        rows=Blocks.of(t, sizes[0]),
        columns=Blocks.of(s, sizes[1]),
        band=(before, 0 if after is None else min(after, 0)) if is_causal else window,
        operands=at,
        mask=None if mask is None else _per_tile(mask, k),
        lengths=(query_seq_lengths, key_value_seq_lengths),
        segments=None if of_t is None or of_s is None else (of_t.reshape(b, t), of_s.reshape(b, s)),
        words=None if kept == STEPS or dropout_key is None else words(dropout_key, b, k, g, t, s),
        kept=kept,
        scale=1 / math.sqrt(h or 1) if scale is None else scale,
        softcap=softcap,
    )


def operands(query: Array, key: Array, value: Array, bias: Array | None, sinks: Array | None) -> Operands:
    """The arguments that have a derivative, or their tangents, as tiles are read from them."""
    k = key.shape[-2]
    query, key, value = (x if x.ndim == 4 else x[None] for x in (query, key, value))
    bias = None if bias is None else _per_tile(bias, k)
    sinks = None if sinks is None else sinks.reshape(k, -1, 1, 1)
    return Operands(by_query(query, k), by_key(key), by_key(value), bias, sinks)


def _per_tile(x: Array, k: int) -> Array:
    """What broadcasts to [B, N, T, S] as what broadcasts to [B, K, G, T, S]."""
    b, n, t, s = (1,) * (4 - x.ndim) + x.shape
    return x.reshape(b, 1, 1, t, s) if n == 1 else x.reshape(b, k, n // k, t, s)


TILE = {"cpu": 2**23, "gpu": 2**24}  # numbers in a tile of all heads, at most


def block_sizes(heads: int, block_size: BlockSize) -> tuple[int, int]:
    """How many queries and keys there are in a block at most; by default, so that a tile of all heads is small.

    On a CPU a tile of a head is 256 × 512 where there are not too many: XLA has one core do a smaller product, and a
    larger tile has more in it that a causal mask takes out again.
    """
    if block_size is None:
        cpu = jax.default_backend() == "cpu"
        size = side(TILE.get(jax.default_backend(), 2**22) // max(heads, 1), most=512 if cpu else 1024)
        block_size = (min(size, 256), size) if cpu else size
    return (block_size, block_size) if isinstance(block_size, int) else block_size


# -------------------------------------------------------------------------------------------- whether they fit


def check(
    f: str,
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None,
    mask: Array | None,
    query_seq_lengths: Array | None,
    key_value_seq_lengths: Array | None,
    query_segment_ids: Array | None,
    key_value_segment_ids: Array | None,
    sinks: Array | None,
    dropout_key: Array | None,
    *,
    implementation: str | None,
    softcap: float | None,
    dropout_rate: float,
    local_window_size: Window,
    block_size: BlockSize,
    **others: Any,
) -> None:
    """Named errors for what attention cannot take."""
    floating(f, query=query)
    same_dtype(f, query=query, key=key, value=value)
    floating(f, bias=bias, sinks=sinks)
    if query.ndim not in (3, 4):
        raise ShapeError(misfit(f, "query", "[T, N, H] or [B, T, N, H]", query))
    *batch, t, n, h = query.shape
    *_, s, heads, _ = shaped(f, "key", key, *batch, "S", "K", h)
    shaped(f, "value", value, *batch, s, heads, h)
    if heads == 0 or n % heads:
        raise ShapeError(misfit(f, "query", f"a number of heads that is a multiple of {heads}, that of key", query))
    b = batch[0] if batch else 1
    if mask is not None and mask.dtype != jnp.bool_:
        raise DtypeError(misfit(f, "mask", "bool", mask))
    for name, a in (("bias", bias), ("mask", mask)):
        if a is not None and (
            a.ndim > 4 or any(m not in (1, n) for m, n in zip(a.shape[::-1], (s, t, n, b), strict=False))
        ):
            raise ShapeError(misfit(f, name, f"what broadcasts to {[b, n, t, s]}", a))
    for name, a, shape in (
        ("query_seq_lengths", query_seq_lengths, (b,)),
        ("key_value_seq_lengths", key_value_seq_lengths, (b,)),
        ("query_segment_ids", query_segment_ids, (*batch, t)),
        ("key_value_segment_ids", key_value_segment_ids, (*batch, s)),
    ):
        if a is not None:
            integer(f, **{name: a})
            shaped(f, name, a, *shape)
    if (query_segment_ids is None) != (key_value_segment_ids is None):
        raise TypeError(f"{f}: arguments query_segment_ids and key_value_segment_ids: expected both or none, got one")
    if sinks is not None:
        shaped(f, "sinks", sinks, n)
    if not 0 <= dropout_rate <= 1:
        raise ValueError(f"{f}: option dropout_rate: expected a probability, got {dropout_rate!r}")
    if dropout_rate and dropout_key is None:
        raise TypeError(f"{f}: argument dropout_key: expected a key for a dropout_rate above 0, got None")
    if dropout_key is not None:
        random_key(f, dropout_key, "dropout_key")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"{f}: option softcap: expected a number above 0, got {softcap!r}")
    if implementation not in (None, "xla"):
        raise ValueError(f"{f}: option implementation: expected None or 'xla', got {implementation!r}")
    if isinstance(local_window_size, tuple) and len(local_window_size) != 2:
        raise ValueError(f"{f}: option local_window_size: expected a number, or two, got {local_window_size!r}")
    sizes = block_sizes(1, block_size)
    if len(sizes) != 2 or min(sizes) < 1:
        raise ValueError(f"{f}: option block_size: expected a number above 0, or two, got {block_size!r}")

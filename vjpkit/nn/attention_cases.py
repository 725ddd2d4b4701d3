"""The cases of attention: every option, in several tiles of which none divides the sequence, the value by NumPy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vjpkit.core import Case, Special
from vjpkit.core.draw import Draw, booleans, integers, keys, normal
from vjpkit.nn.attention import dot_product_attention

INF = np.inf
KEY = np.array([3, 141592653], np.uint32)

# ---------------------------------------------------------------------------------- the value, by other means


def kept_(key: Any, shape: tuple[int, ...], rate: float) -> Any:
    """What is not dropped: where the upper half of the mixed sum of a query's and a key's word is below q 2¹⁶."""
    *heads, t, s = shape
    of_t, of_s = jax.random.split(key)
    h = np.asarray(jax.random.bits(of_t, (*heads, t, 1), np.uint32)) + np.asarray(
        jax.random.bits(of_s, (*heads, 1, s), np.uint32)
    )
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return (h >> np.uint32(16)) < round((1 - rate) * 2**16)


def visible_(shape, mask, lengths, segments, is_causal, window):
    b, _, t, s = shape
    rows, columns = np.arange(t)[:, None], np.arange(s)
    seen = np.full((b, 1, t, s), True) & (columns <= rows if is_causal else True)
    if window is not None:
        before, after = window if isinstance(window, tuple) else (window, window)
        seen = seen & (columns >= rows - (t if before is None else before))
        seen = seen & (columns <= rows + (s if after is None else after))
    for place, length in zip((rows, columns), lengths, strict=True):
        seen = seen if length is None else seen & (place < length.reshape(-1, 1, 1, 1))
    if segments[0] is not None:
        of_t, of_s = (a.reshape(b, -1) for a in segments)
        seen = seen & (of_t[:, None, :, None] == of_s[:, None, None, :])
    return seen if mask is None else seen & mask


def dot_product_attention_(
    query, key, value, bias=None, mask=None, query_seq_lengths=None, key_value_seq_lengths=None,
    query_segment_ids=None, key_value_segment_ids=None, sinks=None, dropout_key=None, *,
    scale=None, is_causal=False, local_window_size=None, return_residual=False, softcap=None, dropout_rate=0.0, **_,
):  # fmt: skip
    q, k, v = (a.reshape(-1, *a.shape[-3:]).swapaxes(1, 2) for a in (query, key, value))
    k, v = (np.repeat(a, q.shape[1] // a.shape[1], 1) for a in (k, v))
    x = q @ k.swapaxes(2, 3) * (q.shape[-1] ** -0.5 if scale is None else scale)
    x = x if softcap is None else softcap * np.tanh(x / softcap)
    x = x if bias is None else x + bias
    lengths, segments = (query_seq_lengths, key_value_seq_lengths), (query_segment_ids, key_value_segment_ids)
    x = np.where(visible_(x.shape, mask, lengths, segments, is_causal, local_window_size), x, -INF)
    if sinks is not None:
        x = np.concatenate([x, np.broadcast_to(sinks[:, None, None], (*x.shape[:3], 1))], 3)
    with np.errstate(divide="ignore"):
        lse = np.log(np.exp(x).sum(-1))
    p = np.exp(x - np.where(lse == -INF, 0, lse)[..., None])[..., : k.shape[2]]
    if dropout_rate:
        shape = (*p.shape[:1], key.shape[-2], q.shape[1] // key.shape[-2], *p.shape[2:])
        p = p * kept_(dropout_key, shape, dropout_rate).reshape(p.shape) / (round((1 - dropout_rate) * 2**16) / 2**16)
    out = (p @ v).swapaxes(1, 2).reshape(query.shape)
    return (out, lse.swapaxes(1, 2).reshape(query.shape[:-1])) if return_residual else out


# ------------------------------------------------------------------------------------------------- the cases

B, T, S, N, K, H = 2, 7, 11, 6, 3, 5
QKV = (normal(B, T, N, H), normal(B, S, K, H), normal(B, S, K, H))
TILES = {"block_size": (3, 4)}


def case(args: tuple[Any, ...] = QKV, *, special: tuple[Special, ...] = (), options: Any = None, **named: Any) -> Case:
    order = ("bias", "mask", "query_seq_lengths", "key_value_seq_lengths", "query_segment_ids",
             "key_value_segment_ids", "sinks", "dropout_key")  # fmt: skip
    rest = tuple(named.get(name) for name in order)
    static = TILES | (options or {})
    typed_key = isinstance(named.get("dropout_key"), Draw)  # of which NumPy has none
    reference = None if typed_key else dot_product_attention_
    return Case(dot_product_attention, args + rest, static, special=special, reference=reference)


def at(q: Any, k: Any, v: Any, bias: Any = None, mask: Any = None, sinks: Any = None) -> tuple[Any, ...]:
    """The arguments of one head of one feature."""
    column = lambda a: np.array(a, np.float64)[:, None, None]  # noqa: E731
    return (*map(column, (q, k, v)), bias, mask, None, None, None, None, sinks, None)


SEES = [1.0, -2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [1.0, 2.0, 4.0]
MASK = np.array([[False] * 3, *[[True, False, True]] * 3])
BIAS = np.array([[0.5] * 3, [-INF] * 3, [0.5, -INF, 0.5], [0.5] * 3])

SPECIAL = (
    Special(at(*SEES, BIAS, MASK), "who sees nothing, masked or with a bias of −∞: 0"),
    Special(at(*SEES, BIAS, MASK, np.array([0.5])), "who sees nothing but the sink: 0"),
)

CASES: tuple[Case, ...] = (
    case(special=SPECIAL),
    case((normal(T, 2, H), normal(S, 2, H), normal(S, 2, H)), options={"is_causal": True, "scale": 0.7}),
    case(
        bias=normal(B, N, T, S), mask=booleans(1, T, S),
        options={"local_window_size": (5, 3), "return_residual": True},
    ),
    case(
        bias=normal(N, 1, S), sinks=normal(N), dropout_key=KEY,
        query_seq_lengths=integers(B, low=2, high=T), key_value_seq_lengths=integers(B, low=2, high=S),
        query_segment_ids=integers(B, T, high=2), key_value_segment_ids=integers(B, S, high=2),
        options={"softcap": 1.5, "dropout_rate": 0.25},
    ),
    case((normal(B, S, K, H),) * 3, dropout_key=keys(), options={"dropout_rate": 0.5, "is_causal": True}),
)  # fmt: skip

"""Attention: as jax.nn's, linear in memory in every mode and order, blind to what is masked, and dropped as it says."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from vjpkit.nn import dot_product_attention as attention
from vjpkit.nn.attention_arguments import block_sizes

B, T, S, N, K, H = 2, 13, 11, 6, 3, 5
RNG = np.random.default_rng(0)


def floats(*shape: int, dtype: Any = jnp.float64) -> Any:
    return jnp.asarray(RNG.normal(size=shape), dtype)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(1))


QKV = floats(B, T, N, H), floats(B, S, K, H), floats(B, S, K, H)
# The same sums of float64 in another order: thousands of eps relative, and an absolute part for entries that cancel.
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
G, U = floats(B, T, N, H), tuple(floats(*x.shape) for x in QKV)
SEEN = jnp.asarray(RNG.random((B, 1, T, S)) < 0.6).at[..., 0].set(True)
ONE_PATH = floats(B, N, T, S)

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (4, 2)},
    "causal window": {"local_window_size": 3, "is_causal": True},
    "mask": {"mask": SEEN},
    "bias": {"bias": ONE_PATH},
    "lengths": {"query_seq_lengths": jnp.array([7, 13], "int32"), "key_value_seq_lengths": jnp.array([5, 2], "int32")},
    "scale": {"scale": 0.3, "implementation": "xla"},
}


def all_of(f: Callable[..., Any]) -> list[Any]:
    """The value, the cotangents and the tangent."""
    y, pull = jax.vjp(f, *QKV)
    return [y, *pull(G), jax.jvp(f, QKV, U)[1]]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_as_jax_nn(options: dict[str, Any]) -> None:
    """In tiles of every kind; jax.nn has its weights in float32."""
    want = jax.jit(lambda: all_of(functools.partial(jax.nn.dot_product_attention, **options)))()
    got = jax.jit(lambda: [all_of(functools.partial(attention, **options, block_size=b)) for b in (None, (5, 4))])()
    for answers in got:
        for y, their_y in zip(answers, want, strict=True):
            np.testing.assert_allclose(y, their_y, atol=3e-6)


def test_the_log_sum_exp_is_theirs_and_has_a_derivative() -> None:
    out, lse = attention(*QKV, return_residual=True, block_size=4)
    their_out, their_lse = jax.nn.dot_product_attention(*QKV, return_residual=True)
    np.testing.assert_allclose(out, their_out, atol=1e-6)
    np.testing.assert_allclose(lse, their_lse, atol=1e-6)
    x = jnp.einsum("btngh,bsnh->btngs", QKV[0].reshape(B, T, K, -1, H), QKV[1]) / math.sqrt(H)
    share = jax.nn.softmax(x)
    slope = jnp.einsum("btngs,bsnh->btngh", share, QKV[1]).reshape(B, T, N, H) / math.sqrt(H)
    got = jax.grad(lambda q: attention(q, *QKV[1:], return_residual=True, block_size=4)[1].sum())(QKV[0])
    np.testing.assert_allclose(got, slope, **ROUNDING)


@pytest.mark.parametrize("shape", [(1, 1, T, S), (B, 1, 1, S), (N, 1, S), (T, 1), (B, N, T, S), (1,)], ids=str)
def test_the_bias_has_a_gradient_of_its_shape(shape: tuple[int, ...]) -> None:
    """As autodiff's of the bias broadcast by hand. (jax#27184: wrong or refused in cuDNN's.)"""
    bias = floats(*shape)
    f = lambda b, sizes: jax.vjp(lambda b: attention(*QKV, b, is_causal=True, block_size=sizes), b)[1](G)[0]  # noqa: E731
    whole = jnp.broadcast_to(bias, (B, N, T, S))
    axes = tuple(range(4 - len(shape))), tuple(i for i, n in enumerate(shape) if n == 1)
    want = f(whole, None).sum(axes[0]).sum(axes[1], keepdims=True)
    np.testing.assert_allclose(f(bias, (4, 3)), want, **ROUNDING)


# ------------------------------------------------------------------------------------------- what is not seen


def test_what_is_masked_is_not_seen_whatever_it_is() -> None:
    """NaN in the bias under a mask, a bias in float32 beside bfloat16 (jax#32242: NaN)."""
    q, k, v = (x.astype(jnp.bfloat16) for x in (floats(B, T, K, H), *QKV[1:]))
    seen = jnp.arange(S) < 6
    bias = floats(K, T, S, dtype=jnp.float32)
    f = lambda k, v, b: jax.vjp(  # noqa: E731
        lambda *x: attention(*x, seen[None, None, None], block_size=(4, 3)), q, k, v, b
    )
    g = G[:, :, :K].astype(q.dtype)
    want, want_pull = f(k, v, bias)
    got, pull = f(k, v, jnp.where(seen, bias, jnp.nan))
    np.testing.assert_array_equal(got, want)
    for bar, want_bar in zip(pull(g), want_pull(g), strict=True):
        np.testing.assert_array_equal(bar, want_bar)
        assert np.isfinite(np.asarray(bar, np.float32)).all()


@pytest.mark.parametrize("return_residual", [False, True])
def test_who_sees_nothing_gets_zero(return_residual: bool) -> None:
    """In both modes and to second order; nothing comes from there, and no NaN either."""
    nobody = SEEN.at[:, :, 3].set(False).at[1].set(False)
    f = functools.partial(attention, mask=nobody, return_residual=return_residual, block_size=(4, 3))
    y, pull = jax.vjp(f, *QKV)
    g = (G, floats(B, T, N)) if return_residual else G
    out, lse = y if return_residual else (y, None)
    assert (out[1] == 0).all()
    assert (out[:, 3] == 0).all()
    assert (out[0, 2] != 0).all()
    assert lse is None or ((lse[1] == -jnp.inf).all() and jnp.isfinite(lse[0, 2]).all())
    bars, dots = jax.jvp(lambda *x: jax.vjp(f, *x)[1](g), QKV, U)
    tangent = jax.jvp(f, QKV, U)[1]
    for x in jax.tree.leaves((pull(g), bars, dots, tangent)):
        assert jnp.isfinite(x).all()
    for x in (bars[0], dots[0], jax.tree.leaves(tangent)[0]):
        assert (x[1] == 0).all()
        assert (x[:, 3] == 0).all()
    assert (bars[1][1] == 0).all()
    assert (bars[2][1] == 0).all()


def test_segments_are_attended_to_alone() -> None:
    """A packed sequence is its parts."""
    cut, parts = 5, [slice(0, 5), slice(5, T)]
    q, k, v = (floats(1, T, K, H) for _ in range(3))
    ids = (jnp.arange(T) >= cut).astype(jnp.int32)[None]
    packed = attention(q, k, v, query_segment_ids=ids, key_value_segment_ids=ids, is_causal=True, block_size=4)
    alone = [attention(q[:, p], k[:, p], v[:, p], is_causal=True) for p in parts]
    np.testing.assert_allclose(packed, jnp.concatenate(alone, 1), **ROUNDING)


def test_a_sink_is_a_key_without_a_value() -> None:
    q, k, v = floats(B, T, K, H), *QKV[1:]
    sinks = floats(K)
    zero = jnp.zeros((B, 1, K, H))
    bias = jnp.concatenate([jnp.zeros((K, 1, S)), sinks[:, None, None]], -1)
    want = attention(q, *(jnp.concatenate([x, zero], 1) for x in (k, v)), bias)
    np.testing.assert_allclose(attention(q, k, v, sinks=sinks, block_size=3), want, **ROUNDING)


@pytest.mark.parametrize(("length", "block"), [(1, 8), (7, 8), (8, 8), (9, 8), (17, 8), (5, 1)])
def test_any_length_in_any_blocks(length: int, block: int) -> None:
    """Ragged ends: a slice that is clamped reads, and writes, other places than it names, and must not count twice."""
    x = tuple(floats(1, length, 2, H) for _ in range(3))
    for options in ({}, {"is_causal": True}, {"local_window_size": (2, 0)}):
        run = lambda b, o=options: jax.vjp(lambda *x: attention(*x, **o, block_size=b), *x)  # noqa: E731
        (y, pull), (want, want_pull) = run(block), run(length)
        np.testing.assert_allclose(y, want, **ROUNDING)
        for bar, want_bar in zip(pull(x[0]), want_pull(x[0]), strict=True):
            np.testing.assert_allclose(bar, want_bar, **ROUNDING)


def test_no_keys_and_no_queries() -> None:
    q, k = floats(B, T, K, H), floats(B, 0, K, H)
    y, pull = jax.vjp(attention, q, k, k)
    assert y.shape == q.shape
    assert (y == 0).all()
    assert [x.shape for x in pull(y)] == [q.shape, k.shape, k.shape]
    assert attention(k, q, q).shape == k.shape


# ---------------------------------------------------------------------------------------------------- dropout

WIDE = 64


def dropped(key: Any, rate: float, block_size: Any = None) -> Any:
    """Which entries are dropped, read off with values that stand for their keys."""
    q = jnp.zeros((2, WIDE, 3, WIDE))
    v = jnp.broadcast_to(jnp.eye(WIDE)[:, None], (2, WIDE, 3, WIDE))
    p = attention(q, q, v, dropout_key=key, dropout_rate=rate, block_size=block_size)
    return np.asarray(p.transpose(0, 2, 1, 3) == 0), p


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_as_much_is_dropped_as_the_rate_says(rate: float) -> None:
    """Everywhere alike, and whether one is says nothing of its neighbours in any direction."""
    zeros, p = dropped(jax.random.key(0), rate)
    assert abs(zeros.sum() - rate * zeros.size) < 5 * math.sqrt(rate * (1 - rate) * zeros.size)
    np.testing.assert_allclose(p[p != 0], 1 / WIDE / (1 - rate), rtol=1e-4)
    for axis in range(4):
        near = (zeros & np.roll(zeros, 1, axis)).mean()
        assert abs(near - rate**2) < 6 * rate / math.sqrt(zeros.size) + rate**2 * 0.05
    corners = zeros[..., :-1, :-1] ^ zeros[..., 1:, :-1] ^ zeros[..., :-1, 1:] ^ zeros[..., 1:, 1:]
    odd = (1 - (1 - 2 * rate) ** 4) / 2
    assert abs(corners.mean() - odd) < 0.03


def test_dropout_hangs_on_the_key_alone() -> None:
    key = jax.random.key(3)
    zeros, _ = dropped(key, 0.5)
    np.testing.assert_array_equal(zeros, dropped(key, 0.5, (24, 10))[0])
    np.testing.assert_array_equal(zeros, dropped(jax.random.key_data(key), 0.5)[0])
    assert abs((zeros == dropped(jax.random.key(4), 0.5)[0]).mean() - 0.5) < 0.02
    assert not dropped(key, 0.0)[0].any()
    assert dropped(key, 1.0)[0].all()


# ------------------------------------------------------------------------------------- memory, time and order


def specs(t: int, heads: int = 2, dtype: Any = jnp.float32) -> list[Any]:
    return [jax.ShapeDtypeStruct((1, t, heads, 16), dtype)] * 4


def forward_mode(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda q, k, v, u: jax.jvp(f, (q, k, v), (u, q, k))


def reverse_mode(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda q, k, v, g: jax.vjp(f, q, k, v)[1](g)


def forward_over_reverse(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda q, k, v, u: jax.jvp(lambda *x: jax.vjp(f, *x)[1](u), (q, k, v), (u, q, k))[1]


def reverse_over_reverse(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda q, k, v, u: jax.vjp(lambda *x: jax.vjp(f, *x)[1](u), q, k, v)[1]((u, q, k))


def temp_bytes(f: Callable[..., Any], args: list[Any]) -> int:
    return jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes


MODES = [lambda f: lambda q, k, v, u: f(q, k, v), forward_mode, reverse_mode, forward_over_reverse]


@pytest.mark.parametrize(
    "mode", [*MODES, reverse_over_reverse], ids=["value", "jvp", "vjp", "jvp of vjp", "vjp of vjp"]
)
def test_memory_is_linear_in_the_sequence(mode: Callable[..., Any]) -> None:
    """Four times the sequence, four times the memory and a little; the logits would be 512 MiB at 8192."""
    f = mode(functools.partial(attention, is_causal=True, block_size=128))
    short, long = (temp_bytes(f, specs(t)) for t in (2048, 8192))
    assert long < 5 * short
    assert long < 2 * 8192**2 * 4 / 16


def largest(jaxpr: Any) -> int:
    """The size of the largest array in a jaxpr, at any depth."""
    sizes = [math.prod(getattr(v.aval, "shape", ())) for e in jaxpr.eqns for v in e.outvars]
    inner = [j for e in jaxpr.eqns for p in e.params.values() for j in jax.tree.leaves(p, is_leaf=has_eqns)]
    return max([0, *sizes, *(largest(getattr(j, "jaxpr", j)) for j in inner if has_eqns(getattr(j, "jaxpr", j)))])


def has_eqns(j: Any) -> bool:
    return hasattr(j, "eqns")


def test_a_hessian_vector_product_has_no_quadratic_array() -> None:
    f = forward_over_reverse(functools.partial(attention, is_causal=True))
    assert largest(jax.make_jaxpr(f)(*specs(4096)).jaxpr) < 4096**2 / 8


def test_tiles_that_nobody_sees_are_left_out() -> None:
    flops = lambda **o: jax.make_jaxpr(functools.partial(attention, **o))(*specs(1024)[:3])  # noqa: E731
    steps = lambda **o: scan_lengths(flops(block_size=128, **o).jaxpr)  # noqa: E731
    assert steps() == [64]
    assert steps(is_causal=True) == [36]
    assert steps(local_window_size=(128, 0)) == [15]
    assert steps(local_window_size=0) == [8]


def test_products_of_a_tile_are_large_enough_to_be_shared_by_cores() -> None:
    """XLA has one core do a product of 256 × 256 × 64; with many heads a tile of all of them stays small."""
    assert block_sizes(8, None) == (256, 512)
    assert block_sizes(64, None) == (256, 256)
    assert block_sizes(1024, None) == (128, 128)
    assert block_sizes(8, 32) == (32, 32)
    assert block_sizes(8, (32, 64)) == (32, 64)


def scan_lengths(jaxpr: Any) -> list[int]:
    found: list[int] = []
    for e in jaxpr.eqns:
        if e.primitive.name == "scan":
            found.append(e.params["length"])
        for p in e.params.values():
            inner = getattr(p, "jaxpr", p)
            found += scan_lengths(inner) if has_eqns(inner) else []
    return found


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=lambda d: jnp.dtype(d).name)
def test_half_precision_is_as_close_to_the_truth_as_autodiff(dtype: Any) -> None:
    """At scales of the logits from 1e-3 to 1e4; the truth is float64."""
    rng = np.random.default_rng(0)
    q, k, v, g = (jnp.asarray(rng.normal(size=(2, 41, 3, 16))).astype(dtype) for _ in range(4))
    for scale in (1e-3, 1.0, 1e2, 1e4):
        ours = functools.partial(attention, scale=scale, is_causal=True, block_size=(16, 12))
        theirs = functools.partial(dense, scale=scale)
        wide = [x.astype(jnp.float64) for x in (q, k, v)]
        truth = jax.vjp(ours, *wide)[1](g.astype(jnp.float64))
        got, autodiff = (jax.jit(reverse_mode(f))(q, k, v, g) for f in (ours, theirs))
        for bar, other, exact in zip(got, autodiff, truth, strict=True):
            assert distance(bar, exact) <= 1.25 * distance(other, exact) + jnp.finfo(dtype).eps / 8, scale


def dense(q: Any, k: Any, v: Any, scale: float) -> Any:
    """Causal attention as jax.nn has it, where that runs: with weights in the dtype of the values."""
    x = jnp.einsum("btnh,bsnh->bnts", q, k, preferred_element_type=jnp.float32) * scale
    p = jax.nn.softmax(jnp.where(jnp.tri(*x.shape[2:], dtype=bool), x, -1e30)).astype(q.dtype)
    return jnp.einsum("bnts,bsnh->btnh", p, v)


def distance(x: Any, exact: Any) -> float:
    return float(jnp.linalg.norm(x.astype(jnp.float64) - exact) / jnp.linalg.norm(exact))


def test_sharded_over_the_batch() -> None:
    mesh, over = Mesh(np.array(jax.devices()[:2]), ("d",)), PartitionSpec("d")
    f = functools.partial(attention, is_causal=True, block_size=(5, 4))
    alone = reverse_mode(f)
    parts = jax.shard_map(lambda *x: alone(*x), mesh=mesh, in_specs=over, out_specs=over)
    for bar, want in zip(jax.jit(parts)(*QKV, G), alone(*QKV, G), strict=True):
        np.testing.assert_allclose(bar, want, **ROUNDING)

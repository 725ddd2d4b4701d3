"""Dropout: its average, its statistics, one mask for all maps, what is kept, keys, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import nn

KEY = jax.random.key(7)
RAW = jax.random.key_data(KEY)
X = jnp.asarray(np.random.default_rng(0).normal(size=(101, 53)), jnp.float32)
ONES = jnp.ones((199, 1009), jnp.float64)


@pytest.mark.parametrize("rate", [1e-4, 0.1, 1 / 3, 0.5, 0.9, 0.9999])
def test_the_average_is_x(rate: float) -> None:
    """An entry is kept with probability t/2¹⁶, and then is x 2¹⁶/t, for an integer t."""
    q = round((1 - rate) * 2**16) / 2**16
    kept = np.unique(nn.dropout(ONES, KEY, rate))
    assert set(kept) <= {0.0, 1 / q}
    assert abs(1 - rate - q) <= 2.0**-17


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_as_many_are_dropped_as_the_rate_says(rate: float, seed: int) -> None:
    zeros = np.asarray(nn.dropout(ONES, jax.random.key(seed), rate) == 0)
    for part in (zeros, zeros[:, ::2], zeros[:, 1::2]):  # either half of a word
        assert abs(part.sum() - rate * part.size) < 5 * math.sqrt(rate * (1 - rate) * part.size)
    together = (zeros[:, :-1:2] & zeros[:, 1::2]).sum()  # the two halves of a word: independent
    p, pairs = rate**2, zeros[:, 1::2].size
    assert abs(together - p * pairs) < 5 * math.sqrt(p * (1 - p) * pairs)
    rows = zeros.mean(1)
    assert np.std(rows) == pytest.approx(math.sqrt(rate * (1 - rate) / zeros.shape[1]), rel=0.3)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16])
def test_one_mask_for_all(dtype: Any) -> None:
    """The value, fwd, both maps, every dtype, typed and raw keys."""
    ones = jnp.ones(X.shape, dtype)
    want = np.asarray(nn.dropout(jnp.ones(X.shape, jnp.float32), RAW, 0.3) != 0)

    @jax.jit
    def answers(key: Any, x: Any) -> Any:
        f = lambda x: nn.dropout(x, key, 0.3)  # noqa: E731
        y, pull = jax.vjp(f, x)
        return f(x), y, pull(x)[0], jax.jvp(f, (x,), (x,))[1]

    for what in (*answers(KEY, ones), *answers(RAW, ones)):
        assert what.dtype == dtype
        np.testing.assert_array_equal(np.asarray(what != 0), want)


def test_another_key_gives_another_mask() -> None:
    assert not np.array_equal(nn.dropout(X, KEY), nn.dropout(X, jax.random.key(8)))


def test_half_precision_is_rounded_once() -> None:
    x = X.astype(jnp.bfloat16)
    y = nn.dropout(x, KEY, 0.1)
    q = round(0.9 * 2**16) / 2**16
    want = (x.astype(jnp.float32) / q).astype(jnp.bfloat16)
    np.testing.assert_array_equal(y, jnp.where(y != 0, want, 0))


KEPT = {
    "dropout": (lambda x, k: nn.dropout(x, k, 0.1), []),
    "stochastic_depth": (lambda x, k: nn.stochastic_depth(x, k, 0.1), []),
    "dropout_add_rms_norm": (lambda x, k: nn.dropout_add_rms_norm(x, x, k, rate=0.1), [X.shape, (101, 1)]),
    "dropout_add_layer_norm": (
        lambda x, k: nn.dropout_add_layer_norm(x, x, k, rate=0.1),
        [X.shape, (101, 1), (101, 1)],
    ),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("key", [KEY, RAW], ids=["typed", "raw"])
def test_the_key_is_kept_and_no_mask(name: str, key: Any) -> None:
    f, beside = KEPT[name]
    leaves = [leaf for leaf in jax.tree.leaves(jax.vjp(lambda x: f(x, key), X)[1]) if jnp.size(leaf) > 1 or leaf.ndim]
    keys = [leaf for leaf in jax.tree.leaves(jax.vjp(lambda x: f(x, key), X)[1]) if leaf.dtype == key.dtype]
    assert [k.shape for k in keys] == [key.shape]
    assert sorted(leaf.shape for leaf in leaves if leaf.dtype != key.dtype) == sorted(beside)


@pytest.mark.parametrize("f", [nn.dropout, nn.stochastic_depth])
def test_rates_of_0_and_1_and_evaluation(f: Any) -> None:
    x = X.at[0].set(jnp.inf).at[1].set(-jnp.inf).at[2].set(jnp.nan)
    for y, pull in (jax.vjp(lambda x: f(x, KEY, 0.0), x), jax.vjp(lambda x: f(x, None, 0.5, deterministic=True), x)):
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(pull(X)[0], X)
    y, pull = jax.vjp(lambda x: f(x, KEY, 1.0), x)
    assert not y.any()
    assert not pull(x)[0].any()


def test_what_is_dropped_is_0_even_of_what_is_not_finite() -> None:
    x = jnp.full(X.shape, jnp.nan)
    y, pull = jax.vjp(lambda x: nn.dropout(x, KEY), x)
    assert 0.4 < float((y == 0).mean()) < 0.6
    np.testing.assert_array_equal(y == 0, pull(x)[0] == 0)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (), (1,)])
def test_small_and_empty_arrays(shape: tuple[int, ...]) -> None:
    y, pull = jax.vjp(lambda x: nn.dropout(x, KEY), jnp.ones(shape))
    assert y.shape == pull(y)[0].shape == shape


def test_complex_numbers() -> None:
    z = (X + 1j * X[::-1]).astype(jnp.complex64)
    y = nn.dropout(z, KEY, 0.5)
    np.testing.assert_array_equal(y, jnp.where(nn.dropout(X, KEY, 0.5) != 0, 2 * z, 0))


def test_one_draw_along_broadcast_dims() -> None:
    y = nn.dropout(jnp.ones((31, 7, 3)), KEY, broadcast_dims=(1, -1))
    assert (y == y[:, :1, :1]).all()
    assert 0 < (y == 0).mean() < 1


def test_stochastic_depth_drops_examples_or_all() -> None:
    rows = nn.stochastic_depth(jnp.ones((997, 2, 3)), KEY, 0.25)
    assert (rows == rows[:, :1, :1]).all()
    assert abs(float((rows[:, 0, 0] == 0).mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 997)
    batch = jax.vmap(lambda k: nn.stochastic_depth(jnp.ones((5, 3)), k, 0.25, mode="batch"))(jax.random.split(KEY, 997))
    assert (batch == batch[:, :1, :1]).all()
    assert abs(float((batch[:, 0, 0] == 0).mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 997)


def test_vmap_over_keys_is_a_loop_over_them() -> None:
    keys = jax.random.split(KEY, 3)
    value = lambda x, k: jax.vjp(lambda x: nn.dropout(x, k, 0.3), x)[1](x)[0]  # noqa: E731
    together = jax.vmap(value, in_axes=(None, 0))(X, keys)
    np.testing.assert_array_equal(together, jnp.stack([value(X, k) for k in keys]))
    assert not np.array_equal(together[0], together[1])


def test_scan_with_split_keys_is_a_loop_over_them() -> None:
    keys = jax.random.split(KEY, 3)
    each = list(keys)

    def loss(x: Any) -> Any:
        return jax.lax.scan(lambda x, k: (nn.dropout(jnp.sin(x), k, 0.3), None), x, keys)[0].sum()

    def unrolled(x: Any) -> Any:
        for k in each:
            x = nn.dropout(jnp.sin(x), k, 0.3)
        return x.sum()

    ours, want = jax.jit(jax.grad(loss))(X), jax.jit(jax.grad(unrolled))(X)
    np.testing.assert_allclose(ours, want, rtol=1e-5)
    assert 0.5 < float((want == 0).mean()) < 0.8


def test_a_scan_stacks_no_masks() -> None:
    """Autodiff of the primal stacks one for each step."""

    def kept(f: Any) -> list[Any]:
        def scanned(x: Any) -> Any:
            return jax.lax.scan(lambda x, k: (f(x, k), None), x, jax.random.split(KEY, 3))[0]

        return [leaf.shape for leaf in jax.tree.leaves(jax.vjp(scanned, X)[1])]

    assert not any(math.prod(s) >= X.size for s in kept(nn.dropout))
    assert any(math.prod(s) >= 3 * X.size for s in kept(nn.dropout.primal))


def test_fused_is_the_composition() -> None:
    r, w, b = X[::-1], jnp.linspace(0.5, 2, 53), jnp.linspace(-1, 1, 53)
    y, s = nn.dropout_add_layer_norm(X, r, KEY, w, b, rate=0.25)
    want, want_s = nn.add_layer_norm(nn.dropout(X, KEY, 0.25), r, w, b)
    np.testing.assert_allclose(y, want, atol=1e-5)
    np.testing.assert_allclose(s, want_s, rtol=1e-6)
    y, s = nn.dropout_add_rms_norm(X, r, None, w, rate=0.25, deterministic=True)
    want, want_s = nn.add_rms_norm(X, r, w)
    np.testing.assert_allclose(y, want, atol=1e-5)
    np.testing.assert_allclose(s, want_s, rtol=1e-6)

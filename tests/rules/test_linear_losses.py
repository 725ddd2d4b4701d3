"""Losses with an output layer: no array of tokens × classes, and what others are known to get wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import inline
from vjpkit.losses import clip_loss, linear_cross_entropy, linear_divergence, linear_log_probs

N, D, C = 4096, 256, 32768


def spec(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def drawn(*shapes: tuple[int, ...], seed: int = 0, dtype: Any = jnp.float64, scale: float = 1.0) -> list[jax.Array]:
    rng = np.random.default_rng(seed)
    return [jnp.asarray(scale * rng.normal(size=shape), dtype) for shape in shapes]


def labels_(n: int, classes: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(7).integers(0, classes, n), jnp.int32)


def close(ours: Any, theirs: Any, rtol: float = 1e-11) -> None:
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(1.0, float(jnp.max(jnp.abs(b), initial=0))))


def dense(h: Any, w: Any, labels: Any, *, z_loss: float = 0.0, softcap: float | None = None) -> Any:
    x = jnp.matmul(h, w, preferred_element_type=jnp.promote_types(h.dtype, jnp.float32))
    x = x if softcap is None else softcap * jnp.tanh(x / softcap)
    lse = jax.nn.logsumexp(x, -1)
    return lse - jnp.take_along_axis(x, labels[:, None], -1)[:, 0] + z_loss * lse**2


# --------------------------------------------------------------------------------------------------- memory


def arrays(jaxpr: Any) -> Iterator[int]:
    """The entries of every array in a jaxpr, at any depth."""
    for eqn in jaxpr.eqns:
        yield from (v.aval.size for v in eqn.outvars if hasattr(v.aval, "size"))
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            yield from arrays(inner) if hasattr(inner, "eqns") else ()


def value(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    return jax.grad(lambda *x: f(*x).sum(), (0, 1))


def tangent(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x: jax.jvp(f, x, x)


def hessian_product(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x: jax.jvp(gradient(f), x, x)


def turned_tangent(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x: jax.jvp(tangent(f), x, x)


ORDERS = (value, gradient, tangent, hessian_product, turned_tangent)
SMALL = 16  # features: the weights are then small beside the logits

TOKENS = spec(N, SMALL), spec(SMALL, C // 4)
LOSSES = {
    "cross entropy": (lambda h, w: linear_cross_entropy(h, w, jnp.arange(N), label_smoothing=0.1, z_loss=0.1), TOKENS),
    "log probs": (lambda h, w: linear_log_probs(h, w, jnp.arange(N)), TOKENS),
    "divergence": (lambda h, w: linear_divergence(h, w, h, w, beta=0.5), TOKENS),
    "clip": (lambda u, v: clip_loss(u, v, 1.0), (spec(N, SMALL), spec(N, SMALL))),
}


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("loss", LOSSES)
def test_no_array_has_all_logits(loss: str, order: Any) -> None:
    f, given = LOSSES[loss]
    jaxpr = jax.make_jaxpr(jax.jit(order(f)))(*given).jaxpr
    assert max(arrays(jaxpr)) <= N * C // 64


def test_few_logits_of_two_layers_are_one_block() -> None:
    """XLA then has the products of the forward pass for the reverse, too."""

    def program(n: int) -> str:
        return str(jax.make_jaxpr(lambda h, w: linear_divergence(h, w, h, w))(spec(n, SMALL), spec(SMALL, 2**14)))

    assert "scan" not in program(1024)
    assert "scan" in program(1025)


def temp(f: Any, *given: Any) -> int:
    """Bytes beyond arguments and outputs."""
    return int(jax.jit(f).lower(*given).compile().memory_analysis().temp_size_in_bytes)


def micro_batches(f: Any) -> Any:
    """The gradients of two batches in a scan, those of w added up."""

    def steps(h: Any, w: Any, labels: Any) -> Any:
        def step(total: Any, batch: Any) -> Any:
            h_bar, w_bar = jax.grad(lambda h, w: f(h, w, batch[1]).mean(), (0, 1))(batch[0], w)
            return total + w_bar, h_bar

        return jax.lax.scan(step, jnp.zeros_like(w), (h, labels))

    return steps


def test_temp_memory_beside_all_logits_at_once() -> None:
    """20 times less alone, 10 times less under checkpoint and in a scan over micro-batches."""
    h, w, labels = spec(N, D), spec(D, C), spec(N, dtype=jnp.int32)

    def both(f: Any) -> Any:
        return lambda h, w, labels: jax.grad(lambda h, w: f(h, w, labels).mean(), (0, 1))(h, w)

    plain = temp(both(dense), h, w, labels)
    assert temp(both(linear_cross_entropy), h, w, labels) * 20 <= plain
    assert temp(both(jax.checkpoint(linear_cross_entropy)), h, w, labels) * 20 <= plain
    batches = spec(2, N, D), w, spec(2, N, dtype=jnp.int32)
    assert temp(micro_batches(linear_cross_entropy), *batches) * 10 <= temp(micro_batches(dense), *batches)


def products(f: Any, *given: Any) -> int:
    """How many matrix products there are in the gradient's jaxpr, at any depth."""

    def count(jaxpr: Any) -> int:
        inner = [j for e in jaxpr.eqns for j in jax.tree.leaves(list(e.params.values()), is_leaf=has_equations)]
        found = sum(count(getattr(j, "jaxpr", j)) for j in inner if has_equations(j))
        return found + sum(e.primitive.name == "dot_general" for e in jaxpr.eqns)

    return count(jax.make_jaxpr(inline(gradient(f)))(*given).jaxpr)


def has_equations(j: Any) -> bool:
    return hasattr(getattr(j, "jaxpr", j), "eqns")


@pytest.mark.parametrize("loss", [linear_cross_entropy, linear_log_probs], ids=lambda f: f.name)
def test_what_is_kept_has_a_name_for_checkpoint_policies(loss: Any) -> None:
    """Three numbers for each token, kept, spare the pass that would compute them again."""
    f, given = functools.partial(loss, labels=jnp.arange(N)), TOKENS
    named = jax.checkpoint_policies.save_only_these_names(loss.name)
    assert products(f, *given) == 4
    assert products(jax.checkpoint(f), *given) == 5
    assert products(jax.checkpoint(f, policy=named), *given) == 4


# ---------------------------------------------------------------------------------------------- known bugs


@pytest.mark.parametrize("block_size", [None, 9999, (2, 50000), (5, 128256)])
def test_a_vocabulary_that_is_no_multiple_of_the_block(block_size: Any) -> None:
    """128,256 classes, the last of them labels and of much probability: where padding is not masked it counts."""
    h, w, g = drawn((5, 2), (2, 128256), (5,))
    w = w.at[:, -3:].multiply(3)
    labels = jnp.array([128255, 0, 128254, -1, 77777])
    y, pull = jax.vjp(lambda h, w: linear_cross_entropy(h, w, labels, block_size=block_size), h, w)
    expected, expected_pull = jax.vjp(lambda h, w: dense(h, w, labels % 128256), h, w)
    close((y, pull(g)), (expected, expected_pull(g)))


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.3}, {"softcap": 1.5}, {"softcap": 1.5, "z_loss": 0.3}], ids=str)
@pytest.mark.parametrize("scale", [0.1, 30.0])
def test_each_token_has_a_cotangent_of_its_own(options: dict[str, Any], scale: float) -> None:
    """Of either sign, and 0: also in what z_loss adds, and through the cap's slope."""
    h, w, g = drawn((7, 5), (5, 11), (7,))
    g, labels = g.at[3].set(0), labels_(7, 11)
    y, pull = jax.vjp(lambda h, w: linear_cross_entropy(h, w, labels, block_size=(4, 3), **options), scale * h, w)
    expected, expected_pull = jax.vjp(lambda h, w: dense(h, w, labels, **options), scale * h, w)
    close((y, pull(g)), (expected, expected_pull(g)))


def test_the_label_s_slope_keeps_its_digits_in_half_precision() -> None:
    x = jnp.array([[20.0, 0, 0]], jnp.bfloat16)
    h_bar = jax.grad(lambda h: linear_cross_entropy(h, jnp.eye(3, dtype=jnp.bfloat16), jnp.array([0])).sum())(x)
    others = 2 * np.exp(-20.0)
    np.testing.assert_allclose(np.asarray(h_bar, float), [[-others, others / 2, others / 2]], rtol=2**-8)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=lambda d: d.__name__)
def test_half_precision_adds_up_in_float32(dtype: Any) -> None:
    """4096 equal tokens: their sum is exact but for one rounding, where sums in half precision stop growing."""
    h, w, labels = jnp.ones((4096, 1), dtype), jnp.zeros((1, 4), dtype), jnp.zeros(4096, int)
    w_bar = jax.grad(lambda w: linear_cross_entropy(h, w, labels, block_size=(64, 3)).sum())(w)
    np.testing.assert_array_equal(np.asarray(w_bar, float), [[-3072, 1024, 1024, 1024]])


def test_a_small_cotangent_does_not_vanish_in_float16() -> None:
    """A mean over many tokens: g p is below the smallest number of float16, its effect is not."""
    h, w = jnp.full((2, 1), 256, jnp.float16), jnp.zeros((1, 4096), jnp.float16)
    pull = jax.vjp(lambda w: linear_cross_entropy(h, w, jnp.zeros(2, int)), w)[1]
    (w_bar,) = pull(jnp.full(2, 1e-4, jnp.float32))
    np.testing.assert_allclose(np.asarray(w_bar, float)[0, 1:], 2 * 256 * 1e-4 / 4096, rtol=1e-2)


# ----------------------------------------------------------------------------------- tokens that do not count


@pytest.mark.parametrize("ignored", [-100, 3])
def test_ignored_tokens_are_as_if_they_were_not_there(ignored: int) -> None:
    h, w, b, g = drawn((7, 5), (5, 11), (11,), (7,))
    left_out = np.array([1, 4, 5])
    labels = labels_(7, 11).at[left_out].set(ignored)
    labels = jnp.where((labels == 3) & (ignored == 3), 3, jnp.where(labels == 3, 4, labels))
    h, g = h.at[left_out].set(jnp.array([np.nan, np.inf, 1, 2, -np.inf])), g.at[4].set(np.nan)
    stay = np.flatnonzero(np.asarray(labels) != ignored)

    def ours(h: Any, w: Any, b: Any) -> Any:
        return linear_cross_entropy(h, w, labels, b, ignore_index=ignored, block_size=(4, 3))

    y, (h_bar, *others) = jax.vjp(ours, h, w, b)[0], jax.vjp(ours, h, w, b)[1](g)
    expected, pull = jax.vjp(lambda h, w, b: linear_cross_entropy(h, w, labels[stay], b), h[stay], w, b)
    close((y[stay], [h_bar[stay], *others]), (expected, list(pull(g[stay]))))
    gone = np.setdiff1d(np.arange(7), stay)
    assert not np.any(y[gone])
    assert not np.any(h_bar[gone])
    y_dot = jax.jvp(lambda h: ours(h, w, b), (h,), (h,))[1]
    assert np.isfinite(y_dot).all()


@pytest.mark.parametrize("loss", [linear_cross_entropy, linear_log_probs], ids=lambda f: f.name)
def test_a_batch_without_a_token_that_counts(loss: Any) -> None:
    h, w = jnp.full((3, 5), jnp.nan), jnp.ones((5, 11))
    y, pull = jax.vjp(lambda h, w: loss(h, w, jnp.full(3, -100)), h, w)
    for a in (y, *pull(jnp.ones(3))):
        np.testing.assert_array_equal(a, jnp.zeros_like(a))


def test_no_tokens() -> None:
    y, pull = jax.vjp(lambda h, w: linear_cross_entropy(h, w, jnp.zeros(0, int)), jnp.ones((0, 5)), jnp.ones((5, 11)))
    assert [a.shape for a in (y, *pull(y))] == [(0,), (0, 5), (5, 11)]
    assert not np.any(pull(y)[1])


# ------------------------------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=lambda d: d.__name__)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e2, 1e4])
def test_gradients_are_at_least_as_close_to_the_truth_as_autodiff_s(scale: float, dtype: Any) -> None:
    """Logits of these scales, in ragged blocks; errors at the scale of each gradient's largest entry."""
    labels, eps = labels_(48, 500), float(jnp.finfo(dtype).eps)
    h, w = drawn((48, 16), (16, 500), dtype=dtype, scale=(scale / 4) ** 0.5)
    (g,) = drawn((48,), seed=1)

    def bars(f: Any, h: Any, w: Any) -> Any:
        y, pull = jax.vjp(lambda h, w: f(h, w, labels), h, w)
        return pull(g.astype(y.dtype))

    truth = bars(dense, h.astype(jnp.float64), w.astype(jnp.float64))
    ours = bars(functools.partial(linear_cross_entropy, block_size=(20, 70)), h, w)
    for want, a, b in zip(truth, ours, bars(dense, h, w), strict=True):
        error, theirs = (float(jnp.max(jnp.abs(x - want)) / jnp.max(jnp.abs(want))) / eps for x in (a, b))
        assert error <= 2 * theirs + 1


# ------------------------------------------------------------------------------------- one loss and another


def test_one_family() -> None:
    h, w, scale = drawn((7, 5), (5, 11), ())
    labels = labels_(7, 11)
    close(linear_log_probs(h, w, labels), -linear_cross_entropy(h, w, labels))
    close(linear_cross_entropy(h, w.T, labels, tied=True), linear_cross_entropy(h, w, labels))
    close(linear_divergence(h, w, h, w, beta=0.4), jnp.zeros(7))
    u, v = drawn((7, 5), (7, 5), seed=1)
    one_way = (linear_cross_entropy(scale * a, b, jnp.arange(7), tied=True) for a, b in ((u, v), (v, u)))
    close(clip_loss(u, v, scale), sum(one_way) / 2)


@pytest.mark.parametrize("block_size", [1, 3, (7, 2), (2, 7)])
def test_pairs_in_blocks_of_any_size(block_size: Any) -> None:
    u, v, scale, g = drawn((7, 5), (7, 5), (), (7,))
    blocks = functools.partial(clip_loss, block_size=block_size)
    ours, plain = (jax.vjp(f, u, v, scale) for f in (blocks, clip_loss.primal))
    close((ours[0], ours[1](g)), (plain[0], plain[1](g)))

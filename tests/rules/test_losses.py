"""Losses that are calls of other losses, beside optax's; and what the cases of rules cannot say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vjpkit import losses

from .truth import assert_close


def _drawn(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng((seed, *shape)).normal(size=shape))


X, T = _drawn(2, 5, 3), jax.nn.softmax(_drawn(2, 5, 3, seed=1))
WHERE = jnp.asarray(np.random.default_rng(2).random((2, 5, 3)) < 0.7)
RANKING = ({}, {"where": WHERE}, {"weights": T}, {"reduce_fn": jnp.sum}, {"reduce_fn": None, "where": WHERE})


@pytest.mark.filterwarnings("ignore:The function convex_kl_divergence is deprecated")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("binary_dice_loss", {}),
        ("binary_dice_loss", {"smooth": 0.5}),
        ("multiclass_generalized_dice_loss", {}),
        ("multiclass_generalized_dice_loss", {"ignore_background": True}),
        ("safe_softmax_cross_entropy", {}),
        ("convex_kl_divergence", {}),
        *(("ranking_softmax_loss", options) for options in RANKING),
    ],
)
def test_as_optax(name: str, options: dict[str, Any]) -> None:
    """Value, gradient and tangent; ours in forward mode, too."""

    def both(f: Callable[..., Any]) -> Any:
        def call(x: Any, t: Any) -> Any:
            return f(x, t, **options)

        y, pull = jax.vjp(call, X, T)
        return y, *pull(jnp.full_like(y, 0.7)), jax.jvp(call, (X, T), (T, X))[1]

    for got, want in zip(both(getattr(losses, name)), both(getattr(optax.losses, name)), strict=True):
        assert_close(got, want, name)


def test_no_list_with_items() -> None:
    """The mean of none is 0, with gradient 0, where optax's is NaN."""
    value, x_bar = jax.value_and_grad(losses.ranking_softmax_loss)(X, T, where=WHERE & False)
    assert value == 0
    assert not x_bar.any()


def test_the_safe_cross_entropy_is_safe() -> None:
    """At a logit of −∞ with label 0, along which optax's tangent is NaN."""
    x, t = jnp.array([1.0, 2.0, -jnp.inf]), jnp.array([0.5, 0.5, 0.0])
    y, y_dot = jax.jvp(lambda x: losses.safe_softmax_cross_entropy(x, t), (x,), (jnp.ones(3),))
    assert_close(y, optax.losses.safe_softmax_cross_entropy(x, t), "value")
    assert abs(y_dot) < 1e-15


def test_the_distance_of_nearly_parallel_vectors() -> None:
    """Half a square in float32, where 1 − cos is 0."""
    a, b = jnp.array([1.0, 1e-4], jnp.float32), jnp.array([1.0, 0.0], jnp.float32)
    assert_close(losses.cosine_distance(a, b), 5e-9, "distance", 1e-4)
    assert losses.cosine_similarity(a, b) == 1

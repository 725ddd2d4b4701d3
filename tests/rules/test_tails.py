"""Slopes that come from one exponential: exact where they are small, relative to themselves, and smooth at 0.

Elsewhere an error is held against the largest entry of a cotangent, which hides that 1 − σ(x) is 0 from x = 17 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import losses, nn

LEFT = -np.geomspace(2.0, 80.0, 23, dtype=np.float32)  # below the slopes' zeros; e⁻⁸⁰ is still a normal float32
RIGHT = -LEFT
FEW = 8  # the roundings on the way, each of at most one or two eps


def _sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _gelu_slope(x: Any) -> Any:
    u, u_slope = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3), np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return _sigma(2 * u) * (1 + 2 * u_slope * x * _sigma(-2 * u))


def _mish_slope(x: Any) -> Any:  # tanh log(1 + eˣ) = a / (a + 2)        a = eˣ (eˣ + 2)
    a = np.exp(x) * (np.exp(x) + 2)
    return a / (a + 2) + x * _sigma(x) * 4 * (a + 1) / (a + 2) ** 2


TAILS: dict[str, tuple[Callable[[Any], Any], Any, Callable[[Any], Any]]] = {
    "silu": (nn.silu, LEFT, lambda x: _sigma(x) * (1 + x * _sigma(-x))),
    "gelu": (nn.gelu, LEFT[LEFT > -8], _gelu_slope),
    "mish": (nn.mish, LEFT, _mish_slope),
    "softplus": (nn.softplus, LEFT, _sigma),
    "log_sigmoid": (nn.log_sigmoid, RIGHT, lambda x: _sigma(-x)),
    "label 1": (lambda x: losses.sigmoid_binary_cross_entropy(x, jnp.ones_like(x)), RIGHT, lambda x: -_sigma(-x)),
    "label 0": (lambda x: losses.sigmoid_binary_cross_entropy(x, jnp.zeros_like(x)), LEFT, _sigma),
}


@pytest.mark.parametrize("tail", TAILS)
def test_a_small_slope_has_all_its_digits(tail: str) -> None:
    f, x, slope = TAILS[tail]
    _, pull = jax.vjp(jax.jit(f), x)
    want = slope(x.astype(np.float64))
    # the exponent of gelu, 2 u, is itself rounded
    allowed = (FEW + (2 * np.abs(x) ** 3 if tail == "gelu" else 0)) * np.finfo(np.float32).eps
    assert (np.abs(np.asarray(pull(np.ones_like(x))[0], np.float64) / want - 1) <= allowed).all()


def test_a_small_loss_has_all_its_digits() -> None:
    """ln(1 + e⁻ˣ), also compiled, where XLA would take (1 + e) − 1 for e."""
    loss = jax.jit(losses.sigmoid_binary_cross_entropy)(RIGHT, np.ones_like(RIGHT))
    want = np.log1p(np.exp(-RIGHT.astype(np.float64)))
    assert (np.abs(np.asarray(loss, np.float64) / want - 1) <= FEW * np.finfo(np.float32).eps).all()


@pytest.mark.parametrize(("f", "want"), [(nn.silu, 1 / 2), (nn.gelu, np.sqrt(8 / np.pi) / 2), (nn.mish, 0.64)])
def test_the_slope_is_smooth_where_its_halves_meet(f: Any, want: float) -> None:
    """At 0, where the slope of |x| is 0 to JAX."""
    assert jax.grad(jax.grad(f))(0.0) == pytest.approx(want, rel=1e-6)

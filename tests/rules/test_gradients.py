"""The identity with other derivatives: values to the bit, both modes, what is kept, clipping, and what is refused."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import nn
from vjpkit.core import DtypeError, Rule, ShapeError

X = jnp.asarray([[3.0, -0.0, jnp.inf], [-jnp.inf, 1e-30, -2.5]], jnp.float32)
V = jnp.asarray([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]], jnp.float32)
WHERE = jnp.asarray([True, False, True])

SAME: dict[str, tuple[Any, Any]] = {  # the function of x, and its slope
    "scale_gradient": (lambda x: nn.scale_gradient(x, 0.5), 0.5),
    "scale_gradient by an integer": (lambda x: nn.scale_gradient(x, 0), 0.0),
    "scale_gradient by row": (lambda x: nn.scale_gradient(x, jnp.asarray([[2.0], [3.0]])), jnp.asarray([[2.0], [3.0]])),
    "reverse_gradient": (nn.reverse_gradient, -1.0),
    "reverse_gradient, scaled": (lambda x: nn.reverse_gradient(x, 0.25), -0.25),
    "stop_gradient_where": (lambda x: nn.stop_gradient_where(x, WHERE), 1.0 - WHERE),
    "straight_through, hard": (lambda x: nn.straight_through(x, jnp.ones_like(x)), 0.0),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_the_value_is_x_and_the_slope_another(name: str, dtype: Any) -> None:
    f, slope = SAME[name]
    x, v = X.astype(dtype), V.astype(dtype)
    y, pull = jax.vjp(f, x)
    dot = jax.jvp(f, (x,), (v,))[1]
    for value in (f(x), jax.jit(f)(x), y):
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, x)
        np.testing.assert_array_equal(np.signbit(value), np.signbit(x))
    for vector in (pull(v)[0], dot):
        assert vector.dtype == dtype
        np.testing.assert_array_equal(vector, v * jnp.asarray(slope, dtype))


@pytest.mark.parametrize("stand_in", [X, jnp.full_like(X, jnp.nan), jnp.full_like(X, 1e30)], ids=["∞", "NaN", "far"])
def test_straight_through_does_not_look_at_soft(stand_in: Any) -> None:
    """soft + stop_gradient(hard − soft) would round, and give NaN for an infinite soft."""
    f = lambda soft: nn.straight_through(V, soft)  # noqa: E731
    y, pull = jax.vjp(f, stand_in)
    np.testing.assert_array_equal(pull(X)[0], X)
    np.testing.assert_array_equal(jax.jvp(f, (stand_in,), (V,))[1], V)
    np.testing.assert_array_equal(y, V)
    np.testing.assert_array_equal(f(stand_in), V)


def test_straight_through_teaches_what_rounds() -> None:
    """The usual place: a rounded value, whose own derivative is 0."""
    x = jnp.asarray([0.2, 1.7, -3.4])
    np.testing.assert_array_equal(
        jax.grad(lambda x: (nn.straight_through(jnp.round(x), x) ** 2).sum())(x), 2 * jnp.round(x)
    )


def test_what_is_stopped_is_0_even_of_an_infinity() -> None:
    pull = jax.vjp(lambda x: nn.stop_gradient_where(x, WHERE), V)[1]
    np.testing.assert_array_equal(
        pull(jnp.full_like(V, jnp.inf))[0], jnp.broadcast_to(jnp.where(WHERE, 0, jnp.inf), V.shape)
    )


@pytest.mark.parametrize("f", [nn.scale_gradient, nn.reverse_gradient])
def test_scale_has_no_derivative_at_any_order(f: Any) -> None:
    """It may be traced, as a schedule's is."""
    first = lambda s: jax.grad(lambda x: (f(x, s) ** 2).sum())(V).sum()  # noqa: E731
    assert jax.grad(lambda s: (f(V, s) ** 2).sum())(0.5) == 0
    assert jax.jit(jax.grad(first))(0.5) == 0
    assert jax.jvp(first, (0.5,), (1.0,))[1] == 0
    assert abs(float(jax.jit(first)(0.5))) == abs(float(V.sum()))


def kept(f: Any, *args: Any) -> list[Any]:
    return [leaf.shape for leaf in jax.tree.leaves(jax.vjp(f, *args)[1])]


def test_no_array_of_the_size_of_x_is_kept() -> None:
    assert kept(nn.straight_through, V, X) == []
    assert kept(lambda x: nn.scale_gradient(x, jnp.ones(3)), V) == [(3,)]
    assert kept(lambda x: nn.reverse_gradient(x, jnp.ones(3)), V) == [(3,)]
    assert kept(lambda x: nn.stop_gradient_where(x, WHERE), V) == [(3,)]


# ------------------------------------------------------------------------------------------------- clipped


def clipped(g: Any, *bounds: Any, x: Any = V) -> Any:
    y, pull = jax.vjp(lambda x: nn.clip_gradient(x, *bounds), x)
    np.testing.assert_array_equal(y, x)
    return pull(g)[0]


def test_clip_gradient_clips_the_cotangent() -> None:
    np.testing.assert_array_equal(clipped(V, -1.5, 2.0), jnp.clip(V, -1.5, 2.0))
    np.testing.assert_array_equal(clipped(V, None, 2.0), jnp.minimum(V, 2.0))
    np.testing.assert_array_equal(clipped(V, -1.5), jnp.maximum(V, -1.5))
    bounds = jnp.asarray([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(clipped(V, -bounds, bounds), jnp.clip(V, -bounds, bounds))
    np.testing.assert_array_equal(clipped(X, -1, 1), jnp.clip(X, -1, 1))
    np.testing.assert_array_equal(nn.clip_gradient(X, -1.0, 1.0), X)


def test_clip_gradient_in_half_precision_and_under_jit_and_vmap() -> None:
    half = V.astype(jnp.bfloat16)
    assert clipped(half, -1.0, 2.0, x=half).dtype == jnp.bfloat16
    g = jax.jit(jax.vmap(jax.grad(lambda x, h: (V * nn.clip_gradient(x, -h, h)).sum(), argnums=(0, 1))))
    x_bar, h_bar = g(jnp.stack([V, -V]), jnp.asarray([1.0, 2.0]))
    np.testing.assert_array_equal(x_bar, jnp.stack([jnp.clip(V, -1, 1), jnp.clip(V, -2, 2)]))
    assert not h_bar.any()


def test_clip_gradient_is_no_rule_and_says_so() -> None:
    """The clipped cotangent of 2 g is not twice that of g: no linear map does that, nor has it a forward mode."""
    assert not isinstance(nn.clip_gradient, Rule)
    assert "no rule" in str(nn.clip_gradient.__doc__)
    assert not np.array_equal(clipped(2 * V, -1.5, 1.5), 2 * clipped(V, -1.5, 1.5))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: nn.clip_gradient(x, -1.0, 1.0), (V,), (V,))


def test_clip_gradient_at_second_order_is_autodiff_of_the_clipping() -> None:
    turned = jax.grad(lambda x: jax.grad(lambda x: (nn.clip_gradient(x, -5.0, 5.0) ** 2).sum())(x).sum())(V)
    np.testing.assert_array_equal(turned, jnp.where(abs(2 * V) < 5, 2.0, 0.0))


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((jnp.ones(3, int), 0, 1), DtypeError, "clip_gradient: argument x does not fit: expected a real float dtype"),
        ((V, jnp.ones(2), 1.0), ShapeError, "clip_gradient: argument low does not fit: expected what broadcasts to"),
    ],
)
def test_bad_input_to_what_is_no_rule(args: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.clip_gradient(*args)

"""Forward mode computes nothing for arguments that do not move, and reverse mode nothing that is not asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import rule
from vjpkit.core.zeros import without_zeros

# small, for 1 − tanh² has no digits where it is near 0
X, W, B = (0.2 * jax.random.normal(jax.random.key(n), s) for n, s in enumerate([(23, 31), (31, 37), (37,)]))


@rule
def layer(x, w, b):
    return jnp.tanh(x @ w + b)


def layer_fwd(x, w, b):
    y = layer.primal(x, w, b)
    return y, (x, w, y)


def layer_jvp(res, x_dot, w_dot, b_dot):
    x, w, y = res
    return (1 - y * y) * (x_dot @ w + x @ w_dot + b_dot)


def layer_vjp(res, g):
    x, w, y = res
    z_bar = g * (1 - y * y)
    return z_bar @ w.T, x.T @ z_bar, z_bar.sum(0)


layer.defrule(fwd=layer_fwd, jvp=layer_jvp, vjp=layer_vjp)


def flops(f, *args):
    return jax.jit(f).lower(*args).compile().cost_analysis()["flops"]


def moving(f, which):
    """The jvp of `f` in the arguments `which` alone."""

    def jvp(*dots):
        def g(*values):
            at = dict(enumerate((X, W, B))) | dict(zip(which, values, strict=True))
            return f(*at.values())

        return jax.jvp(g, tuple((X, W, B)[i] for i in which), dots)[1]

    return jvp, [(X, W, B)[i] for i in which]


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_forward_mode(which):
    (ours, dots), (plain, _) = moving(layer, which), moving(layer.primal, which)
    np.testing.assert_allclose(ours(*dots), plain(*dots), rtol=1e-12)
    assert flops(ours, *dots) <= 1.03 * flops(plain, *dots)


def test_the_count_can_fail():
    whole, dots = moving(layer, (0, 1, 2))
    some = flops(moving(layer, (0, 2))[0], dots[0], dots[2])
    assert flops(whole, dots[0], jnp.zeros_like(W), dots[2]) > 1.3 * some


@pytest.mark.parametrize("which", [0, 1, 2, (0, 1, 2)], ids=str)
def test_reverse_mode(which):
    ours, plain = (jax.grad(lambda *a, f=f: f(*a).sum(), argnums=which) for f in (layer, layer.primal))
    assert flops(ours, X, W, B) <= 1.03 * flops(plain, X, W, B)


def test_an_infinite_residual_does_not_make_nan_of_a_zero():
    @rule
    def times(x, w):
        return x * w

    times.defrule(fwd=lambda x, w: (x * w, (x, w)), jvp=lambda res, x_dot, w_dot: x_dot * res[1] + res[0] * w_dot)
    x = jnp.array([jnp.inf, 1.0])
    _, y_dot = jax.jvp(lambda x: times(x, jnp.ones(2)), (x,), (jnp.ones(2),))
    np.testing.assert_array_equal(jax.jit(lambda: y_dot)(), jnp.ones(2))


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: [a - b],
        lambda a, b: [b - a],
        lambda a, b: [a + b, 2 * b, -b],
        lambda a, b: [jnp.where(X > 0, a, b)],
        lambda a, b: [b + a[0, 0], a[0, 0] + b, a[0, 0] - b, b - a[0, 0]],
        lambda a, b: [jax.jit(lambda a, b: a + 3 * b)(a, b)],
        lambda a, b: [jnp.concatenate([a, b]), b + b],
        lambda a, b: [jax.lax.scan(lambda c, x: (c + x, c), a[0], b)[1]],
    ],
)
def test_cutting_zeros_changes_no_value(f):
    for ours, plain in zip(without_zeros(f, [False, True])(X, 0 * X), f(X, 0 * X), strict=True):
        np.testing.assert_array_equal(ours, plain)

"""`elementwise` and `linear`: a slope, or a transpose, gives both maps; and a map that is left out is derived."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import elementwise, linear, rule

KEY = jax.random.key(0)


def both_modes(f, primal, *args):
    """Reverse and forward mode of `f`, in random directions, against autodiff of the primal."""
    y, vjp = jax.vjp(primal, *args)
    g = jax.random.normal(KEY, y.shape, y.dtype)
    dots = tuple(jax.random.normal(jax.random.fold_in(KEY, i), a.shape, a.dtype) for i, a in enumerate(args))
    for ours, theirs in zip(jax.vjp(f, *args)[1](g), vjp(g), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_allclose(jax.jvp(f, args, dots)[1], jax.jvp(primal, args, dots)[1], rtol=1e-12)


def kept(f, *args):
    return [leaf.shape for leaf in jax.tree.leaves(jax.vjp(f, *args)[1])]


@elementwise(slope=(lambda x, a: a * x ** (a - 1), lambda x, y: y * jnp.log(x)))
def power(x, a):
    return x**a


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (5,)), ((), (2, 3)), ((2, 3, 5), (3, 1))]
)
def test_elementwise_sums_over_what_was_broadcast(shapes):
    x, a = (jax.random.uniform(jax.random.fold_in(KEY, n), s, minval=1, maxval=2) for n, s in enumerate(shapes))
    both_modes(power, power.primal, x, a)


def test_elementwise_keeps_what_its_slopes_read():
    x = jnp.ones((2, 3))
    from_output = elementwise(slope=lambda y: y)(lambda x: jnp.exp(x))
    nothing = elementwise(slope=lambda: 2.0)(lambda x: 2 * x)
    assert kept(from_output, x) == [(2, 3)]
    assert kept(nothing, x) == []
    assert sorted(kept(power, x, jnp.ones(3))) == [(2, 3), (2, 3), (3,)]


def test_elementwise_answers_in_the_arguments_dtype():
    x, a = jnp.ones((2, 3), jnp.bfloat16), jnp.ones(3, jnp.float32)
    y, vjp = jax.vjp(power, x, a)
    x_bar, a_bar = vjp(y)
    assert (y.dtype, x_bar.dtype, a_bar.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)
    assert jax.jvp(power, (x, a), (x, a))[1].dtype == jnp.float32


def test_a_python_number_does_not_promote():
    x = jnp.ones(3, jnp.bfloat16)
    assert power(x, 2.0).dtype == jnp.bfloat16
    assert jax.grad(lambda x: power(x, 2.0).sum())(x).dtype == jnp.bfloat16


def test_a_real_argument_beside_a_complex_one_has_a_real_cotangent():
    @elementwise(slope=(lambda z: z, lambda x: x))
    def times(x, z):
        return x * z

    x, z = jnp.arange(1.0, 4.0), jnp.array([1 + 2j, 3j, -1.0])
    both_modes(times, times.primal, x, z)


def test_python_numbers_as_primals_tangents_and_cotangents():
    y, y_dot = jax.jvp(lambda x: power(x, 3.0), (2.0,), (1.0,))
    assert (float(y), float(y_dot)) == (8.0, 12.0)
    assert float(jax.grad(lambda x: power(x, 3.0))(2.0)) == 12.0
    assert jax.typeof(power(2.0, 3.0)) == jax.typeof(power.primal(2.0, 3.0))
    assert float(jax.vjp(lambda x: power.custom_vjp(x, 3.0), 2.0)[1](1.0)[0]) == 12.0


def test_a_slope_of_true_and_false_selects():
    positive = elementwise(slope=lambda y: y > 0)(lambda x: jnp.maximum(x, 0))
    x = jnp.array([-1.0, 2.0])
    np.testing.assert_array_equal(jax.vjp(positive, x)[1](jnp.full(2, jnp.inf))[0], [0, jnp.inf])
    np.testing.assert_array_equal(jax.jvp(positive, (x,), (jnp.full(2, jnp.inf),))[1], [0, jnp.inf])


def test_elementwise_without_a_slope_in_one_argument():
    @elementwise(slope=(lambda t: t, None), static=())
    def keep(x, t):
        return jax.lax.stop_gradient(t) * x

    x, t = jnp.arange(3.0), jnp.arange(1.0, 4.0)
    both_modes(keep, keep.primal, x, t)


def test_elementwise_of_an_integer():
    @elementwise(slope=(lambda n: n, None))
    def times(x, n):
        return n * x

    n = jnp.array([2, 3, 5])
    np.testing.assert_array_equal(jax.grad(lambda x: times(x, n).sum())(jnp.ones(3)), n)
    np.testing.assert_array_equal(jax.jvp(lambda x: times(x, n), (jnp.ones(3),), (jnp.ones(3),))[1], n)


def test_elementwise_static_options():
    @elementwise(slope=lambda x, n: n * x ** (n - 1), static=("n",))
    def monomial(x, n=2):
        return x**n

    np.testing.assert_allclose(jax.grad(monomial)(3.0, 3), 27.0)
    np.testing.assert_allclose(jax.grad(monomial)(3.0), 6.0)


@linear(transpose=lambda g, x, w, axis: (jnp.flip(g, axis), -g), static=("axis",))
def flip_minus(x, w, *, axis):
    return jnp.flip(x, axis) - w


@linear
def mean_rows(x):
    return x.mean(0)


def test_linear_with_a_transpose():
    x = jax.random.normal(KEY, (2, 3))
    both_modes(lambda x, w: flip_minus(x, w, axis=1), lambda x, w: flip_minus.primal(x, w, axis=1), x, 2 * x)


def test_linear_without_a_transpose():
    both_modes(mean_rows, mean_rows.primal, jax.random.normal(KEY, (2, 3)))


def test_linear_keeps_nothing():
    assert kept(mean_rows, jnp.ones((2, 3))) == []


def test_linear_transposes_see_shapes():
    @linear(transpose=lambda g, x: jnp.broadcast_to(g, x.shape))
    def total(x):
        return x.sum(0)

    both_modes(total, total.primal, jax.random.normal(KEY, (2, 3)))


def _product(**maps):
    return rule(lambda x, w: x @ w).defrule(fwd=lambda x, w: (x @ w, (x, w)), **maps)


@pytest.mark.parametrize(
    "f",
    [
        _product(jvp=lambda res, x_dot, w_dot: x_dot @ res[1] + res[0] @ w_dot),
        _product(vjp=lambda res, g: (g @ res[1].T, res[0].T @ g)),
    ],
    ids=["vjp left out", "jvp left out"],
)
def test_a_map_that_is_left_out_is_the_transpose_of_the_other(f):
    x, w = jax.random.normal(KEY, (2, 3)), jax.random.normal(KEY, (3, 5))
    both_modes(f, f.primal, x, w)
    both_modes(lambda x: f(x, w), lambda x: x @ w, x)
    np.testing.assert_allclose(
        jax.hessian(lambda x: (f(x, w) ** 2).sum())(x), jax.hessian(lambda x: ((x @ w) ** 2).sum())(x)
    )

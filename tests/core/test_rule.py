"""What a rule is to its user: a function with a name, a signature, three maps, and one equation in a jaxpr."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import check
from vjpkit.core import elementwise, registry, rule


@rule(static=("scale",))
def scaled_dense(x, w, b=0.0, *, scale=1.0):
    """A layer."""
    return scale * (x @ w) + b


def dense_fwd(x, w, b, scale):
    return scale * (x @ w) + b, (x, w)


def dense_jvp(res, x_dot, w_dot, b_dot, scale):  # ẏ = s (ẋ W + x Ẇ) + ḃ
    x, w = res
    return scale * (x_dot @ w + x @ w_dot) + b_dot


def dense_vjp(res, g, scale):  # x̄ = s g Wᵀ    W̄ = s xᵀ g    b̄ = Σ g
    x, w = res
    return scale * g @ w.T, scale * x.T @ g, g.sum()


scaled_dense.defrule(fwd=dense_fwd, jvp=dense_jvp, vjp=dense_vjp)

X, W = jnp.linspace(-1, 1, 6).reshape(2, 3), jnp.linspace(0, 1, 15).reshape(3, 5)


def primitives(f, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(f)(*args).eqns]


def test_looks_like_its_primal():
    assert scaled_dense.__name__ == scaled_dense.name == "scaled_dense"
    assert scaled_dense.__doc__ == "A layer."
    assert inspect.signature(scaled_dense) == inspect.signature(scaled_dense.primal)
    assert repr(scaled_dense) == "<rule scaled_dense(x, w, b=0.0, *, scale=1.0)>"
    assert (scaled_dense.fwd, scaled_dense.jvp, scaled_dense.vjp) == (dense_fwd, dense_jvp, dense_vjp)
    assert scaled_dense.static == ("scale",)


def test_is_listed():
    assert registry[scaled_dense.path] is registry["scaled_dense"] is scaled_dense
    assert scaled_dense.path in list(registry)
    assert len(registry) == len(list(registry))
    with pytest.raises(KeyError, match="no rule named 'nothing'"):
        registry["nothing"]


def test_a_rule_of_a_function_body_is_not_listed():
    @elementwise(slope=lambda: 2.0)
    def double(x):
        return 2 * x

    assert double.path not in registry


def test_a_bare_name_that_two_modules_share_is_ambiguous():
    def make(module):
        def shared_name(x):
            return x

        shared_name.__module__, shared_name.__qualname__ = module, "shared_name"
        return rule(shared_name)

    first = make("one")
    assert registry["shared_name"] is first
    make("two")
    with pytest.raises(KeyError, match=r"several rules are named 'shared_name': one\.shared_name, two\.shared_name"):
        registry["shared_name"]


def test_one_equation_under_its_own_name():
    assert primitives(scaled_dense, X, W) == ["scaled_dense"]
    names = primitives(jax.grad(lambda w: scaled_dense(X, w).sum()), W)
    assert "scaled_dense_vjp" in names
    assert "scaled_dense_jvp" not in names
    assert "scaled_dense_jvp" in primitives(lambda x: jax.jvp(lambda x: scaled_dense(x, W), (x,), (x,)), X)


@pytest.mark.parametrize(
    "call",
    [
        lambda: scaled_dense(X, W),
        lambda: scaled_dense(w=W, x=X),
        lambda: scaled_dense(X, w=W, b=0.0, scale=1.0),
    ],
    ids=["positional", "keywords", "defaults spelt out"],
)
def test_calls_are_read_by_the_primals_signature(call):
    np.testing.assert_array_equal(call(), X @ W)


def test_static_options_reach_every_map():
    y, vjp = jax.vjp(lambda x, w, b: scaled_dense(x, w, b, scale=3.0), X, W, 1.0)
    np.testing.assert_allclose(y, 3 * (X @ W) + 1)
    np.testing.assert_allclose(vjp(jnp.ones_like(y))[1], 3 * X.T @ jnp.ones_like(y))
    _, y_dot = jax.jvp(lambda w: scaled_dense(X, w, scale=3.0), (W,), (W,))
    np.testing.assert_allclose(y_dot, 3 * (X @ W))


def test_a_static_option_may_be_passed_by_position():
    @rule(static=("axis",))
    def total(x, axis=-1, scale=1.0):
        return scale * x.sum(axis)

    total.defrule(
        fwd=lambda x, axis, scale: (scale * x.sum(axis), (x, scale)),
        vjp=lambda res, g, axis: (
            res[1] * jnp.broadcast_to(jnp.expand_dims(g, axis), res[0].shape),
            (res[0].sum(axis) * g).sum(),
        ),
    )
    np.testing.assert_allclose(total(X, 0, 2.0), 2 * X.sum(0))
    np.testing.assert_allclose(jax.grad(lambda x: total(x, 0, 2.0).sum())(X), jnp.full(X.shape, 2.0))


def test_any_number_of_arguments():
    @rule
    def total(*xs):
        return sum(xs)

    total.defrule(
        fwd=lambda *xs: (sum(xs), xs),
        jvp=lambda res, *dots: sum(dots),
        vjp=lambda res, g: tuple(g for _ in res),
    )
    assert jax.grad(total, argnums=(0, 1, 2))(1.0, 2.0, 3.0) == (1.0, 1.0, 1.0)
    assert total.argument_names(2) == ["xs[0]", "xs[1]"]


def test_traced_and_compiled_once_per_signature():
    runs = []

    def f(x):
        runs.append(x.shape)
        return jnp.sin(x)

    sine = elementwise(slope=lambda x: jnp.cos(x))(f)
    for _ in range(3):
        sine(jnp.ones(3))
    assert runs == [(3,)]
    sine(jnp.ones(5))
    assert runs == [(3,), (5,)]
    gradient = jax.jit(jax.grad(lambda x: sine(x).sum()))
    gradient(jnp.ones(3))
    traced = len(runs)
    gradient(jnp.ones(3))
    assert len(runs) == traced
    assert gradient._cache_size() == 1


def test_repeated_layers_share_one_program():
    def chain(x):
        for _ in range(8):
            x = scaled_dense(x, jnp.eye(3))
        return x.sum()

    text = jax.jit(jax.grad(chain)).lower(X).as_text()
    assert text.count("func.func private @scaled_dense_vjp") == 1
    assert text.count("call @scaled_dense_vjp") == 8


def test_a_call_without_a_derivative_goes_by_fwd_where_that_is_asked_for():
    """The primal says what is meant and raises its errors; it is never run."""

    @rule(static=("n",))
    def total(x, *, n=2):
        if x.ndim != 1:
            raise ValueError("total: one axis, please")
        return (x[:, None] * jnp.ones(n)).sum(0)

    total.defrule(
        fwd=lambda x, n: (jnp.full(n, x.sum()), x),
        jvp=lambda x, x_dot, n: jnp.full(n, x_dot.sum()),
        by_fwd=True,
    )
    np.testing.assert_array_equal(total(jnp.arange(3.0)), [3, 3])
    assert "mul" not in str(jax.make_jaxpr(total)(jnp.arange(3.0)))
    assert check(total, "i").ok
    with pytest.raises(ValueError, match="one axis, please"):
        total(jnp.ones((2, 2)))

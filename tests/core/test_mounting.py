"""The two mounts: ours, and stock `jax.custom_vjp` as the way out."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import elementwise, mount, rule


@elementwise(slope=lambda y: 1 - y * y)
def tanh_of(x):
    return jnp.tanh(x)


@rule
def pick(p, i):
    return {"y": p["x"][i] * p["s"], "at": i}


def pick_vjp(res, g):
    p, i = res
    x_bar = jnp.zeros_like(p["x"]).at[i].add(g["y"] * p["s"])
    return {"x": x_bar, "s": (g["y"] * p["x"][i]).sum()}, None


pick.defrule(fwd=lambda p, i: (pick.primal(p, i), (p, i)), vjp=pick_vjp)


@rule
def summed_rows(b):
    return jnp.broadcast_to(b, (3, *b.shape))


# range is an axis to JAX, and not to NumPy
summed_rows.defrule(fwd=lambda b: (summed_rows.primal(b), None), vjp=lambda res, g: (g.sum(range(1)),))

X = jnp.linspace(-2, 2, 7)


def names(f, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(f)(*args).eqns]


def test_the_stock_mount_is_jax_custom_vjp():
    assert names(tanh_of, X) == ["tanh_of"]
    with mount("custom_vjp"):
        assert names(tanh_of, X) == ["custom_vjp_call"]
    assert names(tanh_of, X) == ["tanh_of"]


def test_a_jitted_function_changes_its_mount():
    f = jax.jit(lambda x: jax.jvp(tanh_of, (x,), (x,))[1])
    expected = f(X)
    with mount("custom_vjp"), pytest.raises(TypeError, match="forward-mode"):
        f(X)
    np.testing.assert_array_equal(f(X), expected)


def test_same_gradients():
    ours = jax.grad(lambda x: tanh_of(x).sum())(X)
    with mount("custom_vjp"):
        np.testing.assert_allclose(jax.grad(lambda x: tanh_of(x).sum())(X), ours, rtol=1e-14)


def test_pytrees_and_integers_under_the_stock_mount():
    p, i = {"x": X, "s": jnp.float64(3)}, jnp.array([2, 2, 5])

    def loss(f):
        return jax.grad(lambda p: (f(p, i)["y"] * jnp.arange(3.0)).sum())(p)

    jax.tree.map(np.testing.assert_allclose, loss(pick.custom_vjp), loss(pick.primal))
    jax.tree.map(np.testing.assert_allclose, loss(pick), loss(pick.primal))


def test_a_map_gets_arrays_of_jax_where_the_cotangent_is_numpys():
    """As under the rule's own primitive; `jax.custom_vjp` alone hands on what it was given."""
    for f in (summed_rows, summed_rows.custom_vjp):
        np.testing.assert_array_equal(jax.vjp(f, X)[1](np.ones((3, 7)))[0], np.full(7, 3.0))


def test_an_unknown_mount():
    with (
        pytest.raises(ValueError, match="mount: expected one of 'primitive', 'custom_vjp', got 'hijax'"),
        mount("hijax"),
    ):
        pass


@pytest.mark.parametrize(("value", "answer"), [("custom_vjp", "custom_vjp_call"), ("primitive", "relu")])
def test_the_environment_variable(value, answer):
    program = (
        "import jax, vjpkit\n"
        "@vjpkit.elementwise(slope=lambda y: (y > 0) * 1.0)\n"
        "def relu(x): return jax.numpy.maximum(x, 0)\n"
        "print(jax.make_jaxpr(relu)(1.0).eqns[-1].primitive.name)"
    )
    environment = {**os.environ, "VJPKIT_MOUNT": value}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == answer

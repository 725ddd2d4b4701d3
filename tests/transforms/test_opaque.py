"""Rules whose fwd JAX cannot differentiate: a while loop, a Pallas kernel, a callback; right at every order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl

from vjpkit.core import Rule, elementwise, rule

from . import functions
from .probe import equations
from .row import X_DOT, XS, XS_DOT, X, assert_close, weigh


def slope() -> Rule:
    """1 − y², a rule of its own: the maps below may be written in rules."""

    @elementwise(slope=lambda y_in: -2 * y_in)
    def slope(y_in):
        return 1 - y_in * y_in

    return slope


def _tanh(forward: Any) -> Rule:
    """tanh with the forward given, opaque; its maps call another rule."""
    one_minus_square = slope()

    @rule
    def tanh(x):
        return forward(x)

    def fwd(x):
        y = forward(x)
        return y, y

    def jvp(y, x_dot):
        return one_minus_square(y) * x_dot

    def vjp(y, g):
        return one_minus_square(y) * g

    return tanh.defrule(fwd=fwd, jvp=jvp, vjp=vjp, opaque=True)


def kernel_tanh() -> Rule:
    def kernel(x_ref, y_ref):
        y_ref[...] = jnp.tanh(x_ref[...])

    def forward(x):
        return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)

    return _tanh(forward)


def callback_tanh() -> Rule:
    def forward(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda v: np.tanh(np.asarray(v)), shape, x, vmap_method="sequential")

    return _tanh(forward)


# Each subject, its reference, and the points where it is looked at.
SUBJECTS: dict[str, tuple[Any, Any, Any]] = {
    "while_loop": (functions.newton, jnp.sqrt, lambda x: 0.5 + x * x),
    "Pallas kernel": (kernel_tanh, jnp.tanh, lambda x: x),
    "pure_callback": (callback_tanh, jnp.tanh, lambda x: x),
}

CONTEXTS: dict[str, Any] = {
    "call": lambda f, x, xs: f(x),
    "jit": lambda f, x, xs: jax.jit(f)(x),
    "jvp": lambda f, x, xs: jax.jvp(f, (x,), (X_DOT,)),
    "linearize": lambda f, x, xs: jax.linearize(f, x)[1](X_DOT),
    "grad": lambda f, x, xs: jax.grad(lambda x: weigh(f(x)))(x),
    "jit of grad": lambda f, x, xs: jax.jit(jax.grad(lambda x: weigh(f(x))))(x),
    "jacfwd": lambda f, x, xs: jax.jacfwd(f)(x),
    "jacrev": lambda f, x, xs: jax.jacrev(f)(x),
    "fwd(fwd)": lambda f, x, xs: jax.jacfwd(jax.jacfwd(lambda x: weigh(f(x))))(x),
    "fwd(rev)": lambda f, x, xs: jax.jacfwd(jax.jacrev(lambda x: weigh(f(x))))(x),
    "rev(fwd)": lambda f, x, xs: jax.jacrev(jax.jacfwd(lambda x: weigh(f(x))))(x),
    "rev(rev)": lambda f, x, xs: jax.jacrev(jax.jacrev(lambda x: weigh(f(x))))(x),
    "jit of hessian": lambda f, x, xs: jax.jit(jax.hessian(lambda x: weigh(f(x))))(x),
    "third order": lambda f, x, xs: jax.jacfwd(jax.jacrev(jax.jacrev(lambda x: weigh(f(x)))))(x[0]),
    "vmap": lambda f, x, xs: jax.vmap(f)(xs),
    "vmap of grad": lambda f, x, xs: jax.vmap(jax.grad(lambda x: weigh(f(x))))(xs),
    "vmap of jvp": lambda f, x, xs: jax.vmap(lambda x, t: jax.jvp(f, (x,), (t,)))(xs, XS_DOT),
    "grad of vmap": lambda f, x, xs: jax.grad(lambda xs: weigh(jax.vmap(f)(xs)))(xs),
    "hessian of vmap": lambda f, x, xs: jax.hessian(lambda x: weigh(jax.vmap(f)(x)))(x),
    "grad of scan": lambda f, x, xs: jax.grad(lambda xs: weigh(lax.map(f, xs)))(xs),
    "jvp of scan": lambda f, x, xs: jax.jvp(lambda xs: lax.map(f, xs), (xs,), (XS_DOT,)),
    "hessian of scan": lambda f, x, xs: jax.hessian(lambda x: weigh(lax.map(f, x)))(x),
    "grad of scan of checkpoint": lambda f, x, xs: jax.grad(lambda xs: weigh(lax.map(jax.checkpoint(f), xs)))(xs),
    "grad of checkpoint": lambda f, x, xs: jax.grad(lambda x: weigh(jax.checkpoint(f)(x)))(x),
    "jit of grad of checkpoint": lambda f, x, xs: jax.jit(jax.grad(lambda x: weigh(jax.checkpoint(f)(f(x)))))(x),
    "jvp of checkpoint": lambda f, x, xs: jax.jvp(jax.checkpoint(f), (x,), (X_DOT,)),
    "hessian of checkpoint": lambda f, x, xs: jax.hessian(lambda x: weigh(jax.checkpoint(f)(x)))(x),
    "grad of cond": lambda f, x, xs: jax.grad(lambda x: lax.cond(x[0, 0] < 9, lambda x: weigh(f(x)), weigh, x))(x),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_value(subject: str, context: str) -> None:
    make, reference, points = SUBJECTS[subject]
    run = CONTEXTS[context]
    x, xs = points(X), points(XS)
    assert_close(run(make(), x, xs), run(reference, x, xs), 1e-11)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_jax_alone_cannot_differentiate_it(subject: str) -> None:
    """These functions are the ones that need an opaque rule: autodiff of the primal fails, or refuses second order."""
    make, _, points = SUBJECTS[subject]
    primal = make().primal
    with pytest.raises(Exception, match=r"(?i)differentia|pallas|pure callbacks"):
        jax.grad(lambda x: weigh(primal(x)))(points(X))


def test_a_transparent_rule_is_not_enough_at_second_order() -> None:
    """The flag matters: without it the loop in fwd itself is differentiated, and reverse mode refuses."""
    newton = functions.newton()
    newton.defrule(fwd=newton.fwd, jvp=newton.jvp, vjp=newton.vjp)
    with pytest.raises(ValueError, match="while_loop"):
        jax.jacrev(jax.jacrev(lambda x: weigh(newton(x))))(0.5 + X * X)


def test_fwd_is_one_equation() -> None:
    layer = functions.layer()
    layer.defrule(fwd=layer.fwd, jvp=layer.jvp, vjp=layer.vjp, opaque=True)
    jaxpr = jax.make_jaxpr(lambda x, w: jax.vjp(layer, x, w)[0])(X, XS[0].T)
    assert [e.primitive.name for e in jaxpr.jaxpr.eqns if e.primitive.name.startswith("layer")] == ["layer_fwd"]
    assert "tanh" not in {
        e.primitive.name
        for e in equations(jax.make_jaxpr(lambda x: jax.vjp(layer, x, XS[0].T)[0])(X).jaxpr)
        if e.primitive.name == "jit"
    }


def test_a_residual_of_its_own_is_differentiated_through_fwd() -> None:
    """A residual that is neither input nor output has no rule: its tangent is that of autodiff through fwd."""

    @rule
    def cube(x):
        return x**3

    def fwd(x):
        return x**3, jnp.square(x)

    cube.defrule(fwd=fwd, jvp=lambda s, x_dot: 3 * s * x_dot, vjp=lambda s, g: 3 * s * g, opaque=True)
    for outer in (jax.jacfwd, jax.jacrev):
        for inner in (jax.jacfwd, jax.jacrev):
            want = outer(inner(lambda x: weigh(x**3)))(jnp.asarray(X))
            assert_close(outer(inner(lambda x: weigh(cube(x))))(X), want, 1e-12)

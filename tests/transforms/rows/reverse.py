"""Reverse mode: the vjp runs, factor 3, in every context; and so it does where a linear function is transposed."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..row import GS, W_DOT, X_DOT, G, Group, V, W, X, weigh
from .forward import linearized

ROWS = add = Group("reverse mode, transposes", stock=True)


def loss(f):
    """A scalar function of both arguments."""
    return lambda x, w: weigh(f.layer(x, w))


def pulled(f):
    """The linear function from g to x̄."""
    return jax.vjp(lambda x: f.layer(x, W), X)[1]


add("vjp", lambda f: jax.vjp(f.layer, X, W)[1](G), 3)
add("vjp, value", lambda f: jax.vjp(f.layer, X, W)[0], 1)
add("vjp in x", lambda f: pulled(f)(G), 3)
add("vjp in w", lambda f: jax.vjp(lambda w: f.layer(X, w), W)[1](G), 3)
add("vjp of jit", lambda f: jax.vjp(jax.jit(f.layer), X, W)[1](G), 3)
add("jit of vjp", lambda f: jax.jit(lambda x, w, g: jax.vjp(f.layer, x, w)[1](g))(X, W, G), 3)
add("vjp, has_aux", lambda f: _with_aux(f), (3, 1))
add("grad", lambda f: jax.grad(loss(f))(X, W), 3)
add("grad, argnums 1", lambda f: jax.grad(loss(f), 1)(X, W), 3)
add("grad, argnums (0, 1)", lambda f: jax.grad(loss(f), (0, 1))(X, W), 3)
add("grad, argnums (1, 0)", lambda f: jax.grad(loss(f), (1, 0))(X, W), 3)
add("value_and_grad", lambda f: jax.value_and_grad(loss(f), (0, 1))(X, W), (1, 3))
add("value_and_grad, has_aux", lambda f: _value_and_grad_aux(f), ((1, 1), 3))
add("grad of jit", lambda f: jax.grad(jax.jit(loss(f)), (0, 1))(X, W), 3)
add("jit of grad", lambda f: jax.jit(jax.grad(loss(f), (0, 1)))(X, W), 3)
add("jit of grad of jit", lambda f: jax.jit(jax.grad(jax.jit(loss(f)), (0, 1)))(X, W), 3)
add("grad, elementwise", lambda f: jax.grad(lambda x: weigh(f.wave(x)))(X), 3)
add("grad of two layers", lambda f: jax.grad(lambda x: weigh(f.layer(f.layer(x, W), V)))(X), 9)
add("grad of two calls on one argument", lambda f: jax.grad(lambda x: loss(f)(x, W) + loss(f)(2 * x, W))(X), 3)
add("grad of one argument used twice", lambda f: jax.grad(lambda x: weigh(f.mix(x, x)))(X), 3)
add("grad in an unused argument", lambda f: jax.grad(lambda x, w: loss(f)(X, w), (0, 1))(X, W), None)
add("grad with a closed-over constant", lambda f: jax.jit(jax.grad(lambda x: loss(f)(x, jnp.asarray(W))))(X), 3)
add("grad with a closed-over tracer", lambda f: jax.jit(lambda x, w: jax.grad(lambda v: loss(f)(v, w))(x))(X, W), 3)
add("grad through stop_gradient", lambda f: jax.grad(lambda x: loss(f)(x, jax.lax.stop_gradient(W + x[0, 0])))(X), 3)
add("jacrev in x", lambda f: jax.jacrev(f.layer)(X, W), 3)
add("jacrev in w", lambda f: jax.jacrev(f.layer, 1)(X, W), 3)
add("jacrev in both", lambda f: jax.jacrev(f.layer, (0, 1))(X, W), 3)
add("jacrev of jit", lambda f: jax.jacrev(jax.jit(f.layer))(X, W), 3)
add("jit of jacrev", lambda f: jax.jit(jax.jacrev(f.layer))(X, W), 3)
add("vjp function, vmap", lambda f: jax.vmap(pulled(f))(GS), 3)
add("vjp function, jit", lambda f: jax.jit(pulled(f))(G), 3)
add("vjp function, twice", lambda f: (lambda pull: (pull(G), pull(2 * G)))(pulled(f)), 3)
add("vjp function, jvp", lambda f: jax.jvp(pulled(f), (G,), (2 * G,)), 3)
add("vjp function, its vjp", lambda f: jax.vjp(pulled(f), G)[1]((X_DOT,)), 2, stock=False)
add("linear_transpose of linearize", lambda f: jax.linear_transpose(linearized(f), X)(G), 3)
add(
    "linear_transpose of linearize, both arguments",
    lambda f: jax.linear_transpose(jax.linearize(f.layer, X, W)[1], X, W)(G),
    3,
)
add("linear_transpose of linearize, jit", lambda f: jax.jit(jax.linear_transpose(linearized(f), X))(G), 3)
# Stock custom_vjp has no linear function to differentiate.
add("vjp of linearize", lambda f: jax.vjp(linearized(f), X_DOT)[1](G), 3, stock=False)
add("linear_transpose of jvp", lambda f: jax.linear_transpose(_tangent(f), X)(G), 3, stock=False)
add(
    "linear_transpose of jvp, both arguments",
    lambda f: jax.linear_transpose(lambda *dots: jax.jvp(f.layer, (X, W), dots)[1], X, W)(G),
    3,
    stock=False,
)
add("linear_transpose, twice", lambda f: jax.linear_transpose(_transposed(f), G)((X_DOT,)), 2, stock=False)
add("grad of linearize", lambda f: jax.grad(lambda t: weigh(linearized(f)(t)))(X_DOT), 3, stock=False)
add(
    "linear_transpose in w",
    lambda f: jax.linear_transpose(jax.linearize(lambda w: f.layer(X, w), W)[1], W_DOT)(G),
    3,
)


def _with_aux(f):
    _, pull, aux = jax.vjp(lambda x: (f.layer(x, W), f.wave(x)), X, has_aux=True)
    return pull(G), aux


def _value_and_grad_aux(f):
    return jax.value_and_grad(lambda x: (weigh(f.layer(x, W)), f.wave(x)), has_aux=True)(X)


def _tangent(f):
    return lambda x_dot: jax.jvp(lambda x: f.layer(x, W), (X,), (x_dot,))[1]


def _transposed(f):
    return jax.linear_transpose(linearized(f), X)

"""Forward mode: the jvp runs, factor 2, in every context."""

from __future__ import annotations

import jax
import numpy as np

from ..row import W_DOT, X_DOT, X_DOT2, XS_DOT, Group, V, W, X

ROWS = add = Group("forward mode, linearize")


def pushed(f):
    """The jvp of the layer in both arguments."""
    return jax.jvp(f.layer, (X, W), (X_DOT, W_DOT))


def linearized(f):
    """The linear function alone."""
    return jax.linearize(lambda x: f.layer(x, W), X)[1]


add("jvp", pushed, (1, 2))
add("jvp in x", lambda f: jax.jvp(lambda x: f.layer(x, W), (X,), (X_DOT,)), (1, 2))
add("jvp in w", lambda f: jax.jvp(lambda w: f.layer(X, w), (W,), (W_DOT,)), (1, 2))
add("jvp of jit", lambda f: jax.jvp(jax.jit(f.layer), (X, W), (X_DOT, W_DOT)), (1, 2))
add("jit of jvp", lambda f: jax.jit(lambda: pushed(f))(), (1, 2))
add("jvp, elementwise", lambda f: jax.jvp(f.wave, (X,), (X_DOT,)), (1, 2))
add("jvp of two layers", lambda f: jax.jvp(lambda x: f.layer(f.layer(x, W), V), (X,), (X_DOT,)), (1, 4))
add("jvp with an unused tangent", lambda f: jax.jvp(lambda x, w: f.layer(x, W), (X, W), (X_DOT, W_DOT)), (1, 2))
add("jvp of a zero tangent", lambda f: jax.jvp(f.layer, (X, W), (np.zeros_like(X), W_DOT)), (1, 2))
add("jacfwd in x", lambda f: jax.jacfwd(f.layer)(X, W), 2)
add("jacfwd in w", lambda f: jax.jacfwd(f.layer, 1)(X, W), 2)
add("jacfwd in both", lambda f: jax.jacfwd(f.layer, (0, 1))(X, W), 2)
add("jacfwd of jit", lambda f: jax.jacfwd(jax.jit(f.layer))(X, W), 2)
add("jit of jacfwd", lambda f: jax.jit(jax.jacfwd(f.layer))(X, W), 2)
add("jacfwd, elementwise", lambda f: jax.jacfwd(f.wave)(X), 2)
add("linearize", lambda f: _applied(jax.linearize(f.layer, X, W), X_DOT, W_DOT), (1, 2))
add("linearize in x", lambda f: _applied(jax.linearize(lambda x: f.layer(x, W), X), X_DOT), (1, 2))
add("linearize under jit", lambda f: jax.jit(lambda x: _applied(jax.linearize(f.wave, x), X_DOT))(X), (1, 2))
add("linearize of jit", lambda f: _applied(jax.linearize(jax.jit(f.layer), X, W), X_DOT, W_DOT), (1, 2))
add("linearize, jit of the linear function", lambda f: jax.jit(linearized(f))(X_DOT), 2)
add("linearize, linear function twice", lambda f: _twice(linearized(f)), 2)
add("linearize, vmap of the linear function", lambda f: jax.vmap(linearized(f))(XS_DOT), 2)
add("linearize, jvp of the linear function", lambda f: jax.jvp(linearized(f), (X_DOT,), (X_DOT2,)), 2)
add("linearize, jacfwd of the linear function", lambda f: jax.jacfwd(linearized(f))(X_DOT), 2)


def _applied(value_and_linear, *dots):
    y, linear = value_and_linear
    return y, linear(*dots)


def _twice(linear):
    return linear(X_DOT), linear(X_DOT2)

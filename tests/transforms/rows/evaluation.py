"""The function itself: no derivative, so no planted factor may show."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..row import Group, V, W, X

ROWS = add = Group("eval and jit", stock=True)

add("call", lambda f: f.layer(X, W), 1)
add("jit", lambda f: jax.jit(f.layer)(X, W), 1)
add("jit of jit", lambda f: jax.jit(jax.jit(f.layer))(X, W), 1)
add("composed", lambda f: jax.jit(lambda x: f.layer(f.layer(f.wave(x), W), V))(X), 1)
add("lower and compile", lambda f: jax.jit(f.layer).lower(X, W).compile()(jnp.asarray(X), jnp.asarray(W)), 1)
add("disable_jit", lambda f: _without_jit(lambda: f.layer(X, W)), 1)
add("called twice in one jit", lambda f: jax.jit(lambda x: f.wave(x) + f.wave(f.wave(x)))(X), 1)
add("eval_shape", lambda f: _described(jax.eval_shape(f.layer, X, W)), 1)
add("eval_shape of grad", lambda f: _described(jax.eval_shape(jax.grad(lambda w: f.layer(X, w).sum()), W)), 1)


def _without_jit(call):
    with jax.disable_jit():
        return call()


def _described(shape):
    return f"{shape.dtype}{shape.shape}"

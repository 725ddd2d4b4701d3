"""Higher orders.

With a transparent rule the inner map is the rule's and every outer order is autodiff of fwd and of that map's
formula, so the factor is the inner map's. With an opaque rule that keeps its output, the tangent of that residual
is the rule's own too: each outer order multiplies by the factor of its mode.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from ..row import X_DOT, X_DOT2, Group, W, X, weigh
from .reverse import loss

ROWS = add = Group("higher order")

MODES = {"fwd": jax.jacfwd, "rev": jax.jacrev}
FACTOR = {"fwd": 2, "rev": 3}


def _scalar(f):
    return lambda x: weigh(f.layer(x, W))


def _nest(f, *modes):
    """Derivatives of the scalar function, the innermost mode last: `_nest(f, "fwd", "rev")` is jacfwd(jacrev(·))."""
    return functools.reduce(lambda g, mode: MODES[mode](g), reversed(modes), f)


def _hessian(outer, inner):
    name = f"{outer}(rev)" if inner == "rev" else f"{outer}(fwd)"
    both = FACTOR[inner], FACTOR[outer] * FACTOR[inner]
    reverse = outer == inner == "rev"
    add(f"Hessian {name}", lambda f: _nest(_scalar(f), outer, inner)(X), both[0], opaque=both[1], stock=reverse)
    add(f"Hessian {name}, elementwise", lambda f: _nest(f.wave, outer, inner)(X), both[0], opaque=both[1])
    add(f"Hessian {name}, jit", lambda f: jax.jit(_nest(_scalar(f), outer, inner))(X), both[0], opaque=both[1])
    add(f"Hessian {name}, of jit", lambda f: _nest(jax.jit(_scalar(f)), outer, inner)(X), both[0], opaque=both[1])
    # x moves w's slope through y, by the rule's map in an opaque rule, and as a factor of its own: no single factor.
    add(f"Hessian {name}, x and w", lambda f: _mixed(loss(f), outer, inner), both[0], opaque=None)
    add(
        f"Hessian {name}, two rules",
        lambda f: _nest(lambda x: weigh(f.mix(f.wave(x), W[:2, :3])), outer, inner)(X),
        None,
    )


def _mixed(f, outer, inner):
    return MODES[outer](MODES[inner](f, (0, 1)), (0, 1))(X, W)


for _outer in MODES:
    for _inner in MODES:
        _hessian(_outer, _inner)

add("jax.hessian", lambda f: jax.hessian(_scalar(f))(X), 3, opaque=6)
add("hvp, jvp of grad", lambda f: jax.jvp(jax.grad(_scalar(f)), (X,), (X_DOT,)), 3, opaque=(3, 6))
add("hvp, grad of jvp", lambda f: jax.grad(lambda x: jax.jvp(_scalar(f), (x,), (X_DOT,))[1])(X), 2, opaque=6)
add(
    "hvp, grad of vdot of grad", lambda f: jax.grad(lambda x: _dot(jax.grad(_scalar(f))(x)))(X), 3, opaque=9, stock=True
)
add(
    "hvp, jvp of jvp",
    lambda f: jax.jvp(lambda x: jax.jvp(_scalar(f), (x,), (X_DOT2,))[1], (X,), (X_DOT,)),
    2,
    opaque=(2, 4),
)
add("hvp, linearize of grad", lambda f: jax.linearize(jax.grad(_scalar(f)), X)[1](X_DOT), 3, opaque=6)
add("hvp, linearize of grad, transposed", lambda f: _transposed(jax.linearize(jax.grad(_scalar(f)), X)[1]), 3, opaque=9)
add("hvp, jit", lambda f: jax.jit(lambda x: jax.jvp(jax.grad(_scalar(f)), (x,), (X_DOT,))[1])(X), 3, opaque=6)
# The value's tangent is autodiff of fwd where fwd is transparent: it has run by then, for the inner gradient.
add(
    "hvp, jvp of value_and_grad",
    lambda f: jax.jvp(jax.value_and_grad(_scalar(f)), (X,), (X_DOT,)),
    ((1, 3), (1, 3)),
    opaque=((1, 3), (2, 6)),
)
add("third, jacfwd three times", lambda f: _nest(f.wave, "fwd", "fwd", "fwd")(X[0]), 2, opaque=8)
# The third reverse order transposes the first one's vjp back into the jvp in one of its two terms: no single factor.
add("third, jacrev three times", lambda f: _nest(f.wave, "rev", "rev", "rev")(X[0]), 3, opaque=None)
add("third, fwd(rev(rev))", lambda f: _nest(f.wave, "fwd", "rev", "rev")(X[0]), 3, opaque=18)
add("third, rev(fwd(rev))", lambda f: _nest(f.wave, "rev", "fwd", "rev")(X[0]), 3, opaque=18)
add("third, fwd(fwd(rev)), layer", lambda f: _nest(_scalar(f), "fwd", "fwd", "rev")(X), 3, opaque=12)
add("third, grads of a scalar", lambda f: jax.grad(jax.grad(jax.grad(f.wave)))(0.4), 3, opaque=None, stock=True)
add("third, jvps of a scalar, jit", lambda f: jax.jit(lambda x: _jvps(f.wave, x))(0.4), 2, opaque=8)


def _dot(v):
    return jnp.vdot(v, X_DOT)


def _transposed(linear):
    return jax.linear_transpose(linear, X)(X_DOT)


def _jvps(f, x):
    def push(g):
        return lambda x: jax.jvp(g, (x,), (jnp.ones_like(x),))[1]

    return push(push(push(f)))(x)

"""vmap, in every order with the derivatives; the cotangent of an unbatched operand is a sum over the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from ..row import GS, WS, WS_DOT, X_DOT, XS, XS_DOT, G, Group, V, W, X, draw, weigh
from .reverse import loss

ROWS = add = Group("vmap", stock=True)

XSS = draw(11, 7, 2, 3)

# the function itself
add("over x", lambda f: jax.vmap(f.layer, (0, None))(XS, W), 1)
add("over w", lambda f: jax.vmap(f.layer, (None, 0))(X, WS), 1)
add("over both", lambda f: jax.vmap(f.layer)(XS, WS), 1)
add("over none of the arguments", lambda f: jax.vmap(lambda _: f.layer(X, W))(jnp.arange(7)), 1)
add("over none, axis_size", lambda f: jax.vmap(f.layer, (None, None), axis_size=7)(X, W), 1)
add("in_axes 1", lambda f: jax.vmap(f.layer, (1, None))(XS.transpose(1, 0, 2), W), 1)
add("in_axes -1", lambda f: jax.vmap(f.layer, (None, -1))(X, WS.transpose(1, 2, 0)), 1)
add("out_axes 1", lambda f: jax.vmap(f.layer, (0, None), out_axes=1)(XS, W), 1)
add("out_axes -1", lambda f: jax.vmap(f.layer, (0, None), out_axes=-1)(XS, W), 1)
add("nested, one each", lambda f: jax.vmap(jax.vmap(f.layer, (None, 0)), (0, None))(XS, WS), 1)
add("nested, same argument", lambda f: jax.vmap(jax.vmap(f.layer, (0, None)), (0, None))(XSS, W), 1)
add("jit of vmap", lambda f: jax.jit(jax.vmap(f.layer, (0, None)))(XS, W), 1)
add("vmap of jit", lambda f: jax.vmap(jax.jit(f.layer), (0, None))(XS, W), 1)
add("vectorize", lambda f: jnp.vectorize(f.layer, signature="(a,b),(b,c)->(a,c)")(XS, W), 1)

# vmap of a derivative
add("of grad, over x", lambda f: jax.vmap(jax.grad(loss(f), (0, 1)), (0, None))(XS, W), 3)
add("of grad, over w", lambda f: jax.vmap(jax.grad(loss(f), (0, 1)), (None, 0))(X, WS), 3)
add("of grad, over both", lambda f: jax.vmap(jax.grad(loss(f), (0, 1)))(XS, WS), 3)
add("of grad, over none", lambda f: jax.vmap(lambda _: jax.grad(loss(f), (0, 1))(X, W))(jnp.arange(7)), 3)
add("of grad, out_axes 1", lambda f: jax.vmap(jax.grad(loss(f), 1), (0, None), out_axes=1)(XS, W), 3)
add("of grad, nested", lambda f: jax.vmap(jax.vmap(jax.grad(loss(f), (0, 1)), (None, 0)), (0, None))(XS, WS), 3)
add("of grad, jit", lambda f: jax.jit(jax.vmap(jax.grad(loss(f), (0, 1)), (0, None)))(XS, W), 3)
add("of value_and_grad", lambda f: jax.vmap(jax.value_and_grad(loss(f), 1), (0, None))(XS, W), (1, 3))
add("of vjp, over x and g", lambda f: jax.vmap(lambda x, g: jax.vjp(f.layer, x, W)[1](g))(XS, GS), 3)
add("of vjp, over g alone", lambda f: jax.vmap(jax.vjp(f.layer, X, W)[1])(GS), 3)
add("of vjp, over x alone", lambda f: jax.vmap(lambda x: jax.vjp(f.layer, x, W)[1](G))(XS), 3)
add("of jacrev", lambda f: jax.vmap(jax.jacrev(f.layer, (0, 1)), (0, None))(XS, W), 3)
add(
    "of jvp",
    lambda f: jax.vmap(lambda x, t: jax.jvp(lambda x: f.layer(x, W), (x,), (t,)))(XS, XS_DOT),
    (1, 2),
    stock=False,
)
add(
    "of jvp, over the tangent alone",
    lambda f: jax.vmap(lambda t: jax.jvp(lambda x: f.layer(x, W), (X,), (t,))[1])(XS_DOT),
    2,
    stock=False,
)
add("of jvp, over x alone", lambda f: jax.vmap(lambda x: jax.jvp(f.wave, (x,), (X_DOT,))[1])(XS), 2, stock=False)
add(
    "of jvp, over w's tangent alone",
    lambda f: jax.vmap(lambda t: jax.jvp(lambda w: f.layer(X, w), (W,), (t,))[1])(WS_DOT),
    2,
    stock=False,
)
add("of jacfwd", lambda f: jax.vmap(jax.jacfwd(f.layer, (0, 1)), (0, None))(XS, W), 2, stock=False)
add("of hessian", lambda f: jax.vmap(jax.hessian(lambda x: loss(f)(x, W)))(XS), 3, opaque=6, stock=False)
add("of linearize", lambda f: jax.vmap(lambda x, t: jax.linearize(f.wave, x)[1](t))(XS, XS_DOT), 2, stock=False)
add(
    "of linear_transpose of linearize",
    lambda f: jax.vmap(lambda x: jax.linear_transpose(jax.linearize(f.wave, x)[1], x)(X_DOT))(XS),
    3,
)


# a derivative of vmap
def batched(f, *in_axes, **options):
    """A scalar function of the batches."""
    return lambda x, w: weigh(jax.vmap(f.layer, in_axes, **options)(x, w))


add("grad of, over x: w's cotangent is a sum", lambda f: jax.grad(batched(f, 0, None), (0, 1))(XS, W), 3)
add("grad of, over w: x's cotangent is a sum", lambda f: jax.grad(batched(f, None, 0), (0, 1))(X, WS), 3)
add("grad of, over both", lambda f: jax.grad(batched(f, 0, 0), (0, 1))(XS, WS), 3)
add("grad of, over none", lambda f: jax.grad(batched(f, None, None, axis_size=7), (0, 1))(X, W), 3)
add("grad of, in_axes 1", lambda f: jax.grad(batched(f, 1, None), (0, 1))(XS.transpose(1, 0, 2), W), 3)
add("grad of, out_axes 2", lambda f: jax.grad(batched(f, 0, None, out_axes=2), (0, 1))(XS, W), 3)
add("grad of, w alone", lambda f: jax.grad(batched(f, 0, None), 1)(XS, W), 3)
add("grad of, jit", lambda f: jax.jit(jax.grad(batched(f, 0, None), (0, 1)))(XS, W), 3)
add(
    "grad of, nested",
    lambda f: jax.grad(lambda x, w: weigh(jax.vmap(jax.vmap(f.layer, (None, 0)), (0, None))(x, w)), (0, 1))(XS, WS),
    3,
)
add("grad of, two layers", lambda f: jax.grad(lambda w: weigh(jax.vmap(lambda x: f.layer(f.layer(x, w), V))(XS)))(W), 9)
add("jacrev of", lambda f: jax.jacrev(jax.vmap(f.layer, (0, None)), 1)(XS, W), 3)
add("jvp of", lambda f: jax.jvp(jax.vmap(lambda x: f.layer(x, W)), (XS,), (XS_DOT,)), (1, 2), stock=False)
add("jacfwd of", lambda f: jax.jacfwd(jax.vmap(f.layer, (0, None)), 1)(XS, W), 2, stock=False)
add("linearize of", lambda f: jax.linearize(jax.vmap(f.layer, (0, None)), XS, W)[1](XS_DOT, W), 2, stock=False)
add("hessian of", lambda f: jax.hessian(batched(f, 0, None))(XS, W), 3, opaque=6, stock=False)
add("jacrev of jacfwd of", lambda f: jax.jacrev(jax.jacfwd(jax.vmap(f.wave)))(X), 2, opaque=6, stock=False)
add("vmap of grad of vmap", lambda f: jax.vmap(jax.grad(batched(f, 0, None), (0, 1)), (0, None))(XSS, W), 3)
add("vmap of linear_transpose of linearize of vmap", lambda f: _transposed(jax.vmap(f.layer, (0, None))), 3)


def _transposed(f):
    linear = jax.linearize(f, XS, W)[1]
    return jax.vmap(jax.linear_transpose(linear, XS, W))(draw(11, 7, 2, 5))


# a collective over the vmapped axis, around the rule and inside it
add("axis_name, psum around", lambda f: jax.vmap(lambda x: lax.psum(f.layer(x, W), "i"), axis_name="i")(XS), 1)
add(
    "axis_name, grad of psum around",
    lambda f: jax.grad(lambda w: weigh(jax.vmap(lambda x: lax.psum(f.layer(x, w), "i"), axis_name="i")(XS)))(W),
    3,
)
add("axis_name, psum inside", lambda f: jax.vmap(f.spread, axis_name="i")(XS), 1)
add("axis_name, psum inside, grad of", lambda f: jax.grad(lambda x: weigh(jax.vmap(f.spread, axis_name="i")(x)))(XS), 3)
add("axis_name, psum inside, of grad", lambda f: jax.vmap(jax.grad(lambda x: weigh(f.spread(x))), axis_name="i")(XS), 3)
add(
    "axis_name, psum inside, jit of grad of",
    lambda f: jax.jit(jax.grad(lambda x: weigh(jax.vmap(f.spread, axis_name="i")(x))))(XS),
    3,
)
add(
    "axis_name, psum inside, jvp of",
    lambda f: jax.jvp(jax.vmap(f.spread, axis_name="i"), (XS,), (XS_DOT,)),
    (1, 2),
    stock=False,
)
add(
    "axis_name, psum inside, of jvp",
    lambda f: jax.vmap(lambda x, t: jax.jvp(f.spread, (x,), (t,)), axis_name="i")(XS, XS_DOT),
    (1, 2),
    stock=False,
)
add(
    "axis_name, psum inside, hessian of",
    lambda f: jax.hessian(lambda x: weigh(jax.vmap(f.spread, axis_name="i")(x)))(XS),
    3,
    stock=False,
)
add(
    "axis_name, psum inside, another vmap outside",
    lambda f: jax.vmap(jax.grad(lambda x: weigh(jax.vmap(f.spread, axis_name="i")(x))))(XSS),
    3,
)
add(
    "axis_name, psum inside, another vmap inside",
    lambda f: jax.grad(lambda x: weigh(jax.vmap(jax.vmap(f.spread), axis_name="i")(x)))(XSS),
    3,
)
add("map with batch_size", lambda f: lax.map(jax.grad(lambda x: loss(f)(x, W)), XS, batch_size=3), 3)

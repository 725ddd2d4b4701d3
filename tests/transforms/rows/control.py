"""Control flow around the rule, and inside it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from ..row import X_DOT, XS, XS_DOT, Group, V, W, X, draw, weigh
from .reverse import loss

ROWS = add = Group("control flow", stock=True)

STEPS = 3
FWD, REV = 2 ** (2 * STEPS), 3 ** (2 * STEPS)  # two rules a step, one after the other
VS = draw(STEPS, 3, 5)


def step(f):
    """A carry of one shape through two layers."""
    return lambda x, w: f.layer(f.layer(x, w), V)


def scanned(f, **options):
    """The carry goes through two rules a step; the weights are the scanned input."""
    return lambda x, ws: lax.scan(lambda x, w: (step(f)(x, w), weigh(f.wave(x))), x, ws, **options)[0]


def mapped(f):
    """The rule sees one row a step; the outputs are stacked."""
    return lambda xs, w: lax.scan(lambda _, x: (None, f.layer(x, w)), None, xs)[1]


def whiled(f):
    """A loop whose length JAX does not know."""

    def loop(x):
        return lax.while_loop(lambda s: s[0] < STEPS, lambda s: (s[0] + 1, step(f)(s[1], W)), (0, x))[1]

    return loop


def conditional(f):
    """A rule in either branch."""
    return lambda positive, x, w: lax.cond(positive, f.layer, lambda x, w: 2 * f.layer(-x, w), x, w)


def switched(f):
    return lambda i, x: lax.switch(i, [f.wave, lambda x: 2 * x, lambda x: f.wave(-x)], x)


def total(g, *fixed):
    return lambda *args: weigh(g(*fixed, *args))


# scan
add("scan", lambda f: scanned(f)(X, VS), 1)
add("scan, grad of, carry and inputs", lambda f: jax.grad(total(scanned(f)))(X, VS), REV)
add("scan, grad of, inputs", lambda f: jax.grad(total(scanned(f)), 1)(X, VS), None)
add("scan, grad of, stacked outputs", lambda f: jax.grad(total(mapped(f)), (0, 1))(XS, W), 3)
add("scan, jit of grad of", lambda f: jax.jit(jax.grad(total(mapped(f)), (0, 1)))(XS, W), 3)
add("scan, grad of, unroll", lambda f: jax.grad(total(scanned(f, unroll=2)))(X, VS), REV)
add("scan, grad of, reverse", lambda f: jax.grad(total(scanned(f, reverse=True)))(X, VS), REV)
add("scan of grad", lambda f: lax.scan(lambda _, x: (None, jax.grad(loss(f), (0, 1))(x, W)), None, XS)[1], 3)
add("scan, vjp of", lambda f: jax.vjp(mapped(f), XS, W)[1](draw(7, 2, 5)), 3)
add("scan, linear_transpose of linearize of", lambda f: _transposed(mapped(f)), 3)
add("scan, vmap of grad of", lambda f: jax.vmap(jax.grad(total(scanned(f))), (0, None))(XS, VS), REV)
add(
    "scan, grad of vmap of",
    lambda f: jax.grad(lambda w: weigh(jax.vmap(mapped(f), (0, None))(draw(11, 7, 2, 3), w)))(W),
    3,
)
add(
    "scan, grad of, vmap in the body",
    lambda f: jax.grad(total(lambda xs, w: mapped(_vmapped(f))(xs, w)), (0, 1))(draw(11, 7, 2, 3), W),
    3,
)
add(
    "scan in scan, grad of",
    lambda f: jax.grad(lambda w: weigh(lax.map(lambda x: mapped(f)(x, w), draw(11, 7, 2, 3))))(W),
    3,
)
add("scan, jvp of", lambda f: jax.jvp(lambda x: scanned(f)(x, VS), (X,), (X_DOT,)), (1, FWD), stock=False)
add(
    "scan of jvp",
    lambda f: lax.scan(lambda _, x: (None, jax.jvp(f.wave, (x,), (X_DOT,))), None, XS)[1],
    (1, 2),
    stock=False,
)
add("scan, jacfwd of", lambda f: jax.jacfwd(mapped(f), 1)(XS, W), 2, stock=False)
add("scan, linearize of", lambda f: jax.linearize(lambda x: mapped(f)(x, W), XS)[1](XS_DOT), 2, stock=False)
add("scan, hessian of", lambda f: jax.hessian(total(mapped(f)))(XS, W), 3, opaque=6, stock=False)
add("scan, rev(fwd) of", lambda f: jax.jacrev(jax.jacfwd(total(mapped(f))))(XS, W), 2, opaque=6, stock=False)
add("associative_scan, grad of", lambda f: jax.grad(lambda x: weigh(lax.associative_scan(f.mix, x)))(XS), None)

# while_loop, fori_loop
add("while_loop", lambda f: whiled(f)(X), 1)
add("while_loop, jvp of", lambda f: jax.jvp(whiled(f), (X,), (X_DOT,)), (1, FWD), stock=False)
add("while_loop, jacfwd of jit of", lambda f: jax.jacfwd(jax.jit(whiled(f)))(X), FWD, stock=False)
add(
    "while_loop, vmap of jvp of",
    lambda f: jax.vmap(lambda x: jax.jvp(whiled(f), (x,), (X_DOT,)))(XS),
    (1, FWD),
    stock=False,
)
add(
    "while_loop of grads",
    lambda f: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + jax.grad(loss(f))(X, W)), (0, 0 * X))[1],
    3,
)
add(
    "fori_loop, grad of",
    lambda f: jax.grad(lambda x: weigh(lax.fori_loop(0, STEPS, lambda _, x: step(f)(x, W), x)))(X),
    REV,
)
add(
    "fori_loop, jvp of",
    lambda f: jax.jvp(lambda x: lax.fori_loop(0, STEPS, lambda _, x: step(f)(x, W), x), (X,), (X_DOT,)),
    (1, FWD),
    stock=False,
)
add(
    "fori_loop, traced bound, jvp of",
    lambda f: jax.jit(lambda n: jax.jvp(lambda x: lax.fori_loop(0, n, lambda _, x: step(f)(x, W), x), (X,), (X_DOT,)))(
        STEPS
    ),
    (1, FWD),
    stock=False,
)
add("fori_loop of grads", lambda f: lax.fori_loop(0, 3, lambda i, s: s + jax.grad(loss(f))(X * i, W), 0 * X), 3)

# cond, switch
for _case, _positive in (("true", True), ("false", False)):
    add(f"cond, {_case}", lambda f, p=_positive: jax.jit(conditional(f))(p, X, W), 1)
    add(f"cond, {_case}, grad of", lambda f, p=_positive: jax.grad(total(conditional(f), p), (0, 1))(X, W), 3)
    add(
        f"cond, {_case}, jit of grad of",
        lambda f, p=_positive: jax.jit(jax.grad(total(conditional(f)), (1, 2)))(p, X, W),
        3,
    )
    add(
        f"cond, {_case}, jvp of",
        lambda f, p=_positive: jax.jit(lambda p: jax.jvp(lambda x: conditional(f)(p, x, W), (X,), (X_DOT,)))(p),
        (1, 2),
        stock=False,
    )
add(
    "cond of grad",
    lambda f: jax.jit(lambda p: lax.cond(p, lambda: jax.grad(loss(f))(X, W), lambda: jax.grad(loss(f))(-X, W)))(True),
    3,
)
add(
    "cond, vmap of grad of, batched predicate",
    lambda f: jax.vmap(jax.grad(total(conditional(f)), (1, 2)), (0, 0, None))(jnp.arange(7) > 3, XS, W),
    3,
)
add(
    "cond, grad of vmap of, batched predicate",
    lambda f: jax.grad(lambda x, w: weigh(jax.vmap(conditional(f), (0, 0, None))(jnp.arange(7) > 3, x, w)), (0, 1))(
        XS, W
    ),
    3,
)
add(
    "cond, hessian of",
    lambda f: jax.jit(lambda p: jax.hessian(lambda x: weigh(conditional(f)(p, x, W)))(X))(True),
    3,
    opaque=6,
    stock=False,
)
add(
    "cond, one rule, one plain branch, grad of",
    lambda f: jax.grad(lambda x: lax.cond(x[0, 0] < 9, lambda x: weigh(f.wave(x)), weigh, x))(X),
    3,
)
add(
    "cond in scan, grad of",
    lambda f: jax.grad(lambda w: weigh(lax.map(lambda s: conditional(f)(s[0], s[1], w), (jnp.arange(7) > 3, XS))))(W),
    3,
)
add("switch, grad of", lambda f: jax.jit(lambda i: jax.grad(total(switched(f), i))(X))(2), 3)
add("switch, jacfwd of", lambda f: jax.jit(lambda i: jax.jacfwd(lambda x: switched(f)(i, x))(X))(0), 2, stock=False)

# map
add("map, grad of", lambda f: jax.grad(lambda w: weigh(lax.map(lambda x: f.layer(x, w), XS)))(W), 3)
add("map of grad", lambda f: lax.map(jax.grad(lambda x: loss(f)(x, W)), XS), 3)
add("map of jvp", lambda f: lax.map(lambda x: jax.jvp(f.wave, (x,), (X_DOT,)), XS), (1, 2), stock=False)

# a loop inside the rule
add("loop inside", lambda f: f.relax(X), 1)
add("loop inside, jit", lambda f: jax.jit(f.relax)(X), 1)
add("loop inside, grad", lambda f: jax.grad(total(f.relax))(X), 3)
add("loop inside, jit of grad", lambda f: jax.jit(jax.grad(total(f.relax)))(X), 3)
add("loop inside, vmap of grad", lambda f: jax.vmap(jax.grad(total(f.relax)))(XS), 3)
add("loop inside, grad of vmap", lambda f: jax.grad(total(jax.vmap(f.relax)))(XS), 3)
add("loop inside, grad of scan", lambda f: jax.grad(lambda x: weigh(lax.map(f.relax, x)))(XS), 3)
add("loop inside, grad of checkpoint", lambda f: jax.grad(total(jax.checkpoint(f.relax)))(X), 3)
add("loop inside, jvp", lambda f: jax.jvp(f.relax, (X,), (X_DOT,)), (1, 2), stock=False)
add("loop inside, jacfwd", lambda f: jax.jacfwd(f.relax)(X), 2, stock=False)
for _outer, _inner, _factor in (
    (jax.jacfwd, jax.jacfwd, 2),
    (jax.jacfwd, jax.jacrev, 3),
    (jax.jacrev, jax.jacfwd, 2),
    (jax.jacrev, jax.jacrev, 3),
):
    add(
        f"loop inside, {_outer.__name__} of {_inner.__name__}",
        lambda f, o=_outer, i=_inner: o(i(total(f.relax)))(X),
        _factor,
        stock=False,
    )


def _transposed(f):
    return jax.linear_transpose(jax.linearize(f, XS, W)[1], XS, W)(draw(7, 2, 5))


class _vmapped:
    """The layer over a batch of inputs."""

    def __init__(self, f):
        self.layer = jax.vmap(f.layer, (0, None))

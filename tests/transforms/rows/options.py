"""How a rule may be called and declared: options, keywords, one map alone, the shorter doors, rules in rules."""

from __future__ import annotations

import jax

from ..row import X_DOT, XS, XS_DOT, Group, W, X, draw, weigh

ROWS = add = Group("options, doors, nesting", stock=True)

A, B = X, X_DOT
S, S_DOT = draw(), draw(seed=1)

# static options, keywords, defaults
add("static option, default", lambda f: jax.grad(lambda x: weigh(f.power(x)))(X), 3)
add("static option, given", lambda f: jax.grad(lambda x: weigh(f.power(x, n=3)))(X), 3)
add("static option, jit", lambda f: jax.jit(jax.grad(lambda x, n: weigh(f.power(x, n=n))), static_argnums=1)(X, 3), 3)
add("static option, jvp", lambda f: jax.jvp(lambda x: f.power(x, n=3), (X,), (X_DOT,)), (1, 2), stock=False)
add("static option, grad of vmap", lambda f: jax.grad(lambda x: weigh(jax.vmap(lambda x: f.power(x, n=3))(x)))(XS), 3)
add("static option, hessian", lambda f: jax.hessian(lambda x: weigh(f.power(x, n=3)))(X), 3, stock=False)
add(
    "static option, two values in one jit",
    lambda f: jax.jit(jax.grad(lambda x: weigh(f.power(x, n=2) + f.power(x, n=3))))(X),
    3,
)
add("keyword call", lambda f: f.layer(w=W, x=X), 1)
add("keyword call, grad", lambda f: jax.grad(lambda x, w: weigh(f.layer(w=w, x=x)), (0, 1))(X, W), 3)
add(
    "keyword call, jvp",
    lambda f: jax.jvp(lambda x, w: f.layer(w=w, x=x), (X, W), (X_DOT, draw(3, 5, seed=1))),
    (1, 2),
    stock=False,
)
add("array default, grad", lambda f: jax.grad(lambda x, w: weigh(f.blend(x, w)), (0, 1))(A, B), 3)
add(
    "array default given, grad",
    lambda f: jax.grad(lambda x, w, s: weigh(f.blend(x, w, share=s)), (0, 1, 2))(A, B, 0.4),
    3,
)
add("array default, jvp", lambda f: jax.jvp(f.blend, (A, B), (B, A)), (1, 2), stock=False)
add(
    "optional argument None, vmap of grad",
    lambda f: jax.vmap(jax.grad(lambda x: weigh(f.blend(x, A, shift=None))))(XS),
    3,
)

# one map alone: the other is its transpose, and so is its factor
add("a jvp alone, jvp", lambda f: jax.jvp(f.pushed, (X, S), (X_DOT, S_DOT)), (1, 2), stock=False)
add("a jvp alone, grad", lambda f: jax.grad(lambda x, w: weigh(f.pushed(x, w)), (0, 1))(X, S), 2)
add("a jvp alone, grad in w", lambda f: jax.grad(lambda w: weigh(f.pushed(X, w)))(S), 2)
add(
    "a jvp alone, jit of vmap of grad",
    lambda f: jax.jit(jax.vmap(jax.grad(lambda x, w: weigh(f.pushed(x, w)), (0, 1)), (0, None)))(XS, S),
    2,
)
add(
    "a jvp alone, grad of vmap",
    lambda f: jax.grad(lambda x, w: weigh(jax.vmap(f.pushed, (0, None))(x, w)), (0, 1))(XS, S),
    2,
)
add("a jvp alone, hessian", lambda f: jax.hessian(lambda x: weigh(f.pushed(x, S)))(X), 2, stock=False)
add("a jvp alone, rev(fwd)", lambda f: jax.jacrev(jax.jacfwd(lambda x: weigh(f.pushed(x, S))))(X), 2, stock=False)
add("a jvp alone, grad of checkpoint", lambda f: jax.grad(lambda x: weigh(jax.checkpoint(f.pushed)(x, S)))(X), 2)
add("a vjp alone, jvp", lambda f: jax.jvp(f.pulled, (X, S), (X_DOT, S_DOT)), (1, 3), stock=False)
add("a vjp alone, jvp in w", lambda f: jax.jvp(lambda w: f.pulled(X, w), (S,), (S_DOT,)), (1, 3), stock=False)
add("a vjp alone, jacfwd", lambda f: jax.jacfwd(f.pulled, (0, 1))(X, S), 3, stock=False)
add("a vjp alone, grad", lambda f: jax.grad(lambda x, w: weigh(f.pulled(x, w)), (0, 1))(X, S), 3)
add(
    "a vjp alone, vmap of jvp",
    lambda f: jax.vmap(lambda x, t: jax.jvp(lambda x: f.pulled(x, S), (x,), (t,))[1])(XS, XS_DOT),
    3,
    stock=False,
)
add("a vjp alone, hessian", lambda f: jax.hessian(lambda x: weigh(f.pulled(x, S)))(X), 3, stock=False)
add("a vjp alone, fwd(fwd)", lambda f: jax.jacfwd(jax.jacfwd(lambda x: weigh(f.pulled(x, S))))(X), 3, stock=False)
add(
    "a vjp alone, jvp of scan",
    lambda f: jax.jvp(lambda x: jax.lax.map(lambda x: f.pulled(x, S), x), (XS,), (XS_DOT,)),
    (1, 3),
    stock=False,
)

# the linear and the elementwise door
add("linear, jvp", lambda f: jax.jvp(f.running, (X,), (X_DOT,)), (1, 2), stock=False)
add("linear, grad", lambda f: jax.grad(lambda x: weigh(f.running(x)))(X), 3)
add("linear, option, grad", lambda f: jax.grad(lambda x: weigh(f.running(x, axis=0)))(X), 3)
add("linear, option by position, grad", lambda f: jax.grad(lambda x: weigh(f.running(x, 0)))(X), 3)
add("linear, grad of vmap", lambda f: jax.grad(lambda x: weigh(jax.vmap(f.running)(x)))(XS), 3)
add("linear, hessian of a square", lambda f: jax.hessian(lambda x: weigh(f.running(x) ** 2))(X), None, stock=False)
add(
    "linear, jacrev of jacfwd of a square",
    lambda f: jax.jacrev(jax.jacfwd(lambda x: weigh(f.running(x) ** 2)))(X),
    None,
    stock=False,
)
add("linear, no transpose given, jvp", lambda f: jax.jvp(f.steps, (X,), (X_DOT,)), (1, 2), stock=False)
add("linear, no transpose given, grad", lambda f: jax.grad(lambda x: weigh(f.steps(x)))(X), 2)
add("linear, no transpose given, grad of vmap", lambda f: jax.grad(lambda x: weigh(jax.vmap(f.steps)(x)))(XS), 2)
add(
    "elementwise, broadcasting, grad",
    lambda f: jax.grad(lambda x, w: weigh(f.mix(x, w)), (0, 1))(draw(7, 1, 3), draw(2, 1)),
    3,
)
add(
    "elementwise, broadcasting, jvp",
    lambda f: jax.jvp(f.mix, (draw(7, 1, 3), draw(2, 1)), (draw(7, 1, 3, seed=1), draw(2, 1, seed=1))),
    (1, 2),
    stock=False,
)
add(
    "elementwise, broadcasting, jvp in one",
    lambda f: jax.jvp(lambda w: f.mix(draw(7, 1, 3), w), (draw(2, 1),), (draw(2, 1, seed=1),)),
    (1, 2),
    stock=False,
)
add("elementwise, scalar operand, grad", lambda f: jax.grad(lambda x, w: weigh(f.mix(x, w)), (0, 1))(X, S), 3)
add(
    "elementwise, broadcasting, grad of vmap",
    lambda f: jax.grad(lambda x, w: weigh(jax.vmap(f.mix, (0, None))(x, w)), (0, 1))(XS, draw(3)),
    3,
)
add(
    "elementwise, two arguments, hessian",
    lambda f: jax.hessian(lambda x, w: weigh(f.mix(x, w)), (0, 1))(X, draw(3)),
    ((1, 3), (3, 3)),  # x enters linearly: that block is zero
    stock=False,
)

# a rule inside a rule
add("a rule in a rule, call", lambda f: f.nest(X), 1)
add("a rule in a rule, grad", lambda f: jax.grad(lambda x: weigh(f.nest(x)))(X), 3)
add("a rule in a rule, jvp", lambda f: jax.jvp(f.nest, (X,), (X_DOT,)), (1, 2), stock=False)
add("a rule in a rule, jit of grad of vmap", lambda f: jax.jit(jax.grad(lambda x: weigh(jax.vmap(f.nest)(x))))(XS), 3)
add("a rule in a rule, hessian", lambda f: jax.hessian(lambda x: weigh(f.nest(x)))(X), 3, opaque=None, stock=False)
add(
    "a rule in a rule, rev(fwd)",
    lambda f: jax.jacrev(jax.jacfwd(lambda x: weigh(f.nest(x))))(X),
    2,
    opaque=None,
    stock=False,
)
add(
    "a rule in a rule, grad of scan of checkpoint",
    lambda f: jax.grad(lambda x: weigh(jax.lax.map(jax.checkpoint(f.nest), x)))(XS),
    3,
)

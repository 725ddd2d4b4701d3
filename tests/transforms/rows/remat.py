"""jax.checkpoint with every policy: whatever is recomputed, it is the rule's vjp that runs."""

from __future__ import annotations

import jax
from jax import checkpoint_policies as policies
from jax import lax

from ..row import X_DOT, XS, Group, V, W, X, draw, weigh

ROWS = add = Group("checkpoint and policies", stock=True)

POLICIES = {
    "no policy": None,
    "everything_saveable": policies.everything_saveable,
    "nothing_saveable": policies.nothing_saveable,
    "dots_saveable": policies.dots_saveable,
    "dots_with_no_batch_dims_saveable": policies.dots_with_no_batch_dims_saveable,
    "save_only_these_names": policies.save_only_these_names("inner"),
    "save_any_names_but_these": policies.save_any_names_but_these("inner"),
    "save_anything_except_these_names": policies.save_anything_except_these_names("inner"),
    "a policy by primitive name": lambda prim, *_, **__: prim.name in ("layer", "named"),
}


def block(f):
    """Three rules, one of them with a named residual."""
    return lambda x, w: f.layer(f.named(f.layer(x, w)), V)


def remat(f, policy=None, **options):
    return jax.checkpoint(block(f), policy=policy, **options)


def _loss(f, policy=None, **options):
    return lambda x, w: weigh(remat(f, policy, **options)(x, w))


def _scan(f, policy=None):
    g = remat(f, policy)
    return lambda w, xs: weigh(lax.scan(lambda _, x: (None, g(x, w)), None, xs)[1])


for _name, _policy in POLICIES.items():
    add(f"{_name}, grad of", lambda f, p=_policy: jax.grad(_loss(f, p), (0, 1))(X, W), 27)
    add(f"{_name}, jit of grad of", lambda f, p=_policy: jax.jit(jax.grad(_loss(f, p), (0, 1)))(X, W), 27)
    add(f"{_name}, in scan, jit of grad of", lambda f, p=_policy: jax.jit(jax.grad(_scan(f, p)))(W, XS), 27)
    add(
        f"{_name}, jvp of",
        lambda f, p=_policy: jax.jvp(lambda x: remat(f, p)(x, W), (X,), (X_DOT,)),
        (1, 8),
        stock=False,
    )
    add(f"{_name}, hessian of", lambda f, p=_policy: _hessian(f, p), 3, opaque=6, stock=False)

add("call", lambda f: remat(f)(X, W), 1)
add("prevent_cse False, grad of", lambda f: jax.grad(_loss(f, prevent_cse=False), (0, 1))(X, W), 27)
add("of grad", lambda f: jax.checkpoint(jax.grad(lambda x: weigh(block(f)(x, W))))(X), 27)
add("in checkpoint, grad of", lambda f: jax.grad(lambda x: weigh(jax.checkpoint(remat(f))(x, W)))(X), 27)
add("vmap of grad of", lambda f: jax.vmap(jax.grad(_loss(f), (0, 1)), (0, None))(XS, W), 27)
add("grad of vmap of", lambda f: jax.grad(lambda w: weigh(jax.vmap(remat(f), (0, None))(XS, w)))(W), 27)
add(
    "grad of, around vmap",
    lambda f: jax.grad(lambda w: weigh(jax.checkpoint(jax.vmap(block(f), (0, None)))(XS, w)))(W),
    27,
)
add("grad of, around scan", lambda f: jax.grad(lambda x: weigh(jax.checkpoint(_chain(f))(x)))(X), 9**3)
add("grad of, around jit", lambda f: jax.grad(lambda x: weigh(jax.checkpoint(jax.jit(block(f)))(x, W)))(X), 27)
add("linearize of", lambda f: jax.linearize(lambda x: remat(f)(x, W), X)[1](X_DOT), 8, stock=False)
add("linear_transpose of linearize of", lambda f: _transposed(f), 27)
add("rev(rev) of", lambda f: jax.jacrev(jax.jacrev(_single(f, None)))(X), 3, opaque=9)
add("rev(fwd) of", lambda f: jax.jacrev(jax.jacfwd(_single(f, None)))(X), 2, opaque=6, stock=False)
add("fwd(fwd) of", lambda f: jax.jacfwd(jax.jacfwd(_single(f, None)))(X), 2, opaque=4, stock=False)
add("jvp of, in scan", lambda f: jax.jvp(lambda w: _scan(f)(w, XS), (W,), (0.5 * W,)), (1, 8), stock=False)
add("grad of, loop inside", lambda f: jax.jit(jax.grad(lambda x: weigh(jax.checkpoint(f.relax)(x))))(X), 3)


def _single(f, policy):
    """One rule, so that second order has a single factor."""
    return lambda x: weigh(jax.checkpoint(f.layer, policy=policy)(x, W))


def _hessian(f, policy):
    return jax.hessian(_single(f, policy))(X)


def _chain(f):
    def loop(x):
        return lax.scan(lambda x, w: (f.layer(f.layer(x, w), V), None), x, draw(3, 3, 5))[0]

    return loop


def _transposed(f):
    return jax.linear_transpose(jax.linearize(lambda x: remat(f)(x, W), X)[1], X)(draw(2, 3, seed=5))

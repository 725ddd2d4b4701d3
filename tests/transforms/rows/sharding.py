"""Eight devices: shard_map with and without the check of varying axes, pmap, and jit of sharded operands."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from ..row import Group, V, W, draw, weigh

ROWS = add = Group("sharding", stock=True)

DEVICES = 8
X, X_DOT, W_DOT = draw(2 * DEVICES, 3), draw(2 * DEVICES, 3, seed=1), draw(3, 5, seed=1)
XS = draw(7, 2 * DEVICES, 3)
PX, PX_DOT = X.reshape(DEVICES, 2, 3), X_DOT.reshape(DEVICES, 2, 3)
ROW, NONE = P("i"), P()


def mesh(kind=AxisType.Auto):
    return jax.make_mesh((DEVICES,), ("i",), axis_types=(kind,))


def sharded(f, in_specs=(ROW, NONE), out_specs=ROW, vma=True):
    return jax.shard_map(f, mesh=mesh(), in_specs=in_specs, out_specs=out_specs, check_vma=vma)


def arrays(*operands):
    """Operands as JAX's own: forward mode of shard_map refuses NumPy's."""
    return tuple(map(jnp.asarray, operands))


def local_loss(f):
    return lambda x, w: weigh(f.layer(x, w))


def _shard_map_rows(case, vma):
    def of(f, **options):
        return sharded(f, vma=vma, **options)

    def loss(f):
        return lambda x, w: weigh(of(f.layer)(x, w))

    def eager(name, build, factor, **options):
        add(f"shard_map, {case}, {name}", build, factor, **options)

    def row(name, build, factor, **options):
        # Compiled whole: eagerly, every operation would be a program of its own on eight devices.
        eager(name, lambda f: jax.jit(lambda: build(f))(), factor, **options)

    def summed(f):
        """The whole loss, by a collective; grad is taken outside."""
        return of(lambda x, w: lax.psum(weigh(f.layer(x, w)), "i"), out_specs=NONE)

    def inside_w(f):
        """The gradient of an unvarying operand: JAX itself sums it where it knows what varies."""
        grad = jax.grad(local_loss(f), 1)
        return grad if vma else lambda x, w: lax.psum(grad(x, w), "i")

    eager("call", lambda f: of(f.layer)(X, W), 1)
    row("jit", lambda f: jax.jit(of(f.layer))(X, W), 1)
    eager("grad outside, both operands", lambda f: jax.grad(loss(f), (0, 1))(X, W), 3)
    eager("jit of grad outside", lambda f: jax.jit(jax.grad(loss(f), (0, 1)))(X, W), 3)
    row("grad outside of psum", lambda f: jax.grad(summed(f), (0, 1))(X, W), 3)
    row(
        "both operands vary",
        lambda f: jax.grad(lambda x, w: weigh(of(f.mix, in_specs=(ROW, ROW))(x, w)), (0, 1))(X, X_DOT),
        3,
    )
    row(
        "no operand varies",
        lambda f: jax.grad(lambda x, w: weigh(of(f.layer, in_specs=(NONE, NONE), out_specs=NONE)(x, w)), (0, 1))(X, W),
        3,
    )
    row(
        "x unvarying, w varying",
        lambda f: jax.grad(lambda x, w: weigh(of(f.mix, in_specs=(NONE, ROW))(x, w)), (0, 1))(X[:2], X_DOT),
        3,
    )
    row("grad inside, varying operand", lambda f: of(jax.grad(local_loss(f)))(X, W), 3)
    row("grad inside, unvarying operand", lambda f: of(inside_w(f), out_specs=NONE)(X, W), 3)
    row("jvp outside", lambda f: jax.jvp(of(f.layer), arrays(X, W), arrays(X_DOT, W_DOT)), (1, 2), stock=False)
    row(
        "jvp inside",
        lambda f: of(lambda x, w: jax.jvp(f.layer, (x, w), (x, w)), out_specs=(ROW, ROW))(X, W),
        (1, 2),
        stock=False,
    )
    row(
        "jvp inside, unvarying operand",
        lambda f: of(lambda x, w: jax.jvp(lambda w: f.layer(x, w), (w,), (w,))[1])(X, W),
        2,
        stock=False,
    )
    row(
        "linearize outside",
        lambda f: jax.linearize(of(f.layer), *arrays(X, W))[1](*arrays(X_DOT, W_DOT)),
        2,
        stock=False,
    )
    row(
        "linear_transpose of linearize",
        lambda f: jax.linear_transpose(jax.linearize(of(f.layer), *arrays(X, W))[1], X, W)(*arrays(draw(16, 5))),
        3,
    )
    row("hessian outside", lambda f: jax.hessian(lambda w: loss(f)(X, w))(W), 3, opaque=6, stock=False)
    row("rev(fwd) outside", lambda f: jax.jacrev(jax.jacfwd(lambda w: loss(f)(X, w)))(W), 2, opaque=6, stock=False)
    row(
        "hessian inside",
        lambda f: of(jax.hessian(local_loss(f)), out_specs=P(None, None, "i"))(X, W),
        None,
        opaque=None,
        stock=False,
    )
    row("vmap outside, grad of", lambda f: jax.grad(lambda w: weigh(jax.vmap(of(f.layer), (0, None))(XS, w)))(W), 3)
    row(
        "vmap inside, grad of",
        lambda f: jax.grad(
            lambda w: weigh(
                of(jax.vmap(f.layer, (0, None)), in_specs=(P(None, "i"), NONE), out_specs=P(None, "i"))(XS, w)
            )
        )(W),
        3,
    )
    row(
        "scan inside, grad of",
        lambda f: jax.grad(lambda w: weigh(of(_scan(f), in_specs=(P(None, "i"), NONE), out_specs=P(None, "i"))(XS, w)))(
            W
        ),
        3,
    )
    row("in scan, grad of", lambda f: jax.grad(lambda w: weigh(lax.map(lambda x: of(f.layer)(x, w), XS)))(W), 3)
    row("checkpoint inside, grad of", lambda f: jax.grad(lambda w: weigh(of(jax.checkpoint(f.layer))(X, w)))(W), 3)
    row("in checkpoint, grad of", lambda f: jax.jit(jax.grad(lambda w: weigh(jax.checkpoint(of(f.layer))(X, w))))(W), 3)
    row(
        "cond inside, grad of",
        lambda f: jax.grad(
            lambda w: weigh(of(lambda x, w: lax.cond(x[0, 0] > 0, f.layer, lambda x, w: f.layer(-x, w), x, w))(X, w))
        )(W),
        3,
    )
    row("psum inside the rule", lambda f: of(f.spread, in_specs=ROW)(X), 1)
    row("psum inside the rule, grad outside", lambda f: jax.grad(lambda x: weigh(of(f.spread, in_specs=ROW)(x)))(X), 3)
    row("psum inside the rule, grad inside", lambda f: of(jax.grad(lambda x: weigh(f.spread(x))), in_specs=ROW)(X), 3)
    row(
        "psum inside the rule, jvp outside",
        lambda f: jax.jvp(of(f.spread, in_specs=ROW), arrays(X), arrays(X_DOT)),
        (1, 2),
        stock=False,
    )


def _scan(f):
    return lambda xs, w: lax.map(lambda x: f.layer(x, w), xs)


_shard_map_rows("check_vma", True)
_shard_map_rows("no check_vma", False)

add("pmap", lambda f: jax.pmap(f.layer, in_axes=(0, None))(PX, W), 1)
add("pmap of grad", lambda f: jax.pmap(jax.grad(local_loss(f), (0, 1)), in_axes=(0, None))(PX, W), 3)
add(
    "pmap of grad, psum",
    lambda f: jax.pmap(lambda x, w: lax.psum(jax.grad(local_loss(f), 1)(x, w), "i"), "i", in_axes=(0, None))(PX, W),
    3,
)
add(
    "grad of pmap", lambda f: jax.grad(lambda x, w: weigh(jax.pmap(f.layer, in_axes=(0, None))(x, w)), (0, 1))(PX, W), 3
)
add("jvp of pmap", lambda f: jax.jvp(jax.pmap(f.wave), (PX,), (PX_DOT,)), (1, 2), stock=False)
add("pmap of jvp", lambda f: jax.pmap(lambda x, t: jax.jvp(f.wave, (x,), (t,)))(PX, PX_DOT), (1, 2), stock=False)
add("pmap, psum inside the rule", lambda f: jax.pmap(f.spread, "i")(PX), 1)
add("pmap of grad, psum inside the rule", lambda f: jax.pmap(jax.grad(lambda x: weigh(f.spread(x))), "i")(PX), 3)


def put(x, spec, kind=AxisType.Auto):
    return jax.device_put(x, NamedSharding(mesh(kind), spec))


def _chain(f):
    return lambda x, w: weigh(f.layer(f.layer(x, w), V))


def _constrained(f):
    def loss(x, w):
        y = lax.with_sharding_constraint(f.layer(x, w), NamedSharding(mesh(), ROW))
        return weigh(f.layer(y, V))

    return loss


def _with_shardings(f):
    row, none = NamedSharding(mesh(), ROW), NamedSharding(mesh(), NONE)
    step = jax.jit(jax.grad(_chain(f), (0, 1)), in_shardings=(row, none), out_shardings=(row, none))
    return step(X, W)


def _explicit(f, run):
    """A mesh whose axes are part of the types; `run` gets a sharded and an unsharded operand that broadcast."""
    with jax.set_mesh(mesh(AxisType.Explicit)):
        return run(f, jax.device_put(X, ROW), jax.device_put(W[:, 0], NONE))


def _explicit_grad(f, x, w):
    return jax.jit(jax.grad(lambda x, w: jnp.sum(jnp.cos(f.mix(x, w))), (0, 1)))(x, w)


def _explicit_jvp(f, x, w):
    return jax.jit(lambda x, w: jax.jvp(f.mix, (x, w), (x, w)))(x, w)


add("jit, sharded inputs", lambda f: jax.jit(f.layer)(put(X, ROW), put(W, NONE)), 1)
add("jit of grad, sharded inputs", lambda f: jax.jit(jax.grad(_chain(f), (0, 1)))(put(X, ROW), put(W, NONE)), 9)
add(
    "jit of grad, both inputs sharded",
    lambda f: jax.jit(jax.grad(lambda x, w: weigh(f.mix(x, w)), (0, 1)))(put(X, ROW), put(X_DOT, ROW)),
    3,
)
add("jit of grad, in_shardings and out_shardings", _with_shardings, 9)
add(
    "jit of grad, with_sharding_constraint",
    lambda f: jax.jit(jax.grad(_constrained(f), (0, 1)))(put(X, ROW), put(W, NONE)),
    9,
)
add(
    "jit of jvp, sharded inputs",
    lambda f: jax.jit(lambda x, w: jax.jvp(f.layer, (x, w), (x, w)))(put(X, ROW), put(W, NONE)),
    (1, 2),
    stock=False,
)
add(
    "jit of vmap of grad, sharded batch",
    lambda f: jax.jit(jax.vmap(jax.grad(local_loss(f), (0, 1)), (0, None)))(put(PX, ROW), W),
    3,
)
add("jit of vmap of grad, spmd_axis_name", lambda f: _spmd(f), 3)
add(
    "jit of hessian, sharded inputs",
    lambda f: jax.jit(jax.hessian(lambda w, x: local_loss(f)(x, w)))(put(W, NONE), put(X, ROW)),
    3,
    opaque=6,
    stock=False,
)
add("explicit axes, call", lambda f: _explicit(f, lambda f, x, w: f.mix(x, w)), 1)
add("explicit axes, jit of grad", lambda f: _explicit(f, _explicit_grad), 3)
add("explicit axes, jit of jvp", lambda f: _explicit(f, _explicit_jvp), (1, 2), stock=False)


def _spmd(f):
    with jax.set_mesh(mesh()):
        each = jax.vmap(jax.grad(local_loss(f), (0, 1)), (0, None), spmd_axis_name="i")
        return jax.jit(each)(put(PX, ROW), W)

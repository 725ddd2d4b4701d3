"""Everything else of JAX that reads or runs a function."""

from __future__ import annotations

import jax
import jax.extend
import jax.numpy as jnp
from jax import export, lax
from jax.experimental import checkify, jet

from vjpkit.core import inline

from ..row import X_DOT, X_DOT2, XS, XS_DOT, Group, V, W, X, draw, weigh
from .reverse import loss

ROWS = add = Group("other", stock=True)

POSITIVE, POSITIVES = 0.5 + X * X, 0.5 + XS * XS

# jet reads the primal, as it does for every function: no map of the rule runs
add("jet", lambda f: jet.jet(f.wave, (X,), ((X_DOT, X_DOT2),)), 1, stock=False)
add("jet, two arguments", lambda f: jet.jet(f.layer, (X, W), ((X_DOT, X_DOT2), (W, W))), 1, stock=False)
add("jet, jit", lambda f: jax.jit(lambda x: jet.jet(f.wave, (x,), ((X_DOT, X_DOT2),)))(X), 1, stock=False)


def _exported(f, *args, order=0, serialize=True):
    exported = export.export(jax.jit(f))(*args)
    return export.deserialize(exported.serialize(vjp_order=order)).call if serialize else exported.call


add("export, call", lambda f: _exported(f.layer, X, W)(X, W), 1)
add("export, without serializing", lambda f: _exported(f.layer, X, W, serialize=False)(X, W), 1)
add("export of grad", lambda f: _exported(jax.grad(loss(f), (0, 1)), X, W)(X, W), 3)
add("export, vjp_order 1, grad", lambda f: jax.grad(_exported(loss(f), X, W, order=1), (0, 1))(X, W), 3)
add("export of jvp", lambda f: _exported(lambda x: jax.jvp(f.wave, (x,), (X_DOT,)), X)(X), (1, 2), stock=False)
add("export, symbolic shape", lambda f: _symbolic(f), 3)

add("checkify, grad", lambda f: _checked(lambda x: jax.grad(loss(f))(x, W), X), (1, 3))
add("checkify of jit of grad", lambda f: _checked(jax.jit(lambda x: jax.grad(loss(f))(x, W)), X), (1, 3))
add("checkify, jvp", lambda f: _checked(lambda x: jax.jvp(f.wave, (x,), (X_DOT,)), X), (1, (1, 2)), stock=False)
# checkify looks into primitives that it knows alone; `inline` shows it what a rule does.
add(
    "checkify of inline, a NaN is reported",
    lambda f: _checked(inline(lambda x: f.wave(x)), X * jnp.nan, errors=checkify.nan_checks)[0],
    1,
    stock=False,
)
add("checkify, user check beside it", lambda f: _user_check(f), (1, 3))

add("debug_nans, grad", lambda f: _within(jax.debug_nans(True), lambda: jax.grad(loss(f))(X, W)), 3)
add("debug_nans, jit of grad", lambda f: _within(jax.debug_nans(True), lambda: jax.jit(jax.grad(loss(f)))(X, W)), 3)
add(
    "debug_nans, a NaN is reported",
    lambda f: _within(jax.debug_nans(True), lambda: _raises(lambda: f.wave(X * jnp.nan))),
    1,
)
add("checking_leaks, jit of grad", lambda f: _within(jax.checking_leaks(), lambda: jax.jit(jax.grad(loss(f)))(X, W)), 3)
add(
    "checking_leaks, vmap of grad",
    lambda f: _within(jax.checking_leaks(), lambda: jax.vmap(jax.grad(loss(f)), (0, None))(XS, W)),
    3,
)
add(
    "checking_leaks, hessian",
    lambda f: _within(jax.checking_leaks(), lambda: jax.hessian(lambda x: loss(f)(x, W))(X)),
    3,
    opaque=6,
    stock=False,
)
add("checking_leaks, grad of scan", lambda f: _within(jax.checking_leaks(), lambda: _scanned(f)), 3)
add(
    "enable_checks, jit of grad",
    lambda f: _within(jax.enable_checks(True), lambda: jax.jit(jax.grad(loss(f), (0, 1)))(X, W)),
    3,
)
add("enable_checks, grad of scan", lambda f: _within(jax.enable_checks(True), lambda: _scanned(f)), 3)
add("enable_checks, grad of vmap", lambda f: _within(jax.enable_checks(True), lambda: _batched(f)), 3)
add(
    "enable_checks, hessian",
    lambda f: _within(jax.enable_checks(True), lambda: jax.hessian(lambda x: loss(f)(x, W))(X)),
    3,
    opaque=6,
    stock=False,
)
add(
    "enable_checks, jvp",
    lambda f: _within(jax.enable_checks(True), lambda: jax.jvp(f.wave, (X,), (X_DOT,))),
    (1, 2),
    stock=False,
)
add("disable_jit, grad", lambda f: _within(jax.disable_jit(), lambda: jax.grad(loss(f), (0, 1))(X, W)), 3)
add(
    "disable_jit, jvp",
    lambda f: _within(jax.disable_jit(), lambda: jax.jvp(f.wave, (X,), (X_DOT,))),
    (1, 2),
    stock=False,
)
add("disable_jit, grad of vmap", lambda f: _within(jax.disable_jit(), lambda: _batched(f)), 3)
add("disable_jit, grad of scan", lambda f: _within(jax.disable_jit(), lambda: _scanned(f)), 3)

add("donated arguments", lambda f: jax.jit(jax.grad(loss(f), 1), donate_argnums=1)(X, jnp.array(W)), 3)
add(
    "donated arguments, both",
    lambda f: jax.jit(jax.grad(loss(f), (0, 1)), donate_argnums=(0, 1))(jnp.array(X), jnp.array(W)),
    3,
)
add("debug callback inside", lambda f: jax.jit(f.spoken)(X), 1)
add("debug callback inside, jit of grad", lambda f: jax.jit(jax.grad(lambda x: weigh(f.spoken(x))))(X), 3)
add(
    "debug callback inside, vmap of jvp",
    lambda f: jax.vmap(lambda x, t: jax.jvp(f.spoken, (x,), (t,)))(XS, XS_DOT),
    (1, 2),
    stock=False,
)
add("a mutable array around, grad", lambda f: jax.grad(lambda x: weigh(_mutated(f, x)))(X), 9)
add(
    "a mutable array around, jit of jvp",
    lambda f: jax.jit(lambda x: jax.jvp(lambda x: _mutated(f, x), (x,), (X_DOT,)))(X),
    (1, 4),
    stock=False,
)
add("in a custom_jvp function, grad", lambda f: jax.grad(lambda x: weigh(_custom_jvp(f)(x)))(X), 3, stock=False)
add("in a custom_jvp function, jvp", lambda f: jax.jvp(_custom_jvp(f), (X,), (X_DOT,)), (1, 2), stock=False)
add("in a custom_vjp function, grad", lambda f: jax.grad(lambda x: weigh(_custom_vjp(f)(x)))(X), 3)
# custom_root linearises its function in forward mode, which stock custom_vjp does not have.
add("in custom_root, grad", lambda f: jax.grad(lambda w: weigh(_root(f, w)))(0.3), None, stock=False)
add("in custom_root, jvp", lambda f: jax.jvp(lambda w: _root(f, w), (draw(),), (draw(seed=1),)), None, stock=False)
add("closure_convert, grad", lambda f: jax.grad(lambda w: weigh(_converted(f, w)))(W), 3)
add("make_jaxpr and back, grad", lambda f: jax.grad(lambda x: weigh(_replayed(f, x)))(X), 3)
add("named_scope and named_call, grad", lambda f: jax.grad(lambda x: weigh(jax.named_call(f.wave)(x)))(X), 3)
add(
    "ensure_compile_time_eval",
    lambda f: jax.jit(lambda: _within(jax.ensure_compile_time_eval(), lambda: jax.grad(loss(f))(X, W)))(),
    3,
)
add(
    "default_matmul_precision, grad",
    lambda f: _within(jax.default_matmul_precision("float32"), lambda: jax.grad(loss(f))(X, W)),
    3,
)

# a while loop that JAX cannot differentiate, behind a rule
add("while loop inside fwd, call", lambda f: f.newton(POSITIVE), 1, tol=1e-11)
add("while loop inside fwd, grad", lambda f: jax.grad(lambda x: weigh(f.newton(x)))(POSITIVE), 3, tol=1e-11)
add(
    "while loop inside fwd, jit of grad",
    lambda f: jax.jit(jax.grad(lambda x: weigh(f.newton(x))))(POSITIVE),
    3,
    tol=1e-11,
)
add("while loop inside fwd, jvp", lambda f: jax.jvp(f.newton, (POSITIVE,), (X_DOT,)), (1, 2), stock=False, tol=1e-11)
add(
    "while loop inside fwd, vmap of grad",
    lambda f: jax.vmap(jax.grad(lambda x: weigh(f.newton(x))))(POSITIVES),
    3,
    tol=1e-11,
)
add(
    "while loop inside fwd, grad of vmap",
    lambda f: jax.grad(lambda x: weigh(jax.vmap(f.newton)(x)))(POSITIVES),
    3,
    tol=1e-11,
)


def _symbolic(f):
    scope = jax.ShapeDtypeStruct(export.symbolic_shape("b, 3"), jnp.float64)
    exported = export.export(jax.jit(jax.grad(lambda x: jnp.sum(jnp.cos(1.0) * f.wave(x)))))(scope)
    return export.deserialize(exported.serialize()).call(X)


def _checked(f, *args, errors=checkify.float_checks):
    error, out = checkify.checkify(f, errors=errors)(*args)
    return jnp.asarray(error.get() is None), out


def _user_check(f):
    def g(x):
        checkify.check(jnp.all(x < 9), "too large")
        return jax.grad(loss(f))(x, W)

    return _checked(jax.jit(g), X, errors=checkify.user_checks)


def _within(context, call):
    with context:
        return call()


def _raises(call):
    try:
        call()
    except FloatingPointError:
        return "reported"
    return "passed over"


def _scanned(f):
    return jax.grad(lambda w: weigh(lax.map(lambda x: f.layer(x, w), XS)))(W)


def _batched(f):
    return jax.grad(lambda w: weigh(jax.vmap(f.layer, (0, None))(XS, w)))(W)


def _mutated(f, x):
    ref = jax.new_ref(x)
    ref[...] = f.layer(ref[...], W) @ V
    ref[...] = f.wave(ref[...])
    return ref[...]


def _custom_jvp(f):
    @jax.custom_jvp
    def g(x):
        return f.wave(x)

    g.defjvp(lambda primals, tangents: jax.jvp(f.wave, primals, tangents))
    return g


def _custom_vjp(f):
    @jax.custom_vjp
    def g(x):
        return f.wave(x)

    g.defvjp(lambda x: jax.vjp(f.wave, x), lambda pull, bar: pull(bar))
    return g


def _root(f, w):
    """y with y + wave(y) = w x; the slope divides by the rule's, so there is no single factor."""

    def residual(y):
        return y + f.wave(y) - w * X

    def solve(g, y):
        return lax.fori_loop(0, 60, lambda _, y: y - 0.5 * g(y), y)

    return lax.custom_root(residual, 0 * X, solve, lambda g, y: y / g(jnp.ones_like(y)))


def _converted(f, w):
    converted, constants = jax.closure_convert(lambda x: f.layer(x, w), X)
    return converted(X, *constants)


def _replayed(f, x):
    closed = jax.make_jaxpr(lambda x: f.layer(x, W))(X)
    return jax.extend.core.jaxpr_as_fun(closed)(x)[0]

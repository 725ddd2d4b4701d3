"""What arguments and outputs may be."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..row import X_DOT, XS, XS_DOT, Group, W, X, draw, weigh

ROWS = add = Group("arguments and outputs", stock=True)

TREE = {"x": X, "w": (W,)}
TREE_DOT = {"x": X_DOT, "w": (draw(3, 5, seed=1),)}
INDEX = np.array([0, 2, 2, 5, 0])  # indices repeat: a scatter that overwrites is seen
ZERO = np.zeros(INDEX.shape, jax.dtypes.float0)
Z, Z_DOT = draw(2, 3) + 1j * draw(2, 3, seed=6), draw(2, 3, seed=7) + 1j * draw(2, 3, seed=8)
HALF = 2.0**-7  # two roundings of bfloat16's 8 bits


def _half(x):
    return jnp.asarray(x, jnp.bfloat16)


def _pair(f):
    return lambda p: weigh(f.pair(p))


# pytrees, several outputs
add("pytrees, call", lambda f: f.pair(TREE), 1)
add("pytrees, grad", lambda f: jax.grad(_pair(f))(TREE), 3)
add("pytrees, jit of grad", lambda f: jax.jit(jax.grad(_pair(f)))(TREE), 3)
add("pytrees, vjp", lambda f: jax.vjp(f.pair, TREE)[1]({"product": draw(2, 5), "norm": 0.3}), 3)
add("pytrees, jvp", lambda f: jax.jvp(f.pair, (TREE,), (TREE_DOT,)), (1, 2), stock=False)
add("pytrees, jacfwd", lambda f: jax.jacfwd(f.pair)(TREE), None, stock=False)
add("pytrees, jacrev", lambda f: jax.jacrev(f.pair)(TREE), None)
add(
    "pytrees, grad of vmap, part of the tree",
    lambda f: jax.grad(lambda p: weigh(jax.vmap(f.pair, ({"x": 0, "w": None},))(p)))(TREE | {"x": XS}),
    3,
)
add("pytrees, hessian", lambda f: jax.hessian(_pair(f))(TREE), None, stock=False)
add("unused output, grad of the other", lambda f: jax.grad(lambda x: weigh(f.pair(TREE | {"x": x})["norm"]))(X), 3)
add(
    "unused output, jvp of the other",
    lambda f: jax.jvp(lambda x: f.pair(TREE | {"x": x})["product"], (X,), (X_DOT,)),
    (1, 2),
    stock=False,
)
add("unused output under jit", lambda f: jax.jit(jax.grad(lambda x: weigh(f.pair(TREE | {"x": x})["product"])))(X), 3)
add("part of a pytree differentiated", lambda f: jax.grad(lambda w: weigh(f.pair({"x": X, "w": (w,)})))(W), 3)

# integers, float0, bools, keys
add("integer argument", lambda f: f.gather(XS[0, 0].repeat(2), INDEX), 1)
add("integer argument, grad", lambda f: jax.grad(lambda x: weigh(f.gather(x, INDEX)))(draw(7)), 3)
add(
    "integer argument, grad, allow_int",
    lambda f: jax.grad(lambda x, i: weigh(f.gather(x, i)), (0, 1), allow_int=True)(draw(7), INDEX),
    3,
)
add("integer argument, vjp", lambda f: jax.vjp(f.gather, draw(7), INDEX)[1](draw(5)), 3)
add(
    "integer argument, jvp with float0",
    lambda f: jax.jvp(f.gather, (draw(7), INDEX), (draw(7, seed=1), ZERO)),
    (1, 2),
    stock=False,
)
add("integer argument, jacfwd", lambda f: jax.jacfwd(f.gather)(draw(7), INDEX), 2, stock=False)
add(
    "integer argument, linearize",
    lambda f: jax.linearize(lambda x: f.gather(x, INDEX), draw(7))[1](draw(7, seed=1)),
    2,
    stock=False,
)
add("integer argument, hessian", lambda f: jax.hessian(lambda x: weigh(f.gather(x, INDEX)))(draw(7)), 3, stock=False)
add(
    "integer argument, vmap over it, grad of",
    lambda f: jax.grad(lambda x: weigh(jax.vmap(f.gather, (None, 0))(x, np.stack([INDEX, INDEX[::-1]]))))(draw(7)),
    3,
)
add(
    "integer argument, scan over it, grad of",
    lambda f: jax.grad(lambda x: weigh(jax.lax.map(lambda i: f.gather(x, i), np.stack([INDEX, INDEX[::-1]]))))(draw(7)),
    3,
)
add(
    "integer argument, checkpoint, grad of",
    lambda f: jax.grad(lambda x: weigh(jax.checkpoint(f.gather)(x, INDEX)))(draw(7)),
    3,
)
add("integer output", lambda f: f.peak(X), 1)
add("integer output, grad", lambda f: jax.grad(lambda x: weigh(f.peak(x)[0]))(X), 3)
add("integer output, vjp with float0", lambda f: jax.vjp(f.peak, X)[1]((draw(2), np.zeros(2, jax.dtypes.float0))), 3)
add("integer output, jvp", lambda f: jax.jvp(f.peak, (X,), (X_DOT,)), (1, 2), stock=False)
add("integer output, jit of jvp", lambda f: jax.jit(lambda x: jax.jvp(f.peak, (x,), (X_DOT,))[1][0])(X), 2, stock=False)
add("integer output, grad of vmap", lambda f: jax.grad(lambda x: weigh(jax.vmap(f.peak)(x)))(XS), 3)
add(
    "integer output, of vmap of jvp",
    lambda f: jax.vmap(lambda x, t: jax.jvp(f.peak, (x,), (t,))[1][0])(XS, XS_DOT),
    2,
    stock=False,
)
add("integer output, grad of scan", lambda f: jax.grad(lambda x: weigh(jax.lax.map(f.peak, x)))(XS), 3)
add("integer output alone used", lambda f: jax.grad(lambda x: weigh(x * f.peak(x)[1][:, None]))(X), None)
add("key argument", lambda f: f.noise(jax.random.key(5), X), 1)
add("key argument, grad", lambda f: jax.grad(lambda x: weigh(f.noise(jax.random.key(5), x)))(X), 3)
add(
    "key argument, jvp", lambda f: jax.jvp(lambda x: f.noise(jax.random.key(5), x), (X,), (X_DOT,)), (1, 2), stock=False
)
add(
    "key argument, vmap of grad",
    lambda f: jax.vmap(jax.grad(lambda x, k: weigh(f.noise(k, x))))(XS, jax.random.split(jax.random.key(5), 7)),
    3,
)

# complex
add("complex, call", lambda f: f.turn(Z, Z_DOT), 1)
add("complex, jvp", lambda f: jax.jvp(f.turn, (Z, Z_DOT), (Z_DOT, Z)), (1, 2), stock=False)
add("complex, vjp", lambda f: jax.vjp(f.turn, Z, Z_DOT)[1](Z_DOT), 3)
add("complex, grad of a real loss", lambda f: jax.grad(lambda z, w: weigh(f.turn(z, w)), (0, 1))(Z, Z_DOT), 3)
add("complex, holomorphic grad", lambda f: jax.grad(lambda z: jnp.sum(f.turn(z, Z_DOT)), holomorphic=True)(Z), 3)
add("complex, holomorphic jacrev", lambda f: jax.jacrev(f.turn, holomorphic=True)(Z, Z_DOT), 3)
add("complex, holomorphic jacfwd", lambda f: jax.jacfwd(f.turn, holomorphic=True)(Z, Z_DOT), 2, stock=False)
add(
    "complex, grad of vmap",
    lambda f: jax.grad(lambda z, w: weigh(jax.vmap(f.turn, (0, None))(z, w)), (0, 1))(Z, Z_DOT[0]),
    3,
)
add("complex beside real, elementwise, grad", lambda f: jax.grad(lambda x, w: weigh(f.mix(x, w)), (0, 1))(X, Z), 3)
add("complex beside real, elementwise, grad of the real one", lambda f: jax.grad(lambda x: weigh(f.mix(x, Z)))(X), 3)
add("complex beside real, elementwise, jvp", lambda f: jax.jvp(f.mix, (X, Z), (X_DOT, Z_DOT)), (1, 2), stock=False)
add("complex, wave, jvp", lambda f: jax.jvp(f.wave, (Z,), (Z_DOT,)), (1, 2), stock=False)

# narrow and mixed dtypes
add("float32, grad", lambda f: jax.grad(lambda x: weigh(f.wave(x)))(np.float32(X)), 3, tol=1e-6)
add("bfloat16, call", lambda f: f.layer(_half(X), _half(W)), 1, tol=HALF)
add("bfloat16, grad", lambda f: jax.grad(lambda x: weigh(f.wave(x)))(_half(X)), 3, tol=2 * HALF)
add(
    "bfloat16, grad of two arguments",
    lambda f: jax.grad(lambda x, w: weigh(f.layer(x, w)), (0, 1))(_half(X), _half(W)),
    3,
    tol=4 * HALF,
)
add("bfloat16, jvp", lambda f: jax.jvp(f.wave, (_half(X),), (_half(X_DOT),)), (1, 2), stock=False, tol=2 * HALF)
add(
    "bfloat16, grad of vmap",
    lambda f: jax.grad(lambda w: weigh(jax.vmap(f.layer, (0, None))(_half(XS), w)))(_half(W)),
    3,
    tol=8 * HALF,
)
add(
    "bfloat16 with float32, grad",
    lambda f: jax.grad(lambda x, w: weigh(f.layer(x, w)), (0, 1))(_half(X), np.float32(W)),
    3,
    tol=2 * HALF,
)
add(
    "bfloat16 with float32, elementwise, grad",
    lambda f: jax.grad(lambda x, w: weigh(f.mix(x, w)), (0, 1))(_half(X), np.float32(X_DOT)),
    3,
    tol=2 * HALF,
)
add(
    "bfloat16 with float32, elementwise, jvp",
    lambda f: jax.jvp(f.mix, (_half(X), np.float32(X_DOT)), (_half(X), np.float32(X_DOT))),
    (1, 2),
    stock=False,
    tol=2 * HALF,
)

# weak types
add("Python scalar", lambda f: _typed(f.wave(0.5)), 1)
add("Python scalar beside bfloat16", lambda f: _typed(f.mix(_half(X), 2.0)), 1, tol=HALF)
add(
    "Python scalar beside bfloat16, grad",
    lambda f: _typed(jax.grad(lambda x: f.mix(x, 2.0).sum())(_half(X))),
    (3, 1),
    tol=4 * HALF,
)
add(
    "Python scalar beside float32, jvp",
    lambda f: _typed(jax.jvp(lambda x: f.mix(x, 2.0), (np.float32(X),), (np.float32(X_DOT),))[1]),
    (2, 1),
    stock=False,
    tol=1e-6,
)
add("Python scalar, grad", lambda f: _typed(jax.grad(f.wave)(0.5)), (3, 1))
add("Python scalar, jit of grad", lambda f: _typed(jax.jit(jax.grad(f.wave))(0.5)), (3, 1))
add("Python scalar, jvp", lambda f: jax.jvp(f.wave, (0.5,), (0.3,)), (1, 2), stock=False)
add("Python scalar in scan", lambda f: jax.lax.scan(lambda s, _: (f.wave(s), None), 0.5, length=3)[0], 1)

# zero-size arrays
add("zero-size, call", lambda f: f.layer(X[:0], W), 1)
add("zero-size, grad", lambda f: jax.grad(lambda x, w: weigh(f.layer(x, w)), (0, 1))(X[:0], W), None)
add("zero-size, jvp", lambda f: jax.jvp(f.wave, (X[:0],), (X[:0],)), None, stock=False)
add(
    "zero-size, grad of vmap",
    lambda f: jax.grad(lambda x, w: weigh(jax.vmap(f.layer, (0, None))(x, w)), (0, 1))(XS[:, :0], W),
    None,
)
add("zero-size inner axis, grad", lambda f: jax.grad(lambda x, w: weigh(f.layer(x, w)), (0, 1))(X[:, :0], W[:0]), None)


def _typed(y):
    return y, str(jax.typeof(y).weak_type)

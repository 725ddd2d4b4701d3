"""Functions with every kind of argument, output, option and declaration."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vjpkit.core import Rule, linear, rule


def pair() -> Rule:
    """Pytree argument, two outputs of different shape."""

    @rule
    def pair(p):
        return {"product": p["x"] @ p["w"][0], "norm": jnp.sum(p["x"] ** 2)}

    def fwd(p):
        return pair.primal(p), p

    def jvp(p, p_dot):
        x, (w,), x_dot, (w_dot,) = p["x"], p["w"], p_dot["x"], p_dot["w"]
        return {"product": x_dot @ w + x @ w_dot, "norm": 2 * jnp.sum(x * x_dot)}

    def vjp(p, g):
        x, (w,) = p["x"], p["w"]
        return {"x": g["product"] @ w.T + 2 * g["norm"] * x, "w": (x.T @ g["product"],)}

    return pair.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def gather() -> Rule:
    """An integer argument."""

    @rule
    def gather(x, index):
        return jnp.sin(x)[index]

    def fwd(x, index):
        return gather.primal(x, index), (x, index)

    def jvp(res, x_dot, index_dot):
        x, index = res
        return (jnp.cos(x) * x_dot)[index]

    def vjp(res, g):
        x, index = res
        return jnp.zeros_like(x).at[index].add(g) * jnp.cos(x), None

    return gather.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def peak() -> Rule:
    """A float and an integer output."""

    @rule
    def peak(x):
        return jnp.max(x, -1), jnp.argmax(x, -1)

    def fwd(x):
        y, index = peak.primal(x)
        return (y, index), (index, jnp.zeros_like(x))

    def jvp(res, x_dot):
        index, _ = res
        return jnp.take_along_axis(x_dot, index[..., None], -1)[..., 0], None

    def vjp(res, g):
        index, zeros = res
        y_bar, _ = g
        return (jnp.put_along_axis(zeros, index[..., None], y_bar[..., None], -1, inplace=False),)

    return peak.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def noise() -> Rule:
    """A random key as an argument."""

    @rule
    def noise(key, x):
        return x * x * jax.random.normal(key, x.shape, x.dtype)

    def fwd(key, x):
        draw = jax.random.normal(key, x.shape, x.dtype)
        return x * x * draw, x * draw

    def jvp(res, key_dot, x_dot):
        return 2 * res * x_dot

    def vjp(res, g):
        return None, 2 * res * g

    return noise.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def turn() -> Rule:
    """A complex product; the pairing has no conjugate."""

    @rule
    def turn(z, w):
        return jnp.exp(z) * w

    def fwd(z, w):
        e = jnp.exp(z)
        return e * w, (e, w)

    def jvp(res, z_dot, w_dot):
        e, w = res
        return e * w * z_dot + e * w_dot

    def vjp(res, g):
        e, w = res
        return e * w * g, e * g

    return turn.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def power() -> Rule:
    """A static option."""

    @rule(static=("n",))
    def power(x, *, n=2):
        return x**n

    def fwd(x, *, n):
        return x**n, x

    def jvp(x, x_dot, *, n):
        return n * x ** (n - 1) * x_dot

    def vjp(x, g, *, n):
        return n * x ** (n - 1) * g

    return power.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def blend() -> Rule:
    """An array argument with a default, and an optional one."""

    @rule
    def blend(x, w, share=0.25, shift=None):
        y = share * x + (1 - share) * w
        return y if shift is None else y + shift

    def fwd(x, w, share, shift):
        return blend.primal(x, w, share, shift), (x, w, share)

    def jvp(res, x_dot, w_dot, share_dot, shift_dot):
        x, w, share = res
        y_dot = share * x_dot + (1 - share) * w_dot + share_dot * (x - w)
        return y_dot if shift_dot is None else y_dot + shift_dot

    def vjp(res, g):
        x, w, share = res
        return share * g, (1 - share) * g, jnp.sum(g * (x - w)).astype(share.dtype), None

    return blend.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def spoken() -> Rule:
    """A primal with a side effect for debugging."""

    @rule
    def spoken(x):
        jax.debug.callback(lambda _: None, x)
        return jnp.sin(x)

    def fwd(x):
        return jnp.sin(x), x

    def jvp(x, x_dot):
        return jnp.cos(x) * x_dot

    def vjp(x, g):
        return jnp.cos(x) * g

    return spoken.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def pushed() -> Rule:
    """A rule with a jvp alone."""
    general = _sine()
    return general.defrule(fwd=general.fwd, jvp=general.jvp)


def pulled() -> Rule:
    """A rule with a vjp alone."""
    general = _sine()
    return general.defrule(fwd=general.fwd, vjp=general.vjp)


def _sine() -> Rule:
    @rule
    def sine(x, w):
        return jnp.sin(x) * w

    def fwd(x, w):
        return jnp.sin(x) * w, (x, w)

    def jvp(res, x_dot, w_dot):
        x, w = res
        return jnp.cos(x) * w * x_dot + jnp.sin(x) * w_dot

    def vjp(res, g):
        x, w = res
        return jnp.cos(x) * w * g, jnp.sum(jnp.sin(x) * g)

    return sine.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def running() -> Rule:
    """The linear door, with a transpose and a static option."""

    @linear(transpose=lambda g, x, axis: jnp.flip(jnp.cumsum(jnp.flip(g, axis), axis), axis), static=("axis",))
    def running(x, axis=-1):
        return jnp.cumsum(x, axis)

    return running


def steps() -> Rule:
    """The linear door, its transpose taken by JAX."""

    @linear
    def steps(x):
        return jnp.diff(x, axis=-1)

    return steps

"""The functions that most rows transform. Rules are made inside functions, so that none enters the registry."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from vjpkit.core import Rule, elementwise, rule

from .kinds import power


def layer() -> Rule:
    """Two arguments; keeps both and the output."""

    @rule
    def layer(x, w):
        return jnp.tanh(x @ w)

    def fwd(x, w):
        y = jnp.tanh(x @ w)
        return y, (x, w, y)

    def jvp(res, x_dot, w_dot):
        x, w, y = res
        return ((1 - y * y) * (x_dot @ w + x @ w_dot)).astype(y.dtype)

    def vjp(res, g):
        x, w, y = res
        z_bar = (1 - y * y) * g
        return (z_bar @ w.T).astype(x.dtype), (x.T @ z_bar).astype(w.dtype)

    return layer.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def wave() -> Rule:
    """One argument, through the elementwise door; keeps the output alone."""

    @elementwise(slope=lambda y: 1 - y * y)
    def wave(x):
        return jnp.tanh(x)

    return wave


def mix() -> Rule:
    """Two arguments that broadcast, through the elementwise door; each slope reads something else."""

    @elementwise(slope=(lambda w: jnp.cos(w), lambda x, w: -x * jnp.sin(w)))
    def mix(x, w):
        return x * jnp.cos(w)

    return mix


def relax() -> Rule:
    """The primal contains a loop, and so do fwd and both maps."""

    @rule
    def relax(x):
        return lax.fori_loop(0, 3, lambda _, s: s + 0.5 * jnp.sin(s), x)

    def fwd(x):
        return lax.scan(lambda s, _: (s + 0.5 * jnp.sin(s), 1 + 0.5 * jnp.cos(s)), x, length=3)

    def jvp(slopes, x_dot):
        return lax.scan(lambda t, slope: (slope * t, None), x_dot, slopes)[0]

    def vjp(slopes, g):
        return lax.scan(lambda t, slope: (slope * t, None), g, slopes, reverse=True)[0]

    return relax.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def newton() -> Rule:
    """A square root by a while loop, which JAX cannot differentiate in reverse."""

    def root(x):
        def improve(state):
            s, _ = state
            better = 0.5 * (s + x / s)
            return better, jnp.max(jnp.abs(better - s))

        return lax.while_loop(lambda state: state[1] > 1e-15, improve, (x / 2 + 0.5, jnp.max(x)))[0]

    @rule
    def newton(x):
        return root(x)

    def fwd(x):
        y = root(x)
        return y, y

    def jvp(y, x_dot):
        return x_dot / (2 * y)

    def vjp(y, g):
        return g / (2 * y)

    return newton.defrule(fwd=fwd, jvp=jvp, vjp=vjp, opaque=True)


def spread() -> Rule:
    """A collective over the axis `i` inside the primal and both maps."""

    @rule
    def spread(x):
        return x * lax.psum(x, "i")

    def fwd(x):
        total = lax.psum(x, "i")
        return x * total, (x, total)

    def jvp(res, x_dot):
        x, total = res
        return x_dot * total + x * lax.psum(x_dot, "i")

    def vjp(res, g):
        x, total = res
        return g * total + lax.psum(g * x, "i")

    return spread.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def named() -> Rule:
    """A residual that carries a name for a checkpoint policy."""

    @rule
    def named(x):
        return jnp.sin(jnp.sin(x))

    def fwd(x):
        inner = checkpoint_name(jnp.sin(x), "inner")
        return jnp.sin(inner), (x, inner)

    def jvp(res, x_dot):
        x, inner = res
        return jnp.cos(inner) * jnp.cos(x) * x_dot

    def vjp(res, g):
        x, inner = res
        return jnp.cos(inner) * jnp.cos(x) * g

    return named.defrule(fwd=fwd, jvp=jvp, vjp=vjp)


def nest() -> Rule:
    """A rule whose fwd and maps call other rules."""
    inner, square = wave(), power()

    @rule
    def nest(x):
        return inner(x) ** 2

    def fwd(x):
        y = inner(x)
        return square(y), y

    def jvp(y, x_dot):
        return 2 * y * (1 - square(y)) * x_dot

    def vjp(y, g):
        return 2 * y * (1 - square(y)) * g

    return nest.defrule(fwd=fwd, jvp=jvp, vjp=vjp)

"""A rule of your own: the logarithm of the hyperbolic cosine, which autodiff of the plain formula cannot do at 1000."""

import jax.numpy as jnp

import vjpkit


@vjpkit.elementwise(slope=lambda x: jnp.tanh(x))  # ẏ = tanh(x) ẋ, and so x̄ = tanh(x) g
def log_cosh(x):
    """log cosh x, without the overflow: |x| + log(1 + e^(−2|x|)) − log 2."""
    return jnp.abs(x) + jnp.log1p(jnp.exp(-2 * jnp.abs(x))) - jnp.log(2.0)


@vjpkit.rule
def weighted_mean(x, w):
    """Σ w x / Σ w over the last axis."""
    return (w * x).sum(-1) / w.sum(-1)


def weighted_mean_fwd(x, w):
    total = w.sum(-1)
    y = (w * x).sum(-1) / total
    return y, (x, w, total, y)


def weighted_mean_jvp(res, x_dot, w_dot):  # ẏ = Σ (w ẋ + (x − y) ẇ) / Σ w
    x, w, total, y = res
    return (w * x_dot + (x - y[..., None]) * w_dot).sum(-1) / total


def weighted_mean_vjp(res, g):  # x̄ = g w / Σ w     w̄ = g (x − y) / Σ w
    x, w, total, y = res
    share = (g / total)[..., None]
    return share * w, share * (x - y[..., None])


weighted_mean.defrule(fwd=weighted_mean_fwd, jvp=weighted_mean_jvp, vjp=weighted_mean_vjp)

"""Batch norm, as in flax: each channel normalised over the batch, in training by its own statistics.

The derivation is that of `channels`; the maps compute h again from x and the statistics.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from vjpkit.core import rule
from vjpkit.nn.channels import Channels, affine, affine_jvp, norm, norm_jvp, norm_vjp
from vjpkit.nn.rows import Axis, axes_of, inverse_root, like


@rule(static=("use_running_average", "axis", "momentum", "epsilon", "axis_name", "dtype"))
def batch_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    mean: Array | None = None,
    var: Array | None = None,
    where: Array | None = None,
    *,
    use_running_average: bool = False,
    axis: Axis = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-5,
    axis_name: Any = None,
    dtype: Any = None,
) -> Array | tuple[Array, Array, Array]:
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted.

        y = h w + b         h = (x − μ) r,  μ = ⟨x⟩,  v = ⟨(x − μ)²⟩,  r = 1 / √(v + ε)

    Args:    x: any real float dtype.  scale: w, bias: b: one number for each channel, 1 and 0 if None.
             mean, var: the running statistics, one number for each channel, or None for both.
             where: bools that broadcast to the shape of x: which entries the statistics are taken of.
             use_running_average: inference: μ and v are the running statistics.
             axis: the channels, an axis or several.  momentum: p, of the running statistics.  epsilon: ε.
             axis_name: the axis of vmap or shard_map over which the batch is divided, if it is.
             dtype: the output's; None: what x, scale and bias promote to.
    Returns: y, the shape of x; in training with running statistics (y, p mean + (1 − p) μ, p var + (1 − p) v).
    Rule:    training: ẏ = w r (ẋ − ⟨ẋ⟩ − h ⟨h ẋ⟩) + h ẇ + ḃ
             x̄ = r (m − ⟨m⟩ − h ⟨h m⟩), m = w g     w̄ = Σ h g     b̄ = Σ g           the sums over all pixels
             inference: ẏ = w r (ẋ − μ̇ − ½ r h v̇) + h ẇ + ḃ
             x̄ = r m     μ̄ = −Σ r m     v̄ = −½ Σ r² h m     w̄ = Σ h g     b̄ = Σ g
             keeps x, and per channel μ and r; sums in float32; devices exchange two numbers per channel.
    Wins:    residuals 2.9× less; temp memory 10000× less alone; temp memory 2.2× less in a stack; temp memory
             2.7× less in a scan; FLOPs 1.4× less alone; finite for ε = 0.
    Edges:   running statistics are a state: in training no gradient goes in or out of them.
             A constant channel: h = 0, x̄ = r (m − ⟨m⟩) with r = 1/√ε; for ε = 0, too, h = 0, and x̄ = 0 (plain: NaN).
             A channel without entries that count: μ = 0, v = 0.
    Raises:  ShapeError, DtypeError where an argument does not fit; DtypeError for integers and complex numbers;
             ValueError for one running statistic without the other, and for inference without them.
    Source:  Ioffe and Szegedy 2015; flax.linen.BatchNorm with use_fast_variance=False: v is over n, not n − 1.
    """
    at = _channels(x, axis, axis_name)
    at.check("batch_norm", x, where, scale=scale, bias=bias, mean=mean, var=var)
    if (mean is None) != (var is None) or (use_running_average and mean is None):
        got = [name for name, a in (("mean", mean), ("var", var)) if a is not None]
        raise ValueError(
            "batch_norm: arguments mean and var do not fit: expected both in inference, both or neither in training, "
            f"got {' '.join(got) or 'neither'}"
        )
    return _batch_norm(at, x, scale, bias, mean, var, where, use_running_average, momentum, epsilon, dtype)[0]


def _channels(x, axis, axis_name):
    channels = axes_of("batch_norm", x.ndim, axis)
    pixels = tuple(a for a in range(x.ndim) if a not in channels)
    return Channels(x.shape, x.shape, pixels, channels, axis_name=axis_name)


def _batch_norm(at, x, scale, bias, mean, var, where, use_running_average, momentum, epsilon, dtype):
    """The output, and what it was normalised by, μ and r."""
    if use_running_average:
        mu, r = at.beside(mean), inverse_root(at.beside(var), epsilon)
        return affine(at, x, (at.view(x) - mu) * r, scale, bias, dtype), mu, r
    y, mu, v, r = norm(at, x, scale, bias, where, epsilon, dtype)
    return y if mean is None else (y, _moved(mean, mu, momentum), _moved(var, v, momentum)), mu, r


def _moved(running, of_batch, momentum):
    """A running statistic after this batch."""
    moved = momentum * running + (1 - momentum) * of_batch.reshape(running.shape)
    return stop_gradient(moved).astype(running.dtype)


def batch_norm_fwd(x, scale, bias, mean, var, where, *, use_running_average, axis, momentum, epsilon, axis_name, dtype):
    at = _channels(x, axis, axis_name)
    y, mu, r = _batch_norm(at, x, scale, bias, mean, var, where, use_running_average, momentum, epsilon, dtype)
    return y, (x, scale, bias, mean, var, where, mu, r)


def batch_norm_jvp(
    res, x_dot, scale_dot, bias_dot, mean_dot, var_dot, where_dot, *, use_running_average, axis, axis_name, dtype, **_
):
    x, scale, bias, mean, var, where, mu, r = res
    at = _channels(x, axis, axis_name)
    if use_running_average:  # ẏ = w r (ẋ − μ̇ − ½ r h v̇) + h ẇ + ḃ
        h = (at.view(x) - mu) * r
        h_dot = r * (at.view(x_dot) - at.beside(mean_dot) - r * h * at.beside(var_dot) / 2)
        return affine_jvp((x, scale, bias, h), h_dot, scale_dot, bias_dot, at=at, dtype=dtype)
    # ẏ = w r (ẋ − ⟨ẋ⟩ − h ⟨h ẋ⟩) + h ẇ + ḃ
    y_dot = norm_jvp((x, scale, bias, where, mu, r), x_dot, scale_dot, bias_dot, at=at, dtype=dtype)
    return y_dot if mean is None else (y_dot, jnp.zeros_like(mean), jnp.zeros_like(var))


def batch_norm_vjp(res, g, *, use_running_average, axis, axis_name, **_):
    x, scale, bias, mean, var, where, mu, r = res
    at = _channels(x, axis, axis_name)
    if use_running_average:  # x̄ = r m, m = w g    μ̄ = −Σ r m    v̄ = −½ Σ r² h m    w̄ = Σ h g    b̄ = Σ g
        h, g = (at.view(x) - mu) * r, at.view(g)
        rw = r if scale is None else r * at.beside(scale)
        g_sum, hg_sum = (v.sum(at.pixels, keepdims=True) for v in (g, h * g))
        mean_bar, var_bar = at.across(-rw * g_sum, mean), at.across(-r * rw * hg_sum / 2, var)
        return like(rw * g, x), at.across(hg_sum, scale), at.across(g_sum, bias), mean_bar, var_bar, None
    # x̄ = r (m − ⟨m⟩ − h ⟨h m⟩), m = w g    w̄ = Σ h g    b̄ = Σ g
    x_bar, scale_bar, bias_bar = norm_vjp((x, scale, bias, where, mu, r), g if mean is None else g[0], at=at)
    mean_bar, var_bar = (None if p is None else jnp.zeros_like(p) for p in (mean, var))
    return x_bar, scale_bar, bias_bar, mean_bar, var_bar, None


batch_norm.defrule(fwd=batch_norm_fwd, jvp=batch_norm_jvp, vjp=batch_norm_vjp, recompute=True)

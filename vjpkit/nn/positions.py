"""Positions told to a model: features turned in pairs by an angle that grows with the position."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from vjpkit.core import DtypeError, ShapeError, rule
from vjpkit.core.answers import show, spec
from vjpkit.nn.arguments import broadcasts_to, floating
from vjpkit.nn.precision import wide


@rule(static=("base", "scale", "interleaved"))
def rotary(
    x: Array, positions: Array, *, base: float = 10000.0, scale: float = 1.0, interleaved: bool = False
) -> Array:
    """Rotary position embedding: each pair of features turned by an angle of its own.

        y = R(θ) x          (y₁, y₂) = (x₁ cos θ − x₂ sin θ, x₂ cos θ + x₁ sin θ),  θ = s p / base^(2i/d)

    Args:    x: [..., t, h, d], any real float dtype, d even: h heads at t positions.
             positions: p, integers that broadcast to [..., t].  base: of the geometric series of wavelengths.
             scale: s, less than 1 to reach beyond the positions of training.
             interleaved: pairs are neighbours (2i, 2i + 1), as in GPT-J; else (i, i + d/2), as in Llama and NeoX.
    Returns: like x; angles and products in float32 at least.
    Rule:    ẏ = R(θ) ẋ     x̄ = R(−θ) g
             linear in x; keeps the positions alone: angles, sines and cosines are computed again.
    Edges:   negative positions turn the other way. In float32 an angle beyond 1e5 has lost its second decimal.
    Raises:  ShapeError where d is odd or positions do not broadcast; DtypeError unless x is float, positions integers.
    Source:  Su et al. 2021.
    """
    floating("rotary", x=x)
    if x.ndim < 3 or x.shape[-1] % 2:
        raise ShapeError(f"rotary: argument x does not fit: expected [..., t, h, d], d even, got {show(spec(x))}")
    if not jnp.issubdtype(jnp.result_type(positions), jnp.integer):
        raise DtypeError(f"rotary: argument positions: expected integers, got {show(spec(positions))}")
    broadcasts_to("rotary", x.shape[:-2], positions=positions)
    return _turned(1, x, positions, base, scale, interleaved)


def _turned(sign, x, positions, base, scale, interleaved):
    """R(±θ) x."""
    d, dtype = x.shape[-1], jnp.promote_types(x.dtype, jnp.float32)
    wavelengths = base ** (jnp.arange(0, d, 2, dtype=dtype) / d)
    angle = sign * scale * positions[..., None, None].astype(dtype) / wavelengths
    pairs = wide(x).reshape(*x.shape[:-1], *((d // 2, 2) if interleaved else (2, d // 2)))
    axis = -1 if interleaved else -2
    x1, x2 = (jnp.squeeze(half, axis) for half in jnp.split(pairs, 2, axis))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis).reshape(x.shape).astype(x.dtype)


def rotary_fwd(x, positions, *, base, scale, interleaved):
    return rotary.primal(x, positions, base=base, scale=scale, interleaved=interleaved), (positions,)


def rotary_jvp(res, x_dot, positions_dot, **options):  # ẏ = R(θ) ẋ
    return _turned(1, x_dot, *res, **options)


def rotary_vjp(res, g, **options):  # x̄ = R(−θ) g
    return _turned(-1, g, *res, **options), None


rotary.defrule(fwd=rotary_fwd, jvp=rotary_jvp, vjp=rotary_vjp)

"""Positions told to a model: features turned by angles, logits lowered by distances, sines and cosines."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vjpkit.core import DtypeError, ShapeError, rule
from vjpkit.nn.arguments import broadcasts_to, floating, integer, misfit, real, shaped
from vjpkit.nn.precision import wide

# ----------------------------------------------------------------------------------------------- rotary


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
    Wins:    residuals 128× less.
    Edges:   negative positions turn the other way. In float32 an angle beyond 1e5 has lost its second decimal.
    Raises:  ShapeError where d is odd or positions do not broadcast; DtypeError unless x is float, positions integers.
    Source:  Su et al. 2021.
    """
    floating("rotary", x=x)
    if x.ndim < 3 or x.shape[-1] % 2:
        raise ShapeError(misfit("rotary", "x", "[..., t, h, d], d even", x))
    integer("rotary", positions=positions)
    broadcasts_to("rotary", x.shape[:-2], positions=positions)
    return _turned(1, x, positions, base, scale, interleaved)


def _turned(sign, x, positions, base, scale, interleaved):
    """R(±θ) x."""
    d, dtype = x.shape[-1], jnp.promote_types(x.dtype, jnp.float32)
    angle = sign * scale * positions[..., None, None].astype(dtype) * _frequencies(d, base, dtype)
    x1, x2 = _apart(wide(x), interleaved)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _side_by_side(x1 * cos - x2 * sin, x2 * cos + x1 * sin, interleaved).astype(x.dtype)


def rotary_fwd(x, positions, *, base, scale, interleaved):
    return rotary.primal(x, positions, base=base, scale=scale, interleaved=interleaved), (positions,)


def rotary_jvp(res, x_dot, positions_dot, **options):  # ẏ = R(θ) ẋ
    return _turned(1, x_dot, *res, **options)


def rotary_vjp(res, g, **options):  # x̄ = R(−θ) g
    return _turned(-1, g, *res, **options), None


rotary.defrule(fwd=rotary_fwd, jvp=rotary_jvp, vjp=rotary_vjp)


def _frequencies(d, base, dtype):
    """1 / base^(2i/d), each rounded once."""
    return jnp.asarray(base ** -(np.arange(0, d, 2) / d), dtype)


def _apart(x, interleaved):
    """The first and the second of every pair of features."""
    axis = -1 if interleaved else -2
    d = x.shape[-1]
    pairs = x.reshape(*x.shape[:-1], *((d // 2, 2) if interleaved else (2, d // 2)))
    return (jnp.squeeze(half, axis) for half in jnp.split(pairs, 2, axis))


def _side_by_side(first, second, interleaved):
    """Pairs of features, from the first and the second of each."""
    *rows, pairs = first.shape
    return jnp.stack([first, second], -1 if interleaved else -2).reshape(*rows, 2 * pairs)


# ------------------------------------------------------------------------------------------------ alibi


@rule
def alibi(logits: Array, slopes: Array | None = None) -> Array:
    """Attention with linear biases: logits lowered by the distance between query and key.

        y[..., n, i, j] = logits[..., n, i, j] − m[n] |i − j|           query i, key j

    Args:    logits: [..., h, q, k], any real float dtype: h heads, q queries, k keys.  Queries are the last q positions
             of k, as in decoding: query r is at i = r + k − q.
             slopes: m, [h], any real float dtype; None: 2^(−8/h), 2^(−16/h), …, 2^(−8), and where h is no power of
             two those of the power p below it, then the 1st, 3rd, … of 2p heads.
    Returns: like logits; computed in float32 at least.
    Rule:    ẏ = l̇ − ṁ |i − j|
             l̄ = g     m̄ = −Σ g |i − j|
             linear in both; keeps nothing: distances are computed again.
    Wins:    temp memory 7.9× less alone; temp memory 7.9× less in a stack; temp memory 1.7× less in a scan.
    Edges:   nothing is masked, later keys lose by their distance too: a causal mask is the caller's.
             −∞, which stands for masked, stays; more queries than keys: the first are at negative positions.
    Raises:  ShapeError where logits have less than three axes or slopes are not [h]; DtypeError unless both are real
             floats.
    Source:  Press et al. 2022 and get_slopes of their published code.
    """
    floating("alibi", logits=logits, slopes=slopes)
    h, *_ = shaped("alibi", "logits", logits, ..., "h", "q", "k")[-3:]
    if slopes is None:
        return _lowered(logits, _slopes(h))
    shaped("alibi", "slopes", slopes, h)
    return _lowered(logits, slopes)


def _lowered(logits, slopes):
    y = wide(logits)
    y = y - slopes[:, None, None].astype(y.dtype) * _distances(y)
    return y.astype(logits.dtype)


def _distances(logits):
    """|i − j|, [q, k]."""
    q, k = logits.shape[-2:]
    i, j = jnp.arange(k - q, k)[:, None], jnp.arange(k)
    return jnp.abs(i - j).astype(logits.dtype)


def _slopes(h):
    """2^(−8 (n + 1) / h); beyond the greatest power of two p in h, every other one of 2p heads."""
    p = 2 ** (h.bit_length() - 1)
    return 2.0 ** (-8 / p * np.concatenate([np.arange(1, p + 1), np.arange(0.5, h - p)])[:h])


@jax.tree_util.register_static
class _Dtypes(tuple):
    """The dtype of slopes, if they are given."""


def alibi_fwd(logits, slopes):
    return alibi.primal(logits, slopes), _Dtypes([] if slopes is None else [slopes.dtype])


def alibi_jvp(res, logits_dot, slopes_dot):  # ẏ = l̇ − ṁ |i − j|
    return logits_dot if slopes_dot is None else _lowered(logits_dot, slopes_dot)


def alibi_vjp(res, g):  # l̄ = g    m̄ = −Σ g |i − j|
    bars = [-(wide(g) * _distances(wide(g))).sum((*range(g.ndim - 3), -2, -1)).astype(dtype) for dtype in res]
    return g, *(bars or [None])


alibi.defrule(fwd=alibi_fwd, jvp=alibi_jvp, vjp=alibi_vjp)


# ------------------------------------------------------------------------------------------- sinusoidal


@rule(static=("features", "base", "interleaved", "dtype"))
def sinusoidal(
    positions: Array, features: int, *, base: float = 10000.0, interleaved: bool = False, dtype: Any = None
) -> Array:
    """Sines and cosines of a position, or of a time, at a geometric series of wavelengths.

        y[..., i] = sin θ,  y[..., i + d/2] = cos θ         θ = p f,  f = 1 / base^(2i/d)

    Args:    positions: p, [...], any real dtype; floats, as the times of a diffusion model, have a derivative.
             features: d, even.  base: of the geometric series of wavelengths.
             interleaved: sin θ at 2i, cos θ at 2i + 1, as in Vaswani et al.; else the sines first.
             dtype: the output's; None: that of positions, float32 where they are integers.
    Returns: [..., d]; angles in float32 at least.
    Rule:    ẏ = (f cos θ, −f sin θ) ṗ     p̄ = Σ f (g₁ cos θ − g₂ sin θ)        g₁, g₂ as sines and cosines stand
             keeps positions alone: angles, sines and cosines are computed again.
    Wins:    residuals 512× less; temp memory 5.9× less in a scan.
    Edges:   p = ±∞: NaN. In float32 an angle beyond 1e5 has lost its second decimal.
             Some codes have 2i/(d − 2) for 2i/d, so that the last wavelength is 2π base itself.
    Raises:  DtypeError for complex positions and unless dtype is a real float; ShapeError unless features is even and
             positive.
    Source:  Vaswani et al. 2017; for times, Ho et al. 2020.
    """
    real("sinusoidal", positions=positions)
    if features < 2 or features % 2:
        raise ShapeError(f"sinusoidal: option features does not fit: expected an even number above 0, got {features}")
    if dtype is None:
        dtype = positions.dtype if jnp.issubdtype(positions.dtype, jnp.floating) else jnp.float32
    if not jnp.issubdtype(dtype, jnp.floating):
        raise DtypeError(f"sinusoidal: option dtype does not fit: expected a real float dtype, got {jnp.dtype(dtype)}")
    theta, _ = _angles(positions, features, base, dtype)
    return _side_by_side(jnp.sin(theta), jnp.cos(theta), interleaved).astype(dtype)


def _angles(positions, features, base, dtype):
    """θ and f, in float32 at least."""
    if jnp.issubdtype(positions.dtype, jnp.floating):
        dtype = jnp.promote_types(dtype, positions.dtype)
    f = _frequencies(features, base, jnp.promote_types(dtype, jnp.float32))
    return positions[..., None].astype(f.dtype) * f, f


def sinusoidal_fwd(positions, **options):
    return sinusoidal.primal(positions, **options), (positions,)


def sinusoidal_jvp(res, positions_dot, *, features, base, interleaved, dtype):  # ẏ = (f cos θ, −f sin θ) ṗ
    (positions,) = res
    dtype = dtype or positions.dtype
    theta, f = _angles(positions, features, base, dtype)
    theta_dot = f * positions_dot[..., None].astype(f.dtype)
    y_dot = _side_by_side(jnp.cos(theta) * theta_dot, -jnp.sin(theta) * theta_dot, interleaved)
    return y_dot.astype(dtype)


def sinusoidal_vjp(res, g, *, features, base, interleaved, dtype):  # p̄ = Σ f (g₁ cos θ − g₂ sin θ)
    (positions,) = res
    theta, f = _angles(positions, features, base, g.dtype)
    g1, g2 = _apart(wide(g), interleaved)
    return (((g1 * jnp.cos(theta) - g2 * jnp.sin(theta)) * f).sum(-1).astype(positions.dtype),)


sinusoidal.defrule(fwd=sinusoidal_fwd, jvp=sinusoidal_jvp, vjp=sinusoidal_vjp)

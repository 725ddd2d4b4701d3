"""The mistakes of the gallery in other clothes: other functions, names and shapes, and two at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tests.diagnosis.drawing import drawn

Fn = Callable[..., Any]


def block(inputs: Any, kernel: Any, bias: Any) -> Any:
    pre = inputs @ kernel + bias
    return jax.nn.silu(pre)


def silu_slope(z: Any) -> Any:
    s = jax.nn.sigmoid(z)
    return s * (1 + z * (1 - s))


def two_at_once(g: Any, inputs: Any, kernel: Any, bias: Any) -> Any:
    d = g * silu_slope(inputs @ kernel + bias)
    return -d @ kernel.T, inputs.T @ g, d.mean(0)


def both_in_one(g: Any, inputs: Any, kernel: Any, bias: Any) -> Any:
    d = g * silu_slope(inputs @ kernel + bias)
    return d @ kernel.T, -2 * inputs.T @ g, d.sum(0)


def attention(q: Any, k: Any, v: Any) -> Any:
    weights = jax.nn.softmax(q @ k.T / jnp.sqrt(q.shape[-1]))
    return weights @ v


def attention_backwards(softmax_bar: Fn, scale: float) -> Fn:
    def formula(g: Any, q: Any, k: Any, v: Any) -> Any:
        p = jax.nn.softmax(q @ k.T / jnp.sqrt(q.shape[-1]))
        s_bar = softmax_bar(p, g @ v.T) * scale
        return s_bar @ k, s_bar.T @ q, p.T @ g

    return formula


def whole_softmax(p: Any, g: Any) -> Any:
    return p * (g - (p * g).sum(-1, keepdims=True))


HEADS = (drawn(3, 5), drawn(7, 5), drawn(7, 2))
BLOCK = (drawn(3, 5), drawn(5, 7), drawn(7))


def rows(a: Any) -> Any:
    return a.mean(-1, keepdims=True)


def norm(x: Any, gamma: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * scale * gamma


def norm_backwards(x_bar: Fn) -> Fn:
    def formula(g: Any, x: Any, gamma: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scale = 1 / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return x_bar(g, gamma, centred * scale, scale), (g * centred * scale).sum(0)

    return formula


VARIED = [
    (
        "two arguments, two mistakes",
        "−δ Wᵀ, Xᵀ g, mean δ",
        block,
        two_at_once,
        BLOCK,
        ("sign", "missing_slope", "mean_for_sum"),
        "",
    ),
    (
        "two mistakes in one argument",
        "−2 Xᵀ g",
        block,
        both_in_one,
        BLOCK,
        ("missing_slope", "sign", "scale"),
        "kernel",
    ),
    (
        "attention without 1/√d",
        "dS K",
        attention,
        attention_backwards(whole_softmax, 1.0),
        HEADS,
        ("scale", "sum_for_mean", "missing_factor"),
        "q",
    ),
    (
        "attention: the softmax's denominator constant",
        "p ⊙ g",
        attention,
        attention_backwards(lambda p, g: p * g, 5**-0.5),
        HEADS,
        ("dropped_path",),
        "q",
    ),
    (
        "layer norm: the mean constant",
        "(γ/σ)(g − x̂ mean(g x̂))",
        norm,
        norm_backwards(lambda g, w, n, s: s * (g * w - n * rows(g * w * n))),
        (drawn(3, 5), drawn(5)),
        ("dropped_path",),
        "x",
    ),
    (
        "layer norm: the variance constant",
        "(γ/σ)(g − mean g)",
        norm,
        norm_backwards(lambda g, w, n, s: s * (g * w - rows(g * w))),
        (drawn(3, 5), drawn(5)),
        ("dropped_path",),
        "x",
    ),
    (
        "layer norm: γ left out",
        "(1/σ)(g − mean g − x̂ mean(g x̂))",
        norm,
        norm_backwards(lambda g, w, n, s: s * (g - rows(g) - n * rows(g * n))),
        (drawn(3, 5), drawn(5)),
        ("missing_factor",),
        "x",
    ),
    (
        "layer norm: mean g subtracted twice",
        "(γ/σ)(g − 2 mean g − …)",
        norm,
        norm_backwards(lambda g, w, n, s: s * (g * w - 2 * rows(g * w) - n * rows(g * w * n))),
        (drawn(3, 5), drawn(5)),
        ("counted_twice",),
        "x",
    ),
    (
        "layer norm: the sign of one term",
        "(γ/σ)(g − mean g + …)",
        norm,
        norm_backwards(lambda g, w, n, s: s * (g * w - rows(g * w) + n * rows(g * w * n))),
        (drawn(3, 5), drawn(5)),
        ("term_sign",),
        "x",
    ),
]

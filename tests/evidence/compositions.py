"""Compositions of the operations that layers are made of, each with the axes of its arguments by letter."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vjpkit import losses, nn


class Composition(NamedTuple):
    """A function and the axes of each argument; `ids` are integers below the length of another letter."""

    f: FunctionType
    axes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.f.__name__

    @property
    def wrt(self) -> tuple[int, ...]:
        return tuple(k for k, a in enumerate(self.axes) if not a.startswith(("int", "bool")))

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The letters of each argument, as `derive` takes names of dimensions."""
        letters = (tuple(c for c in a.partition("<")[0].split() if len(c) == 1) for a in self.axes)
        return dict(zip(inspect.signature(self.f).parameters, letters, strict=True))

    def arguments(self, square: bool) -> tuple[Any, ...]:
        """Random arguments: letters of different primes, or all of them of one length."""
        draw = np.random.default_rng(7)
        letters = sorted({c for a in self.axes for c in a.split() if len(c) == 1 and c != "<"})
        primes = (3, 5, 7, 2, 11, 13)
        size = {c: 3 if square else primes[k] for k, c in enumerate(letters)}
        return tuple(self._drawn(a.split(), size, draw) for a in self.axes)

    @staticmethod
    def _drawn(words: list[str], size: dict[str, int], draw: np.random.Generator) -> Array:
        kind = words[0] if words and len(words[0]) > 1 else "normal"
        shape = [size[c] for c in words if len(c) == 1 and c != "<" and (kind != "int" or c != words[-1])]
        if kind == "int":
            return jnp.asarray(draw.integers(0, size[words[-1]], shape))
        if kind == "bool":
            return jnp.asarray(draw.random(shape) < 0.6)
        positive = kind == "positive"
        return jnp.asarray(draw.uniform(0.5, 2.0, shape) if positive else draw.standard_normal(shape))


def sigma(t: Array) -> Array:
    return 1 / (1 + jnp.exp(-t))


def affine(w: Array, x: Array, b: Array) -> Array:
    return w @ x + b


def layer(w: Array, x: Array, b: Array) -> Array:
    z = w @ x + b
    return sigma(z)


def network(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array, y: Array) -> Array:
    z1 = w1 @ x + b1
    a1 = sigma(z1)
    z2 = w2 @ a1 + b2
    a2 = sigma(z2)
    z3 = w3 @ a2 + b3
    a3 = sigma(z3)
    return jnp.mean((a3 - y) ** 2) / 2


def linear_network(X: Array, W1: Array, W2: Array, W3: Array) -> Array:
    Z1 = W1 @ X
    Z2 = W2 @ Z1
    return W3 @ Z2


def batch_columns(W: Array, X: Array, b: Array) -> Array:
    return W @ X + b[:, None]


def batch_rows(X: Array, W: Array, b: Array) -> Array:
    return X @ W + b


def batch_rows_out_in(X: Array, W: Array, b: Array) -> Array:
    return X @ W.T + b


def batch_columns_in_out(W: Array, X: Array, b: Array) -> Array:
    return W.T @ X + b[:, None]


def perceptron(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    A = jnp.tanh(X @ W1 + b1)
    return A @ W2 + b2


def perceptron_loss(X: Array, W1: Array, W2: Array, Y: Array) -> Array:
    A = jax.nn.relu(X @ W1)
    return jnp.sum((A @ W2 - Y) ** 2) / 2


def half_mean_squared_error(a: Array, y: Array) -> Array:
    return jnp.mean((a - y) ** 2) / 2


def huber(a: Array, y: Array) -> Array:
    r = jnp.abs(a - y)
    return jnp.where(r < 1, r**2 / 2, r - 0.5).mean()


def logistic_loss(w: Array, X: Array, y: Array) -> Array:
    z = X @ w
    return jnp.mean(jax.nn.softplus(z) - y * z)


def cross_entropy(logits: Array, labels: Array) -> Array:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, labels[:, None], 1).mean()


def cross_entropy_of_shares(z: Array, y: Array) -> Array:
    return -(y * jax.nn.log_softmax(z)).sum(-1).mean()


def softmax(x: Array) -> Array:
    return jax.nn.softmax(x)


def softmax_by_hand(x: Array) -> Array:
    e = jnp.exp(x - x.max(-1, keepdims=True))
    s = e.sum(-1, keepdims=True)
    return e / s


def logsumexp(x: Array) -> Array:
    return jax.nn.logsumexp(x, -1)


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    r = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return centred * r * gain + bias


def batch_norm(x: Array, gain: Array, bias: Array) -> Array:
    mean = x.mean(0)
    var = x.var(0)
    return (x - mean) / jnp.sqrt(var + 1e-5) * gain + bias


def rms_norm(x: Array, gain: Array) -> Array:
    return nn.rms_norm(x, gain)


def unit_rows(x: Array) -> Array:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def euclidean_norm(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x**2))


def gated_unit(x: Array, w: Array, v: Array) -> Array:
    u = x @ w
    h = x @ v
    return jax.nn.silu(u) * h


def gelu_layer(x: Array, w: Array) -> Array:
    return nn.gelu(x @ w)


def residual_block(x: Array, w1: Array, w2: Array) -> Array:
    return x + jnp.tanh(x @ w1) @ w2


def attention(q: Array, k: Array, v: Array) -> Array:
    scores = q @ k.T / jnp.sqrt(q.shape[-1])
    p = jax.nn.softmax(scores)
    return p @ v


def batched_attention(q: Array, k: Array, v: Array) -> Array:
    p = jax.nn.softmax(jnp.einsum("btd,bsd->bts", q, k))
    return p @ v


def masked_attention(q: Array, k: Array, v: Array) -> Array:
    scores = q @ k.T
    mask = jnp.tril(jnp.ones(scores.shape, bool))
    return jax.nn.softmax(jnp.where(mask, scores, -1e9)) @ v


def embedding(table: Array, ids: Array) -> Array:
    return table[ids]


def embedded_mean(table: Array, ids: Array, w: Array) -> Array:
    h = table[ids].mean(0)
    return w @ h


def bilinear(x: Array, a: Array, y: Array) -> Array:
    return x @ a @ y


def quadratic_form(x: Array, a: Array) -> Array:
    return x @ a @ x


def gram(x: Array) -> Array:
    return x @ x.T


def trace_of_product(a: Array, b: Array) -> Array:
    return jnp.trace(a @ b)


def weighted_sum(w: Array, x: Array) -> Array:
    return jnp.sum(w * x)


def outer_sum(u: Array, v: Array) -> Array:
    return jnp.tanh(u[:, None] + v[None, :])


def scaled_rows(s: Array, x: Array) -> Array:
    return s[:, None] * x


def broadcast_power(x: Array, p: Array) -> Array:
    return x**p


def largest(x: Array) -> Array:
    return x.max(-1)


def cumulative(x: Array) -> Array:
    return jnp.cumsum(x, 1) ** 2


def joined(x: Array, y: Array, w: Array) -> Array:
    return w @ jnp.concatenate([x, y], 1)


def stacked(x: Array, y: Array) -> Array:
    return jnp.stack([jnp.sin(x), y], 1)


def sliced(x: Array) -> Array:
    return x[1:, ::2] * x[:-1, ::2]


def flattened(x: Array, y: Array) -> Array:
    return jnp.tanh(x).reshape(-1) @ y.reshape(-1)


def merged_heads(x: Array, w: Array) -> Array:
    h = x.reshape(x.shape[0], -1)
    return h @ w.reshape(-1, w.shape[-1])


def transposed_product(x: Array, y: Array) -> Array:
    return jnp.exp(x.T @ y)


def tensor_contraction(a: Array, b: Array) -> Array:
    return jnp.einsum("bij,bjk->bik", a, b)


def sequence_layer(x: Array, w: Array, b: Array) -> Array:
    return jnp.tanh(x @ w + b)


def masked_mean(x: Array, mask: Array) -> Array:
    return jnp.where(mask, x, 0).sum(-1) / mask.sum(-1).clip(1)


def gaussian(x: Array, mean: Array, log_scale: Array) -> Array:
    z = (x - mean) * jnp.exp(-log_scale)
    return jnp.sum(z**2 / 2 + log_scale)


def ratio(x: Array, y: Array) -> Array:
    return jnp.log(x) / (x + y)


def rule_of_rules(x: Array, w: Array, y: Array) -> Array:
    return losses.squared_error(nn.relu(x @ w), y).mean()


COMPOSITIONS = (
    Composition(affine, ("k d", "d", "k")),
    Composition(layer, ("k d", "d", "k")),
    Composition(network, ("i", "j i", "j", "k j", "k", "l k", "l", "l")),
    Composition(linear_network, ("d n", "k d", "l k", "m l")),
    Composition(batch_columns, ("k d", "d n", "k")),
    Composition(batch_rows, ("n d", "d k", "k")),
    Composition(batch_rows_out_in, ("n d", "k d", "k")),
    Composition(batch_columns_in_out, ("d k", "d n", "k")),
    Composition(perceptron, ("n d", "d h", "h", "h k", "k")),
    Composition(perceptron_loss, ("n d", "d h", "h k", "n k")),
    Composition(half_mean_squared_error, ("n", "n")),
    Composition(huber, ("n d", "n d")),
    Composition(logistic_loss, ("d", "n d", "n")),
    Composition(cross_entropy, ("n c", "int n < c")),
    Composition(cross_entropy_of_shares, ("n c", "positive n c")),
    Composition(softmax, ("n c",)),
    Composition(softmax_by_hand, ("n c",)),
    Composition(logsumexp, ("n c",)),
    Composition(layer_norm, ("n d", "d", "d")),
    Composition(batch_norm, ("n d", "d", "d")),
    Composition(rms_norm, ("n d", "d")),
    Composition(unit_rows, ("n d",)),
    Composition(euclidean_norm, ("n",)),
    Composition(gated_unit, ("n d", "d k", "d k")),
    Composition(gelu_layer, ("n d", "d k")),
    Composition(residual_block, ("n d", "d h", "h d")),
    Composition(attention, ("t d", "s d", "s e")),
    Composition(batched_attention, ("b t d", "b s d", "b s e")),
    Composition(masked_attention, ("t d", "s d", "s e")),
    Composition(embedding, ("v d", "int n < v")),
    Composition(embedded_mean, ("v d", "int n < v", "k d")),
    Composition(bilinear, ("m", "m n", "n")),
    Composition(quadratic_form, ("n", "n n")),
    Composition(gram, ("n d",)),
    Composition(trace_of_product, ("m n", "n m")),
    Composition(weighted_sum, ("m n", "m n")),
    Composition(outer_sum, ("m", "n")),
    Composition(scaled_rows, ("m", "m n")),
    Composition(broadcast_power, ("positive m n", "n")),
    Composition(largest, ("m n",)),
    Composition(cumulative, ("m n",)),
    Composition(joined, ("m n", "m n", "k m")),
    Composition(stacked, ("m n", "m n")),
    Composition(sliced, ("m n",)),
    Composition(flattened, ("m n", "n m")),
    Composition(merged_heads, ("t h d", "h d o")),
    Composition(transposed_product, ("n d", "n k")),
    Composition(tensor_contraction, ("b i j", "b j k")),
    Composition(sequence_layer, ("b t d", "d k", "k")),
    Composition(masked_mean, ("n d", "bool n d")),
    Composition(gaussian, ("n d", "d", "d")),
    Composition(ratio, ("positive n", "positive n")),
    Composition(rule_of_rules, ("n d", "d k", "n k")),
)

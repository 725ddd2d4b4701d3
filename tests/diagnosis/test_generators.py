"""Mistakes of kinds that no recogniser was written for: each must follow from a general hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.diagnosis.drawing import drawn
from vjpkit import diagnose

Fn = Callable[..., Any]
A, B, X = drawn(5, 5) + 4 * np.eye(5), drawn(5), drawn(3, 5)
S = A @ A.T
REPEATED = np.array([0, 2, 2, 4, 0, 1])


def solve(a: Any, b: Any) -> Any:
    return jnp.linalg.solve(a, b)


def solve_backwards(a_bar: Fn) -> Fn:
    return lambda g, a, b: (a_bar(g, a, b), jnp.linalg.solve(a.T, g))


def logdet(a: Any) -> Any:
    return jnp.linalg.slogdet(a)[1]


def cholesky(a: Any) -> Any:
    return jnp.linalg.cholesky(a)


def cholesky_backwards(half: Fn, last: Fn) -> Fn:
    def formula(g: Any, a: Any) -> Any:
        low = jnp.linalg.cholesky(a)
        inverse = jnp.linalg.inv(low)
        return last(inverse.T @ half(low.T @ g) @ inverse)

    return formula


def halved(x: Any) -> Any:
    return jnp.tril(x) - 0.5 * jnp.diag(jnp.diag(x))


def symmetric(x: Any) -> Any:
    return (x + x.T) / 2


def recurrent(w: Any, u: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(w @ h + u @ x)
        return h, h

    return jax.lax.scan(step, jnp.zeros(4), xs)[1]


def recurrent_backwards(through_time: bool = True, before: bool = True) -> Fn:
    def formula(g: Any, w: Any, u: Any, xs: Any) -> Any:
        hs = recurrent(w, u, xs)
        read = jnp.concatenate([jnp.zeros((1, 4)), hs[:-1]]) if before else hs

        def step(d: Any, now: Any) -> Any:
            g_t, h, h_read, x = now
            z_bar = (g_t + d * through_time) * (1 - h**2)
            return w.T @ z_bar, (jnp.outer(z_bar, h_read), jnp.outer(z_bar, x), u.T @ z_bar)

        _, (w_bar, u_bar, x_bar) = jax.lax.scan(step, jnp.zeros(4), (g, hs, read, xs), reverse=True)
        return w_bar.sum(0), u_bar.sum(0), x_bar

    return formula


def euler(x: Any, k: Any) -> Any:
    for _ in range(5):
        x = x + 0.1 * jnp.sin(k * x)
    return x


def euler_backwards(g: Any, x: Any, k: Any) -> Any:
    """Each step's identity path is left out."""
    xs = [x]
    for _ in range(4):
        xs.append(xs[-1] + 0.1 * jnp.sin(k * xs[-1]))
    k_bar = 0.0
    for x in reversed(xs):
        k_bar = k_bar + jnp.sum(g * 0.1 * jnp.cos(k * x) * x)
        g = g * 0.1 * k * jnp.cos(k * x)
    return g, k_bar


def norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def norm_backwards(mean: Fn) -> Fn:
    def formula(g: Any, x: Any) -> Any:
        scale = 1 / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        n = (x - x.mean(-1, keepdims=True)) * scale
        return scale * (g - mean(g) - n * mean(g * n))

    return formula


def rotate(x: Any) -> Any:
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([-b, a], -1)


def convolution(x: Any, w: Any) -> Any:
    return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID")


def convolution_backwards(g: Any, x: Any, w: Any) -> Any:
    """The kernel is not flipped."""
    x_bar = jax.lax.conv_general_dilated(g, w.transpose(1, 0, 2, 3), (1, 1), [(1, 1), (2, 2)])
    return x_bar, jax.vjp(lambda w: convolution(x, w), w)[1](g)[0]


def strided(x: Any, w: Any) -> Any:
    return jax.lax.conv_general_dilated(x, w, (2,), "VALID")


def strided_backwards(g: Any, x: Any, w: Any) -> Any:
    """The stride is forgotten in x_bar: no zeros stand between the entries of g."""
    ends = [(w.shape[2] - 1, x.shape[2] - g.shape[2])]
    x_bar = jax.lax.conv_general_dilated(g, jnp.flip(w.transpose(1, 0, 2), 2), (1,), ends)
    return x_bar, jax.vjp(lambda w: strided(x, w), w)[1](g)[0]


def decayed(a: Any, x: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = now[0] * h + now[1]
        return h, h

    return jax.lax.scan(step, jnp.zeros(3), (a, x))[1]


def decayed_backwards(g: Any, a: Any, x: Any) -> Any:
    """What comes back through time is multiplied by the step's own a, not by that of the step after it."""

    def step(d: Any, now: Any) -> Any:
        d = now[0] + now[1] * d
        return d, d

    d = jax.lax.scan(step, jnp.zeros(3), (g, a), reverse=True)[1]
    return d * jnp.concatenate([jnp.zeros((1, 3)), decayed(a, x)[:-1]]), d


def weighted(x: Any, v: Any) -> Any:
    return jax.nn.softmax(x) @ v


def weighted_backwards(g: Any, x: Any, v: Any) -> Any:
    """The weights are left out of the sum, not of what it is subtracted from."""
    p = jax.nn.softmax(x)
    p_bar = g @ v.T
    return p * (p_bar - p_bar.sum(-1, keepdims=True)), p.T @ g


def softmax_without_axis(g: Any, x: Any) -> Any:
    p = jax.nn.softmax(x)
    return p * (g - (g * p).sum(-1))


def gated(x: Any) -> Any:
    a, b = jnp.split(x, 2, -1)
    return a * jnp.exp(b)


def gated_backwards(g: Any, x: Any) -> Any:
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([g * a * jnp.exp(b), g * jnp.exp(b)], -1)


def chain(x: Any, w1: Any, w2: Any, w3: Any) -> Any:
    return w3 @ (w2 @ (w1 @ x))


def chain_backwards(w1_bar: Fn) -> Fn:
    def formula(g: Any, x: Any, w1: Any, w2: Any, w3: Any) -> Any:
        return w1.T @ w2.T @ w3.T @ g, w1_bar(g, x, w2, w3), w3.T @ g @ (w1 @ x).T, g @ (w2 @ w1 @ x).T

    return formula


def dropout(x: Any) -> Any:
    return jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, x.shape), 2 * jnp.sin(x), 0)


def overwritten(g: Any, x: Any, w: Any) -> Any:
    """In NumPy, in a loop over windows: the entries that two of them cover keep the last."""
    x_bar, w_bar = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(g)):
        x_bar[i : i + len(w)] = g[i] * w
        w_bar += g[i] * x[i : i + len(w)]
    return x_bar, w_bar


def accumulating() -> Fn:
    total = {"w": 0.0}

    def formula(g: Any, x: Any, w: Any) -> Any:
        total["w"] = total["w"] + np.asarray(x).T @ np.asarray(g)
        return g @ w.T, total["w"]

    return formula


FOUR = (drawn(4, 4), drawn(4, 4) + 1, drawn(4, 4) * 2, drawn(4, 4) - 1)
WRONG: dict[str, tuple[Fn, Fn, tuple[Any, ...], str, set[str]]] = {
    "solve, not transposed": (
        solve,
        solve_backwards(lambda g, a, b: -jnp.outer(jnp.linalg.solve(a, g), solve(a, b))),
        (A, B),
        "a",
        {"transposed_operand"},
    ),
    "solve, b for x": (
        solve,
        solve_backwards(lambda g, a, b: -jnp.outer(jnp.linalg.solve(a.T, g), b)),
        (A, B),
        "a",
        {"wrong_operand"},
    ),
    "solve, its inverse left out": (
        solve,
        solve_backwards(lambda g, a, b: -jnp.outer(g, solve(a, b))),
        (A, B),
        "a",
        {"missing_factor"},
    ),
    "log det, A for its inverse": (logdet, lambda g, a: g * a.T, (A,), "a", {"wrong_operand"}),
    "Cholesky, the diagonal not halved": (
        cholesky,
        cholesky_backwards(jnp.tril, symmetric),
        (S,),
        "a",
        {"scale"},
    ),
    "Cholesky, not symmetrised": (
        cholesky,
        cholesky_backwards(halved, lambda x: x),
        (S,),
        "a",
        {"symmetrised"},
    ),
    "a long scan, truncated": (
        recurrent,
        recurrent_backwards(through_time=False),
        (drawn(4, 4) / 2, drawn(4, 3), drawn(40, 3)),
        "w",
        {"dropped_path"},
    ),
    "a scan, the state after the step": (
        recurrent,
        recurrent_backwards(before=False),
        (drawn(4, 4) / 2, drawn(4, 3), drawn(5, 3)),
        "w",
        {"wrong_operand"},
    ),
    "a loop, in every step": (euler, euler_backwards, (drawn(3), np.float64(1.3)), "k", {"dropped_path"}),
    "the same mistake twice": (
        norm,
        norm_backwards(lambda a: a.mean((0, 1), keepdims=True)),
        (X,),
        "x",
        {"wrong_axis"},
    ),
    "the wrong number twice": (
        norm,
        norm_backwards(lambda a: a.sum(-1, keepdims=True) / 4),
        (X,),
        "x",
        {"scale"},
    ),
    "a factor at the wrong step": (
        lambda x, s: x + rotate(x) * s,
        lambda g, x, s: (g - rotate(g) * s, g * rotate(x)),
        (drawn(5, 6), drawn(5, 6)),
        "x",
        {"wrong_order"},
    ),
    "a slope that the loss has cancelled": (
        lambda x, y: jnp.sum(jax.nn.softplus(x) - y * x),
        lambda g, x, y: (g * (jax.nn.sigmoid(x) - y) * jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)), -g * x),
        (drawn(7), drawn(7) + 1),
        "x",
        {"extra_slope", "extra_factor"},
    ),
    "a sum of the other argument": (
        lambda x, y: -jnp.sum(y * jax.nn.log_softmax(x)),
        lambda g, x, y: (g * (jax.nn.softmax(x) - y), -g * jax.nn.log_softmax(x)),
        (X, np.abs(X) + 1),
        "x",
        {"missing_factor"},
    ),
    "a division that is missing": (
        lambda x: jnp.sqrt(jnp.sum(x**2, -1)),
        lambda g, x: g[:, None] * x,
        (X,),
        "x",
        {"missing_factor"},
    ),
    "a kernel that is not flipped": (
        convolution,
        convolution_backwards,
        (drawn(2, 3, 5, 7), drawn(5, 3, 2, 3)),
        "x",
        {"flipped"},
    ),
    "axes laid out in the wrong order": (
        lambda x: x.reshape(5, 2, 3).transpose(1, 0, 2),
        lambda g, x: g.reshape(5, 6),
        (drawn(5, 6),),
        "x",
        {"wrong_order"},
    ),
    "a slice that starts elsewhere": (
        lambda x: jnp.pad(x, (1, 2)),
        lambda g, x: g[:-3],
        (drawn(7),),
        "x",
        {"positions_ignored"},
    ),
    "an index of an einsum": (
        lambda q, k: jnp.einsum("hqd,hkd->hqk", q, k),
        lambda g, q, k: (jnp.einsum("hqk,hkd->hqd", g, k), jnp.einsum("hqk,hqd->hqd", g, q)),
        (drawn(2, 3, 4), drawn(2, 3, 4)),
        "k",
        {"wrong_axis"},
    ),
    "a stride that is forgotten": (
        strided,
        strided_backwards,
        (drawn(2, 3, 9), drawn(4, 3, 3)),
        "x",
        {"positions_ignored"},
    ),
    "an index that is not used": (
        lambda x, i: x[i],
        lambda g, x, i: (jnp.zeros_like(x).at[: len(i)].add(g), None),
        (drawn(7, 3), REPEATED),
        "x",
        {"positions_ignored"},
    ),
    "entries that lie elsewhere": (
        lambda x: x[jnp.array([3, 1, 4, 0, 2])] ** 2,
        lambda g, x: (2 * x[jnp.array([3, 1, 4, 0, 2])] * g)[jnp.array([1, 3, 2, 4, 0])],
        (drawn(5),),
        "x",
        {"positions_ignored"},
    ),
    "a recurrence that is one step off": (
        decayed,
        decayed_backwards,
        (drawn(5, 3) / 2, drawn(5, 3)),
        "a",
        {"positions_ignored"},
    ),
    "a factor of one of two uses": (weighted, weighted_backwards, (X, drawn(5, 2)), "x", {"missing_factor"}),
    "an axis that is not kept": (jax.nn.softmax, softmax_without_axis, (drawn(5, 5),), "x", {"wrong_axis"}),
    "halves the wrong way round": (gated, gated_backwards, (drawn(3, 6),), "x", {"wrong_order"}),
    "the factors of a product": (
        chain,
        chain_backwards(lambda g, x, w2, w3: w2.T @ g @ w3.T @ x.T),
        FOUR,
        "w1",
        {"wrong_order"},
    ),
    "the transposes of a product": (
        chain,
        chain_backwards(lambda g, x, w2, w3: w2 @ w3 @ g @ x.T),
        FOUR,
        "w1",
        {"mixed_layout"},
    ),
    "a residual that is not finite there": (
        lambda x: jnp.exp(x) ** 1.5,
        lambda g, x: g * 1.5 * jnp.sqrt(x) * jnp.exp(x),
        (X,),
        "x",
        {"wrong_operand", "slope_at_wrong_point", "missing_slope", "value_for_slope"},
    ),
    "a vector of ones, which gives nothing": (
        jax.nn.log_softmax,
        lambda g, x: 0 * x + 1 - jax.nn.softmax(x).sum(-1, keepdims=True),
        (X,),
        "x",
        {"ignores_cotangent"},
    ),
    "a bound that lies far away": (
        lambda x: jnp.clip(x, -4, 4),
        lambda g, x: g,
        (X / 2,),
        "x",
        {"positions_ignored", "missing_slope"},
    ),
    "a mask where the slope has one": (
        lambda x: jnp.clip(x, -1, 1),
        lambda g, x: g,
        (2 * X,),
        "x",
        {"positions_ignored", "missing_slope"},
    ),
    "a mask of ranks": (
        lambda x: jnp.where((x[:, None] < x).astype(int).sum(1) // 1 < 3, x, 0),
        lambda g, x: g,
        (drawn(7),),
        "x",
        {"positions_ignored"},
    ),
    "a mask drawn anew": (
        dropout,
        lambda g, x: 2 * g * jnp.cos(x) * jnp.where(jax.random.bernoulli(jax.random.key(1), 0.5, x.shape), 1.0, 0.0),
        (X,),
        "x",
        {"random_mask"},
    ),
    "the adjoint for the transpose": (
        lambda x: jnp.fft.fft(x),
        lambda g, x: 7 * jnp.fft.ifft(g),
        (drawn(7) + 1j * drawn(7),),
        "x",
        {"conjugate"},
    ),
    "a loop in NumPy that overwrites": (
        lambda x, w: jnp.correlate(x, w, "valid"),
        overwritten,
        (drawn(9), drawn(3)),
        "x",
        {"overwritten_for_accumulated"},
    ),
    "what earlier calls left": (lambda x, w: x @ w, accumulating(), (X, drawn(5, 2)), "w", {"stale"}),
}


@pytest.mark.parametrize("title", WRONG)
def test_the_mistake_is_named(title: str) -> None:
    f, candidate, args, argument, causes = WRONG[title]
    said = diagnose(f, candidate, *args)
    own = said.of(argument)
    assert {finding.cause for finding in own[:2]} & causes, str(said)


def softmax_as_exp(g: Any, x: Any) -> Any:
    e = jnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) * g - e * (e * g).sum(-1, keepdims=True) / e.sum(-1, keepdims=True) ** 2


@pytest.mark.parametrize(
    ("f", "candidate", "args"),
    [
        (cholesky, cholesky_backwards(halved, symmetric), (S,)),
        (recurrent, recurrent_backwards(), (drawn(4, 4) / 2, drawn(4, 3), drawn(40, 3))),
        (logdet, lambda g, a: g * np.linalg.inv(np.asarray(a)).T, (A,)),
        (lambda x: jax.nn.softmax(x), softmax_as_exp, (np.float32(X),)),
        (solve, solve_backwards(lambda g, a, b: -jnp.linalg.inv(a).T @ jnp.outer(g, b) @ jnp.linalg.inv(a).T), (A, B)),
        (lambda x: x[REPEATED], lambda g, x: jax.nn.one_hot(REPEATED, 5, dtype=x.dtype).T @ g, (drawn(5, 3),)),
    ],
    ids=["Cholesky", "a long scan", "in NumPy", "float32", "other algebra", "one-hot for a scatter"],
)
def test_a_right_formula_is_correct(f: Fn, candidate: Fn, args: tuple[Any, ...]) -> None:
    assert diagnose(f, candidate, *args).causes == ["correct"]

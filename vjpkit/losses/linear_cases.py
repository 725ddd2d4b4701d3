"""The cases of losses that have the output layer in them: whole and in ragged blocks, every option, special tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from vjpkit.core.case import Case, Special
from vjpkit.core.draw import booleans, integers, normal, uniform
from vjpkit.losses.batch_contrasts import clip_loss
from vjpkit.losses.distillation import linear_divergence
from vjpkit.losses.token_likelihoods import linear_cross_entropy, linear_log_probs

INF = np.inf

# ---------------------------------------------------------------------------------- the values, by other means


def _logits(
    h: Any, w: Any, b: Any, *, tied: bool = False, softcap: Any = None, temperature: float = 1.0, **_: Any
) -> Any:
    x = h @ (w.T if tied else w) + (0 if b is None else b)
    return (x if softcap is None else softcap * np.tanh(x / softcap)) / temperature


def _log_probs(h: Any, w: Any, labels: Any, b: Any = None, **options: Any) -> Any:
    log_p = special.log_softmax(_logits(h, w, b, **options), -1)
    return np.take_along_axis(log_p, labels[..., None], -1)[..., 0]


def _cross_entropy(
    h: Any,
    w: Any,
    labels: Any,
    b: Any = None,
    a: Any = None,
    *,
    label_smoothing: float = 0,
    z_loss: float = 0,
    **options: Any,
) -> Any:
    x = _logits(h, w, b, **options)
    classes = x.shape[-1]
    y = (1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes
    losses = -np.sum(y * (1 if a is None else a) * special.log_softmax(x, -1), -1)
    return losses + z_loss * special.logsumexp(x, -1) ** 2


def _clip(u: Any, v: Any, scale: Any, **_: Any) -> Any:
    x = scale * u @ v.T
    return -(np.diag(special.log_softmax(x, 1)) + np.diag(special.log_softmax(x, 0))) / 2


def _divergence(
    h: Any, w: Any, teacher_h: Any, teacher_w: Any, b: Any = None, teacher_b: Any = None, where: Any = None, *,
    beta: float = 0.0, temperature: float = 1.0, tied: bool = False, softcap: Any = None, **_: Any,
) -> Any:  # fmt: skip
    p = special.softmax(_logits(h, w, b, tied=tied, softcap=softcap, temperature=temperature), -1)
    q = special.softmax(_logits(teacher_h, teacher_w, teacher_b, temperature=temperature), -1)
    m = beta * q + (1 - beta) * p
    of_q, of_p = special.rel_entr(q, p if beta == 0 else m).sum(-1), special.rel_entr(p, q if beta == 1 else m).sum(-1)
    losses = of_q if beta == 0 else of_p if beta == 1 else beta * of_q + (1 - beta) * of_p
    return losses if where is None else np.where(where, losses, 0)


# -------------------------------------------------------------------------------------- special tokens, x = h

_REST = 2 * np.exp(-30.0) / (1 + 2 * np.exp(-30.0))  # 1 − p of the confident class

_LARGE = (  # h, k, ℓ, s
    ([1e4, -1e4, 0], 0, 0, [0, 0, 0]),
    ([-1e4, -1e4, -1e4], 1, np.log(3), [1 / 3, -2 / 3, 1 / 3]),
    ([1e4, 1e4, -1e4], 2, 2e4 + np.log(2), [0.5, 0.5, -1]),
)
_LABELS = (
    ([30.0, 0, 0], 0, -np.log1p(-_REST), [-_REST, _REST / 2, _REST / 2]),
    ([0.0, 0, 0], -1, np.log(3), [1 / 3, 1 / 3, -2 / 3]),
    ([0.0, 0, 0], 3, np.nan, [1 / 3, 1 / 3, 1 / 3]),
    ([0.0, 0, 0], -4, np.nan, [1 / 3, 1 / 3, 1 / 3]),
)
_IGNORED = (
    ([0.0, 0, 0], 1, np.log(3), [1 / 3, -2 / 3, 1 / 3]),
    ([np.nan, 0, 0], -100, 0, [0, 0, 0]),
    ([INF, 1, -INF], -100, 0, [0, 0, 0]),
)
_TOKENS = (
    (_LARGE, "±1e4"),
    (_LABELS, "1 − p of 2e−13; a label of −1 is the last, and one that no class has has ℓ NaN but slope p"),
    (_IGNORED, "tokens that do not count, whatever stands in them"),
)
_OUT = (  # b, with h = 0; k, ℓ, s
    ([0, -INF, 0], [0, 1], [np.log(2), INF], [[-0.5, 0, 0.5], [0.5, -1, 0.5]], "a class that b takes out"),
    ([-INF] * 3, [0, 1], [0, 0], [[0] * 3] * 2, "every class taken out: 0"),
)


def _special(sign: int) -> tuple[Special, ...]:
    """At these tokens, for the loss or for the log-probability, which is its negative."""

    def special_point(why: str, h: Any, k: Any, loss: Any, s: Any, b: Any = None) -> Special:
        h, s, loss = np.array(h), sign * np.array(s), sign * np.array(loss, float) + 0.0

        def cotangents(g: Any) -> tuple[Any, ...]:
            x_bar = np.asarray(g)[:, None] * s
            w_bar = np.where(np.isfinite(h), h, 0).T @ x_bar
            return x_bar, w_bar, None, *([] if b is None else [x_bar.sum(0)])

        return Special((h, np.eye(3), np.array(k), *([] if b is None else [np.array(b)])), why, loss, cotangents)

    return (
        *(special_point(why, *zip(*tokens, strict=True)) for tokens, why in _TOKENS),
        *(special_point(why, np.zeros((2, 3)), k, loss, s, b) for b, k, loss, s, why in _OUT),
    )


H, W, B, K = normal(2, 3, 5), normal(5, 11), normal(11), integers(2, 3, high=11)
OF_CLASSES, OF_TOKENS = {"block_size": (7, 3)}, {"block_size": (4, 11)}

_SAME = np.array([[0.3, -0.2, 0.5], [np.nan, 0, 0]])
_PAIRS = np.array([[1.0, 0], [0, 1.0]])


def _alike(log_others: float) -> Any:
    """The cotangents where each pair is alike and x is 30 on the diagonal, 0 elsewhere: 1 − p is e^log_others."""
    s = np.exp(log_others) * np.array([[-1, 1], [1, -1]])

    def cotangents(g: Any) -> tuple[Any, ...]:
        g = np.asarray(g)
        x_bar = s * (g[:, None] + g) / 2
        return 30 * x_bar @ _PAIRS, 30 * x_bar.T @ _PAIRS, np.trace(x_bar)

    return cotangents


CASES: tuple[Case, ...] = (
    Case(linear_cross_entropy, (H, W, K), {}, _special(1), _cross_entropy),
    Case(linear_cross_entropy, (H, W, K, B), OF_TOKENS, reference=_cross_entropy),
    Case(
        linear_cross_entropy,
        (normal(7, 5), normal(11, 5), integers(7, high=11, low=-11), B, uniform(11)),
        {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 3.0, "tied": True, "block_size": 4},
        reference=_cross_entropy,
    ),
    Case(linear_log_probs, (H, W, K), {}, _special(-1), _log_probs),
    Case(
        linear_log_probs,
        (normal(7, 5), normal(11, 5), integers(7, high=11), B),
        {"temperature": 0.7, "softcap": 3.0, "tied": True, **OF_CLASSES},
        reference=_log_probs,
    ),
    Case(
        clip_loss,
        (normal(7, 5), normal(7, 5), uniform(low=0.5, high=3.0)),
        {},
        (
            Special(
                (_PAIRS, _PAIRS, np.array(30.0)),
                "p = 1 in float32: 1 − p is not 0",
                np.log1p(np.exp([-30.0, -30.0])),
                _alike(special.log_expit(-30.0)),
            ),
        ),
        _clip,
    ),
    Case(clip_loss, (normal(7, 3), normal(7, 3), uniform(low=0.5, high=3.0)), {"block_size": (7, 3)}, reference=_clip),
    Case(
        linear_divergence,
        (H, W, normal(2, 3, 7), normal(7, 11)),
        {"temperature": 2.0},
        (
            Special(
                (_SAME, np.eye(3), _SAME, np.eye(3), None, None, np.array([True, False])),
                "student and teacher agree: 0; a token that does not count, whatever stands in it",
                np.zeros(2),
                lambda g: (np.zeros((2, 3)), np.zeros((3, 3)), np.zeros((2, 3)), np.zeros((3, 3)), None, None, None),
            ),
        ),
        _divergence,
    ),
    Case(
        linear_divergence,
        (normal(7, 5), normal(11, 5), normal(7, 3), normal(3, 11), B, normal(11), booleans(7)),
        {"beta": 0.3, "tied": True, "softcap": 3.0, "block_size": 3},
        reference=_divergence,
    ),
    Case(linear_divergence, (normal(3, 5), W, normal(3, 7), normal(7, 11)), {"beta": 1.0}, reference=_divergence),
)

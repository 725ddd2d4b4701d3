"""Divergences of a student's output layer from a teacher's, whose logits never exist as a whole."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import log_softmax

from vjpkit.core import ShapeError, rule
from vjpkit.core.answers import show, spec
from vjpkit.core.chunks import Blocks, over
from vjpkit.losses.arguments import BOOL, bounded, check_dtype, wide
from vjpkit.losses.output_layer import Grid, Layer, check_form, check_layer, part

OPTIONS = ("beta", "temperature", "softcap", "teacher_softcap", "tied", "teacher_tied", "block_size")


@rule(static=OPTIONS)
def linear_divergence(
    h: Array,
    w: Array,
    teacher_h: Array,
    teacher_w: Array,
    b: Array | None = None,
    teacher_b: Array | None = None,
    where: Array | None = None,
    *,
    beta: float = 0.0,
    temperature: float = 1.0,
    softcap: float | None = None,
    teacher_softcap: float | None = None,
    tied: bool = False,
    teacher_tied: bool = False,
    block_size: int | None = None,
) -> Array:
    """How far a student's distribution over classes is from a teacher's, by the output layers of both.

        ℓ = β KL(q ‖ m) + (1 − β) KL(p ‖ m)        m = β q + (1 − β) p;  KL(q ‖ p) for β = 0, KL(p ‖ q) for β = 1
        p = softmax((h W + b)/τ),  q the teacher's

    Args:    h: [..., d], any float dtype.  w: W, [d, C], b: [C], same dtype; the student's, b = 0 if None.
             teacher_h: [..., e], any float dtype.  teacher_w: [e, C], teacher_b: [C], same dtype.
             where: bools [...]: the tokens that count, all if None.
             beta: β in [0, 1]: 0 is distillation, 1 its mode-seeking reverse, between them Jensen and Shannon's.
             temperature: τ, of both.  softcap, teacher_softcap: c, logits being c tanh((h W + b)/c)/τ.
             tied, teacher_tied: w is [C, d], the table of the model's embedding.
             block_size: tokens in a block, at most, each with all its classes. By default few, or all where that is
             not much.
    Returns: [...], float32 or wider.
    Units:   nats per token, not averaged, not multiplied by τ².
    Rule:    s = p (v − Σ p v)     v = (1 − β) ln(p/m); s = p − q for β = 0
             t = q (u − Σ q u)     u = β ln(q/m); t = q − p for β = 1; s and t over τ
             ℓ̇ = Σⱼ sⱼ ẋⱼ + tⱼ ẏⱼ        x, y the logits of student and teacher, times τ
             h̄ = g s Wᵀ     W̄ = Σ hᵀ g s     b̄ = Σ g s     the teacher's with t
             keeps the arguments. Both maps compute the logits again, a block of tokens at a time.
    Wins:    temp memory 18× less; residuals 22× less.
    Edges:   a token that does not count: ℓ = 0 and slopes 0, whatever stands in h and teacher_h.
             p = 0 < q: KL(q ‖ p) = ∞; its slope in the student is still p − q. A class that both lack, by b = −∞ in
             both, counts nothing.
    Raises:  DtypeError if h or teacher_h are not float, a layer's arrays of different dtypes, where not bool;
             ShapeError if a layer's do not fit together, the two differ in classes or tokens, or where in tokens;
             ValueError for beta outside [0, 1], a temperature or softcap or block_size that is not above 0.
    Source:  Hinton et al. 2015; Agarwal et al. 2024 (GKD), whose β this is.
    """
    form: dict[str, Any] = {
        "temperature": temperature,
        "softcap": softcap,
        "teacher_softcap": teacher_softcap,
        "tied": tied,
        "teacher_tied": teacher_tied,
        "block_size": block_size,
    }
    args = h, w, teacher_h, teacher_w, b, teacher_b, where
    _check(*args, beta=beta, **form)
    log_p, log_q = (log_softmax(side.grid.logits(side.layer)) for side in _sides(*args, **form))
    return _counted(jnp.sum(_terms(log_p, log_q, beta), -1), where, h)


def linear_divergence_fwd(*args, beta, **form):  # ℓ = β KL(q ‖ m) + (1 − β) KL(p ‖ m)
    sides = _sides(*args, **form)

    def read(_, nothing, i):
        log_p, log_q = (log_softmax(side.block(i)[1]) for side in sides)
        return jnp.sum(_terms(log_p, log_q, beta), -1), nothing

    loss, _ = _sweep(sides, read, _zeros(sides), ())
    return _counted(loss, args[-1], args[0]), args


def linear_divergence_jvp(
    res, h_dot, w_dot, teacher_h_dot, teacher_w_dot, b_dot, teacher_b_dot, where_dot, *, beta, **form
):  # ℓ̇ = Σ s ẋ + t ẏ
    h, *_, where = res
    sides = _sides(*res, **form)
    moves = _sides(h_dot, w_dot, teacher_h_dot, teacher_w_dot, b_dot, teacher_b_dot, where, **form)

    def push(_, nothing, i):
        (of_p, x), (of_q, y) = (side.block(i) for side in sides)
        p_dots, q_dots = (move.grid.take(move.layer, i, 0) for move in moves)
        x_dot, y_dot = sides[0].grid.logits_dot(of_p, p_dots, x), sides[1].grid.logits_dot(of_q, q_dots, y)
        s, t = _slopes(log_softmax(x), log_softmax(y), beta)
        return jnp.sum(s * x_dot + t * y_dot, -1), nothing

    loss_dot, _ = _sweep(sides, push, _zeros(sides), ())
    return _counted(loss_dot, where, h)


def linear_divergence_vjp(res, g, *, beta, **form):  # h̄ = g s Wᵀ    W̄ = Σ hᵀ g s    b̄ = Σ g s; the teacher's with t
    sides = _sides(*res, **form)
    h, w, teacher_h, teacher_w, b, teacher_b, where = res
    g = (g if where is None else jnp.where(where, g, 0)).reshape(-1, 1)

    def pull(h_bars, layer_bars, i):
        (of_p, x), (of_q, y) = (side.block(i) for side in sides)
        slopes = _slopes(log_softmax(x), log_softmax(y), beta)
        s, t = (side.grid.fresh(slope, i, 0) for side, slope in zip(sides, slopes, strict=True))
        g_i = sides[0].grid.rows(g, i)
        of_student, of_teacher = sides[0].grid.layer_bar(of_p, s, g_i, x), sides[1].grid.layer_bar(of_q, t, g_i, y)
        layer_bars = jax.tree.map(jnp.add, layer_bars, (of_student[1:], of_teacher[1:]))
        return (h_bars[0] + of_student.h, h_bars[1] + of_teacher.h), layer_bars

    zeros = jax.tree.map(lambda a: wide(jnp.zeros_like(a)), [side.layer for side in sides])
    h_bars, layer_bars = _sweep(sides, pull, tuple(z.h for z in zeros), tuple(z[1:] for z in zeros))
    h_bar, teacher_h_bar = (
        (g * a).reshape(like.shape).astype(like.dtype) for a, like in zip(h_bars, (h, teacher_h), strict=True)
    )
    (w_bar, b_bar), (teacher_w_bar, teacher_b_bar) = jax.tree.map(
        lambda bar, a: bar.astype(a.dtype), layer_bars, ((w, b), (teacher_w, teacher_b))
    )
    return h_bar, w_bar, teacher_h_bar, teacher_w_bar, b_bar, teacher_b_bar, None


linear_divergence.defrule(fwd=linear_divergence_fwd, jvp=linear_divergence_jvp, vjp=linear_divergence_vjp, by_fwd=True)


def _terms(log_p, log_q, beta):  # β q ln(q/m) + (1 − β) p ln(p/m)
    """With m − q and m − p added, which cancel in the sum: each term is then ≥ 0, and ℓ near 0 not lost in rounding."""
    p, q, log_m = jnp.exp(log_p), jnp.exp(log_q), _log_mean(log_p, log_q, beta)
    if beta in (0, 1):
        return _weighed(q, log_q - log_p) + p - q if beta == 0 else _weighed(p, log_p - log_q) + q - p
    return beta * _weighed(q, log_q - log_m) + (1 - beta) * _weighed(p, log_p - log_m)


def _slopes(log_p, log_q, beta):  # s = p (v − Σ p v),  t = q (u − Σ q u)
    p, q, log_m = jnp.exp(log_p), jnp.exp(log_q), _log_mean(log_p, log_q, beta)
    s = p - q if beta == 0 else _centred(p, (1 - beta or 1) * (log_p - log_m))
    t = q - p if beta == 1 else _centred(q, (beta or 1) * (log_q - log_m))
    return s, t


def _log_mean(log_p, log_q, beta):  # ln m, of the other where β leaves but one
    if beta in (0, 1):
        return log_p if beta == 0 else log_q
    return jnp.logaddexp(log_q + jnp.log(beta), log_p + jnp.log1p(-beta))


def _weighed(p, v):  # p v, and 0 for p = 0
    return jnp.where(p > 0, p * jnp.where(p > 0, v, 0), 0)


def _centred(p, v):  # p (v − Σ p v)
    weighed = _weighed(p, bounded(v, v.dtype))
    return weighed - p * jnp.sum(weighed, -1, keepdims=True)


# ------------------------------------------------------------------------------------ both layers, by tokens


class _Side(NamedTuple):
    """The student's output layer or the teacher's, in blocks of tokens that have all classes."""

    layer: Layer
    grid: Grid

    def block(self, i):
        """The layer's part there, and its logits."""
        layer = self.grid.take(self.layer, i, 0)
        return layer, self.grid.logits(layer)


# Logits in a block, and in all where one block has them: XLA then computes them once for value and gradient.
ENTRIES = {"cpu": 2**21}
FEW = {"cpu": 2**24}
LARGE = 2**25


def _sides(h, w, teacher_h, teacher_w, b, teacher_b, where, *, temperature, block_size, **of_each):
    tied, teacher_tied = of_each["tied"], of_each["teacher_tied"]
    classes = w.shape[0 if tied else 1]
    platform, n = jax.default_backend(), math.prod(h.shape[:-1])
    few = n * classes <= FEW.get(platform, LARGE)
    most = block_size or max(n if few else ENTRIES.get(platform, LARGE) // max(classes, 1), 1)
    student, teacher = (
        Layer(jnp.where(True if where is None else where.reshape(-1, 1), a.reshape(-1, a.shape[-1]), 0), *rest)
        for a, *rest in ((h, w, b), (teacher_h, teacher_w, teacher_b))
    )
    tokens, whole = Blocks.of(len(student.h), most), Blocks(classes, classes)
    return (
        _Side(student, Grid(tokens, whole, tied, of_each["softcap"], temperature)),
        _Side(teacher, Grid(tokens, whole, teacher_tied, of_each["teacher_softcap"], temperature)),
    )


def _sweep(sides, cell, rows, sums):
    """All blocks of tokens in turn: `cell(rows[i], sums, i)` answers both anew."""
    grid = sides[0].grid

    def turn(so_far, i):
        rows, sums = so_far
        row, sums = part(cell)(grid.rows(rows, i), sums, i)
        return jax.tree.map(lambda a, r: grid.tokens.put(a, i, r, 0), rows, row), sums

    return over(turn, (rows, sums), range(grid.tokens.count))


def _zeros(sides):
    """For each token, in the dtype of the loss."""
    return jnp.zeros(len(sides[0].layer.h), jnp.result_type(*(wide(side.layer.h) for side in sides)))


def _counted(loss, where, h):
    """A loss [n] in the tokens' shape, 0 for those that do not count."""
    loss = loss.reshape(h.shape[:-1])
    return loss if where is None else jnp.where(where, loss, 0)


def _check(h, w, teacher_h, teacher_w, b, teacher_b, where, *, beta, tied, teacher_tied, block_size, **above_0):
    f = "linear_divergence"
    classes = check_layer(f, h, w, b, tied)
    theirs = check_layer(f, teacher_h, teacher_w, teacher_b, teacher_tied, prefix="teacher_")
    check_form(f, block_size, blocks=1, **above_0)
    check_dtype(f, "where", where, BOOL)
    if theirs != classes:
        raise ShapeError(f"{f}: argument teacher_w: expected {classes} classes, as w, got {show(spec(teacher_w))}")
    if teacher_h.shape[:-1] != h.shape[:-1]:
        raise ShapeError(
            f"{f}: argument teacher_h: expected the tokens of h, {[*h.shape[:-1], 'e']}, got {show(spec(teacher_h))}"
        )
    if where is not None and where.shape != h.shape[:-1]:
        raise ShapeError(
            f"{f}: argument where: expected the shape of h without d, {list(h.shape[:-1])}, got {show(spec(where))}"
        )
    if not 0 <= beta <= 1:
        raise ValueError(f"{f}: option beta: expected a number in [0, 1], got {beta!r}")

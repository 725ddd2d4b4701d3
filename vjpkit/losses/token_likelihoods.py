"""Cross-entropy and log-probability of labels under an output layer, whose logits never exist as a whole."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.ad_checkpoint import checkpoint_name
from jax.nn import log_softmax, logsumexp

from vjpkit.core import rule
from vjpkit.losses.arguments import wide
from vjpkit.losses.labelled import Labelled, Targets, check, check_targets
from vjpkit.losses.output_layer import BlockSize, read
from vjpkit.losses.surprisal import Part, marked_surprisal, surprisal

# --------------------------------------------------------------------------------- linear cross-entropy


OPTIONS = ("label_smoothing", "z_loss", "softcap", "ignore_index", "tied", "block_size")


@rule(static=OPTIONS)
def linear_cross_entropy(
    h: Array,
    w: Array,
    labels: Array,
    b: Array | None = None,
    class_weights: Array | None = None,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    ignore_index: int | None = -100,
    tied: bool = False,
    block_size: BlockSize = None,
) -> Array:
    """The surprisal of each token's label under the output layer of a model: layer and loss in one.

        ℓ = Σⱼ yⱼ (lse(x) − xⱼ) + λ lse(x)²        x = h W + b,  yⱼ = aⱼ ((1 − ε) 1[j=k] + ε/C)

    Args:    h: [..., d], any float dtype.  w: W, [d, C], same dtype.  labels: k, [...], any integer dtype.
             b: [C], same dtype; 0 if None.  class_weights: a, [C], any float dtype; 1 if None.
             label_smoothing: ε.  z_loss: λ.  softcap: c, the logits being c tanh((h W + b)/c).
             ignore_index: the label of tokens that do not count.
             tied: w is [C, d], the table of the model's embedding.
             block_size: tokens and classes in a block of logits, at most; one number for both. By default what is
             fast on the platform. Where jit spreads the tokens over devices, a block of all of them is one that
             need not move.
    Returns: [...], float32 or wider: the caller sums, averages or weights.
    Units:   nats per token, not averaged.
    Rule:    s = Y (p − 1ₖ) + ε (A 1ₖ − a/C) + 2 λ lse p        p = softmax(x),  A = Σ a/C,  Y = (1 − ε) aₖ + ε A
             ℓ̇ = Σⱼ sⱼ ẋⱼ + Σⱼ (yⱼ/aⱼ) (lse − xⱼ) ȧⱼ     ẋ = ḣ W + h Ẇ + ḃ, times 1 − (x/c)² if capped
             h̄ = g s Wᵀ     W̄ = Σ hᵀ g s     b̄ = Σ g s     ā = Σ g (y/a) (lse − x)         sums over tokens
             keeps the arguments and three numbers for each token: max x, ln Σ exp(x − max x), and Σ_{j≠k} pⱼ.
             Both maps compute the logits again, block by block. pₖ − 1 is that last sum negated: it keeps its digits
             where pₖ rounds to 1. The numbers bear the name "linear_cross_entropy": inside jax.checkpoint with the
             policy save_only_these_names("linear_cross_entropy") they are not computed again, which spares one of
             five products with W.
    Wins:    temp memory 80× less; residuals 15× less; no array of tokens × classes in value, gradient, tangent
             or Hessian-vector product; on two CPU cores as fast as all logits at once, forward alone 1.3 times.
    Edges:   a token with ignore_index: ℓ = 0 and all its slopes are 0, whatever stands in h, also NaN, and in g.
             k in [−C, 0), ignore_index excepted, counts from the end. Beyond, ℓ is NaN but the slopes are finite, as
             though no class were the label.
             b = −inf takes a class out: p = 0; ℓ = ∞ for it as a label, and for any label with ε > 0.
             Every class taken out: ℓ = 0, slopes 0.
    Raises:  DtypeError if h is not float, w or b of another dtype, labels not integer, class_weights not float;
             ShapeError if d or C differ, or labels are not of the shape of h without d; ValueError for label_smoothing
             outside [0, 1], a softcap that is not above 0, block_size without two positive numbers.
    Source:  Wijmans et al. 2024, Cut Your Losses; torch.nn.functional.cross_entropy for ε, a and ignore_index;
             Chowdhery et al. 2022 for z_loss; Gemma Team 2024 for softcap.
    """
    classes = check("linear_cross_entropy", h, w, labels, b, tied=tied, block_size=block_size, softcap=softcap)
    check_targets("linear_cross_entropy", class_weights, classes, label_smoothing)
    t = Labelled.of(h, w, labels, b, ignore_index=ignore_index, softcap=softcap, tied=tied, block_size=block_size)
    y, x = Targets.of(t, class_weights, label_smoothing), t.grid.logits(t.layer)
    lse = logsumexp(x, -1, keepdims=True)
    own = jnp.take_along_axis(lse - x, t.labels, -1, mode="fill")
    return t.counted(y.loss(own, jnp.sum(y.weights * (lse - x), -1, keepdims=True)) + z_loss * jnp.square(lse))


def linear_cross_entropy_fwd(
    h, w, labels, b, class_weights, *, label_smoothing, z_loss, **form
):  # ℓ = Σ y (lse − x) + λ lse²
    t = Labelled.of(h, w, labels, b, **form)
    y = Targets.of(t, class_weights, label_smoothing)

    def cell(so_far, _, i, j):
        row, total = so_far
        _, x, _ = t.block(i, j)
        if label_smoothing:
            total = total + jnp.sum(t.grid.fresh(y.take(t.grid, i, j).weights * x, i, j), 1, keepdims=True)
        return (read(row, t.grid.fresh(x, i, j, stale=-jnp.inf), t.place(i, j)), total), ()

    nothing = Part.nothing(len(t.labels), wide(h).dtype)
    (part, total), _ = t.grid.sweep(cell, (nothing, nothing.others))
    row = checkpoint_name(part.row(), "linear_cross_entropy")
    own = marked_surprisal(surprisal(part.own, row), row)
    loss = y.loss(own, jnp.sum(y.weights) * row.lse - total) + z_loss * jnp.square(row.lse)
    return t.counted(loss), (h, w, labels, b, class_weights, row)


def linear_cross_entropy_jvp(
    res, h_dot, w_dot, labels_dot, b_dot, weights_dot, *, label_smoothing, z_loss, **form
):  # ℓ̇ = Σ s ẋ + Σ (y/a) (lse − x) ȧ
    *args, class_weights, row = res
    t = Labelled.of(*args, **form)
    y, dots = Targets.of(t, class_weights, label_smoothing), t.dots(h_dot, w_dot, b_dot)

    def push(loss_dot, _, i, j):
        layer, x, marked = t.block(i, j)
        row_i, y_i = t.grid.rows(row, i), y.take(t.grid, i, j)
        terms = y_i.slopes(x, marked, row_i, z_loss) * t.grid.logits_dot(layer, t.grid.take(dots, i, j), x)
        if weights_dot is not None:
            terms = terms + y_i.costs(x, marked, row_i) * t.grid.classes.take(weights_dot, j, 0)
        return loss_dot + jnp.sum(t.grid.fresh(terms, i, j), 1, keepdims=True), ()

    loss_dot, _ = t.grid.sweep(push, jnp.zeros_like(row.peak))
    return jnp.where(t.counts, loss_dot, 0).reshape(t.shape)


def linear_cross_entropy_vjp(
    res, g, *, label_smoothing, z_loss, **form
):  # h̄ = g s Wᵀ    W̄ = Σ hᵀ g s    b̄ = Σ g s    ā = Σ g (y/a) (lse − x)
    h, w, labels, b, class_weights, row = res
    t = Labelled.of(h, w, labels, b, **form)
    y, g = Targets.of(t, class_weights, label_smoothing), t.cotangents(g)

    def pull(h_bar, bars, i, j):
        layer, x, marked = t.block(i, j)
        (row_i, g_i), y_i = t.grid.rows((row, g), i), y.take(t.grid, i, j)
        s = t.grid.fresh(y_i.slopes(x, marked, row_i, z_loss), i, j)
        to_h, to_w, to_b = t.grid.layer_bar(layer, s, g_i, x)
        to_a = None if class_weights is None else g_i[:, 0] @ t.grid.fresh(y_i.costs(x, marked, row_i), i, j)
        return h_bar + to_h, jax.tree.map(jnp.add, bars, (to_w, to_b, to_a))

    h_bar, (w_bar, b_bar, weights_bar) = t.grid.sweep(
        pull, *jax.tree.map(jnp.zeros_like, (wide(t.layer.h), (w, b, class_weights)))
    )
    return (g * h_bar).astype(h.dtype).reshape(h.shape), w_bar, None, b_bar, weights_bar


linear_cross_entropy.defrule(
    fwd=linear_cross_entropy_fwd, jvp=linear_cross_entropy_jvp, vjp=linear_cross_entropy_vjp, by_fwd=True
)


# -------------------------------------------------------------------------------------- linear log-probs


@rule(static=("temperature", "softcap", "ignore_index", "tied", "block_size"))
def linear_log_probs(
    h: Array,
    w: Array,
    labels: Array,
    b: Array | None = None,
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    ignore_index: int | None = -100,
    tied: bool = False,
    block_size: BlockSize = None,
) -> Array:
    """The logarithm of the probability that the output layer of a model gives to each token's label.

        y = ln p[k] = xₖ − lse(x)        x = (h W + b)/τ

    Args:    h: [..., d], any float dtype.  w: W, [d, C], same dtype.  labels: k, [...], any integer dtype.
             b: [C], same dtype; 0 if None.  temperature: τ.  softcap: c, the logits being c tanh((h W + b)/c)/τ.
             ignore_index, tied, block_size: as in linear_cross_entropy.
    Returns: [...], float32 or wider.
    Units:   nats per token.
    Rule:    s = (1ₖ − p)/τ        p = softmax(x)
             ẏ = Σⱼ sⱼ (ḣ W + h Ẇ + ḃ)ⱼ
             h̄ = g s Wᵀ     W̄ = Σ hᵀ g s     b̄ = Σ g s                   s times 1 − (τ x/c)² if capped
             keeps the arguments and three numbers for each token, as linear_cross_entropy, and computes as it does;
             the numbers bear the name "linear_log_probs".
    Wins:    temp memory 17× less; residuals 4.8× less.
    Edges:   as those of linear_cross_entropy: a token with ignore_index has y = 0 and no slope, a label that no class
             has has y = NaN and finite slopes.
    Raises:  DtypeError if h is not float, w or b of another dtype, labels not integer; ShapeError if d or C differ, or
             labels are not of the shape of h without d; ValueError for a temperature or softcap that is not above 0,
             or block_size without two positive numbers.
    Source:  Rafailov et al. 2023 (DPO); Shao et al. 2024 (GRPO); TRL's selective_log_softmax.
    """
    check(
        "linear_log_probs", h, w, labels, b, tied=tied, block_size=block_size, softcap=softcap, temperature=temperature
    )
    form = {"softcap": softcap, "temperature": temperature, "tied": tied}
    t = Labelled.of(h, w, labels, b, ignore_index=ignore_index, block_size=block_size, **form)
    return t.counted(jnp.take_along_axis(log_softmax(t.grid.logits(t.layer)), t.labels, -1, mode="fill"))


def linear_log_probs_fwd(h, w, labels, b, **form):  # y = xₖ − lse(x)
    t = Labelled.of(h, w, labels, b, **form)

    def cell(so_far, _, i, j):
        _, x, _ = t.block(i, j)
        return read(so_far, t.grid.fresh(x, i, j, stale=-jnp.inf), t.place(i, j)), ()

    part, _ = t.grid.sweep(cell, Part.nothing(len(t.labels), wide(h).dtype))
    row = checkpoint_name(part.row(), "linear_log_probs")
    return t.counted(-marked_surprisal(surprisal(part.own, row), row)), (h, w, labels, b, row)


def linear_log_probs_jvp(res, h_dot, w_dot, labels_dot, b_dot, **form):  # ẏ = Σ (1ₖ − p) ẋ
    *args, row = res
    t = Labelled.of(*args, **form)
    dots = t.dots(h_dot, w_dot, b_dot)

    def push(y_dot, _, i, j):
        layer, x, marked = t.block(i, j)
        s = _own_slopes(x, marked, t.grid.rows(row, i))
        terms = s * t.grid.logits_dot(layer, t.grid.take(dots, i, j), x)
        return y_dot + jnp.sum(t.grid.fresh(terms, i, j), 1, keepdims=True), ()

    y_dot, _ = t.grid.sweep(push, jnp.zeros_like(row.peak))
    return jnp.where(t.counts, y_dot, 0).reshape(t.shape)


def linear_log_probs_vjp(res, g, **form):  # h̄ = g (1ₖ − p) Wᵀ    W̄ = Σ hᵀ g (1ₖ − p)    b̄ = Σ g (1ₖ − p)
    h, w, labels, b, row = res
    t = Labelled.of(h, w, labels, b, **form)
    g = t.cotangents(g)

    def pull(h_bar, bars, i, j):
        layer, x, marked = t.block(i, j)
        row_i, g_i = t.grid.rows((row, g), i)
        to_h, *to_classes = t.grid.layer_bar(layer, t.grid.fresh(_own_slopes(x, marked, row_i), i, j), g_i, x)
        return h_bar + to_h, jax.tree.map(jnp.add, bars, tuple(to_classes))

    h_bar, (w_bar, b_bar) = t.grid.sweep(pull, *jax.tree.map(jnp.zeros_like, (wide(t.layer.h), (w, b))))
    return (g * h_bar).astype(h.dtype).reshape(h.shape), w_bar, None, b_bar


linear_log_probs.defrule(fwd=linear_log_probs_fwd, jvp=linear_log_probs_jvp, vjp=linear_log_probs_vjp, by_fwd=True)


def _own_slopes(x, marked, row):  # 1ₖ − p
    return jnp.where(marked, row.others, -jnp.exp(-surprisal(x, row)))

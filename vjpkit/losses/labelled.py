"""Tokens with labels in front of an output layer: which count, and what each pass over their logits begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from vjpkit.core import ShapeError
from vjpkit.core.answers import show, spec
from vjpkit.losses.arguments import FLOAT, INTEGER, bounded, check_dtype, wide
from vjpkit.losses.output_layer import BlockSize, Grid, Layer, check_form, check_layer
from vjpkit.losses.surprisal import Row, marked_surprisal, surprisal


def emptied(h: Array, counts: Array) -> Array:
    """h as [n, d], 0 for tokens that do not count."""
    return jnp.where(counts, h.reshape(-1, h.shape[-1]), 0)


@dataclass(frozen=True)
class Labelled:
    """Tokens in one row, those with `ignore_index` emptied, so that nothing that stands in them spreads."""

    layer: Layer
    grid: Grid
    labels: Array  # [n, 1], from 0; C for those that no class has
    counts: Array  # [n, 1]: whether the label is not ignore_index
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        h: Array,
        w: Array,
        labels: Array,
        b: Array | None,
        *,
        ignore_index: int | None,
        block_size: BlockSize,
        **form: Any,
    ) -> Labelled:
        """Of the arguments and options of a loss."""
        given = labels.reshape(-1, 1).astype(jnp.promote_types(labels.dtype, jnp.int32))
        counts = jnp.full(given.shape, True) if ignore_index is None else given != ignore_index
        layer = Layer(emptied(h, counts), w, b)
        grid = Grid.of(layer, block_size, **form)
        classes = grid.classes.length
        k = jnp.where(given < 0, given + classes, given)
        k = jnp.where((k >= 0) & (k < classes), k, classes)
        return cls(layer, grid, k, counts, labels.shape)

    def block(self, i: Any, j: Any) -> tuple[Layer, Array, Array]:
        """The layer there, its logits, and which of them is a label's."""
        layer = self.grid.take(self.layer, i, j)
        marked = self.grid.classes.places(j) == self.grid.tokens.take(self.labels, i, 0)
        return layer, self.grid.logits(layer), self.grid.fresh(marked, i, j, stale=False)

    def place(self, i: Any, j: Any) -> Array:
        """Where in that block of classes each label is, below 0 or beyond the block if it is not there."""
        return self.grid.tokens.take(self.labels, i, 0) - self.grid.classes.start(j)

    def counted(self, loss: Array) -> Array:
        """A loss [n, 1] in the tokens' shape: NaN for labels that no class has, 0 for tokens that do not count."""
        known = self.labels < self.grid.classes.length
        return jnp.where(self.counts, jnp.where(known, loss, jnp.nan), 0).reshape(self.shape)

    def cotangents(self, g: Array) -> Array:
        """g as [n, 1], 0 for tokens that do not count."""
        return jnp.where(self.counts, g.reshape(-1, 1), 0)

    def dots(self, h_dot: Array, w_dot: Array, b_dot: Array | None) -> Layer:
        """The layer's tangents."""
        return Layer(emptied(h_dot, self.counts), w_dot, b_dot)


class Targets(NamedTuple):
    """y = a ((1 − ε) 1ₖ + ε/C) of all tokens and classes, or of a block of them."""

    own: Array  # aₖ, [n, 1]; 1 for a label that no class has
    weights: Array  # a, [C]
    mean: Array  # A
    smoothing: float  # ε
    share: float  # ε/C

    @classmethod
    def of(cls, t: Labelled, class_weights: Array | None, smoothing: float) -> Targets:
        classes, dtype = t.grid.classes.length, wide(t.layer.h).dtype
        a = jnp.ones(classes, dtype) if class_weights is None else class_weights.astype(dtype)
        own = jnp.take(a, t.labels, mode="fill", fill_value=1)
        return cls(own, a, jnp.mean(a), smoothing, smoothing / max(classes, 1))

    def take(self, grid: Grid, i: Any, j: Any) -> Targets:
        return self._replace(own=grid.rows(self.own, i), weights=grid.classes.take(self.weights, j, 0))

    def loss(self, own: Array, all_weighed: Array) -> Array:
        """Σ y (lse − x) from the label's lse − x and from Σ a (lse − x)."""
        loss = (1 - self.smoothing) * self.own * own
        return loss + self.share * all_weighed if self.smoothing else loss

    def slopes(self, x: Array, marked: Array, row: Row, z_loss: float) -> Array:
        """s = Y (p − 1ₖ) + ε (A 1ₖ − a/C) + 2 λ lse p."""
        p = jnp.exp(-surprisal(x, row))
        mass = (1 - self.smoothing) * self.own + self.smoothing * self.mean
        s = mass * jnp.where(marked, -row.others, p)
        s = s + (self.smoothing * self.mean * marked - self.share * self.weights) if self.smoothing else s
        return s + 2 * z_loss * row.lse * p if z_loss else s

    def costs(self, x: Array, marked: Array, row: Row) -> Array:
        """(y/a) (lse − x)."""
        h = surprisal(x, row)
        h = bounded(jnp.where(marked, marked_surprisal(h, row), h), h.dtype)
        return ((1 - self.smoothing) * marked + self.share) * h


def check(
    function: str, h: Array, w: Array, labels: Array, b: Array | None, *, tied: bool, block_size: BlockSize, **form: Any
) -> int:
    """The number of classes; a named error for what does not fit."""
    classes = check_layer(function, h, w, b, tied)
    check_form(function, block_size, **form)
    check_dtype(function, "labels", labels, INTEGER)
    if labels.shape != h.shape[:-1]:
        raise ShapeError(
            f"{function}: argument labels: expected the shape of h without d, {list(h.shape[:-1])}, "
            f"got {show(spec(labels))}"
        )
    return classes


def check_targets(function: str, class_weights: Array | None, classes: int, label_smoothing: float) -> None:
    check_dtype(function, "class_weights", class_weights, FLOAT)
    if class_weights is not None and class_weights.shape != (classes,):
        raise ShapeError(f"{function}: argument class_weights: expected [{classes}], got {show(spec(class_weights))}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{function}: option label_smoothing: expected a number in [0, 1], got {label_smoothing!r}")

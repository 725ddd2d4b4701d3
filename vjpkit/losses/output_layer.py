"""An output layer and what is made of its logits, x = h W + b for n tokens and C classes, in blocks.

    for each block j of classes, for each block i of tokens:      x = h[i] W[j] + b[j]

A block of logits is computed where it is read, in each pass anew, and is gone with its turn. What a pass gathers for
the tokens grows from one block of classes to the next; what it gathers for a block of classes is done in its turn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vjpkit.core import DtypeError, ShapeError
from vjpkit.core.answers import show, spec
from vjpkit.core.chunks import Blocks, over
from vjpkit.losses.arguments import FLOAT, check_dtype, wide
from vjpkit.losses.surprisal import Part, shifted

BlockSize = int | tuple[int, int] | None

# Logits in a block, as tokens × classes: on a CPU what fits into its caches, elsewhere what keeps the cores at work.
BLOCK = {"cpu": (1024, 1024)}
LARGE_BLOCK = (8192, 4096)

part = functools.partial(
    jax.checkpoint, prevent_cse=False
)  # of a higher order's reverse mode, too, one block at a time


class Layer(NamedTuple):
    """The arrays of an output layer, or of a block of it, or their tangents or cotangents."""

    h: Array  # [n, d]
    w: Array  # [d, C], or [C, d] where the layer is tied
    b: Array | None  # [C]


@dataclass(frozen=True)
class Grid:
    """Blocks of tokens beside blocks of classes, and the form of the logits in them."""

    tokens: Blocks
    classes: Blocks
    tied: bool = False
    softcap: float | None = None
    temperature: float = 1.0

    @classmethod
    def of(cls, layer: Layer, block_size: BlockSize, **form: Any) -> Grid:
        """For this layer and form, in blocks of at most that size."""
        if block_size is None:
            block_size = BLOCK.get(jax.default_backend(), LARGE_BLOCK)
        of_tokens, of_classes = (block_size, block_size) if isinstance(block_size, int) else block_size
        classes = layer.w.shape[0 if form.get("tied") else 1]
        return cls(Blocks.of(len(layer.h), of_tokens), Blocks.of(classes, of_classes), **form)

    @property
    def class_axis(self) -> int:
        """The axis of w that has the classes."""
        return 0 if self.tied else 1

    def take(self, layer: Layer, i: Any, j: Any) -> Layer:
        """The layer's part in block i, j."""
        b = None if layer.b is None else self.classes.take(layer.b, j, 0)
        return Layer(self.tokens.take(layer.h, i, 0), self.classes.take(layer.w, j, self.class_axis), b)

    def rows(self, arrays: Any, i: Any) -> Any:
        """Block i of arrays [n, …]."""
        return jax.tree.map(lambda a: self.tokens.take(a, i, 0), arrays)

    def columns(self, arrays: Any, j: Any) -> Any:
        """Block j of arrays [C, …]."""
        return jax.tree.map(lambda a: self.classes.take(a, j, 0), arrays)

    def fresh(self, x: Array, i: Any, j: Any, *, stale: float = 0.0) -> Array:
        """Block x with `stale` for what a block before it has already."""
        if not (self.tokens.ragged or self.classes.ragged):
            return x
        return jnp.where(self.tokens.fresh(i)[:, None] & self.classes.fresh(j), x, stale)

    def _product(self, h: Array, w: Array) -> Array:  # h W
        return dot(h, w, 1, 1 - self.class_axis)

    def logits(self, layer: Layer) -> Array:  # x = h W + b, or c tanh(x/c), over the temperature
        x = self._product(layer.h, layer.w)
        x = x if layer.b is None else x + layer.b
        x = x if self.softcap is None else self.softcap * jnp.tanh(x / self.softcap)
        return x if self.temperature == 1 else x / self.temperature

    def logits_dot(self, layer: Layer, dots: Layer, x: Array) -> Array:  # ẋ = ḣ W + h Ẇ + ḃ
        x_dot = self._product(dots.h, layer.w) + self._product(layer.h, dots.w)
        return self._slope(x) * (x_dot if dots.b is None else x_dot + dots.b)

    def layer_bar(self, layer: Layer, x_bar: Array, g: Array, x: Array) -> Layer:
        """What g · x̄ sends back: W̄ = (g h)ᵀ x̄, b̄ = Σ g x̄, and h̄ = x̄ Wᵀ, which g is still to multiply.

        g stays out of x̄: it is then multiplied by d features and not C classes, and does not make what is small in
        x̄ vanish in half precision.
        """
        x_bar, gh = self._slope(x) * x_bar, (g * layer.h).astype(layer.h.dtype)
        h_bar = dot(x_bar, layer.w, 1, self.class_axis)
        w_bar = dot(x_bar, gh, 0, 0) if self.tied else dot(gh, x_bar, 0, 0)
        return Layer(h_bar, w_bar, None if layer.b is None else g[:, 0] @ x_bar)

    def _slope(self, x: Array) -> Array | float:  # 1/τ, times 1 − (x τ/c)² if capped
        cap = 1.0 if self.softcap is None else 1 - jnp.square(x * (self.temperature / self.softcap))
        return cap / self.temperature

    def sweep(self, cell: Callable[..., Any], rows: Any, columns: Any = ()) -> tuple[Any, Any]:
        """All blocks in turn: `cell(rows[i], columns[j], i, j)` answers both anew.

        Args:    rows: what is gathered for tokens, arrays [n, …], as it is before.
                 columns: what is gathered for classes, arrays [C] or of the form of w, as it is before; each block
                 of it is in float32 at least and rounded once.
        Returns: the rows and columns after the last block.
        """
        wholes, tree = jax.tree.flatten(columns)
        axes = [self.class_axis if a.ndim == 2 else 0 for a in wholes]

        def turn(so_far: Any, i: Any, j: Any) -> Any:
            rows, block = so_far
            row, block = part(cell)(self.rows(rows, i), block, i, j)
            return jax.tree.map(lambda a, r: self.tokens.put(a, i, r, 0), rows, row), block

        def column(so_far: Any, j: Any) -> Any:
            rows, wholes = so_far
            block = [wide(self.classes.take(a, j, axis)) for a, axis in zip(wholes, axes, strict=True)]
            so_far = rows, jax.tree.unflatten(tree, block)
            rows, columns = over(functools.partial(turn, j=j), so_far, range(self.tokens.count))
            parts = zip(wholes, jax.tree.leaves(columns), axes, strict=True)
            return rows, [self.classes.put(whole, j, b, axis) for whole, b, axis in parts]

        rows, wholes = over(column, (rows, wholes), range(self.classes.count))
        return rows, jax.tree.unflatten(tree, wholes)


def read(so_far: Part, x: Array, k: Array, axis: int = 1) -> Part:
    """What is known of rows, with the classes of x, along this axis, read too.

    What was summed below the old peak shrinks to the new one.

    Args:    k: the place in x of the class that is marked, [n, 1]; below 0 or beyond x where it is in another block.
    """
    laid = jnp.asarray if axis else jnp.transpose
    places, marked = laid(jnp.arange(x.shape[axis])[None]), laid(k)
    peak = jnp.maximum(so_far.peak, jax.lax.stop_gradient(jnp.max(x, axis)[:, None]))
    others = jnp.sum(jnp.where(places == marked, 0, jnp.exp(shifted(x, laid(peak)))), axis)[:, None]
    own = jnp.take_along_axis(x, jnp.clip(marked, 0, x.shape[axis] - 1), axis).reshape(-1, 1)
    here = (k >= 0) & (k < x.shape[axis])
    return Part(
        peak,
        so_far.others * jnp.exp(shifted(so_far.peak, peak)) + others,
        jnp.maximum(so_far.own, jnp.where(here, own, -jnp.inf)),
    )


def dot(a: Array, b: Array, of_a: int, of_b: int) -> Array:
    """Σ over these two axes, in float32 at least."""
    dtype = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
    return jax.lax.dot_general(a, b, (((of_a,), (of_b,)), ((), ())), preferred_element_type=dtype)


def check_layer(function: str, h: Array, w: Array, b: Array | None, tied: bool, prefix: str = "") -> int:
    """The number of classes; a named error for an output layer that does not fit together."""
    check_dtype(function, f"{prefix}h", h, FLOAT)
    for name, a in (("w", w), ("b", b)):
        if a is not None and a.dtype != h.dtype:
            expected = f"{h.dtype}, the dtype of {prefix}h"
            raise DtypeError(f"{function}: argument {prefix}{name}: expected {expected}, got {show(spec(a))}")
    if h.ndim == 0:
        raise ShapeError(f"{function}: argument {prefix}h: expected [..., d], got {show(spec(h))}")
    d, axis = h.shape[-1], 0 if tied else 1
    if w.ndim != 2 or w.shape[1 - axis] != d:
        expected = f"[C, {d}]" if tied else f"[{d}, C]"
        raise ShapeError(f"{function}: argument {prefix}w: expected {expected}, got {show(spec(w))}")
    if b is not None and b.shape != w.shape[axis : axis + 1]:
        raise ShapeError(f"{function}: argument {prefix}b: expected [{w.shape[axis]}], got {show(spec(b))}")
    return w.shape[axis]


def check_form(function: str, block_size: BlockSize, *, blocks: int = 2, **above_0: float | None) -> None:
    """ValueError for an option that makes no sense."""
    sizes = block_size if isinstance(block_size, tuple) and blocks == 2 else (block_size,)
    if block_size is not None and not (len(sizes) in (1, blocks) and all(isinstance(s, int) and s > 0 for s in sizes)):
        expected = "a number above 0" + ", or two of them" * (blocks == 2)
        raise ValueError(f"{function}: option block_size: expected {expected}, got {block_size!r}")
    for name, value in above_0.items():
        if value is not None and not value > 0:
            raise ValueError(f"{function}: option {name}: expected a number above 0, got {value!r}")

"""What a row of the table is, and the fixed operands that the rows share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Factor = Any  # a number, or a pytree of numbers that is a prefix of the result; None where no single factor exists


@dataclass(frozen=True)
class Row:
    """One transformation of one or more functions on fixed operands.

    `build(f)` gets the functions as attributes (`f.layer`, `f.wave`, …, see subjects.py), all rules or all plain
    primals, and returns the transformed result. `factor` is what a rule with jvp scaled by 2 and vjp by 3 makes of
    the primal's result, `opaque` the same for a rule whose fwd is opaque; they differ at higher order only, where
    an opaque rule's own map, and not autodiff of its fwd, moves the residuals. `stock` marks the rows that stock
    `jax.custom_vjp` can run too.
    """

    group: str
    name: str
    build: Callable[[Any], Any]
    factor: Factor
    opaque: Factor
    stock: bool
    tol: float


class Group(list[Row]):
    """The rows of one group."""

    def __init__(self, name: str, *, stock: bool = False) -> None:
        super().__init__()
        self.name, self.stock = name, stock

    def __call__(
        self,
        name: str,
        build: Callable[[Any], Any],
        factor: Factor,
        *,
        opaque: Factor = "as transparent",
        stock: bool | None = None,
        tol: float = 1e-12,
    ) -> None:
        """Add a row."""
        opaque = factor if opaque == "as transparent" else opaque
        self.append(Row(self.name, name, build, factor, opaque, self.stock if stock is None else stock, tol))


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    """Fixed random operands of moderate size."""
    return 0.7 * np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


# Pairwise distinct primes, batch ≥ 2: equal sizes hide transposes, batch 1 hides sums.
X, X_DOT, X_DOT2 = draw(2, 3), draw(2, 3, seed=1), draw(2, 3, seed=2)
W, W_DOT = draw(3, 5), draw(3, 5, seed=1)
V = draw(5, 3)
G = draw(2, 5)
XS, XS_DOT = draw(7, 2, 3), draw(7, 2, 3, seed=1)
WS, WS_DOT = draw(7, 3, 5), draw(7, 3, 5, seed=1)
GS = draw(7, 2, 5)


def weigh(y: Any) -> jax.Array:
    """A real scalar: the sum of all float leaves with fixed random weights, never ones."""
    return sum((_weigh_leaf(leaf) for leaf in jax.tree.leaves(y)), jnp.zeros(()))


def _weigh_leaf(y: jax.Array) -> jax.Array:
    if not jnp.issubdtype(y.dtype, jnp.inexact):
        return jnp.zeros(())
    weights = draw(*y.shape, seed=3)
    if jnp.iscomplexobj(y):
        weights = weights + 1j * draw(*y.shape, seed=4)
    return jnp.real(jnp.sum(jnp.asarray(weights, y.dtype) * y))


def scaled(factor: Factor, tree: Any) -> Any:
    """`tree` with its float leaves scaled by `factor`, a number or a prefix of the tree."""

    def scale(k: float, part: Any) -> Any:
        return jax.tree.map(lambda leaf: k * np.asarray(leaf) if _is_inexact(leaf) else leaf, part)

    return jax.tree.map(scale, factor, tree)


def shows(factor: Factor, tree: Any) -> bool:
    """Whether a result can show its factor: every float part of it that a factor other than 1 scales is not zero."""

    def nonzero(k: float, part: Any) -> bool:
        leaves = [leaf for leaf in jax.tree.leaves(part) if _is_inexact(leaf)]
        return k == 1 or (bool(leaves) and all(np.any(np.asarray(leaf) != 0) for leaf in leaves))

    return all(jax.tree.leaves(jax.tree.map(nonzero, factor, tree)))


def assert_close(got: Any, want: Any, tol: float) -> None:
    """Same structure, shapes and dtypes; values equal relative to each leaf's own scale."""
    got_leaves, got_tree = jax.tree.flatten(got)
    want_leaves, want_tree = jax.tree.flatten(want)
    assert got_tree == want_tree
    for g, w in zip(got_leaves, want_leaves, strict=True):
        if not _is_array(w):
            assert g == w
            continue
        assert g.shape == w.shape
        assert g.dtype == w.dtype
        if not _is_inexact(w):
            assert np.array_equal(g, w)
            continue
        exact = np.complex128 if np.iscomplexobj(w) else np.float64
        error = np.abs(np.asarray(g, exact) - np.asarray(w, exact)).max(initial=0.0)
        scale = np.abs(np.asarray(w, exact)).max(initial=0.0)
        assert math.isfinite(scale)
        assert error <= tol * scale, f"error {error:.3e} at scale {scale:.3e}; got {g}, want {w}"


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def _is_inexact(x: Any) -> bool:
    return _is_array(x) and bool(jnp.issubdtype(x.dtype, jnp.inexact))

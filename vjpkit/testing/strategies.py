"""hypothesis strategies for the arguments of a rule: shapes in which nothing hides, and numbers that are hard."""

from __future__ import annotations

import math
import re
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis.extra import numpy as hnp

from vjpkit.core import Draw

PRIMES = (2, 3, 5, 7, 11, 13)


def prime_shapes(min_dims: int = 0, max_dims: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of pairwise distinct primes: never square, never 1, so that no transpose and no sum can hide."""
    dims = st.lists(st.sampled_from(PRIMES), min_size=min_dims, max_size=max_dims, unique=True)
    return dims.map(tuple)


def special_values(dtype: Any = jnp.float32, *, infinite: bool = False) -> st.SearchStrategy[float]:
    """Numbers at which derivatives go wrong: zeros of both signs, ±1, the least normal, the largest, ±1e4.

    Args:    infinite: ±∞ as well.
    """
    limits = jnp.finfo(dtype)
    magnitudes = [0.0, 1.0, float(limits.tiny), float(limits.eps), 1e4 if float(limits.max) > 1e4 else 1e3]
    if infinite:
        magnitudes.append(math.inf)
    return st.sampled_from([sign * m for m in magnitudes for sign in (1.0, -1.0)])


def arrays(
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    dtype: Any = jnp.float32,
    *,
    scale: float = 10.0,
    special: bool = True,
    infinite: bool = False,
) -> st.SearchStrategy[jax.Array]:
    """Float arrays within ±scale, some of whose entries are special values.

    Args:    shape: a shape, or a strategy of shapes.  dtype: any float dtype, bfloat16 too.
             special: whether special values occur; infinite: whether ±∞ is among them.
    """
    plain = st.floats(-scale, scale, width=32, allow_subnormal=False)
    elements = st.one_of(plain, special_values(dtype, infinite=infinite)) if special else plain
    return hnp.arrays(np.float64, shape, elements=elements).map(lambda a: jnp.asarray(a).astype(dtype))


def arrays_like(x: Any, **options: Any) -> st.SearchStrategy[Any]:
    """Arrays with the shape and dtype of `x`: an array, a draw, a ShapeDtypeStruct, or a pytree of them.

    Integers stay what they are, for what an integer may be only its function knows; an integer draw is drawn.
    """
    leaves, tree = jax.tree.flatten(x, is_leaf=lambda a: isinstance(a, Draw))
    return st.tuples(*(_like(leaf, options) for leaf in leaves)).map(lambda drawn: jax.tree.unflatten(tree, drawn))


def _like(leaf: Any, options: dict[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(leaf, Draw):
        if not leaf.floating:
            return st.integers(0, 2**31 - 1).map(lambda seed: leaf.sample(seed))
        return arrays(leaf.shape, **options)
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return arrays(leaf.shape, leaf.dtype, **options)
    return st.just(leaf)


@st.composite
def arguments(draw: st.DrawFn, *shapes: str, dtype: Any = jnp.float32, **options: Any) -> tuple[jax.Array, ...]:
    """Arguments whose shapes are given in letters, `arguments("b i", "i o", "o")`: each letter a prime of its own.

    Raises:  ValueError where a shape is not made of letters and numbers, or there are more letters than primes.
    """
    words = [s.split() for s in shapes]
    for shape in shapes:
        if not re.fullmatch(r"[\w\s]*", shape):
            raise ValueError(f"arguments: expected a shape such as 'b i', got {shape!r}")
    letters = sorted({w for ws in words for w in ws if not w.isdigit()})
    if len(letters) > len(PRIMES):
        raise ValueError(f"arguments: expected at most {len(PRIMES)} letters, got {len(letters)}: {' '.join(letters)}")
    sizes = dict(zip(letters, draw(st.permutations(PRIMES)), strict=False))
    return tuple(draw(arrays(tuple(int(w) if w.isdigit() else sizes[w] for w in ws), dtype, **options)) for ws in words)

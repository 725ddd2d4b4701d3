"""A second point like the first, random vectors, and the same question at distinct prime shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

SMALL = 2000  # entries of all arrays that can be evaluated a thousand times


def another(a: Any, rng: np.random.Generator) -> Any:
    """Another array of the same kind: signs, zeros, symmetry, and rows that sum to one stay."""
    if not isinstance(a, np.ndarray) or a.dtype.kind == "b" or a.size == 0:
        return a
    return np.asarray(_another(a, rng))


def _another(a: np.ndarray, rng: np.random.Generator) -> Any:
    if a.dtype.kind in "iu":
        return rng.permutation(a.ravel()).reshape(a.shape)
    if (np.unique(a).size == 1 and a.size > 1) or not a.any():
        return a + 0.5 * rng.standard_normal(a.shape)
    if a.size > 1 and a.dtype.kind != "c" and np.all(a * (1 - a) == 0):  # one-hot rows, masks
        return rng.permutation(a) if a.ndim > 1 else a
    u = rng.uniform(-1, 1, a.shape)
    if np.isrealobj(a) and np.all((a > 0) & (a < 1)):
        b = a ** (1 + 0.3 * u)
        rows = a.ndim > 0 and np.allclose(a.sum(-1), 1)
        return b / b.sum(-1, keepdims=True) if rows else b
    b = a * (1 + 0.3 * u)
    generic = a.size > 1 and np.isrealobj(a) and (a > 0).any() and (a < 0).any() and np.all(a != 0)
    square = a.ndim >= 2 and a.shape[-1] == a.shape[-2]
    if generic and not square:
        return rng.permutation(b.ravel()).reshape(a.shape)
    if a.ndim >= 2 and a.shape[-1] == a.shape[-2] and np.allclose(a, a.swapaxes(-1, -2)):
        return (b + b.swapaxes(-1, -2)) / 2
    return b


def remasked(a: Any, rng: np.random.Generator) -> Any:
    """A mask with as many entries, elsewhere; what is no mask as it is."""
    mask = isinstance(a, np.ndarray) and a.dtype.kind == "b"
    return rng.permutation(a.ravel()).reshape(a.shape) if mask else a


def scaled(a: Any, by: float) -> Any:
    """An array of both signs times a number; what has one sign, as a variance or a probability, stays as it is."""
    both = isinstance(a, np.ndarray) and a.dtype.kind == "f" and (a > 0).any() and (a < 0).any()
    return a * by if both else a


def vectors(shapes: Sequence[tuple[tuple[int, ...], Any]], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Random vectors, none of them ones."""
    return tuple(
        (rng.standard_normal(s) + (1j * rng.standard_normal(s) if np.issubdtype(d, np.complexfloating) else 0)).astype(
            d
        )
        for s, d in shapes
    )


def prime_shapes(runs: Callable[[list[Any]], bool], args: list[Any], rng: np.random.Generator) -> list[Any] | None:
    """The arrays at shapes of distinct primes, as far as the function runs there; None where nothing can be changed.

    Equal sizes are taken for one axis first; then each axis, and each pair of axes, is tried with a size of its own.
    """
    axes = [(i, k) for i, a in enumerate(args) if isinstance(a, np.ndarray) for k in range(a.ndim)]
    sizes = sorted({args[i].shape[k] for i, k in axes if args[i].shape[k] > 1})
    primes = [p for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31) if p not in sizes]
    given = {axis: args[axis[0]].shape[axis[1]] for axis in axes}
    now = dict(given)
    limit = max(4 * _entries(args, given), SMALL)

    def drawn(shape_of: dict[tuple[int, int], int]) -> list[Any]:
        return [_at_shape(a, [shape_of[i, k] for k in range(np.ndim(a))], rng) for i, a in enumerate(args)]

    def change(which: list[tuple[int, int]]) -> None:
        trial = now | dict.fromkeys(which, primes[0] if primes else 1)
        if primes and _entries(args, trial) <= limit and runs(drawn(trial)):
            now.update(trial)
            primes.pop(0)

    for n in sizes:
        same = [a for a in axes if given[a] == n]
        alone = [[a] for a in same] if len(same) > 1 else []
        pairs = [[a, b] for j, a in enumerate(same) for b in same[j + 1 :]] if 2 < len(same) <= 5 else []
        for which in (*alone, *pairs, same):
            if all(now[a] == n for a in which):
                change(which)
    return drawn(now) if now != given else None


def _entries(args: list[Any], shape_of: dict[tuple[int, int], int]) -> int:
    """How many entries arrays of these shapes have."""
    return sum(math.prod(shape_of[i, k] for k in range(np.ndim(a))) for i, a in enumerate(args))


def shortened(args: list[Any], lengths: set[int], to: int) -> list[Any] | None:
    """The arrays with the axes of these lengths cut; None where there are none."""
    cut = [a[tuple(slice(to) if n in lengths else slice(None) for n in np.shape(a))] for a in args]
    return cut if any(np.shape(a) != np.shape(b) for a, b in zip(args, cut, strict=True)) else None


def _at_shape(a: Any, shape: list[int], rng: np.random.Generator) -> Any:
    if not isinstance(a, np.ndarray) or list(a.shape) == shape:
        return another(a, rng)
    if a.dtype.kind in "biu":
        low, high = (int(a.min()), int(a.max())) if a.size else (0, 1)
        drawn = rng.integers(low, high + 1, shape)
        return drawn.astype(a.dtype)
    flat = rng.choice(a.ravel(), size=shape) if a.size else np.zeros(shape)
    return another(flat * (1 + 0.1 * rng.standard_normal(shape)) if (a <= 0).any() else flat, rng).astype(a.dtype)


def runs_with(f: Callable[..., Any]) -> Callable[[list[Any]], bool]:
    """Whether a function of arrays can be traced at given ones."""

    def runs(arrays: list[Any]) -> bool:
        try:
            jax.eval_shape(f, *arrays)
        except Exception:
            return False
        return True

    return runs

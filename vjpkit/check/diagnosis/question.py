"""The function, the candidate and the points of a diagnosis, seen as lists of arrays in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.finding import Argument
from vjpkit.check.layout import kind as kind_of
from vjpkit.check.reference import plain

Fn = Callable[..., Any]


@dataclass(frozen=True)
class Probe:
    """Vectors at a point. For a jvp the tangent of one argument alone is not zero."""

    place: int
    vectors: tuple[np.ndarray, ...]
    arm: int | None = None


@dataclass
class Asked:
    """`f` and the formula `candidate(vector, *args)` that is said to be its derivative.

    An *arm* is one differentiable leaf of the arguments: its cotangent, or the output's tangent along it.
    """

    f: Fn
    candidate: Fn
    kind: str
    args: tuple[Any, ...]
    names: Sequence[str]
    arms: list[Argument] = field(init=False)

    def __post_init__(self) -> None:
        leaves, self.tree = jax.tree_util.tree_flatten_with_path(tuple(self.args))
        self.kinds = [kind_of(leaf) for _, leaf in leaves]
        paths = [(self.names[p[0].idx] + jax.tree_util.keystr(p[1:]), p[0].idx) for p, _ in leaves]
        self.leaves = [leaf for _, leaf in leaves]
        self.arrays = [i for i, k in enumerate(self.kinds) if k != "constant"]
        self.moving = [i for i, k in enumerate(self.kinds) if k in ("float", "complex")]
        self.arms = [Argument(*paths[i]) for i in self.moving]
        self.array_names = [paths[i][0] for i in self.arrays]
        self.point = [exact(self.leaves[i]) for i in self.arrays]
        with jax.enable_x64(True):
            out = jax.eval_shape(lambda *a: self.f(*self.rebuilt(a)), *self.point)
        self.outs, self.out_tree = jax.tree.flatten(out)
        self.spoken = [i for i, s in enumerate(self.outs) if np.issubdtype(s.dtype, np.inexact)]

    def rebuilt(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments, of these arrays."""
        leaves = list(self.leaves)
        for i, a in zip(self.arrays, arrays, strict=True):
            leaves[i] = a
        return jax.tree.unflatten(self.tree, leaves)

    def value(self, *arrays: Any) -> list[Any]:
        """The output's float leaves."""
        out = jax.tree.leaves(self.f(*self.rebuilt(arrays)))
        return [out[i] for i in self.spoken]

    def flat_function(self) -> Fn:
        """`value` as plain JAX, with every custom rule taken out."""
        return lambda *a: list(plain(lambda x, _: tuple(self.value(*x)))(a, ()))

    @property
    def active(self) -> list[int]:
        """The places of the differentiable leaves among the arrays."""
        return [self.arrays.index(i) for i in self.moving]

    def vector_shapes(self) -> list[tuple[tuple[int, ...], Any]]:
        """Shape and dtype of each vector: a cotangent per output, or a tangent per arm."""
        if self.kind == "vjp":
            return [(s.shape, s.dtype) for s in (self.outs[i] for i in self.spoken)]
        return [(np.shape(self.point[a]), self.point[a].dtype) for a in self.active]

    def units(self, which: Iterable[int], most: int | None = None) -> Iterator[list[np.ndarray]]:
        """The vectors that are one at a single entry, of one of those that `which` names, and zero elsewhere.

        Of more than `most` of them every so many.
        """
        zeros = [np.zeros(shape, dtype) for shape, dtype in self.vector_shapes()]
        places = [(j, n) for j in which for n in range(zeros[j].size)]
        step = math.ceil(len(places) / most) if places and most else 1
        for j, n in places[::step]:
            vectors = [a.copy() for a in zeros]
            vectors[j].flat[n] = 1
            yield vectors

    def vector(self, vectors: Sequence[Any]) -> Any:
        """What the candidate is handed: `g` like the output, or `dots` like the arguments."""
        each = iter(vectors)
        if self.kind == "vjp":
            return jax.tree.unflatten(
                self.out_tree, [next(each) if i in self.spoken else None for i in range(len(self.outs))]
            )
        return jax.tree.unflatten(
            self.tree, [next(each) if i in self.moving else None for i in range(len(self.leaves))]
        )

    def select(self, k: int, outputs: Sequence[Any]) -> Any:
        """The part of a program's answer that belongs to an arm."""
        if self.kind == "vjp":
            return outputs[k]
        return outputs[0] if len(outputs) == 1 else np.concatenate([np.ravel(a) for a in outputs])

    def derivative(self, f: Fn) -> Fn:
        """(arrays…, vectors…) ↦ answers, of a function of arrays."""
        n, active = len(self.arrays), self.active

        def along(arrays: Sequence[Any]) -> tuple[Fn, list[Any]]:
            def g(*moving: Any) -> Any:
                a = list(arrays)
                for i, m in zip(active, moving, strict=True):
                    a[i] = m
                return f(*a)

            return g, [arrays[i] for i in active]

        def reverse(*inputs: Any) -> list[Any]:
            g, x = along(inputs[:n])
            return list(jax.vjp(g, *x)[1](list(inputs[n:])))

        def forward(*inputs: Any) -> list[Any]:
            g, x = along(inputs[:n])
            return list(jax.jvp(g, tuple(x), tuple(inputs[n:]))[1])

        return reverse if self.kind == "vjp" else forward


def exact(leaf: Any) -> Any:
    """An array in double precision; keys stay as they are."""
    if jax.dtypes.issubdtype(getattr(leaf, "dtype", np.float64), jax.dtypes.extended):
        return leaf
    a = np.asarray(leaf)
    if a.dtype.kind in "fV" or a.dtype.name.startswith(("bfloat", "float")):
        return a.astype(np.float64)
    return a.astype(np.complex128) if a.dtype.kind == "c" else a

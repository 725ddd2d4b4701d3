"""How far rounding alone moves an answer, entry by entry: stochastic arithmetic.

Every operation that rounds has its result nudged by a random multiple of its dtype's eps, and a sum also its
terms, as long sums round often. What moves, over a few runs, is the rounding error of the computation as it
was written: cancellation inside a formula and conditioning of a sum show at the entry where they strike, and
nowhere else. The nudges are 2¹⁰ eps, and the spread is divided by that again, so that they are not themselves
lost to rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vjpkit.check.compiling import Program, worthwhile
from vjpkit.check.evaluating import Evaluation
from vjpkit.check.jaxprs import scan_sizes
from vjpkit.check.layout import Point
from vjpkit.check.modes import CALLS, scope

AMPLIFIED = 2.0**10
_OFFSETS = 4093  # a prime: the places in the table where an operation's nudges begin


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_EXACT = _names("""
    abs argmax argmin and bitcast_convert_type broadcast broadcast_in_dim ceil clamp concatenate conj copy copy_p
    complex cummax cummin dynamic_slice dynamic_update_slice eq expand_dims floor gather ge gt imag iota is_finite le
    lt max min ne neg not optimization_barrier or pad pcast pvary real reduce_and reduce_max reduce_min reduce_or
    reduce_window_max reshape rev round scatter select_n sign slice sort split squeeze stop_gradient top_k transpose
    xor""")
_SUMS = _names("""
    add_any conv_general_dilated cumlogsumexp cumprod cumsum dot_general fft psum reduce_prod reduce_sum
    reduce_window reduce_window_sum scatter-add scatter_add select_and_scatter_add""")
_SOLVERS = _names("""
    cholesky custom_linear_solve eig eigh geqrf hessenberg householder_product lu qr schur svd triangular_solve
    tridiagonal tridiagonal_solve""")


class Nudged:
    """Programs run with nudges: `spread(inputs)` is how far each entry of each answer moves through rounding."""

    def __init__(self, *programs: Callable[..., Any]) -> None:
        self._programs = [Program(program) for program in programs]
        self._compiled = Program(self._run)

    def _run(self, table: jax.Array, *inputs: Any) -> list[Any]:
        return [
            _Traced(table, 1009 * k)(jaxpr, jax.tree.leaves(inputs)) for k, jaxpr in enumerate(self._traced(inputs))
        ]

    def _traced(self, inputs: Sequence[Any]) -> list[Any]:
        return [program.traced(*inputs).jaxpr for program in self._programs]

    def ahead(self, at: Point, entries: int, *vectors: Any) -> None:
        """Begin the programs, for a spread that is to come; `entries` are those of the largest answer."""
        inputs = (at.x, at.fixed, *vectors)
        with scope(at), suppress(Exception):  # which the call raises again
            if not worthwhile(self._programs, CALLS, inputs):
                self._compiled.ahead(self._table(0, inputs, entries), *inputs)

    def spread(
        self, at: Point, seeds: Sequence[int], bases: Sequence[Sequence[np.ndarray]], *vectors: Any
    ) -> list[list[np.ndarray]]:
        """For each program, the largest move of each entry over the seeds; `bases` are the answers unmoved."""
        inputs = (at.x, at.fixed, *vectors)
        entries = max((b.size for base in bases for b in base), default=1)
        moves = [[np.zeros(b.shape) for b in base] for base in bases]
        for seed in seeds:
            with scope(at):
                answers = self._answers(self._table(seed, inputs, entries), inputs)
            for move, base, answer in zip(moves, bases, answers, strict=True):
                for i, (b, a) in enumerate(zip(base, answer, strict=True)):
                    with np.errstate(all="ignore"):
                        move[i] = np.fmax(move[i], np.abs(np.asarray(a).astype(np.float64) - b) / AMPLIFIED)
        return moves

    def _answers(self, table: np.ndarray, inputs: Sequence[Any]) -> list[Any]:
        if worthwhile(self._programs, CALLS, inputs):
            leaves = jax.tree.leaves(inputs)
            with suppress(Exception):  # whatever an equation raises that stands alone
                return [_Nudging(table, 1009 * k)(jaxpr, leaves) for k, jaxpr in enumerate(self._traced(inputs))]
        return self._compiled(table, *inputs)

    def _table(self, seed: int, inputs: Any, entries: int) -> np.ndarray:
        largest = max(entries, *(np.size(a) for a in jax.tree.leaves(inputs)))
        return np.random.default_rng(seed).uniform(-1, 1, _OFFSETS + 8 * largest)


class _Nudging(Evaluation):
    """One evaluation with nudges from a table of uniform numbers in [-1, 1]."""

    def __init__(self, table: Any, salt: int) -> None:
        super().__init__()
        self._table, self._count = table, salt

    def operation(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        name = eqn.primitive.name
        weight = 1.0
        if name in _SUMS:
            weight = math.sqrt(_terms(eqn))
            inputs = [self._nudge(x, weight) for x in inputs]
        elif name in _SOLVERS:
            weight = math.sqrt(max((v.aval.size for v in eqn.invars), default=1))
            inputs = [self._nudge(x, weight, whole=True) for x in inputs]
        out = self.exactly(eqn, inputs)
        if name in _EXACT or (name == "convert_element_type" and not _narrows(eqn)):
            return out
        return [self._nudge(y, weight) for y in out]

    def exactly(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        """What the operation gives without nudges."""
        return super().operation(eqn, inputs)

    def _nudge(self, x: Any, weight: float, whole: bool = False) -> Any:
        """x (1 + 2¹⁰ eps u), or, for an array whose entries round together, x + 2¹⁰ eps u max|x|."""
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return x
        eps = float(jnp.finfo(x.dtype).eps)
        real = jnp.finfo(x.dtype).dtype
        self._count += 1
        start = (self._count * 1987) % _OFFSETS
        if start + x.size > self._table.size:
            u = self._table[start + np.arange(x.size) % (self._table.size - start)]
        else:
            u = self._table[start : start + x.size]
        u = (AMPLIFIED * eps * weight * u).reshape(x.shape)
        if whole:
            return x + (u * abs(x).max(initial=0.0)).astype(real)
        return x * (1 + u).astype(real)


class _Traced(_Nudging):
    """The same in JAX, to be compiled: loops stay loops, every step nudged alike, and a while loop is one operation."""

    def exactly(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        out = eqn.primitive.bind(*inputs, **eqn.params)
        return list(out) if eqn.primitive.multiple_results else [out]

    def scan(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        p = eqn.params
        n, m = scan_sizes(p)
        consts, carry, xs = inputs[:n], inputs[n : n + m], inputs[n + m :]

        def body(carry: Any, x: Any) -> tuple[Any, Any]:
            out = self.run(p["jaxpr"], [*consts, *carry, *x])
            return out[:m], out[m:]

        carry, ys = lax.scan(body, carry, xs, length=p["length"], reverse=p["reverse"])
        return [*carry, *ys]

    def loop(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        return self.operation(eqn, inputs)

    def branch(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        branches = [functools.partial(lambda b, *a: self.run(b, a), b) for b in eqn.params["branches"]]
        return lax.switch(inputs[0], branches, *inputs[1:])


def _terms(eqn: Any) -> int:
    """How many terms a sum adds, about."""
    if eqn.primitive.name == "dot_general":
        ((contracted, _), _) = eqn.params["dimension_numbers"]
        return max(1, math.prod(eqn.invars[0].aval.shape[i] for i in contracted))
    if eqn.primitive.name == "conv_general_dilated":
        return max(1, min(v.aval.size for v in eqn.invars))
    if eqn.primitive.name.startswith("cum"):
        return max(1, eqn.invars[0].aval.shape[eqn.params["axis"]])
    inputs = max((v.aval.size for v in eqn.invars), default=1)
    return max(1, inputs // max(1, eqn.outvars[0].aval.size)) + len(eqn.invars) - 1


def _narrows(eqn: Any) -> bool:
    a, b = eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype
    if not (jnp.issubdtype(a, jnp.inexact) and jnp.issubdtype(b, jnp.inexact)):
        return False
    return bool(jnp.finfo(b).eps > jnp.finfo(a).eps)

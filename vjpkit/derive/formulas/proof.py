"""Formulas computed and held against `jax.vjp`: at the arguments, and at random ones near them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.formulas.arrays import Numbers
from vjpkit.derive.formulas.differential import Differential, Moves
from vjpkit.derive.formulas.notations import Notation, Right
from vjpkit.derive.formulas.reading import Reading
from vjpkit.derive.program import Value

TOLERANCE = 1e-9  # in double precision, relative to the largest entry
Lines = Mapping[Value, Right]


class Point(NamedTuple):
    """Everything that the function computes there, a cotangent of its output, and the true derivatives."""

    values: dict[Value, Any]
    g: Any
    truth: dict[Value, Any]


class Proof:
    """The truth about one function, at two points."""

    def __init__(self, name: str, flat: Callable[..., list[Any]], reading: Reading, leaves: Sequence[Any]) -> None:
        self.flat, self.reading, self.leaves = flat, reading, leaves
        draw = np.random.default_rng(0)
        points = [self._point(leaves, draw), self._point([_near(np.asarray(x), draw) for x in leaves], draw)]
        self.points = [p for p in points if all(np.isfinite(x).all() for x in p.truth.values())]
        if not self.points:
            raise DeriveError(f"derive: the derivative of {name} is not finite at its arguments")

    def tolerance(self) -> float:
        """What rounding leaves of a right formula."""
        made = (v.dtype for e in self.reading.program.equations for v in e.outputs)
        eps = [float(jnp.finfo(t).eps) for t in made if jnp.issubdtype(t, jnp.floating)]
        return max(TOLERANCE, min(0.1, 1000 * max(eps, default=0.0)))

    def error(self, notation: Notation, lines: Lines) -> float:
        """The largest difference from the truth, relative to its own scale; of steps that do not agree, too."""
        return max(self._error(notation, lines, point) for point in self.points)

    def computed(self, notation: Notation, lines: Lines, values: dict[Value, Any], g: Any) -> Numbers:
        """The lines, one after the other."""
        bars: dict[Value, Any] = {self.reading.out: notation.represent(g)}
        at = Numbers(values, bars)
        for v, right in lines.items():
            bars[v] = notation.kept(right.numbers(at), v)
        return at

    def values(self) -> dict[Value, Any]:
        """Everything that the function computes at the arguments."""
        with jax.enable_x64(True):
            return self.reading.numbers(self.leaves)

    def _error(self, notation: Notation, lines: Lines, point: Point) -> float:
        at = self.computed(notation, lines, point.values, point.g)
        errors = []
        for v, true in point.truth.items():
            scale = np.abs(true).max(initial=0.0) or 1.0
            errors.append(float(np.abs(notation.argument(at.bars[v], v) - true).max(initial=0.0) / scale))
        if isinstance(notation, Differential):
            moved = Numbers(at.values, at.bars, notation.dots(1))
            errors += [right.disagreement(moved) for right in lines.values() if isinstance(right, Moves)]
        return max(errors)

    def _point(self, leaves: Sequence[Any], draw: np.random.Generator) -> Point:
        g = draw.standard_normal(self.reading.out.shape) if self.reading.out.shape else np.ones(())
        with jax.enable_x64(True):
            bars = self._vjp([jnp.asarray(x) for x in leaves], jnp.asarray(g, self.reading.out.dtype))
            values = self.reading.numbers(leaves)
        return Point(values, g, dict(zip(self.reading.wrt, map(np.asarray, bars), strict=True)))

    @functools.cached_property
    def _vjp(self) -> Callable[..., Any]:
        """The cotangents by autodiff."""
        places = [self.reading.program.inputs.index(v) for v in self.reading.wrt]

        def cotangents(leaves: list[Any], g: Any) -> Any:
            def moved(*values: Any) -> Any:
                return self.flat(*(dict(enumerate(leaves)) | dict(zip(places, values, strict=True))).values())[0]

            return jax.vjp(moved, *(leaves[k] for k in places))[1](g)

        return jax.jit(cotangents)


def _near(x: Any, draw: np.random.Generator) -> Any:
    """Other numbers of the same signs and sizes, so that no logarithm meets what is negative."""
    if not np.issubdtype(x.dtype, np.floating):
        return x
    return x * draw.uniform(0.7, 1.3, x.shape) + (0.0 if np.any(x) else draw.standard_normal(x.shape))

"""A function on trial: what it says, what the truth says, and how far rounding excuses a difference.

Every check asks here, so that each program is compiled once and each answer computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from vjpkit.check.differences import scales, slopes
from vjpkit.check.layout import Layout, Point
from vjpkit.check.modes import Leaves, Modes, Unavailable
from vjpkit.check.rounding import Nudged
from vjpkit.check.tolerance import Comparison, bound, finite

SMALL = 64  # outputs up to which a Jacobian is looked at row by row
COLUMNS = 2048  # inputs up to which a missing reverse mode of the reference is made of columns
PROBES = (1, 2)  # seeds of the nudges


@dataclass(frozen=True)
class Held:
    """An answer of the subject held against the reference: the value, and the derivative, leaf by leaf."""

    value: list[Comparison]
    derivative: list[Comparison]
    spread: list[np.ndarray]  # what rounding moves the derivative by, in either computation


@dataclass
class Trial:
    """The subject, the reference, the points, and the random vectors of one check."""

    name: str
    fn: Any
    layout: Layout
    subject: Modes
    reference: Modes
    of_primal: bool  # the reference is the subject's own primal
    points: list[Point]
    given: Point
    output_names: tuple[str, ...]
    rule: Any = None
    args: tuple[Any, ...] = ()
    static: dict[str, Any] = field(default_factory=dict)
    specials: list[Point] = field(default_factory=list)
    expected: list[Any] = field(default_factory=list)  # the `Special` of each special point
    value: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = ()
    seed: int = 0
    tol: float = 1.0
    thorough: bool = False
    memory: dict[Any, Any] = field(default_factory=dict, repr=False)
    _nudged: dict[str, Nudged] = field(default_factory=dict, repr=False)

    @property
    def draws(self) -> int:
        """How many random vectors a check uses at a point."""
        return 8 if self.thorough else 3

    # ------------------------------------------------------------------------------------------ vectors

    def cotangents(self, at: Point) -> list[Leaves]:
        """Random cotangents, of both signs, the same list at every call."""
        return self._vectors("g", [s.shape for s in self.subject.outputs(at)], self.draws)

    def tangents(self, at: Point) -> list[Leaves]:
        """Random tangents of all arguments together."""
        return self._vectors("x_dot", [np.shape(a) for a in at.x], self.draws)

    def tangent(self, at: Point, draw: int, leaf: int) -> Leaves:
        """A random tangent of one leaf, the others at rest."""
        key = ("tangent", draw, leaf, tuple(np.shape(a) for a in at.x))
        if key not in self.memory:
            self.memory[key] = only(self.tangents(at)[draw], leaf)
        return self.memory[key]

    def _vectors(self, what: str, shapes: Sequence[tuple[int, ...]], count: int) -> list[Leaves]:
        key = (what, tuple(shapes))
        if key not in self.memory:
            rng = np.random.default_rng([self.seed, len(what)])
            self.memory[key] = [[_representable(rng.standard_normal(s)) for s in shapes] for _ in range(count)]
        return self.memory[key]

    def nearby(self, at: Point) -> Point:
        """Another point of the same shapes: the next drawn one, or this one moved by a 64th of itself."""
        if len(self.points) > 1:
            return self.points[1]
        return at.moved(tuple(np.asarray(a * (1 + 2.0**-6)).astype(a.dtype) for a in at.x))

    # ------------------------------------------------------------------------------------------ answers

    def ahead(self, mode: str, at: Point, vectors: Leaves) -> None:
        """Begin what an answer is made of: XLA compiles while the next program is traced."""
        self.subject.ahead(mode, at, vectors)
        self.reference.ahead(mode, at, vectors)
        sizes = [np.prod(s.shape, dtype=int) for s in (*self.subject.outputs(at), *at.x)]
        self._rounding(mode, both=True).ahead(at, int(max(sizes)), self.subject.cast(mode, at, vectors))

    def forward(self, at: Point, dots: Leaves) -> Held:
        """J ẋ of the subject beside the reference's."""
        return self._hold("forward", at, dots)

    def reverse(self, at: Point, g: Leaves) -> Held:
        """Jᵀ g of the subject beside the reference's."""
        return self._hold("reverse", at, g)

    def _hold(self, mode: str, at: Point, vectors: Leaves) -> Held:
        key = (mode, at, id(vectors))
        if key not in self.memory:
            self.memory[key] = (self._compare(mode, at, vectors), vectors)  # kept alive, for its id is in the key
        return self.memory[key][0]

    def _compare(self, mode: str, at: Point, vectors: Leaves) -> Held:
        held = self._held(mode, at, vectors)
        if any(c.wrong.any() for c in (*held.value, *held.derivative)) and self.reference.settle(mode, at, vectors):
            held = self._held(mode, at, vectors)
        return held

    def _held(self, mode: str, at: Point, vectors: Leaves) -> Held:
        got = getattr(self.subject, mode)(at, vectors)
        want, excuse = self.truth(mode, at, vectors)
        spread = [s + e for s, e in zip(self.spread(mode, at, vectors, got, want), excuse, strict=True)]
        n, outs, ins = len(got[0]), [s.dtype for s in self.subject.outputs(at)], [a.dtype for a in at.x]
        scales = self._scales(mode, at, want[1])

        def compared(i: int, spreads: Leaves, dtypes: list[Any], scales: list[float]) -> list[Comparison]:
            leaves = zip(got[i], want[i], spreads, dtypes, scales, strict=True)
            return [Comparison(a, b, bound(a, b, s, t, self.tol, z)) for a, b, s, t, z in leaves]

        dtypes = ins if mode == "reverse" else outs
        return Held(compared(0, spread[:n], outs, [0.0] * n), compared(1, spread[n:], dtypes, scales), spread[n:])

    def _scales(self, mode: str, at: Point, derivative: Leaves) -> list[float]:
        """The usual size of each leaf of a derivative: that along the first vector that was asked about."""
        key = ("scale", mode, at)
        if key not in self.memory:
            self.memory[key] = [float(np.max(finite(d), initial=0.0)) for d in derivative]
        return self.memory[key]

    def spread(self, mode: str, at: Point, vectors: Leaves, got: Any, want: Any) -> Leaves:
        """What rounding moves value and derivative by: in the subject and in the reference, added."""
        both = (mode, at.dtype) not in self.reference.missing
        bases = [[*a[0], *a[1]] for a in ((got, want) if both else (got,))]
        moves = self._rounding(mode, both).spread(at, PROBES, bases, self.subject.cast(mode, at, vectors))
        return [np.add(m[0], m[-1]) for m in zip(*moves, strict=True)]

    def _rounding(self, mode: str, both: bool) -> Nudged:
        programs = [m.programs[mode] for m in ((self.subject, self.reference) if both else (self.subject,))]
        return self.nudged(f"{mode}{len(programs)}", *programs)

    def nudged(self, name: str, *programs: Callable[..., Any]) -> Nudged:
        """Programs prepared for measuring their rounding, once."""
        return self._nudged.setdefault(name, Nudged(*programs))

    def truth(self, mode: str, at: Point, vectors: Leaves) -> tuple[Any, Leaves]:
        """The reference's value and derivative, and the error of these beside rounding.

        Autodiff of the reference in this mode; else in the other, column by column; else finite differences.
        """
        try:
            y, d = getattr(self.reference, mode)(at, vectors)
            return (y, d), [np.zeros(a.shape) for a in (*y, *d)]
        except Unavailable:
            if mode == "forward":
                return self._differenced(at, vectors)
            return self._from_columns(at, vectors)

    def _differenced(self, at: Point, dots: Leaves) -> tuple[Any, Leaves]:
        y = self.reference.value(at)
        s = slopes(self.reference.value, at, dots).central
        return (y, _split(s.slope, y)), [*(np.zeros(a.shape) for a in y), *_split(s.error, y)]

    def _from_columns(self, at: Point, g: Leaves) -> tuple[Any, Leaves]:
        columns = self.columns(at)
        flat = np.concatenate([a.ravel() for a in g])
        bars, errors = columns[0] @ flat, columns[1] @ np.abs(flat)
        y = self.reference.value(at)
        like = [np.asarray(a) for a in at.x]
        return (y, _split(bars, like)), [*(np.zeros(a.shape) for a in y), *_split(errors, like)]

    def columns(self, at: Point) -> tuple[np.ndarray, np.ndarray]:
        """The reference's Jacobian [inputs, outputs] from its forward mode or from differences, and its error."""
        key = ("columns", at)
        if key not in self.memory:
            if (inputs := sum(np.size(a) for a in at.x)) > COLUMNS:
                raise Unavailable(f"the reference has no reverse mode, and {inputs} inputs are too many for columns")
            rows, errors = [], []
            for e, size in zip(units(at.x), np.concatenate([s.ravel() for s in scales(at.x)]), strict=True):
                (_, d), excuse = self.truth("forward", at, [a * size for a in e])
                rows.append(np.concatenate([a.ravel() for a in d]) / size)
                errors.append(np.concatenate([a.ravel() for a in excuse[len(d) :]]) / size)
            self.memory[key] = (np.stack(rows), np.stack(errors))
        return self.memory[key]


def units(like: Sequence[Any]) -> list[Leaves]:
    """The unit vectors of a list of arrays."""
    result = []
    for k, a in enumerate(like):
        for i in range(np.size(a)):
            e = [np.zeros(np.shape(b)) for b in like]
            e[k].flat[i] = 1.0
            result.append(e)
    return result


def only(vectors: Leaves, k: int) -> Leaves:
    """The vectors with every leaf but one set to zero."""
    return [v if i == k else np.zeros_like(v) for i, v in enumerate(vectors)]


def dot(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """Σ a·b over all leaves."""
    return float(sum(np.sum(x * y) for x, y in zip(a, b, strict=True)))


def _representable(a: np.ndarray) -> np.ndarray:
    """`a` rounded to a few bits, so that every float dtype holds it exactly."""
    return np.asarray(a).astype(jnp.bfloat16).astype(np.float64)


def _split(flat: np.ndarray, like: Sequence[np.ndarray]) -> Leaves:
    ends = np.cumsum([a.size for a in like])[:-1]
    return [part.reshape(a.shape) for part, a in zip(np.split(flat, ends), like, strict=True)]

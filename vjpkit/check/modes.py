"""A function of real leaves with its two derivative maps, each compiled once and then called often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import numpy as np

from vjpkit.check.compiling import Evaluated, Program
from vjpkit.check.jaxprs import reason, refusal
from vjpkit.check.layout import Arrays, Point

Leaves = list[np.ndarray]
CALLS = 100  # of a mode, about


class Unavailable(Exception):
    """A mode that a function does not have; the text says why."""


class Modes:
    """value: x ↦ y,   forward: (x, ẋ) ↦ (y, ẏ),   reverse: (x, g) ↦ (y, x̄).

    A mode that cannot be traced raises Unavailable with the reason, at its first call and at every later one;
    so does one that was `refused`, because its structure is wrong. `evaluated`: in float64 NumPy may give the numbers.
    """

    def __init__(self, f: Callable[[Arrays, Arrays], Arrays], evaluated: bool = False) -> None:
        self.f = f
        self.programs: dict[str, Callable[..., Any]] = {
            "value": self._value,
            "forward": self._forward,
            "reverse": self._reverse,
        }
        self._programs = {n: Evaluated(f, CALLS) if evaluated else Program(f) for n, f in self.programs.items()}
        self.missing: dict[tuple[str, str], str] = {}
        self.refused: dict[str, str] = {}
        self._outputs: dict[Any, tuple[jax.ShapeDtypeStruct, ...]] = {}
        self._traced: set[tuple[str, Point]] = set()

    def _value(self, x: Arrays, fixed: Arrays) -> Arrays:
        return self.f(x, fixed)

    def _forward(self, x: Arrays, fixed: Arrays, dots: Arrays) -> tuple[Arrays, Arrays]:
        return jax.jvp(lambda *x: self.f(x, fixed), x, dots)

    def _reverse(self, x: Arrays, fixed: Arrays, g: Arrays) -> tuple[Arrays, Arrays]:
        y, pull = jax.vjp(lambda *x: self.f(x, fixed), *x)
        return y, pull(g)

    def value(self, at: Point) -> Leaves:
        """y, in float64 where it is narrower."""
        return self._call("value", at)

    def forward(self, at: Point, dots: Sequence[np.ndarray]) -> tuple[Leaves, Leaves]:
        """y and ẏ = J ẋ."""
        return self._call("forward", at, self.cast("forward", at, dots))

    def reverse(self, at: Point, g: Sequence[np.ndarray]) -> tuple[Leaves, Leaves]:
        """y and x̄ = Jᵀ g."""
        return self._call("reverse", at, self.cast("reverse", at, g))

    def ahead(self, mode: str, at: Point, vectors: Sequence[np.ndarray]) -> None:
        """Begin a mode's program, for a call that is to come."""
        with scope(at), suppress(Exception):  # which the call raises again
            self._programs[mode].ahead(at.x, at.fixed, self.cast(mode, at, vectors))

    def settle(self, mode: str, at: Point, vectors: Sequence[np.ndarray]) -> bool:
        """From now on XLA gives the numbers of this mode here, if there are any; whether others gave them before."""
        if (mode, at.dtype) in self.missing:
            return False
        program = self._programs[mode]
        with scope(at):
            return isinstance(program, Evaluated) and program.settle(at.x, at.fixed, self.cast(mode, at, vectors))

    def cast(self, mode: str, at: Point, vectors: Sequence[np.ndarray]) -> Arrays:
        """Tangents in the dtypes of the arguments, cotangents in those of the outputs."""
        like = self.outputs(at) if mode == "reverse" else at.x
        return tuple(np.asarray(v).astype(s.dtype) for v, s in zip(vectors, like, strict=True))

    def outputs(self, at: Point) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes and dtypes of the output's real leaves."""
        key = tuple((np.shape(a), a.dtype) for a in (*at.x, *at.fixed))
        if key not in self._outputs:
            try:
                with scope(at):
                    self._outputs[key] = jax.eval_shape(self.f, at.x, at.fixed)
            except Exception as error:  # whatever a function under trial raises
                raise Unavailable(reason(error)) from error
        return self._outputs[key]

    def has(self, mode: str, at: Point) -> bool:
        """Whether this mode can be traced here."""
        if mode in self.refused:
            return False
        if (mode, at) not in self._traced:
            like = self.outputs(at) if mode == "reverse" else at.x
            vectors = tuple(jax.ShapeDtypeStruct(v.shape, v.dtype) for v in like)
            with scope(at):
                why = refusal(self._programs[mode].traced, at.x, at.fixed, vectors)
            if why is not None:
                self.missing[mode, at.dtype] = why
            self._traced.add((mode, at))
        return (mode, at.dtype) not in self.missing

    def _call(self, mode: str, at: Point, *vectors: Any) -> Any:
        if why := self.refused.get(mode) or self.missing.get((mode, at.dtype)):
            raise Unavailable(why)
        try:
            with scope(at):
                out = self._programs[mode](at.x, at.fixed, *vectors)
                return jax.tree.map(wide, list(out) if mode == "value" else tuple(map(list, out)))
        except Exception as error:
            self.missing[mode, at.dtype] = reason(error)
            raise Unavailable(self.missing[mode, at.dtype]) from error


def scope(at: Point) -> Any:
    """JAX's precision for a point: 64 bits for float64, the process's own for everything narrower."""
    return jax.enable_x64(at.x64 or bool(jax.config.read("jax_enable_x64")))


def wide(a: Any) -> np.ndarray:
    """As float64 for comparing: exact for every real dtype of JAX."""
    return np.asarray(a).astype(np.float64)

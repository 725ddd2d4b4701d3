"""Formulas as they were written, run: at sizes no two of which are alike, and at sizes that all are.

Everything is float64: a formula that is right is off by 1e-16, one that is wrong by much more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vjpkit
from vjpkit.check.diagnosis import Diagnosis, Finding

jax.config.update("jax_enable_x64", True)

RIGHT = 1e-12

Array = Any
Formula = Callable[..., Array]


def draw(*shape: int, seed: int = 0) -> Array:
    """Random numbers, the same ones for the same shape and seed."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def slope(z: Array) -> Array:
    """σ′(z), of σ = tanh: a vector; the Jacobian of σ at z is diag of it."""
    return 1 - jnp.tanh(z) ** 2


def told(shape: Sequence[int]) -> str:
    """[5×3]"""
    return "[" + "×".join(map(str, shape)) + "]" if shape else "one number"


@dataclass(frozen=True)
class Attempt:
    """What a formula gave beside the truth, or where it stopped."""

    value: Array | None
    truth: Array
    stopped: str = ""

    @property
    def error(self) -> float:
        """‖value − truth‖ / ‖truth‖; infinite where it stopped or has another shape."""
        if self.value is None or jnp.shape(self.value) != self.truth.shape:
            return float("inf")
        return relative(self.value, self.truth)

    @property
    def right(self) -> bool:
        return self.error < RIGHT

    @property
    def silent(self) -> bool:
        """Wrong, and of the right shape: nothing warns."""
        return not self.right and self.error < float("inf")

    def __str__(self) -> str:
        if self.value is None:
            return f"stops: {self.stopped}"
        if self.error == float("inf"):
            return f"runs, and gives {told(jnp.shape(self.value))} where {told(self.truth.shape)} belongs"
        return f"right (error {self.error:.0e})" if self.right else f"runs silently, {self.error:.0%} off"


def relative(value: Array, truth: Array) -> float:
    return float(np.linalg.norm(np.ravel(value) - np.ravel(truth)) / np.linalg.norm(np.ravel(truth)))


def attempt(formula: Formula, truth: Array, *args: Array) -> Attempt:
    """The formula, run."""
    try:
        return Attempt(formula(*args), truth)
    except (TypeError, ValueError) as error:
        return Attempt(None, truth, str(error).splitlines()[0].rstrip("."))


def product(*factors: tuple[str, Array]) -> Array:
    """Matrices, each with its name, multiplied from the left; ValueError names the step that does not fit."""
    name, value = factors[0]
    for other, matrix in factors[1:]:
        if value.shape[1] != matrix.shape[0]:
            raise ValueError(f"{name} is {told(value.shape)}, {other} is {told(matrix.shape)}: no product")
        name, value = f"{name} · {other}", value @ matrix
    return value


@dataclass(frozen=True, eq=False)
class Step:
    """A function, the argument in which it is differentiated, and two points: no two sizes alike, and all alike."""

    f: Formula
    argument: str
    rectangular: tuple[Array, ...]
    square: tuple[Array, ...]

    def point(self, square: bool) -> tuple[Array, tuple[Array, ...]]:
        """A cotangent of the output, and the arguments."""
        args = self.square if square else self.rectangular
        return draw(*jax.eval_shape(self.f, *args).shape, seed=7), args

    @functools.cache  # noqa: B019
    def truth(self, square: bool = False) -> Array:
        g, args = self.point(square)
        return np.asarray(jax.jit(lambda g, *args: jax.vjp(self.f, *args)[1](g)[self.place])(g, *args))

    def attempt(self, formula: Formula, square: bool = False) -> Attempt:
        g, args = self.point(square)
        return attempt(jax.jit(formula), self.truth(square), g, *args)

    def diagnose(self, formula: Formula, square: bool = False) -> Diagnosis:
        """What vjpkit.diagnose says of the formula; the cotangents of the other arguments are right ones."""

        def candidate(g: Array, *args: Array) -> tuple[Array, ...]:
            bars = list(jax.vjp(self.f, *args)[1](g))
            bars[self.place] = formula(g, *args)
            return tuple(bars)

        return vjpkit.diagnose(self.f, candidate, *self.point(square)[1], seconds=60)

    @property
    def place(self) -> int:
        return list(inspect.signature(self.f).parameters).index(self.argument)


@dataclass(frozen=True, eq=False)
class Mistake:
    """A formula as it was written, with the rows of docs/derive/claims.md that it belongs to, and what is right."""

    rows: str
    written: str
    right: str
    formula: Formula
    step: Step
    causes: tuple[str, ...]  # the names that vjpkit.diagnose has for it, each of which is true of it

    def attempts(self) -> tuple[Attempt, Attempt]:
        """At sizes no two of which are alike, and at sizes that all are."""
        return self.step.attempt(self.formula), self.step.attempt(self.formula, square=True)

    @functools.cache  # noqa: B019
    def diagnosis(self) -> Diagnosis:
        return self.step.diagnose(self.formula, square=True)

    def named(self) -> list[Finding]:
        """The likeliest cause; several where they explain the error together."""
        findings = self.diagnosis().findings
        return findings[: findings[0].part]

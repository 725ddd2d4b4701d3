"""Slopes from values alone: finite differences in float64, of high order, from either side, with an error.

    Dₖ = (φ(hₖ) − φ(−hₖ)) / 2hₖ,   hₖ = 2⁻⁴ … 2⁻¹⁵ of the arguments' own scale,   Richardson's table over k

and the same one-sided, which a kink and the edge of a domain need. Of each table the entry with the smallest
error estimate is taken, entry by entry of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vjpkit.check.layout import Point

STEPS = 2.0 ** -np.arange(4, 16)


@dataclass(frozen=True)
class Estimate:
    """A slope for each entry of the output, and its error; NaN and inf where there is none."""

    slope: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Slopes:
    """The slopes of a function along a direction at a point: from the left, from the right, from both sides."""

    left: Estimate
    right: Estimate
    central: Estimate
    steps: np.ndarray
    values: np.ndarray  # [steps, entries] to the right
    value: np.ndarray

    @property
    def kink(self) -> np.ndarray:
        """Where left and right are both known and differ."""
        with np.errstate(all="ignore"):
            gap = np.abs(self.right.slope - self.left.slope)
            size = np.fmax(np.abs(self.right.slope), np.abs(self.left.slope))
            return gap > 10 * (self.right.error + self.left.error) + 1e-5 * size

    @property
    def edge(self) -> np.ndarray:
        """Where the function exists on one side only."""
        return np.isfinite(self.left.slope) != np.isfinite(self.right.slope)

    def interval(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The least and the largest slope that is right, and the error of these."""
        with np.errstate(all="ignore"):
            one_sided = self.kink | self.edge
            low = np.where(one_sided, np.fmin(self.left.slope, self.right.slope), self.central.slope)
            high = np.where(one_sided, np.fmax(self.left.slope, self.right.slope), self.central.slope)
            sides = np.fmax(np.where(np.isfinite(self.left.slope), self.left.error, 0),
                            np.where(np.isfinite(self.right.slope), self.right.error, 0))  # fmt: skip
            return low, high, np.where(one_sided, sides, self.central.error)

    def order(self, slope: np.ndarray, which: np.ndarray) -> float | None:
        """Taylor's slope: the power of h by which φ(h) − φ(0) − h·slope shrinks; 2 where `slope` is right, else 1.

        Of the entries that `which` marks; None where the remainder is lost in rounding at every step, as it is
        for a linear function.
        """
        with np.errstate(all="ignore"):
            rest = (self.values - self.value - self.steps[:, None] * slope)[:, which]
            rest = np.linalg.norm(np.nan_to_num(rest), axis=1)
            noise = 1e3 * np.finfo(np.float64).eps * np.linalg.norm(np.nan_to_num(self.value[which]))
        seen = rest > noise
        both = seen[1:] & seen[:-1]
        return float(np.median(np.log2(rest[:-1][both] / rest[1:][both]))) if both.any() else None


def scales(x: Sequence[np.ndarray]) -> list[np.ndarray]:
    """How far is far, for every entry: its own size; where it is zero, the usual size in its array; or one."""
    result = []
    for a in x:
        size = np.abs(np.asarray(a, np.float64))
        some = size[(size > 0) & np.isfinite(size)]
        result.append(np.where((size > 0) & np.isfinite(size), size, np.median(some) if some.size else 1.0))
    return result


def slopes(value: Callable[[Point], list[np.ndarray]], at: Point, direction: Sequence[np.ndarray]) -> Slopes:
    """The slopes of all outputs at `at` along `direction`."""

    def phi(h: float) -> np.ndarray:
        x = [_stepped(a, h * d) for a, d in zip(at.x, direction, strict=True)]
        return np.concatenate([y.ravel() for y in value(at.moved(x))] or [np.zeros(0)])

    steps = STEPS * _reach(at.x, direction)
    zero, plus, minus = phi(0.0), np.stack([phi(h) for h in steps]), np.stack([phi(-h) for h in steps])
    with np.errstate(all="ignore"):
        h = steps[:, None]
        noise = 8 * np.finfo(np.float64).eps * np.fmax(np.abs(plus), np.abs(minus)) / h
        right = _richardson((plus - zero) / h, noise, 2.0)
        left = _richardson((zero - minus) / h, noise, 2.0)
        central = _richardson((plus - minus) / (2 * h), noise, 4.0)
    return Slopes(left, right, central, steps, plus, zero)


def _reach(x: Sequence[np.ndarray], direction: Sequence[np.ndarray]) -> float:
    """How much of the direction is as far as the arguments are large: less than 1 where they are small."""
    pairs = [(s[d != 0], np.abs(d[d != 0])) for s, d in zip(scales(x), direction, strict=True)]
    ratios = np.concatenate([s / d for s, d in pairs] or [np.ones(1)])
    return float(min(1.0, np.median(ratios))) if ratios.size else 1.0


def _stepped(x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """x + step, and NaN where no step leads away from infinity."""
    return np.where(np.isinf(x) & (step != 0), np.nan, x + step).astype(x.dtype)


def _richardson(table: np.ndarray, noise: np.ndarray, ratio: float) -> Estimate:
    """Extrapolate quotients [steps, entries] to step zero; the terms of the error shrink by powers of `ratio`."""
    best, least = np.full(table.shape[1], np.nan), np.full(table.shape[1], np.inf)
    previous, factor = table, 1.0
    for _ in range(len(table) - 1):
        factor *= ratio
        finer, coarser = previous[1:], previous[:-1]
        improved = finer + (finer - coarser) / (factor - 1)
        noise = noise[1:] + (noise[1:] + noise[:-1]) / (factor - 1)
        error = np.fmax(np.abs(improved - finer), np.abs(improved - coarser)) + noise
        error = np.where(np.isfinite(error), error, np.inf)
        k = np.argmin(error, axis=0)
        e, value = np.take_along_axis(error, k[None], 0)[0], np.take_along_axis(improved, k[None], 0)[0]
        best, least = np.where(e < least, value, best), np.minimum(e, least)
        previous = improved
    return Estimate(best, least)

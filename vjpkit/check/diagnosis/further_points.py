"""Further points for a candidate that seems right: other scales, where kinks and supports fall otherwise, and ties.

Where two values tie, as two maxima, a derivative is one side's or between both, and nothing else. A rule may choose
which; so what autodiff says there is no measure, but the derivatives nearby are.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.derived import real
from vjpkit.check.diagnosis.drawing import another, scaled
from vjpkit.check.diagnosis.workings import Workings

SCALES = (1.0, 1.0, 1.0, 1.0, 0.125, 0.125, 4.0, 4.0)
NUDGE = 1e-13  # relative, of a point
TIES, LOOKING = 6, 1.0  # points, and seconds
ROWS, NEARBY, STEP = 2, 8, 1e-7
CLOSE = 1e-3  # relative, of derivatives so near to each other that they are the same side's
TIE = "where two values tie, as two maxima, it is the derivative of neither side, nor between them"


def elsewhere(w: Workings) -> list[Any] | None:
    """A further point at which a candidate that seems right is wrong: where kinks and supports fall otherwise."""
    places = (
        [scaled(another(a, np.random.default_rng((n, 7))), by) for a in w.asked.point] for n, by in enumerate(SCALES)
    )
    return _first(places, lambda place: _is_wrong_at(w, place, _of_all_arms(w)))


def at_a_tie(w: Workings) -> list[Any] | None:
    """A point with two equal values at which a candidate that seems right is neither side's derivative."""
    places = itertools.islice(_tied(w.places[0], np.random.default_rng(7)), TIES)
    return _first(places, lambda place: _is_no_side(w, place, _of_all_arms(w)))


def _first(places: Iterable[list[Any]], wrong: Callable[[list[Any]], bool]) -> list[Any] | None:
    """The first place that is found wrong before the time is up."""
    start = time.process_time()
    for place in places:
        with contextlib.suppress(Exception):  # nothing is defined there
            if wrong(place):
                return place
        if time.process_time() > start + LOOKING:
            break
    return None


def _of_all_arms(w: Workings) -> tuple[Any, ...]:
    """Vectors that together say something about every arm."""
    if w.asked.kind == "vjp":
        return w.probes[0].vectors
    return tuple(p.vectors[k] for k, p in enumerate(w.probes[: len(w.asked.arms)]))


def _is_wrong_at(w: Workings, place: list[Any], vectors: Sequence[Any]) -> bool:
    """Whether an answer there is off by more than a rounding of the point makes the right one."""
    nudged = [a * (1 + NUDGE) if real(a) else a for a in place]
    got, want = w.answer_to(place, vectors), w.right_at(place, vectors)
    if not all(np.isfinite(b).all() for b in want) or all(map(w.near, got, want)):
        return False
    return all(map(w.near, w.right_at(nudged, vectors), want))


def _tied(arrays: Sequence[Any], rng: np.random.Generator) -> Iterator[list[Any]]:
    """The arrays with the two largest entries of one row or column equal."""
    for i, a in enumerate(arrays):
        for axis in dict.fromkeys((np.ndim(a) - 1, 0)) if _generic(a) else ():
            for row in rng.permutation(a.size // a.shape[axis])[:ROWS]:
                rows = np.moveaxis(a, axis, -1).reshape(-1, a.shape[axis]).copy()
                largest = np.argsort(rows[row])[-2:]
                rows[row, largest] = rows[row].max()
                b = np.moveaxis(rows.reshape(np.moveaxis(a, axis, -1).shape), -1, axis)
                yield [b if j == i else other for j, other in enumerate(arrays)]


def _is_no_side(w: Workings, place: Sequence[Any], vectors: Sequence[Any]) -> bool:
    """Whether the candidate's answer at a tie is neither side's derivative nor between the two."""
    got, want = _flat(w.answer_to(place, vectors)), _flat(w.right_at(place, vectors))
    if got.shape != want.shape or w.near(got, want):
        return False
    rng, sides = np.random.default_rng(0), list[Any]()
    for _ in range(NEARBY):
        beside = [a + STEP * rng.standard_normal(a.shape) if _generic(a) else a for a in place]
        answer = _flat(w.right_at(beside, vectors))
        if not any(_same_side(answer, side) for side in sides):
            sides.append(answer)
    size = max(float(np.linalg.norm(a)) for a in sides)
    if not 0 < size < np.inf or len(sides) > 2:
        return False
    along = sides[-1] - sides[0]
    t = float(np.vdot(along, got - sides[0]).real) / max(float(np.vdot(along, along).real), 1e-300)
    return bool(np.linalg.norm(got - sides[0] - np.clip(t, 0, 1) * along) > 10 * CLOSE * size)


def _same_side(a: Any, b: Any) -> bool:
    """Whether two derivatives are the same side's."""
    return bool(np.linalg.norm(a - b) <= CLOSE * max(float(np.linalg.norm(a)), float(np.linalg.norm(b))))


def _generic(a: Any) -> bool:
    """Whether an array has both signs, and so may take any value."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or a.size < 2 or a.shape[-1] < 2:
        return False
    return bool((a > 0).any() and (a < 0).any())


def _flat(arrays: Sequence[Any]) -> Any:
    return np.concatenate([np.ravel(a) for a in arrays])

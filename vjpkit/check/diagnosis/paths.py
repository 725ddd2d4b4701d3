"""Terms: one dropped, counted twice, with the wrong sign or a factor.

A derivative is a sum over paths. The part B of an answer that goes through one value is what is lost when that value
is scaled; so a wrong answer is right + (c − 1) B, and c says what happened to the term: 0 dropped, 2 counted twice,
−1 its sign flipped, 1/n a mean taken for a sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.factors import Factors
from vjpkit.check.diagnosis.workings import RIGHT, Derived, Workings

Part = tuple[str, str, str]  # cause, detail, fix
TIGHT = 1e-8
MOST_TERMS = 40


@dataclass(frozen=True)
class Term:
    """A value of a derivative, by variable, and the part of an arm's answers that goes through it."""

    variables: tuple[int, ...]
    said: str
    parts: list[Any]  # by probe of the arm
    flat: np.ndarray
    linear: bool


def terms(w: Workings, d: Derived, k: int, every: bool) -> Iterator[Term]:
    """The distinct terms of an arm's answer; with `every` value of the program, also those that are no term of it."""
    probes, answers = w.of_arm(k), None
    answers = [w.asked.select(k, d.answers(i)) for i in probes]
    norm = np.linalg.norm(_flat(answers))
    seen: list[np.ndarray] = []
    for j in reversed(range(len(d.program.equations))):
        eqn, steps = d.program.equations[j], d.program.steps(j)
        v = eqn.outputs[0]
        linear = v in d.program.linear
        a = d.base[0][v]
        if steps[0] != j or len(eqn.outputs) != 1 or not (linear or every) or not _floats(a):
            continue
        if w.asked.kind == "vjp" and k not in d.program.reach(v):
            continue
        variables = tuple(d.program.equations[s].outputs[0] for s in steps)
        try:
            zeroed = [w.asked.select(k, _scaled(d, i, variables, 0.0 if linear else 2.0)) for i in probes]
        except Exception:
            continue
        parts = [(a - b) if linear else (b - a) for a, b in zip(answers, zeroed, strict=True)]
        flat = _flat(parts)
        size = np.linalg.norm(flat)
        if not np.isfinite(size) or size <= TIGHT * norm or any(_parallel(flat, s) for s in seen):
            continue
        seen.append(flat)
        line = eqn.line
        yield Term(
            variables, f"through {line}" if line else f"through a {eqn.name}", parts, flat, linear and len(steps) == 1
        )


def path_mistakes(
    w: Workings, d: Derived, k: int, factors: Factors, mends: bool, late: Callable[[], bool]
) -> Iterator[tuple[list[Part], float]]:
    """Each term with the factor that fits, exactly, and its cost, until it is late."""
    got, want = _flat(w.got[k]), _flat(w.want[k])
    base, goal = (got, want) if mends else (want, got)
    if base.shape != goal.shape:
        return
    gap = goal - base
    for t in itertools.islice(terms(w, d, k, mends), 3 * MOST_TERMS):
        if late():
            return
        if _parallel(t.flat, base):
            continue
        best = 1 + float(np.vdot(t.flat, gap).real) / float(np.vdot(t.flat, t.flat).real)
        for c in [best] if t.linear else [0.0, -1.0, 2.0, 0.5, _solved(w, d, k, t, goal)]:
            if abs(c - 1) > TIGHT and _fits(w, d, k, t, c, w.want[k] if mends else w.got[k]):
                factor = (1 / c if c else math.inf) if mends else c
                part = _said(t.said, factor, k, factors, t.linear)
                if d.in_masks(t.variables[0]):
                    part = ("positions_ignored", f"a mask or an index is another: {part[1]}", *part[2:])
                yield [(part[0], part[1], part[2])], part[3]
                break


def _said(said: str, c: float, k: int, factors: Factors, linear: bool) -> tuple[str, str, str, float]:
    term = f"the term {said}" if linear else f"a factor {said}"
    if math.isinf(c):
        return "counted_twice", f"{term} is one too many", "drop it", 2.6
    if abs(c) < TIGHT:
        return "dropped_path", f"{term} is missing", f"add {term}", 2.0
    if math.isclose(c, -1, rel_tol=1e-7):
        return "term_sign", f"{term} has the wrong sign", "the other sign", 2.0
    if math.isclose(c, 2, rel_tol=1e-7):
        return "counted_twice", f"{term} is counted twice", "count it once", 2.2
    name = factors.named(c)
    cause = factors.causes(c, k)[0]
    text = f"{term} is scaled by {name or f'{c:.6g}'}"
    return cause, text, f"divide it by {name or f'{c:.6g}'}", 2.8 if name else 3.2


def path_pairs(w: Workings, d: Derived, k: int, factors: Factors) -> Iterator[tuple[list[Part], float]]:
    """Two terms at once, each with a factor that has a name."""
    gap = _flat(w.got[k]) - _flat(w.want[k])
    found = [t for t in itertools.islice(terms(w, d, k, False), MOST_TERMS) if t.linear] if gap.size >= 6 else []
    norm = float(np.linalg.norm(gap))
    for s, t in itertools.combinations(found, 2):
        both = np.stack([s.flat, t.flat], 1)
        gram = both.T @ both
        if np.iscomplexobj(both) or np.linalg.det(gram) < 1e-10 * gram[0, 0] * gram[1, 1]:
            continue
        c = np.linalg.solve(gram, both.T @ gap)
        if float(np.linalg.norm(gap - both @ c)) > TIGHT * norm or min(abs(c)) < TIGHT:
            continue
        a, b = (1 + float(x) for x in c)
        if all(abs(x) < TIGHT or factors.named(x) for x in (a, b)):
            first, second = (_said(x.said, y, k, factors, True) for x, y in ((s, a), (t, b)))
            yield [first[:3], second[:3]], first[3] + second[3] + 0.5


def _fits(w: Workings, d: Derived, k: int, t: Term, c: float, goal: list[Any]) -> bool:
    try:
        made = _flat([w.asked.select(k, _scaled(d, i, t.variables, c)) for i in w.of_arm(k)])
    except Exception:
        return False
    flat = _flat(goal)
    if made.shape != flat.shape:
        return False
    return float(np.linalg.norm(made - flat)) <= max(10 * RIGHT * float(np.linalg.norm(flat)), w.floor)


def _solved(w: Workings, d: Derived, k: int, t: Term, goal: np.ndarray) -> float:
    """The factor on a value that the answer does not depend on linearly, by Gauss and Newton's method from 1."""
    c, step, first = 1.0, 1e-6, w.of_arm(k)[0]
    goal = goal[: np.size(w.want[k][0])]

    def at(c: float) -> np.ndarray:
        return np.ravel(w.asked.select(k, _scaled(d, first, t.variables, c)))

    for _ in range(6):
        here = at(c)
        slope = (at(c + step) - at(c - step)) / (2 * step)
        size = float(np.vdot(slope, slope).real)
        if not size or not np.isfinite(size):
            return 1.0
        move = float(np.vdot(slope, goal - here).real) / size
        c += move
        if abs(c) > 1e3 or abs(move) < 1e-13:
            break
        if abs(move) > 1:
            return 1.0
    return c


def _scaled(d: Derived, probe: int, variables: tuple[int, ...], c: float) -> list[Any]:
    key = (probe, variables, c)
    if key not in d.scaled:
        d.scaled[key] = d.program.again(d.base[probe], _scaling(d, dict.fromkeys(variables, c)))
    return d.scaled[key]


def _scaling(d: Derived, by: dict[int, float]) -> dict[int, Any]:
    """Edits that multiply what some equations compute."""
    return {
        j: (lambda x, eqn=eqn, c=by[eqn.outputs[0]]: [c * eqn(x)[0]])
        for j, eqn in enumerate(d.program.equations)
        if eqn.outputs[0] in by
    }


def _flat(arrays: list[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def _parallel(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    size = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return abs(abs(complex(np.vdot(a, b))) - size) <= 1e-12 * size


def _floats(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"

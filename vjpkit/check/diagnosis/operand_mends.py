"""Edits of the candidate's own values: another value read, another function taken, a number changed.

What makes it right tells what was wrong: the value that stands there now.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Mistake, at, at_by_place, confused, where, with_operand
from vjpkit.check.diagnosis.pool import NAMELESS, Value
from vjpkit.check.diagnosis.spelling import spelled
from vjpkit.check.diagnosis.workings import Derived, Workings

At = Callable[[int], Any]  # of a place
MOST = 24  # values tried in one place
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # with their slopes
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "sigmoid": (lambda u: 0.5 * (1 + np.tanh(u / 2)), lambda u: 0.25 * (1 - np.tanh(u / 2) ** 2)),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "sqrt": (np.sqrt, lambda u: 0.5 / np.sqrt(u)),
    "rsqrt": (lambda u: 1 / np.sqrt(u), lambda u: -0.5 * u**-1.5),
    "square": (np.square, lambda u: 2 * u),
    "log1p": (np.log1p, lambda u: 1 / (1 + u)),
    "expm1": (np.expm1, np.exp),
    "identity": (lambda u: u, np.ones_like),
    "reciprocal": (lambda u: 1 / u, lambda u: -1 / u**2),
}


def operand_mends(w: Workings, d: Derived, wrong: set[int]) -> Iterator[Mistake]:
    """Of every value that matters to a wrong answer: replaced by each other value of its shape, arguments first."""
    said = spelled(d.program, [*w.asked.array_names, *w.vector_names], d.base[0])
    made = {v: k for k, eqn in enumerate(d.program.equations) for v in eqn.outputs}
    drawn = _drawn(d)
    for arguments, v in itertools.product((True, False), sorted(d.program.users)):
        a = d.base[0][v]
        if not _floats(a) or a.size < 2 or not d.program.reach(v) & wrong:
            continue
        known = w.pool.find(a)
        name = known.name if known else said.get(v, "a value")
        if v in d.program.linear:
            yield from _of_vectors(d, v, said) if not arguments else ()
            continue
        fixed = v in d.program.constants
        for other_name, other, value in _others(w, d, v, said):
            if (other is not None and other.role in ("argument", "output")) != arguments:
                continue
            if known is None and ((other is not None and other.role == "slope") or (fixed and not _near(a, value(0)))):
                continue  # it would say no more than that something else stands there
            cause = "random_mask" if v in drawn else confused(w, other, known, _in_slope(d, v))
            detail, fix = f"{name} stands where {other_name} belongs", f"{other_name} in place of {name}"
            cost = 2.0 if other is not None and other.role in ("argument", "output", "slope") else 2.5
            cost += 0.5 if v < d.program.n_inputs else 0
            yield Mistake(cause, detail, fix, cost, d, given=_setting(v, value), mends=True, origin=made.get(v, -1),
                stands=(value(0), a))  # fmt: skip
            users = d.program.users[v]
            for k in users if len(users) > 1 else ():
                eqn = d.program.equations[k]
                cause = confused(w, other, known, eqn.outputs[0] not in d.program.linear)
                edits = at_by_place(d.program.steps(k), _reading(d, k, eqn.inputs.index(v), value))
                yield Mistake(
                    cause, f"{detail} {where(d, k)}".strip(), fix, cost + 0.2, d, edits=edits, mends=True, origin=k,
                    stands=(value(0), a),
                )  # fmt: skip


def number_mends(w: Workings, d: Derived, wrong: set[int]) -> Iterator[Mistake]:
    """Of every coefficient where it is read: its sign, a factor 2, a factor that is the size of an axis.

    Where the answer is linear in the coefficient, as it mostly is, one evaluation tells which number would do.
    """
    said = spelled(d.program, [*w.asked.array_names, *w.vector_names], d.base[0])
    sizes = {n for a in w.asked.point for n in np.shape(a) if n > 1}
    numbers = [-1.0, 2.0, 0.5, *(float(n) for n in sizes), *(1.0 / n for n in sizes)]
    for k, steps in d.program.sites():
        eqn = d.program.equations[k]
        if not d.program.reach(eqn.outputs[0]) & wrong:
            continue
        for i, v in enumerate(eqn.inputs):
            if v in d.program.linear or not _floats(d.base[0][v]):
                continue
            made = [_times(w, d, said, k, steps, i, c) for c in numbers]
            could = _solutions(w, d, made[1], made[2], wrong)
            for c, m in zip(numbers, made, strict=True):
                yield m if could is None or any(np.isclose(c, x, 1e-6) for x in could) else replace(m, ruled_out=True)


def _times(w: Workings, d: Derived, said: dict[int, str], k: int, steps: tuple[int, ...], i: int, c: float) -> Mistake:
    """A coefficient times a number."""
    eqn, v = d.program.equations[k], d.program.equations[k].inputs[i]
    name, spot = said.get(v, "a value"), where(d, k, steps)
    text = f"{name} has the wrong sign {spot}" if c < 0 else f"{name} is scaled by {1 / c:.6g} {spot}"
    return Mistake(
        "term_sign" if c < 0 else "scale", text.strip(), f"{c:g} * {name}" if c != -1 else f"-{name}", 2.2, d,
        edits=at(steps, with_operand(eqn, i, partial(operator.mul, c))), mends=True, origin=k,
        kind=(c, name if v in d.program.constants else ""),
    )  # fmt: skip


def _solutions(w: Workings, d: Derived, double: Mistake, half: Mistake, wrong: set[int]) -> list[float] | None:
    """The numbers that would mend some arm, from what 2 and ½ do; None where that cannot be told."""
    found = []
    arms = wrong if w.asked.kind == "vjp" else range(len(w.asked.arms))
    try:
        for probe in {w.of_arm(k)[0] for k in arms}:
            doubled, halved = double.predict(w, probe), half.predict(w, probe)
            for k in [k for k in arms if w.of_arm(k)[0] == probe]:
                now, at2, at_half = (np.ravel(w.asked.select(k, a)) for a in (d.answers(probe), doubled, halved))
                effect, gap = at2 - now, np.ravel(w.want[k][0]) - now
                size = float(np.vdot(effect, effect).real)
                if np.linalg.norm(now - at_half - effect / 2) > 1e-9 * np.linalg.norm(now):
                    return None
                c = float(np.vdot(effect, gap).real) / size if size else 0.0
                if np.linalg.norm(gap - c * effect) <= 1e-7 * np.linalg.norm(gap):
                    found.append(1 + c)
    except Exception:  # the shapes are others
        return None
    return found


def _of_vectors(d: Derived, v: int, said: dict[int, str]) -> Iterator[Mistake]:
    """One linear value for another."""
    shape = np.shape(d.base[0][v])
    before = [u for u in range(v) if u in d.program.linear and np.shape(d.base[0][u]) == shape]
    for u in before[-MOST:]:
        detail = f"{said.get(v)} stands where {said.get(u)} belongs"
        stands = (d.base[0][u], d.base[0][v])
        yield Mistake("wrong_operand", detail, f"{said.get(u)}", 3, d, alias={v: u}, mends=True, stands=stands)


def _drawn(d: Derived) -> set[int]:
    """The random numbers of a program: what is computed from bits that were drawn, and from no float that came in."""
    numbers = {v for v in range(d.program.n_inputs) if _floats(d.base[0][v])}
    drawn: set[int] = set()
    for eqn in d.program.equations:
        if not numbers.isdisjoint(eqn.inputs):
            numbers.update(eqn.outputs)
        elif eqn.name.startswith(("random_bits", "threefry", "rng_")) or not drawn.isdisjoint(eqn.inputs):
            drawn.update(eqn.outputs)
    return drawn


def _in_slope(d: Derived, v: int) -> bool:
    """Whether a value is read by operations that compute a coefficient."""
    return any(d.program.equations[k].outputs[0] not in d.program.linear for k in d.program.users[v])


def _others(w: Workings, d: Derived, v: int, said: dict[int, str]) -> Iterator[tuple[str, Value | None, At]]:
    """Values of the same shape: of the question and, where they are not among those, of the candidate."""
    a = d.base[0][v]
    for value in list(w.pool.of_shape(a.shape))[:MOST]:
        yield value.name, value, value.at.__getitem__
    same = [u for u in range(v) if np.shape(d.base[0][u]) == a.shape and u not in d.program.linear]
    for u in same[-MOST:]:
        b = d.base[0][u]
        if _floats(b) and w.pool.find(b) is None and np.ptp(b.real) > 0:
            yield said.get(u, "a value"), None, _own(w, d, u)


def _own(w: Workings, d: Derived, u: int) -> At:
    """A coefficient of the candidate's program, place by place."""
    first = {p.place: i for i, p in reversed(list(enumerate(w.probes)))}
    return lambda place: d.base[first[place]][u]


def _setting(v: int, at: At) -> Callable[[int], dict[int, Any]]:
    return lambda place: {v: at(place)}


def _applied(f: Callable[[Any], Any], at: At, place: int) -> Any:
    return f(at(place))


def _reading(d: Derived, k: int, i: int, at: Callable[[int], Any]) -> Callable[[int], Any]:
    eqn = d.program.equations[k]

    def edit(place: int) -> Any:
        other = at(place)
        return lambda x: eqn([other if j == i else b for j, b in enumerate(x)])

    return edit


def function_mends(w: Workings, d: Derived, wrong: set[int]) -> Iterator[Mistake]:
    """Of every coefficient: another function of what it is computed from."""
    for k, eqn in enumerate(d.program.equations):
        v = eqn.outputs[0]
        a = d.base[0][v]
        if v in d.program.linear or not _floats(a) or a.size < 2 or not d.program.reach(v) & wrong:
            continue
        sources = [u for u in _ancestors(d, k, 6) if np.shape(d.base[0][u]) == a.shape and _floats(d.base[0][u])]
        for u in sources:
            for name, (f, slope) in FUNCTIONS.items():
                b = d.base[0][u]
                with np.errstate(all="ignore"):
                    is_slope = np.allclose(a, slope(b), 1e-9)
                cause = "value_for_slope" if is_slope else "wrong_operand"
                of = w.pool.named(b)
                cost = (2.5 if of != NAMELESS else 4) - 0.6 * is_slope
                stands = f"{name}′({of})" if is_slope else w.pool.named(a)
                detail = f"{stands} stands where {name}({of}) belongs {where(d, k)}".strip()
                yield Mistake(
                    cause, detail, f"{name}({of})", cost, d,
                    given=_setting(v, partial(_applied, f, _own(w, d, u))), mends=True, origin=k,
                )  # fmt: skip


def _ancestors(d: Derived, k: int, depth: int) -> list[int]:
    made = {v: eqn for eqn in d.program.equations for v in eqn.outputs}
    found: list[int] = []
    front = list(d.program.equations[k].inputs)
    for _ in range(depth):
        found += [v for v in front if v not in found]
        front = [u for v in front if v in made for u in made[v].inputs if u not in found]
    return found


def _near(a: Any, b: Any) -> bool:
    """Whether two arrays are nearly parallel, as weights before and after a step are."""
    return bool(abs(np.vdot(a, b)) > 0.9 * np.linalg.norm(a) * np.linalg.norm(b))


def _floats(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"

"""What two values have to do with each other, where one stands in the place of the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.pool import NAMELESS, Pool

Relation = tuple[str, str, str]  # cause, detail, fix
At = Callable[[int], Any]  # of a place


def relations(right: Any, wrong: Any, pool: Pool, named: Callable[[float], str]) -> Iterator[Relation]:
    """How the wrong value may have come about from the right one; both at the first place."""
    right, wrong = np.asarray(right), np.asarray(wrong)
    if right.dtype.kind not in "fc" or wrong.dtype.kind not in "fc" or right.size < 2:
        return
    if right.ndim == wrong.ndim > 1:
        for order in itertools.permutations(range(right.ndim)) if right.ndim <= 4 else ():
            if order != tuple(range(right.ndim)) and _same(np.transpose(right, order), wrong):
                yield "transposed_operand", "it is transposed", "transpose it back"
                return
    if right.shape == wrong.shape:
        yield from _of_one_shape(right, wrong, named)
        yield from _by_a_factor(right, wrong, pool)
        yield from _by_a_term(right, wrong, pool)


def joined(a: Relation, b: Relation) -> Iterator[Relation]:
    """Two mistakes that are one: a term or a factor left out in one place, and one too many in another."""
    if {a[0], b[0]} == {"dropped_path", "counted_twice"} and a != b:
        right, wrong = (a, b) if a[0] == "dropped_path" else (b, a)
        yield "wrong_operand", f"one term stands in the place of another: {wrong[1]}; {right[1]}", right[2]
        return
    missing = next((p for p in (a, b) if p[0] in ("missing_factor", "missing_slope")), None)
    extra = next((p for p in (a, b) if p[0] in ("extra_factor", "extra_slope")), None)
    if missing is None or extra is None:
        return
    if missing[2].removeprefix("multiply by ") == extra[2].removeprefix("drop ") != NAMELESS:
        yield "wrong_order", f"{missing[1]}, and multiplied in elsewhere: {extra[1]}", missing[2]
        yield missing[0], f"{missing[1]}; elsewhere {extra[1]}", missing[2]
    else:
        yield "wrong_operand", f"{extra[1]}; {missing[1]}", f"{missing[2]}, and {extra[2]}"


def alike_in_part(a: Any, b: Any) -> bool:
    """Whether arrays are equal but where a mask decides otherwise."""
    same = a == b if a.shape == b.shape and a.size > 2 else np.zeros(1, bool)
    return bool(same.any() and not same.all() and np.any((a[same] != 0) & (a[same] != 1)))


def _of_one_shape(right: Any, wrong: Any, named: Callable[[float], str]) -> Iterator[Relation]:
    size = float(np.vdot(right, right).real)
    c = float(np.vdot(right, wrong).real) / size if size else 0.0
    if c and _same(c * right, wrong):
        yield (
            ("term_sign", "it has the wrong sign", "the other sign")
            if np.isclose(c, -1)
            else (
                "scale",
                f"it is scaled by {named(c) or f'{c:.6g}'}",
                f"divide by {named(c) or f'{c:.6g}'}",
            )
        )
    for n in range(1, min(right.ndim, 3) + 1):
        for axes in itertools.combinations(range(right.ndim), n):
            if _same(np.flip(right, axes), wrong):
                said = ", ".join(map(str, axes))
                yield "flipped", f"it is reversed along axis {said}", f"flip axis {said}"
                return
    if alike_in_part(right, wrong):
        yield "positions_ignored", "they differ only where a mask decides", "apply the mask"


def _by_a_factor(right: Any, wrong: Any, pool: Pool) -> Iterator[Relation]:
    if not (np.all(right) and np.all(wrong)):
        return
    for name, role, at in pool.fitting(right.shape):
        if np.all(at[0]):
            kind = "slope" if role == "slope" else "factor"
            if _same(right, wrong * at[0]):
                yield f"missing_{kind}", f"the factor {name} is left out", f"multiply by {name}"
            elif _same(right * at[0], wrong):
                yield _too_many(kind, name)


def _by_a_term(right: Any, wrong: Any, pool: Pool) -> Iterator[Relation]:
    for cause, word, fix, gap in (
        ("dropped_path", "left out", "add", right - wrong),
        ("counted_twice", "one too many", "drop", wrong - right),
    ):
        for sign, term in (("", gap), ("-", -gap)):
            known = pool.find(term)
            one = np.ptp(np.real(term)) <= 1e-9 and np.isclose(np.ravel(term)[0], 1)
            if known is not None or one:
                name = f"{sign}{known.name if known is not None else 1}"
                yield cause, f"the term {name} is {word}", f"{fix} {name}"
                return


def _too_many(kind: str, name: str) -> Relation:
    return f"extra_{kind}", f"{name} is one factor too many, or a division by it is left out", f"divide by {name}"


def _same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, 1e-8, 1e-11 * float(np.abs(b).max(initial=0))))

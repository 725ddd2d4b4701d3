"""A Jacobian entry by entry: which entries the candidate has, which it lost or moved, which have the other sign.

It needs nothing of how the candidate is written, so it is what is left for loops over arrays in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.explanations import Part
from vjpkit.check.diagnosis.workings import Workings

LARGEST = 64  # rows


def jacobian_parts(w: Workings, k: int) -> Iterator[tuple[Part, float]]:
    """What happened to the entries of an arm's Jacobian, where each is right, lost, or of the wrong sign."""
    units = list(w.asked.units(range(len(w.asked.spoken)))) if w.asked.kind == "vjp" else []
    if not 0 < len(units) <= LARGEST or np.iscomplexobj(w.want[k][0]):
        return
    right, got, close = _both(w, k, units)
    if right.shape != got.shape or not np.isfinite(got).all():
        return
    equal, turned = np.abs(got - right) <= close, np.abs(got + right) <= close
    lost = (np.abs(got) <= close) & ~equal
    if not equal.any() or not np.any(right[equal]):
        return
    if (equal | lost).all() and lost.any():
        yield _of_lost(np.abs(right) > close, lost), 1.4
    elif (equal | turned).all() and (turned & ~equal).any():
        n, of = int((turned & ~equal).sum()), int((np.abs(right) > close).sum())
        detail = f"{n} of {of} entries of the Jacobian have the wrong sign"
        yield ("term_sign", detail, "the other sign there"), 1.6


def moved_entries(w: Workings, k: int) -> Iterator[tuple[Part, float]]:
    """Whether the rows of an arm's Jacobian, or of a large one's every so many, have the right entries elsewhere."""
    units = list(w.asked.units(range(len(w.asked.spoken)))) if w.asked.kind == "vjp" else []
    if not units or np.iscomplexobj(w.want[k][0]):
        return
    right, got, close = _both(w, k, units[:: -(-len(units) // LARGEST)])
    if right.shape == got.shape and np.any(right) and (np.abs(np.sort(got) - np.sort(right)) <= close).all():
        detail = "the entries of the Jacobian's rows are right, but lie at other positions"
        yield ("positions_ignored", detail, "put each where the function reads it"), 4.0


def _both(w: Workings, k: int, units: list[Any]) -> tuple[Any, Any, float]:
    """The right Jacobian and the candidate's, a row for each of some entries of the output; what counts as equal."""
    right, got = (
        np.stack([np.ravel(ask(w.places[0], unit)[k]) for unit in units]) for ask in (w.right_at, w.answer_to)
    )
    return right, got, 1e-9 * float(np.abs(right).max(initial=0))


def _of_lost(there: Any, lost: Any) -> Part:
    kept = (there & ~lost).sum(0)
    several = there.sum(0) > 1
    if several.any() and (kept[several] <= 1).all() and (kept[several] == 1).any():
        text = "of the terms that add up in an entry only one is kept"
        return "overwritten_for_accumulated", text, "add: += in place of ="
    whole = [int(i) for i in np.flatnonzero((there <= lost).all(1) & there.any(1))]
    if whole and not lost[[i for i in range(len(lost)) if i not in whole]].any():
        said = ", ".join(map(str, whole[:4])) + (", …" if len(whole) > 4 else "")
        return "positions_ignored", f"the output's entries {said} contribute nothing", "add what comes from them"
    text = f"{int(lost.sum())} of {int(there.sum())} entries of the Jacobian are zero that are not"
    return "positions_ignored", text, "add what reaches these entries too"

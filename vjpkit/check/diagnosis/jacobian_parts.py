"""A Jacobian entry by entry: which entries the candidate has, which it lost or moved, which have the other sign.

It needs nothing of how the candidate is written, so it is what is left for loops over arrays in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.explanations import Part
from vjpkit.check.diagnosis.workings import Workings

LARGEST, ENTRIES = 64, 2**20  # rows that are looked at, and entries in some of many


def jacobian_parts(w: Workings, k: int) -> Iterator[tuple[Part, float]]:
    """What happened to the entries of an arm's Jacobian, where each is right, lost, or of the wrong sign."""
    if not 0 < _outputs(w) <= LARGEST or np.iscomplexobj(w.want[k][0]):
        return
    right, got, close = _both(w, k)
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
    if not _outputs(w) or np.iscomplexobj(w.want[k][0]):
        return
    right, got, close = _both(w, k, max(1, min(LARGEST, ENTRIES // max(1, w.want[k][0].size))))
    if right.shape == got.shape and np.any(right) and (np.abs(np.sort(got) - np.sort(right)) <= close).all():
        detail = "the entries of the Jacobian's rows are right, but lie at other positions"
        yield ("positions_ignored", detail, "put each where the function reads it"), 4.0


def _outputs(w: Workings) -> int:
    """How many entries the output has; none where the answers are tangents, which have no rows."""
    return sum(math.prod(shape) for shape, _ in w.asked.vector_shapes()) if w.asked.kind == "vjp" else 0


def _both(w: Workings, k: int, most: int = LARGEST) -> tuple[Any, Any, float]:
    """Rows of the right Jacobian and of the candidate's, for entries of the output; what counts as equal."""
    units = w.asked.units(range(len(w.asked.spoken)), most)
    rows = [[np.ravel(ask(w.places[0], unit)[k]) for ask in (w.right_at, w.answer_to)] for unit in units]
    right, got = map(np.stack, zip(*rows, strict=True))
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

"""A small Jacobian entry by entry: which of its entries the candidate has, which it lost, which have the other sign.

It needs nothing of how the candidate is written, so it is what is left for loops over arrays in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.explanations import Part
from vjpkit.check.diagnosis.workings import Workings

LARGEST = 64  # entries of the output


def jacobian_parts(w: Workings, k: int) -> Iterator[tuple[Part, float]]:
    """What happened to the entries of an arm's Jacobian, where each is right, lost, or of the wrong sign."""
    sizes = [int(np.prod(shape)) for shape, _ in w.asked.vector_shapes()]
    if w.asked.kind != "vjp" or sum(sizes) > LARGEST or np.iscomplexobj(w.want[k][0]):
        return
    right, got = _rows(w, k, False), _rows(w, k, True)
    if right.shape != got.shape or not np.isfinite(got).all():
        return
    close = 1e-9 * float(np.abs(right).max(initial=0))
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


def _rows(w: Workings, k: int, ours: bool) -> Any:
    """The Jacobian, a row for each entry of the output."""
    rows = []
    for vectors in w.asked.units(range(len(w.asked.spoken))):
        if ours:
            answer = w.answer_to(w.places[0], vectors)
        else:
            values = w.truth.program.run([*w.places[0], *vectors])
            answer = [values[v] for v in w.truth.program.outputs]
        rows.append(np.ravel(answer[k]))
    return np.stack(rows) if rows else np.zeros((0, 0))


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

"""An answer that is the right one times something that depends on the point alone: what is that something?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.whole_answers import Changed
from vjpkit.check.diagnosis.workings import Workings

MOST = 24


def ratio_mistakes(w: Workings, k: int) -> Iterator[Changed]:
    """got = R ⊙ want with the same R for all vectors: R is matched against values, their inverses, and two of these."""
    want, got = w.want[k], w.got[k]
    if np.shape(want[0]) != np.shape(got[0]) or not np.shape(want[0]):
        return
    ratios = _ratios(w, k)
    if ratios is None:
        return
    counts = [1 / r for r in ratios]
    if all(np.allclose(n, np.round(n), 0, 1e-6) and n.min() >= 1 for n in counts) and np.ptp(counts[0]) > 0.5:
        several = ", ".join(str(round(float(n))) for n in np.unique(np.round(counts[0]))[:4])
        detail = f"entries are divided by {several}: by how many terms they have"
        yield Changed("mean_for_sum", detail, "no division", 0.9, [a * r for a, r in zip(want, ratios, strict=True)])
    shape = np.shape(want[0])
    factors = [(n, role, at, p) for n, role, at in list(w.pool.fitting(shape))[: 2 * MOST] for p in (1, -1)]
    for i, (name, role, at, power) in enumerate(factors):
        one = [at[w.probes[j].place] ** float(power) for j in w.of_arm(k)]
        kind = "slope" if role == "slope" else "factor"
        product = _times(want, one)
        if power < 0 or (kind == "factor" and not w.multiplies(at[0])):
            text = f"{name} is missing" if power < 0 else f"the division by {name} is missing"
            fix = f"{'multiply' if power < 0 else 'divide'} by {name}"
            yield Changed(f"missing_{kind}", text, fix, 1.9, product)
        if power > 0:
            yield Changed(f"extra_{kind}", f"{name} is one factor too many", f"drop {name}", 2, product)
        for other, _, at2, power2 in factors[:i]:
            if power2 != power and (name, at[0].shape) != (other, at2[0].shape):
                two = [at2[w.probes[j].place] ** float(power2) for j in w.of_arm(k)]
                right, wrong = (name, other) if power < 0 else (other, name)
                along = [a.shape for a in (one[0], two[0])]
                same = name == other and along[0] != along[1]
                cause = "wrong_order" if same else "wrong_operand"
                text = (
                    f"{name} multiplies along the wrong axis" if same else f"{wrong} multiplies where {right} belongs"
                )
                yield Changed(
                    cause,
                    text,
                    f"{right} on the other side" if same else f"{right} in place of {wrong}",
                    3 - same,
                    _times(want, one, two),
                )


def _ratios(w: Workings, k: int) -> list[Any] | None:
    """R at each probe; None where it changes with the vector, and so is no factor."""
    probes = w.of_arm(k)
    by_place: dict[int, Any] = {}
    out = []
    with np.errstate(all="ignore"):
        for i, v, t in zip(probes, w.got[k], w.want[k], strict=True):
            r = np.where((v == 0) & (t == 0), 1, v / t)
            if not np.isfinite(r).all():
                return None
            before = by_place.setdefault(w.probes[i].place, r)
            if not np.allclose(r, before, rtol=1e-5):
                return None
            out.append(r)
    return out


def _times(want: list[Any], *factors: list[Any]) -> list[Any]:
    return [
        np.asarray(a * np.prod([np.broadcast_to(f[j], a.shape) for f in factors], axis=0)) for j, a in enumerate(want)
    ]

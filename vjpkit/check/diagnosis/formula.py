"""The diagnosis of one formula at one set of arguments."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.answers_read import Misread
from vjpkit.check.diagnosis.behaviour import behaviour, other_mask
from vjpkit.check.diagnosis.causes import sentence
from vjpkit.check.diagnosis.confirming import confirm
from vjpkit.check.diagnosis.drawing import shortened
from vjpkit.check.diagnosis.explanations import Explanation
from vjpkit.check.diagnosis.failing import failure, repaired
from vjpkit.check.diagnosis.finding import Argument, Diagnosis, Finding
from vjpkit.check.diagnosis.further_points import TIE, at_a_tie, elsewhere
from vjpkit.check.diagnosis.heat import structure
from vjpkit.check.diagnosis.programs import LONGEST
from vjpkit.check.diagnosis.question import Asked
from vjpkit.check.diagnosis.search import Search
from vjpkit.check.diagnosis.shapes import misshapen
from vjpkit.check.diagnosis.source import respelled_name
from vjpkit.check.diagnosis.workings import RIGHT, Workings

EVERYTHING = Argument("", -1)
MOST = 4  # findings of an argument
MENDED = ("nonlinear_in_cotangent", "nonfinite")  # behaviours of which an edit of the candidate may say more
SECONDS = 6.0
FAR = 4.0  # a cost beyond which an explanation is far-fetched
STEPS = 5  # of a loop that is too long


def diagnosed(
    asked: Asked,
    name: str,
    seed: int = 0,
    seconds: float = SECONDS,
    again: bool = True,
    traced: bool = False,
    ties: bool = False,
) -> Diagnosis:
    """What is wrong with `asked.candidate`. `again`: confirm at other shapes. `traced`: see `Workings`.

    `ties`: what is wrong only where two values tie is wrong; a formula that is right elsewhere is right.
    """
    start = time.perf_counter()
    with jax.enable_x64(True), np.errstate(all="ignore"):
        w, empty = Workings(asked, seed, traced=traced), Diagnosis(name, asked.kind)
        diagnosis = _answer(w, empty, seed, seconds, again, ties)
    diagnosis.seconds = time.perf_counter() - start
    return diagnosis


def _answer(w: Workings, diagnosis: Diagnosis, seed: int, seconds: float, again: bool, ties: bool) -> Diagnosis:
    asked = w.asked
    try:
        w.ask()
    except Misread as error:
        arm = EVERYTHING if error.arm is None else asked.arms[error.arm]
        diagnosis.findings.append(_finding(asked, arm, "structure", str(error), _structure(asked)))
        return diagnosis
    except Exception as error:
        diagnosis.findings += failure(w, error, again)
        return diagnosis
    wrong = [k for k in range(len(asked.arms)) if not is_right(w, k)]
    place = None if wrong else elsewhere(w)
    if not wrong and place is None and (place := at_a_tie(w)) is not None:
        diagnosis.notes.append(TIE)
        place = place if ties else None
    if place is not None:
        w = Workings(asked, seed, [place, asked.point])
        w.ask()
        wrong = [k for k in range(len(asked.arms)) if not is_right(w, k)]
    diagnosis.right = [asked.arms[k] for k in range(len(asked.arms)) if k not in wrong]
    if not wrong:
        diagnosis.findings.append(_finding(asked, EVERYTHING, "correct", "", "", residual=0.0, confirmed=True))
        return diagnosis
    w.prepare()
    explained: dict[int, list[Explanation]] = {}
    for k in list(wrong):
        said = behaviour(w, k) if np.shape(w.got[k][0]) == np.shape(w.want[k][0]) else None
        if said is not None:
            mended = Search(w, [k], 1.0).mended()[k] if said[0] in MENDED and again else []
            explained[k] = [Explanation((said,), 0.0, 0.0), *(e for e in mended if e.causes != (said[0],))]
        elif low := _low_precision(w, k):
            explained[k] = [low]
    rest = [k for k in wrong if k not in explained]
    if rest:
        explained |= _searched(w, rest, seconds, seed)
    for k in rest:
        if np.shape(w.got[k][0]) != np.shape(w.want[k][0]):
            mended = misshapen(w, k)
            edited = _in_source(w, k) if again and mended[0].cost >= FAR and not explained[k] else []
            found = [*mended, *explained[k]] if mended[0].cost < FAR else explained[k] or edited or mended
            explained[k] = sorted(found, key=lambda e: e.cost)
        elif again and all(e.cost >= FAR for e in explained[k]) and (edited := _in_source(w, k)):
            explained[k] = [*edited, *explained[k]]
        elif all(e.cost >= FAR for e in explained[k]) and (pattern := other_mask(w, k)):
            explained[k] = [Explanation((("random_mask", pattern, "the mask of the forward pass"),), 1.0, 0.0)]
    diagnosis.errors = {str(asked.arms[k]): _error(w, k) for k in wrong}
    diagnosis.asked = {str(asked.arms[k]): (asked, k) for k in wrong}
    diagnosis.findings = _findings(w, explained, diagnosis)
    if again and any(f.cause not in ("unexplained", "shape") for f in diagnosis.findings):
        confirm(asked, diagnosis, seed, w.candidate_program is not None)
    if len(w.places) == 1:
        diagnosis.notes.append("no second random point could be drawn at which the function is finite")
    elif wrong and all(is_right(w, k, place=len(w.places) - 1) for k in wrong):
        diagnosis.notes.append("at the given arguments it is indistinguishable from right; at others it is not")
    return diagnosis


def _searched(w: Workings, wrong: list[int], seconds: float, seed: int) -> dict[int, list[Explanation]]:
    """What explains each wrong arm. Long loops are looked into where they are shorter, if the question allows that."""
    if not w.sloped.program.loops:
        return Search(w, wrong, seconds).run()
    found = Search(w, wrong, seconds).whole()
    rest = [k for k in wrong if not found[k]]
    if rest:
        within = _with_fewer_steps(w, rest, seed) or Workings(w.asked, seed, unrolled=LONGEST)
        within.ask()
        within.prepare()
        found |= Search(within, rest, seconds).run()
    return found


def _with_fewer_steps(w: Workings, wrong: list[int], seed: int) -> Workings | None:
    """The same question at arrays that are cut, if the same arms are wrong there."""
    arrays = shortened(w.asked.point, w.sloped.program.loops, STEPS)
    if arrays is None:
        return None
    try:
        shorter = Workings(
            Asked(w.asked.f, w.asked.candidate, w.asked.kind, w.asked.rebuilt(arrays), w.asked.names), seed
        )
        shorter.ask()
    except Exception:  # the length is written into the function, or the formula
        return None
    return shorter if not any(is_right(shorter, k) for k in wrong) else None


def is_right(w: Workings, k: int, place: int | None = None) -> bool:
    """Whether an arm's answers are the right ones, at one place or at all."""
    for i, got, want in zip(w.of_arm(k), w.got[k], w.want[k], strict=True):
        if place is not None and w.probes[i].place != place:
            continue
        if got.shape != want.shape:
            return False
        known = np.isfinite(want)
        if not np.array_equal(np.isfinite(got) | ~known, np.ones_like(known)):
            return False
        off = np.linalg.norm((got - want)[known])
        if off > RIGHT * np.linalg.norm(want[known]) + w.floor:
            return False
    return True


def _findings(w: Workings, explained: dict[int, list[Explanation]], diagnosis: Diagnosis) -> list[Finding]:
    """The best explanation of each argument, then the others; ties are marked."""
    asked = w.asked
    rows: list[tuple[int, float, int, list[Finding]]] = []
    for k, found in explained.items():
        if not found:
            diagnosis.report[str(asked.arms[k])] = _structural(w, k)
            rows.append(
                (
                    0,
                    99.0,
                    k,
                    [_finding(asked, asked.arms[k], "unexplained", "", "compare it term by term with the derivation")],
                )
            )
        for rank, e in enumerate(found[:MOST]):
            tied = len(found) > 1 and all(abs(other.cost - e.cost) <= 0.5 for other in found[:2])
            parts = [
                _finding(
                    asked,
                    asked.arms[k],
                    *part,
                    residual=e.residual,
                    confirmed=len(w.places) > 1,
                    tied=tied,
                    part=len(e.parts),
                )
                for part in e.parts
            ]
            rows.append((rank, e.cost, k, parts))
    rows.sort(key=lambda row: (row[0], row[1], row[2]))
    return [finding for *_, parts in rows for finding in parts]


def _finding(asked: Asked, arm: Argument, cause: str, detail: str, fix: str, **more: Any) -> Finding:
    return Finding(arm, cause, detail, sentence(cause, arm, detail, asked.kind), fix, kind=asked.kind, **more)


def _structure(asked: Asked) -> str:
    names = ", ".join(f"{n}_bar" if n in asked.arms else "None" for n in asked.array_names)
    return f"return {names}" if asked.kind == "vjp" else "return a tangent like the output"


def _structural(w: Workings, k: int) -> str:
    got, want = w.got[k][0], w.want[k][0]
    if got.shape != want.shape:
        return f"shape {list(got.shape)} where {list(want.shape)} belongs"
    return structure(got, want)


def _error(w: Workings, k: int) -> Any:
    got, want = w.got[k][0], w.want[k][0]
    return got - want if got.shape == want.shape else want


def _in_source(w: Workings, k: int) -> list[Explanation]:
    """The edits of the candidate's source that make an arm right."""
    out = []
    for edits, _ in repaired(w, [k]):
        parts = []
        for e in edits:
            before, after = respelled_name(e.before), respelled_name(e.after)
            parts.append((e.cause, f"`{before}` where `{after}` belongs", after))
        out.append(Explanation(tuple(parts), 1.5 + sum(e.cost for e in edits) / 2, 0.0))
    return out


def _low_precision(w: Workings, k: int) -> Explanation | None:
    """Whether an error is what rounding to a narrower type leaves."""
    if np.shape(w.got[k][0]) != np.shape(w.want[k][0]):
        return None
    off = max(
        float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-300))
        for a, b in zip(w.got[k], w.want[k], strict=True)
    )
    narrow = {str(a.dtype) for a in w.got[k]} & {"float32", "bfloat16", "float16", "complex64"}
    if w.candidate_program is not None:
        types = {str(getattr(v, "dtype", "")) for v in w.candidate_program.base[0] if v is not None}
        narrow |= types & {"float32", "bfloat16", "float16", "complex64"}
    limit = {"float32": 1e-5, "complex64": 1e-5, "float16": 0.03, "bfloat16": 0.1}
    if narrow and off < max(limit[t] for t in narrow):
        name = ", ".join(sorted(narrow))
        return Explanation(
            (("precision", f"computed in {name}: off by {off:.1g}", "compute it in the argument's dtype"),), 0.5, 0.0
        )
    return None

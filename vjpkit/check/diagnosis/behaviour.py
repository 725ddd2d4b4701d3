"""How a candidate behaves, whatever its formula: finite, the same twice, linear in its vector, aware of the point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.derived import real
from vjpkit.check.diagnosis.factors import fitted
from vjpkit.check.diagnosis.workings import RIGHT, Workings

Behaviour = tuple[str, str, str]  # cause, detail, fix


def behaviour(w: Workings, k: int) -> Behaviour | None:
    """What is wrong with the way in which an arm's answer comes about, the first of these."""
    return next(iter((*_nonfinite(w, k), *_random(w, k), *_stale(w, k), *_constant(w, k), *_nonlinear(w, k))), None)


def _nonfinite(w: Workings, k: int) -> Iterator[Behaviour]:
    for got, want in zip(w.got[k], w.want[k], strict=True):
        if got.dtype.kind in "fc" and got.shape == want.shape:
            bad = ~np.isfinite(got) & np.isfinite(want)
            if bad.any():
                where = [tuple(int(n) for n in i) for i in np.argwhere(bad)[:4]]
                word = "NaN" if np.isnan(got[bad]).all() else "infinite"
                text = f"{word} in {int(bad.sum())} of {bad.size} entries, at {', '.join(map(str, where))}"
                yield "nonfinite", text, "the limit there: guard the denominator with jnp.where before dividing"
                return


def _random(w: Workings, k: int) -> Iterator[Behaviour]:
    i = w.of_arm(k)[0]
    again = w.asked.select(k, w.repeated(i))
    c, off = fitted([again], [w.got[k][0]])
    if off < 100 * RIGHT and c > 1.5 and abs(c - round(c)) < 1e-6:
        yield "stale", "what earlier calls answered is still in it: each call adds to it", "start from zero"
    elif not _same(again, w.got[k][0]):
        yield (
            "random_mask",
            "two calls with the same arguments differ: something random is drawn anew",
            "keep the mask of the forward pass",
        )


def other_mask(w: Workings, k: int) -> str:
    """Right but for which entries are kept: two masks of one rate."""
    got, want = w.got[k][0], w.want[k][0]
    if got.shape != want.shape or got.size < 8 or w.asked.kind != "vjp" or w.probes[0].vectors[0].shape != got.shape:
        return ""
    g = w.probes[0].vectors[0]
    with np.errstate(all="ignore"):
        ours, theirs = (np.unique(np.round(np.real(a / g), 9)) for a in (got, want))
    two = len(ours) == 2 and np.array_equal(ours, theirs) and 0 in ours
    return "entries are kept and dropped by another mask than in the forward pass" if two else ""


def _stale(w: Workings, k: int) -> Iterator[Behaviour]:
    """The answer at another point is that of the given one: what it needs was kept at some earlier call."""
    if len(w.places) < 2 or not _keeps_arrays(w):
        return
    vectors = [w.probes[i].vectors for i in w.of_arm(k)]
    last = w.of_arm(k)[-1]
    there = w.asked.select(k, w.answer_to(w.places[w.probes[last].place], vectors[0]))
    if not _equal(there, w.got[k][0]):
        return
    right = w.want[k][-1]
    here = w.asked.select(k, w.answer_to(w.places[0], w.probes[last].vectors))
    if _close(here, right) and not _close(w.got[k][0], w.want[k][0]):
        yield "stale", "at another point it still answers for the given arguments", "keep residuals of this call"


def _keeps_arrays(w: Workings) -> bool:
    """Whether a candidate has arrays of its own, as of an earlier call, so far as that is known."""
    d = w.candidate_program
    return d is None or any(real(a) and a.size > 1 for a in d.program.constants.values())


def _constant(w: Workings, k: int) -> Iterator[Behaviour]:
    a, b = (w.of_arm(k) + w.of_arm(k))[:2]
    if w.probes[a].place != w.probes[b].place or a == b:
        return
    got = w.got[k]
    if _equal(got[0], got[1]) and np.any(got[0]) and not _equal(w.want[k][0], w.want[k][1]):
        vector = "g" if w.asked.kind == "vjp" else "the tangent"
        ones = [_truth_with(w, k, i, np.ones_like) for i in (a, b)]
        only = (
            f"; it is right where {vector} is all ones, as for the sum of the output" if _close(got[0], ones[0]) else ""
        )
        yield (
            "ignores_cotangent",
            f"the answer does not depend on {vector}{only}",
            f"multiply by {vector}, which arrives from the output",
        )


def of_ones(w: Workings, k: int) -> Iterator[Behaviour]:
    """An answer of zeros, where the right one is zero for a vector of ones: that vector may have been taken."""
    if (candidate := w.trace_candidate()) is not None:
        outputs = candidate.program.outputs
        if candidate.program.varying.isdisjoint(outputs[k : k + 1] if w.asked.kind == "vjp" else outputs):
            return  # it is computed from nothing
    if all(float(np.linalg.norm(_truth_with(w, k, i, np.ones_like))) <= w.floor for i in w.of_arm(k)):
        vector = "g" if w.asked.kind == "vjp" else "the tangent"
        detail = f"zero, as the right answer is where {vector} is all ones"
        yield "ignores_cotangent", detail, f"multiply by {vector}"


def _nonlinear(w: Workings, k: int) -> Iterator[Behaviour]:
    i = w.of_arm(k)[0]
    p = w.probes[i]
    place = w.places[p.place]

    def at(c: float) -> Any:
        return w.asked.select(k, w.answer_to(place, [np.asarray(c * v).astype(v.dtype) for v in p.vectors]))

    try:
        zero, twice, minus, got = at(0.0), at(2.0), at(-1.0), w.got[k][0]
    except Exception:
        return
    other = np.asarray([np.linalg.norm(twice - 2 * got), np.linalg.norm(minus + got)])
    rest = (
        w.probes[w.of_arm(k)[1]].vectors
        if len(w.of_arm(k)) > 1 and w.probes[w.of_arm(k)[1]].place == p.place
        else p.vectors
    )
    total = w.asked.select(k, w.answer_to(place, [a + b for a, b in zip(p.vectors, rest, strict=True)]))
    second = w.asked.select(k, w.answer_to(place, rest))
    off = max(*other.tolist(), float(np.linalg.norm(total - got - second)))
    if off <= max(1e-7 * max(float(np.linalg.norm(got)), float(np.linalg.norm(second))), w.floor, 1e-300):
        return
    vector = "g" if w.asked.kind == "vjp" else "the tangent"
    for j, v in enumerate(p.vectors):
        name = w.vector_names[j]
        if _close(got, _truth_with(w, k, i, np.ones_like, j)) and np.any(v):
            yield "ignores_cotangent", f"{name} does not enter: ones stand in its place", f"multiply by {name}"
            return
        for word, f in (
            ("|{}|", np.abs),
            ("sign({})", np.sign),
            ("{}²", np.square),
            ("max({}, 0)", lambda a: np.maximum(a, 0)),
            ("a clipped {}", lambda a: np.clip(a, -1, 1)),
        ):
            if v.dtype.kind == "f" and _close(got, _truth_with(w, k, i, f, j)):
                yield (
                    "nonlinear_in_cotangent",
                    f"{word.format(name)} stands where {name} belongs",
                    f"{name} itself: a derivative is linear in it",
                )
                return
    how = (
        f"it is not 0 where {vector} is 0: a term that {vector} does not multiply"
        if np.any(np.abs(zero) > 1e-9 * np.abs(got).max(initial=0))
        else f"twice {vector} does not give twice the answer"
        if other[0] > 1e-9 * np.linalg.norm(got)
        else f"−{vector} does not give minus the answer"
        if other[1] > 1e-9 * np.linalg.norm(got)
        else "the answer to a sum is not the sum of the answers"
    )
    yield "nonlinear_in_cotangent", how, f"an expression that is linear in {vector}"


def _truth_with(w: Workings, k: int, probe: int, f: Any, which: int | None = None) -> Any:
    """The right answer to changed vectors."""
    p, n = w.probes[probe], w.truth.program.n_point
    given = {n + j: f(v) for j, v in enumerate(p.vectors) if which in (None, j) and np.any(v)}
    return w.asked.select(k, w.truth.program.again(w.truth.base[probe], {}, given))


def _equal(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b, equal_nan=True))


def _same(a: Any, b: Any) -> bool:
    """Equal but for the order of roundings."""
    return np.shape(a) == np.shape(b) and bool(
        np.allclose(a, b, 1e-6, 1e-9 * float(np.max(np.abs(b), initial=0)), equal_nan=True)
    )


def _close(a: Any, b: Any) -> bool:
    if np.shape(a) != np.shape(b):
        return False
    c, off = fitted([a], [b])
    return off < 100 * RIGHT and abs(c - 1) < 1e-6

"""Linearity of both maps in their vector: additive, homogeneous for either sign and any size, zero to zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vjpkit.check.judgement import Matter, judge, unavailable
from vjpkit.check.layout import Point
from vjpkit.check.modes import Leaves, Unavailable
from vjpkit.check.report import FAIL, NOTE, PASS, Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound
from vjpkit.check.trial import Trial

A, B, LARGE = -1.75, 0.625, 2.0**40


def check_linearity(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """T(a u + b w) = a T(u) + b T(w) with a < 0,   T(2⁴⁰ u) = 2⁴⁰ T(u),   T(0) = 0."""
    for mode, names in (("reverse", trial.layout.names), ("forward", trial.output_names)):
        try:
            yield from _mode(trial, mode, names)
        except Unavailable as error:
            yield unavailable("linearity", error, f"{mode} mode")


def _mode(trial: Trial, mode: str, names: tuple[str, ...]) -> Iterator[Result | Finding | Gap]:
    at = trial.points[0]
    u, w = (trial.cotangents if mode == "reverse" else trial.tangents)(at)[:2]
    held_u, held_w = getattr(trial, mode)(at, u), getattr(trial, mode)(at, w)
    t_u, t_w = [c.got for c in held_u.derivative], [c.got for c in held_w.derivative]
    dtypes = [a.dtype for a in (at.x if mode == "reverse" else trial.subject.outputs(at))]
    sums = _answer(trial, mode, at, [A * a + B * b for a, b in zip(u, w, strict=True)])
    large = _answer(trial, mode, at, [LARGE * a for a in u])
    for k, name in enumerate(names):
        moved = abs(A) * held_u.spread[k] + abs(B) * held_w.spread[k]
        size = np.abs(A * t_u[k]) + np.abs(B * t_w[k])
        pairs = [
            (sums[k], A * t_u[k] + B * t_w[k], moved, size, f"T({A} u + {B} w) against {A} T(u) + {B} T(w)"),
            (large[k] / LARGE, t_u[k], held_u.spread[k], np.abs(t_u[k]), "T(2⁴⁰ u) against 2⁴⁰ T(u)"),
        ]
        matters = []
        for got, want, spread, peak, of in pairs:
            limit = bound(np.fmax(np.abs(got), peak), want, spread, dtypes[k], trial.tol)
            matters.append(Matter(Comparison(got, want, limit), at, None, of))
        yield from judge(trial, "linearity", _called(mode, name), matters, "linearity")
    for point in (at, *trial.specials):
        yield from _zero(trial, mode, point, names)


def _zero(trial: Trial, mode: str, at: Point, names: tuple[str, ...]) -> Iterator[Result | Finding]:
    """Zero goes to zero, also where a slope is infinite and 0 · inf would be NaN."""
    like = trial.subject.outputs(at) if mode == "reverse" else at.x
    zeros = [np.zeros(a.shape) for a in like]
    bad = [(k, n, a) for k, (n, a) in enumerate(zip(names, _answer(trial, mode, at, zeros), strict=True)) if a.any()]
    reference = _reference(trial, mode, at, zeros) if bad else []
    excused = all(not np.isfinite(a).all() and not np.isfinite(reference[k]).all() for k, _, a in bad)
    yield Result("linearity", f"{mode} of zero", PASS if not bad else NOTE if excused else FAIL, note=at.label)
    for _, name, a in bad:
        i = tuple(int(n) for n in np.argwhere(a != 0)[0])
        yield Finding(
            "linearity",
            _called(mode, name),
            "zero does not go to zero",
            f"{list(i)} {a[i]:.6g}" + (f"; {at.label}" if at.label else ""),
            "0 · inf, as in autodiff too" if excused else "a term that the vector does not multiply, or 0 · inf",
            "the slope's limit, by jnp.where, in place of its infinity" if not np.isfinite(a[i]) else "",
            "note" if excused else "failure",
        )


def _reference(trial: Trial, mode: str, at: Point, vectors: Leaves) -> Leaves:
    try:
        return getattr(trial.reference, mode)(at, vectors)[1]
    except Unavailable:
        return [np.zeros(a.shape) for a in (at.x if mode == "reverse" else trial.subject.outputs(at))]


def _answer(trial: Trial, mode: str, at: Point, vectors: Leaves) -> Leaves:
    return getattr(trial.subject, mode)(at, vectors)[1]


def _called(mode: str, name: str) -> str:
    return f"{name} (vjp)" if mode == "reverse" else f"{name} (jvp)"

"""The special points that a case names: both modes there, against autodiff, or against what the case says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jax
import numpy as np

from vjpkit.check.judgement import Matter, argument_arbiter, judge, output_arbiter
from vjpkit.check.layout import Point, reals
from vjpkit.check.modes import Leaves, Unavailable, scope
from vjpkit.check.report import Finding, Gap, Result
from vjpkit.check.tolerance import Comparison, bound
from vjpkit.check.trial import Held, Trial
from vjpkit.core.answers import has_tangent


def check_special(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Value, tangent and cotangents at each special point."""
    if not trial.specials:
        yield Gap("special", "special points", "none were given (special=…)")
    for at in trial.specials:
        with suppress(Unavailable):  # which is reported below
            trial.ahead("reverse", at, trial.cotangents(at)[0])
            trial.ahead("forward", at, trial.tangents(at)[0])
    for at, expected in zip(trial.specials, trial.expected, strict=True):
        for mode in ("reverse", "forward"):
            try:
                yield from _mode(trial, at, expected, mode)
            except Unavailable as error:
                yield Gap("special", f"{at.label}, {mode}", str(error))


def _mode(trial: Trial, at: Point, expected: Any, mode: str) -> Iterator[Result | Finding]:
    vectors = (trial.cotangents if mode == "reverse" else trial.tangents)(at)[0]
    held: Held = getattr(trial, mode)(at, vectors)
    said = (
        None
        if expected is None or expected.cotangents is None
        else _cotangents(trial, at, expected, trial.cotangents(at)[0])
    )
    if expected is not None and expected.value is not None:
        value = [Matter(_against(trial, c, v), at) for c, v in zip(held.value, reals(expected.value), strict=True)]
        yield from judge(trial, "special", f"{at.label}, value in {mode} mode", value, "the case")
    if said is not None and mode == "reverse":
        matters = [Matter(_against(trial, c, bar), at) for c, bar in zip(held.derivative, said, strict=True)]
        yield from judge(trial, "special", f"{at.label}, {mode}", matters, "the case")
    elif said is not None:
        g, dots = trial.cotangents(at)[0], vectors
        pulled = np.asarray(sum(float(np.sum(b * v)) for b, v in zip(said, dots, strict=True)))
        pushed = np.asarray(sum(float(np.sum(a * c.got)) for a, c in zip(g, held.derivative, strict=True)))
        size = sum(float(np.sum(np.abs(b * v))) for b, v in zip(said, dots, strict=True))
        limit = np.asarray(bound(np.asarray(size), pulled, np.asarray(0.0), np.float64, trial.tol))
        yield from judge(
            trial,
            "special",
            f"{at.label}, {mode}",
            [Matter(Comparison(pushed, pulled, limit), at, None, "⟨g, ẏ⟩")],
            "the case",
        )
    else:
        arbiter = argument_arbiter if mode == "reverse" else output_arbiter
        matters = [Matter(c, at, arbiter(trial, at, vectors, k)) for k, c in enumerate(held.derivative)]
        yield from judge(trial, "special", f"{at.label}, {mode}", matters)


def _against(trial: Trial, c: Comparison, want: np.ndarray) -> Comparison:
    """Beside what the case says, whose digits are all good: what autodiff loses there excuses nothing."""
    want = np.broadcast_to(want, c.got.shape)
    return Comparison(c.got, want, bound(c.got, want, np.zeros(()), np.float64, trial.tol), exact=True)


def _cotangents(trial: Trial, at: Point, expected: Any, g: Leaves) -> Leaves:
    """What the case says the cotangents are, as real leaves; None, for an argument without a tangent, has none."""
    with scope(at):
        out = jax.eval_shape(lambda x, fixed: trial.fn(*trial.layout.arguments(x, fixed)), at.x, at.fixed)
    leaves, tree = jax.tree.flatten(out)
    parts = iter(g)
    cotangents = [
        next(parts) + 1j * next(parts)
        if np.issubdtype(leaf.dtype, np.complexfloating)
        else next(parts)
        if has_tangent(leaf)
        else None
        for leaf in leaves
    ]
    return reals(expected.cotangents(jax.tree.unflatten(tree, cotangents)))

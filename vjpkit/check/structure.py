"""Structure: how many cotangents, of which pytree, shape, dtype, and None exactly where there is no tangent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vjpkit.check.jaxprs import NO_FORWARD
from vjpkit.check.layout import Point
from vjpkit.check.modes import Modes, scope
from vjpkit.check.report import FAIL, NOTE, PASS, SKIP, Finding, Gap, Result
from vjpkit.check.trial import Trial


def check_structure(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Both modes are traced at the arguments' own dtypes; what the library or JAX objects to is the finding."""
    for name in trial.layout.fixed_names:
        yield Gap("structure", name, "an integer, bool or key: not differentiated")
    for k, path in zip(trial.layout.kinds, trial.layout.paths, strict=True):
        if k == "constant":
            yield Gap("structure", path, "no array: a constant of the function")
    for option, setting in trial.static.items():
        yield Gap("structure", option, f"static, checked at {setting!r} alone")
    for mode in ("reverse", "forward"):
        yield from _mode(trial, mode)
    if trial.rule is not None:
        yield from _weak_types(trial)


def _mode(trial: Trial, mode: str) -> Iterator[Result | Finding | Gap]:
    at = trial.given
    what = "cotangents" if mode == "reverse" else "tangents"
    if not trial.subject.has(mode, at):
        why = trial.subject.missing[mode, at.dtype]
        if why == NO_FORWARD:
            yield Result("structure", what, SKIP, note=why)
        elif not trial.reference.has(mode, at):
            yield Result("structure", what, SKIP, note=f"no {mode} mode")
            yield Gap(mode, f"{mode} mode", f"neither the function nor its reference has it: {why}")
        else:
            trial.subject.refused[mode] = f"its {what} have the wrong structure"
            yield Result("structure", what, FAIL)
            yield Finding(
                "structure", what, why.partition(": ")[2] or why, advice=f"see what {trial.name} returns there"
            )
        return
    wrong = [f"{name}: {got} for {want}" for name, got, want in _answers(trial, mode, at) if got != want]
    if wrong:
        yield Result("structure", what, FAIL)
        yield Finding("structure", what, f"of another shape or dtype: {'; '.join(wrong)}")
    else:
        yield Result("structure", what, PASS)


def _answers(trial: Trial, mode: str, at: Point) -> Iterator[tuple[str, str, str]]:
    outputs = trial.subject.outputs(at)
    like = outputs if mode == "reverse" else at.x
    vectors = tuple(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in like)
    answer = traced(trial.subject, mode, at, vectors)[1]
    names, spaces = (trial.layout.names, at.x) if mode == "reverse" else (trial.output_names, outputs)
    for name, a, s in zip(names, answer, spaces, strict=True):
        yield (
            name,
            f"{a.dtype}{list(a.shape)}",
            f"{s.dtype}{list(np.shape(s) if isinstance(s, np.ndarray) else s.shape)}",
        )


def traced(modes: Modes, mode: str, at: Point, vectors: Any) -> Any:
    """The shapes and dtypes that a mode answers."""
    with scope(at):
        return jax.eval_shape(modes.programs[mode], at.x, at.fixed, vectors)


def _weak_types(trial: Trial) -> Iterator[Result | Finding]:
    """The rule's own vjp, asked directly: a weakly typed cotangent makes whatever it meets compile anew."""
    rule, at = trial.rule, trial.given
    if rule.vjp is None:
        return

    def bars(x: Any, fixed: Any) -> Any:
        given = trial.layout.arguments(x, fixed)
        arguments, options = rule.complete(given, trial.static)
        out, res = rule.fwd(*arguments, **options)
        g = jax.tree.map(lambda y: y if np.issubdtype(y.dtype, np.inexact) or y.dtype.kind == "V" else None, out)
        answer = rule.vjp(res, g, **options)
        return answer[: len(given)] if isinstance(answer, tuple) else answer

    try:
        with scope(at):
            answer = jax.eval_shape(bars, at.x, at.fixed)
    except Exception:
        return
    weak = [s for s in jax.tree.leaves(answer) if s.weak_type]
    yield Result("structure", "weak types", NOTE if weak else PASS)
    if weak:
        yield Finding(
            "structure",
            "",
            f"{len(weak)} cotangents are weakly typed",
            advice="jnp.zeros(x.shape, x.dtype) in place of a number",
            level="note",
        )

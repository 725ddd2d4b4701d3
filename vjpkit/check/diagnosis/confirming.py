"""Confirmation: the same question at distinct prime shapes, where the function can be asked there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from vjpkit.check.diagnosis.drawing import prime_shapes, runs_with
from vjpkit.check.diagnosis.question import Asked

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis

SECONDS = 2.0


def confirm(asked: Asked, diagnosis: Diagnosis, seed: int, traced: bool) -> None:
    """Findings that the diagnosis at other shapes does not share lose their confirmation."""
    from vjpkit.check.diagnosis.formula import diagnosed

    arrays = prime_shapes(runs_with(asked.value), asked.point, np.random.default_rng(seed + 1))
    if arrays is None:
        return
    try:
        other = Asked(asked.f, asked.candidate, asked.kind, asked.rebuilt(arrays), asked.names)
        there = diagnosed(other, diagnosis.name, seed + 1, SECONDS, again=False, traced=traced)
    except Exception:
        return
    causes = {(str(f.argument), f.cause) for f in there.findings}
    failed = any(f.argument == "" and f.cause in ("shape", "structure") for f in there.findings)
    if failed:
        diagnosis.notes.append(f"at other shapes it fails to run: {there.findings[0].message}")
        return
    shared = [(str(f.argument), f.cause) in causes for f in diagnosis.findings]
    if not any(shared):
        return
    findings = [
        dataclasses.replace(f, confirmed=f.confirmed and s) for f, s in zip(diagnosis.findings, shared, strict=True)
    ]
    diagnosis.findings = findings

"""What is kept between the passes: by the rule, and by autodiff of the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax

from vjpkit.check.layout import Point
from vjpkit.check.modes import Modes, scope
from vjpkit.check.report import PASS, SKIP, Finding, Gap, Result
from vjpkit.check.trial import Trial


def check_residuals(trial: Trial) -> Iterator[Result | Finding | Gap]:
    """Leaves and bytes of the residuals of one reverse pass at the arguments' own dtypes, each array once."""
    at = trial.given
    counts = []
    for who, modes in (("rule", trial.subject), ("autodiff", trial.reference)):
        if not modes.has("reverse", at):
            yield Gap("residuals", who, "no reverse mode")
            continue
        leaves, size = kept(modes, at)
        counts.append(f"{who} keeps {leaves} array{'s' * (leaves != 1)}, {_bytes(size)}")
    yield Result("residuals", "", PASS if len(counts) == 2 else SKIP, note="; ".join(counts))


def kept(modes: Modes, at: Point) -> tuple[int, int]:
    """How many arrays, and bytes, the pullback of a function holds."""

    def pullback(x: Any, fixed: Any) -> Any:
        return jax.tree.leaves(jax.vjp(lambda *x: modes.f(x, fixed), *x)[1])

    with scope(at):
        outvars = jax.make_jaxpr(pullback)(at.x, at.fixed).jaxpr.outvars
    unique = {id(v): v.aval for v in outvars if not hasattr(v, "val")}
    return len(unique), sum(math.prod(a.shape) * _itemsize(a.dtype) for a in unique.values())


def _itemsize(dtype: Any) -> int:
    return 0 if dtype == jax.dtypes.float0 else int(getattr(dtype, "itemsize", 0))


def _bytes(n: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"

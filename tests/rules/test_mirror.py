"""A rule in place of its namesake in jax.nn or optax: an import is changed, and nothing else."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.check.compiling import jit
from vjpkit.core import Case

from .mirror import WIDER, alike, mirrored, theirs
from .truth import CASES, Problem, assert_all_close, assert_close, each, joined, vjp

MIRRORED = [c for c in CASES if mirrored(c.rule)]
SHARED = [c for c in MIRRORED if alike(c)]


@each(list({c.rule: c for c in MIRRORED}.values()))
def test_signature(case: Case) -> None:
    """Same names, same order, same defaults; what is added is keyword-only or comes last, and has a default."""
    wanted, ours = (list(inspect.signature(f).parameters.values()) for f in (mirrored(case.rule), case.rule))
    assert [(p.name, p.default) for p in ours[: len(wanted)]] == [(p.name, p.default) for p in wanted]
    assert all(p.kind in (q.kind, p.POSITIONAL_OR_KEYWORD) for p, q in zip(ours, wanted, strict=False))
    assert all(p.default is not p.empty for p in ours[len(wanted) :])


@each(SHARED)
def test_value_and_gradient(case: Case) -> None:
    """The same wherever theirs is finite; ours is finite everywhere."""
    p = Problem.of(case)
    f = lambda *x: joined(theirs(p, x))  # noqa: E731
    g = p.cotangent()
    run = jit(lambda x: [(f(*x), vjp(f, x, g)) for f in (p.ours, f)])
    (y, bars), (want, want_bars) = run(p.x)
    assert_close(y, want, f"{p.rule.name}: value")
    known = [np.isfinite(b) for b in want_bars]
    assert all(np.isfinite(b).all() for b in bars)
    assert any(k.any() for k in known)
    here, there = ([jnp.where(k, b, 0) for k, b in zip(known, bs, strict=True)] for bs in (bars, want_bars))
    assert_all_close(here, there, p, "cotangent of")


@each([c for c in SHARED if c.rule.name not in WIDER])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=lambda d: jnp.dtype(d).name)
def test_types(case: Case, dtype: Any) -> None:
    p = Problem.of(case, dtype)
    wanted = jax.eval_shape(lambda *x: joined(theirs(p, x)), *p.x)
    ours = jax.eval_shape(p.ours, *p.x)
    assert (ours.shape, ours.dtype) == (wanted.shape, wanted.dtype)

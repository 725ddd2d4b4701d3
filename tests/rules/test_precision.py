"""Low precision beside the truth: float64 autodiff of the primal at the same, already rounded numbers.

A computation that rounds well gives the exact result of arguments that are each off by a few eps. So its error is
a few eps of what such a change does to the result, Σ |J| |x| for the value and Σ |J|ᵀ |g| + |∂(Jᵀ g)/∂x| |x| for a
cotangent, at that cotangent's own scale; there is no absolute tolerance. And a rule must not lose to autodiff.
Every case is asked in bfloat16, where a step too many in half precision costs most, and one of each rule in all three.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from vjpkit.check.compiling import jit
from vjpkit.core import Case

from .truth import CASES, TRUTH, Problem, assert_close, error, is_fullest, name, truth

FEW = 8  # the steps on the longest way from an argument to a result: exp, log, tanh are good to one or two ulp each
RIVAL = 2  # two right ways of rounding differ: each may be off by the other's error, and by one rounding of the answer


def _asked() -> list[Any]:
    narrow = (jnp.float32, jnp.bfloat16, jnp.float16)
    return [
        pytest.param(case, dtype, id=f"{name(case)}-{jnp.dtype(dtype).name}")
        for case in CASES
        for dtype in (narrow if is_fullest(case) else [jnp.bfloat16])
    ]


@pytest.mark.parametrize(("case", "dtype"), _asked())
def test_precision(case: Case, dtype: Any) -> None:
    p = Problem.of(case, dtype)
    g, eps = p.cotangent(), float(jnp.finfo(dtype).eps)
    t = truth(p, TRUTH, p.direction(1), p.direction(2), g)
    run = jit(lambda x, g: [_value_and_bars(f, x, g) for f in (p.ours, p.plain)])
    names = ["value", *(f"cotangent of {name}" for name in p.names)]
    for what, ours, rival, want, scale in zip(names, *run(p.x, g), [t["value"], *t["bars"]], t["scales"], strict=True):
        assert_close(ours, want, f"{case.rule.name}: {what}", FEW * eps * case.tol, scale)
        allowed = RIVAL * error(rival, want, scale) + eps
        assert_close(ours, want, f"{case.rule.name}: {what}, worse than autodiff,", allowed, scale)


def _value_and_bars(f: Any, x: Any, g: Any) -> list[Any]:
    y, pull = jax.vjp(f, *x)
    return [y, *pull(g)]

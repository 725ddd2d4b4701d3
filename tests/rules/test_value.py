"""The value beside an independent NumPy or SciPy reference, and the shapes and dtypes of all that a rule answers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import Case

from .truth import CASES, Problem, assert_close, each, joined

WIDE = {"linear_cross_entropy", "linear_log_probs", "linear_divergence", "clip_loss"}  # float32 at least
FLOATS = [jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16]


@each([c for c in CASES if c.reference])
def test_value_is_the_references(case: Case) -> None:
    p = Problem.of(case)
    args = jax.tree.map(np.asarray, p.args(*p.exact().x))
    want = joined(case.reference(*args, **case.static))
    assert_close(p.ours(*p.x), want, f"{case.rule.name}: value")


@each()
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: jnp.dtype(d).name)
def test_shapes_and_dtypes(case: Case, dtype: Any) -> None:
    """The output's are the primal's, weakly typed scalars promote nothing, each cotangent's are its argument's."""
    p = Problem.of(case, dtype)
    y, want = jax.eval_shape(p.ours, *p.x), jax.eval_shape(p.plain, *p.x)
    assert (y.shape, y.dtype, y.weak_type) == (want.shape, want.dtype, want.weak_type)
    dot = jax.eval_shape(lambda x, v: jax.jvp(p.ours, x, v)[1], p.x, p.direction(1))
    assert (dot.shape, dot.dtype) == (y.shape, y.dtype)
    bars = jax.eval_shape(lambda x, g: jax.vjp(p.ours, *x)[1](g), p.x, p.cotangent())
    for name, bar, x in zip(p.names, bars, p.x, strict=True):
        assert (bar.shape, bar.dtype) == (jnp.shape(x), jnp.result_type(x)), f"cotangent of {name}"
    if case.rule.name in WIDE:
        assert y.dtype == jnp.promote_types(dtype, jnp.float32)
    elif any(jnp.ndim(x) for x in p.x):
        assert y.dtype == dtype, "a rule answers in the dtype of its float arguments"

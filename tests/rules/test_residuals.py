"""What is kept between the forward and the backward pass: counted on the leaves of the pullback."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core import Case

from .truth import CASES, Problem, each


def kept(f: Any, x: Any) -> list[Any]:
    """Shape and dtype of each array that the pullback of `f` holds."""
    return jax.eval_shape(lambda *x: jax.tree.leaves(jax.vjp(f, *x)[1]), *x)


def size(arrays: Any) -> int:
    """In bytes, numbers not counted: a parameter's default is one."""
    return sum(math.prod(jnp.shape(a)) * jnp.result_type(a).itemsize for a in arrays if jnp.shape(a))


@each([c for c in CASES if c.rule.path.startswith(("vjpkit.nn.activations.", "vjpkit.nn.gates."))])
def test_an_activation_keeps_at_most_one_array(case: Case) -> None:
    """Of its input's size; beside it only parameters, each of which is an argument itself."""
    p = Problem.of(case, jnp.float32)
    largest = max(math.prod(jnp.shape(x)) for x in p.x)
    shapes = [r.shape for r in kept(p.ours, p.x) if r.shape]
    assert len([s for s in shapes if math.prod(s) >= largest]) <= 1
    assert all(math.prod(s) == largest or s in [jnp.shape(x) for x in p.x] for s in shapes)


@each()
def test_a_rule_keeps_no_more_than_autodiff(case: Case) -> None:
    """Or than its arguments, which the caller has anyway, where autodiff keeps a mask or a sum; numbers are free."""
    p = Problem.of(case, jnp.float32)
    ours, theirs = (size(kept(f, p.x)) for f in (p.ours, p.plain))
    assert ours <= max(theirs, size(p.leaves)), f"{ours} bytes, autodiff keeps {theirs}"

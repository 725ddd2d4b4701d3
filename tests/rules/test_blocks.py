"""Blocks: what each choice of `save` keeps and costs, beside jax.checkpoint; and what they refuse."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from vjpkit import nn
from vjpkit.core import inline

LAYERS, ROWS, D, F = 8, 256, 64, 256
ARGUMENTS = {nn.mlp: ((D, F), (F, D), (F,), (D,), (D,), (D,)), nn.gated_mlp: ((D, F), (D, F), (F, D), (D,))}
X = jax.ShapeDtypeStruct((ROWS, D), jnp.float32)
INPUTS = {nn.mlp: 1, nn.gated_mlp: 2}
each_block = pytest.mark.parametrize("block", ARGUMENTS, ids=lambda rule: rule.name)


def arrays(block: Any, *lead: int) -> tuple[Any, ...]:
    return tuple(jax.ShapeDtypeStruct((*lead, *shape), jnp.float32) for shape in ARGUMENTS[block])


def scanned(block: Any, rule: Any) -> Any:
    """The compiled gradient of a stack of residual blocks in a scan."""

    def loss(x: Any, parameters: Any) -> Any:
        return jax.lax.scan(lambda x, p: (x + block(x, *p), None), x, parameters)[0].sum()

    return jax.jit(jax.grad(loss, (0, 1))).lower(X, arrays(rule, LAYERS)).compile()


def kept(block: Any, rule: Any) -> int:
    """Bytes of the residuals beyond the arguments."""
    vjp = jax.eval_shape(lambda *args: jax.vjp(block, *args)[1], X, *arrays(rule))
    given = sum(a.size * a.dtype.itemsize for a in (X, *arrays(rule)))
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(vjp)) - given


@each_block
def test_what_is_kept(block: Any) -> None:
    """h for "pre", φ(h) and h for "out", for these units' own rules keep h; nothing for "none"."""
    wide = ROWS * F * 4
    n = INPUTS[block]
    assert [kept(functools.partial(block, save=save), block) for save in ("pre", "out", "none")] == [
        n * wide,
        (n + 1) * wide,
        0,
    ]


def test_an_activation_told_by_its_output_is_kept_once() -> None:
    assert kept(functools.partial(nn.mlp, activation=nn.tanh, save="out"), nn.mlp) == ROWS * F * 4


@each_block
def test_in_a_scan_it_is_as_lean_as_the_best_policy_and_costs_no_more(block: Any) -> None:
    plain = inline(block)
    saveable = scanned(jax.checkpoint(plain, policy=jax.checkpoint_policies.dots_saveable), block)
    everything = scanned(plain, block)
    ours = scanned(block, block)

    def temp(program: Any) -> int:
        return program.memory_analysis().temp_size_in_bytes

    row_statistics = 2 * ROWS * 4
    assert temp(ours) <= temp(saveable) + row_statistics
    assert temp(ours) * 3 <= temp(everything)
    assert ours.cost_analysis()["flops"] <= saveable.cost_analysis()["flops"]
    assert temp(scanned(functools.partial(block, save="none"), block)) < temp(ours)


def test_half_precision_adds_up_in_float32() -> None:
    """Products of 4096 terms: of each the error is one rounding of the result, not one of each partial sum."""
    x = jnp.ones((3, 4096), jnp.bfloat16)
    w = jnp.full((4096, 2), 1 / 128, jnp.bfloat16)
    v = jnp.ones((2, 5), jnp.bfloat16)
    y = nn.mlp(x, w, v, activation=nn.relu, norm=None)
    assert y.dtype == jnp.bfloat16
    assert (y == 64).all()

"""The reverse-mode part once more, with every rule mounted as a stock `jax.custom_vjp` function: same gradients."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

import vjpkit
from vjpkit.check.compiling import jit
from vjpkit.core import Case

from .truth import QUANTITIES, Problem, assert_all_close, assert_close, each, truth


@pytest.fixture(scope="module", autouse=True)
def stock() -> Iterator[None]:
    with vjpkit.mount("custom_vjp"):
        yield


@each()
def test_reverse_mode(case: Case) -> None:
    """The pullback, and its own pullback."""
    p = Problem.of(case)
    u, v, g = p.direction(1), p.direction(2), p.cotangent()
    assert "custom_vjp_call" in [eqn.primitive.name for eqn in jax.make_jaxpr(p.ours)(*p.x).eqns]
    quantities = ("value", "bars", "reverse over reverse")
    ours = jit(lambda x: {q: QUANTITIES[q](p.ours, x, u, v, g) for q in quantities})(p.x)
    plain = truth(p, quantities, u, v, g)
    assert_close(ours["value"], plain["value"], f"{p.rule.name}: value")
    assert_all_close(ours["bars"], plain["bars"], p, "cotangent of")
    _, *turned = ours["reverse over reverse"]
    assert_all_close(turned, plain["reverse over reverse"][1:], p, "reverse over reverse, in")

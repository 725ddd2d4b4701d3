"""Value and derivatives beside autodiff of the primal: both modes, the Jacobian both ways, and the second orders.

All are taken at one random point for each case, along directions that have nothing to do with one another, in one
program for the rule and one for the truth. In every case the vjp is differentiated, and the jvp; one case of each rule
has these two derivatives transposed as well, and its reverse mode again with the rule mounted as `jax.custom_vjp`.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import vjpkit
from vjpkit.check.compiling import jit
from vjpkit.core import Case

from .truth import (
    FULLEST,
    QUANTITIES,
    TRUTH,
    Problem,
    assert_adjoint,
    assert_all_close,
    assert_close,
    derivatives,
    each,
    is_fullest,
    truth,
)

OURS = tuple(q for q in QUANTITIES if q not in ("scales", "dots"))
TRANSPOSED = ("reverse over forward", "reverse over reverse")
STOCK = ("value", "bars", "reverse over reverse")
_known: dict[int, tuple[Case, Any]] = {}


def both(case: Case) -> tuple[Problem, Any, Any, Any, Any]:
    """The case at a point, v, g, and the quantities by the rule and by autodiff; computed once for each case."""
    if id(case) not in _known:
        p = Problem.of(case)
        u, v, g = p.direction(1), p.direction(2), p.cotangent(3)
        asked = OURS if is_fullest(case) else [q for q in OURS if q not in TRANSPOSED]
        _known[id(case)] = case, (p, v, g, derivatives(p, "ours", asked, u, v, g), truth(p, TRUTH, u, v, g))
    return _known[id(case)][1]


@each()
def test_value(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_close(ours["value"], plain["value"], f"{p.rule.name}: value")
    assert_close(ours["value of fwd"], plain["value"], f"{p.rule.name}: value of fwd")


@each()
def test_vjp(case: Case) -> None:
    """Against the primal's vjp, and against its Jacobian, contracted with g."""
    p, _, g, ours, plain = both(case)
    assert_all_close(ours["bars"], plain["bars"], p, "cotangent of")
    contracted = [np.tensordot(g, J, g.ndim) for J in plain["columns"]]
    assert_all_close(ours["bars"], contracted, p, "against gᵀ J, cotangent of")


@each()
def test_jvp(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_close(ours["dot"], plain["dot"], f"{p.rule.name}: tangent")


@each()
def test_jacobian_by_rows(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_all_close(ours["rows"], plain["rows"], p, "jacrev in")
    assert_all_close(ours["rows"], plain["columns"], p, "jacrev, against jacfwd, in")


@each()
def test_jacobian_by_columns(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_all_close(ours["columns"], plain["columns"], p, "jacfwd in")
    assert_all_close(ours["columns"], plain["rows"], p, "jacfwd, against jacrev, in")


@each()
def test_the_two_maps_are_adjoint(case: Case) -> None:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩ of the rule's own maps, argument by argument, each alone perturbed."""
    p, v, g, ours, _ = both(case)
    for name, v_k, (dot, bar) in zip(p.names, v, ours["alone"], strict=True):
        assert_adjoint(g, dot, bar, v_k, f"{p.rule.name} in {name}")


@each()
def test_forward_over_reverse(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_all_close(ours["forward over reverse"], plain["forward over reverse"], p, "forward over reverse, in")


@each(FULLEST)
def test_reverse_over_forward(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    assert_all_close(ours["reverse over forward"], plain["forward over reverse"], p, "reverse over forward, in")


@each(FULLEST)
def test_reverse_over_reverse(case: Case) -> None:
    """The pullback's own pullback: by u it turns the arguments' cotangents, and gives J u to the output's."""
    p, _, _, ours, plain = both(case)
    dot, *turned = ours["reverse over reverse"]
    assert_all_close(turned, plain["forward over reverse"], p, "reverse over reverse, in")
    assert_close(dot, plain["dot"], f"{p.rule.name}: reverse over reverse, in g")


@each()
def test_forward_over_forward(case: Case) -> None:
    p, _, _, ours, plain = both(case)
    what = f"{p.rule.name}: forward over forward"
    assert_close(ours["forward over forward"], plain["forward over forward"], what)


@each(FULLEST)
def test_mounted_as_a_custom_vjp(case: Case) -> None:
    """A stock `jax.custom_vjp` function of the rule's maps has the same pullback, which has the same pullback."""
    p, _, g, _, plain = both(case)
    u = p.direction(1)
    with vjpkit.mount("custom_vjp"):
        assert "custom_vjp_call" in [eqn.primitive.name for eqn in jax.make_jaxpr(p.ours)(*p.x).eqns]
        ours = jit(lambda x: {q: QUANTITIES[q](p.ours, x, u, None, g) for q in STOCK})(p.x)
    assert_close(ours["value"], plain["value"], f"{p.rule.name}: value")
    assert_all_close(ours["bars"], plain["bars"], p, "cotangent of")
    assert_all_close(ours["reverse over reverse"][1:], plain["forward over reverse"], p, "reverse over reverse, in")

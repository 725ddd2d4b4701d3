"""The comparisons, tested: each must fail for a rule with a planted bug, and pass for the rule without it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import Case, Special, rule
from vjpkit.core.draw import normal

from . import (
    test_derivatives,
    test_precision,
    test_residuals,
    test_shapes,
    test_special,
    test_transformations,
    test_value,
)
from .truth import Problem, assert_close, error


def _fwd(x, w):
    y = jnp.tanh(x @ w)
    return y, (x, w, y)


def _jvp(res, x_dot, w_dot):
    x, w, y = res
    return (1 - y * y) * (x_dot @ w + x @ w_dot)


def _vjp(res, g):
    x, w, y = res
    z_bar = g * (1 - y * y)
    return z_bar @ w.T, x.T @ z_bar


def planted(**wrong: Any) -> Case:
    """y = tanh(x w), one of whose parts is wrong."""

    @rule
    def layer(x, w):
        return wrong.get("primal", lambda x, w: jnp.tanh(x @ w))(x, w)

    layer.defrule(fwd=wrong.get("fwd", _fwd), jvp=wrong.get("jvp", _jvp), vjp=wrong.get("vjp", _vjp))
    reference = lambda x, w: np.tanh(x @ w)  # noqa: E731
    points = wrong.get("special", (Special((jnp.zeros((2, 3)), jnp.zeros((3, 5))), why="the origin"),))
    return Case(layer, (normal(2, 3), normal(3, 5)), special=points, reference=reference)


def _stopped(part: Callable[..., Any]) -> Callable[..., Any]:
    """A map whose first order is right and whose coefficients never move: wrong from the second order on."""
    return lambda res, *vectors: part(jax.lax.stop_gradient(res), *vectors)


def _scaled(part: Callable[..., Any], by: Any) -> Callable[..., Any]:
    return lambda *args: jax.tree.map(lambda a: (a * by).astype(a.dtype), part(*args))


def _nan_at_zero(res, x_dot, w_dot):
    return _jvp(res, x_dot, w_dot) + jnp.where(res[2] == 0, jnp.nan, 0)


def _rounded(x, w):
    y = jnp.tanh(x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(x.dtype)
    return y, (x, w, y)


def _wide(a):
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))


PROMOTES = {
    "primal": lambda x, w: _wide(jnp.tanh(x @ w)),
    "fwd": lambda x, w: (_wide(_fwd(x, w)[0]), _fwd(x, w)[1]),
    "jvp": lambda res, *dots: _wide(_jvp(res, *dots)),
    "vjp": lambda res, g: _vjp(res, g.astype(res[0].dtype)),
}


_more = lambda x, w: (*_fwd(x, w)[1], x + 1, w + 1)  # noqa: E731

BUGS: dict[str, dict[str, Any]] = {
    "none": {},
    "vjp": {"vjp": _scaled(_vjp, 1.001)},
    "jvp": {"jvp": _scaled(_jvp, 1.001)},
    "value of fwd": {"fwd": lambda x, w: (_fwd(x, w)[0] * 1.001, _fwd(x, w)[1])},
    "vjp ignores g": {"vjp": lambda res, g: _vjp(res, jnp.ones_like(g))},
    "vjp takes |g|": {"vjp": lambda res, g: _vjp(res, jnp.abs(g))},
    "sign of w": {"jvp": lambda res, *dots: _jvp(res, dots[0], -dots[1])},
    "both maps": {  # wrong by the same slip, and adjoint to one another
        "jvp": lambda res, *dots: _jvp((*res[:2], res[2] * 1.001), *dots),
        "vjp": lambda res, g: _vjp((*res[:2], res[2] * 1.001), g),
    },
    "second order": {"jvp": _stopped(_jvp), "vjp": _stopped(_vjp)},
    "primal": {"primal": lambda x, w: jnp.sinh(x @ w)},
    "promotes": PROMOTES,
    "rounds": {"fwd": _rounded},
    "in float32": {"vjp": _scaled(_vjp, 1 + 1e-5)},
    "special value": {"special": (Special((np.zeros((2, 3)), np.zeros((3, 5))), why="", value=1e-3),)},
    "special cotangent": {"vjp": lambda res, g: tuple(a + 1e-3 for a in _vjp(res, g))},
    "special tangent": {"jvp": lambda res, *dots: _jvp(res, *dots) + 1e-3},
    "special NaN": {"jvp": _nan_at_zero},
    "keeps more": {
        "fwd": lambda x, w: (_fwd(x, w)[0], _more(x, w)),
        "jvp": lambda res, *dots: _jvp(res[:3], *dots) + 0 * (res[3].sum() + res[4].sum()),
        "vjp": lambda res, g: tuple(a + 0 * (res[3].sum() + res[4].sum()) for a in _vjp(res[:3], g)),
    },
}


@functools.cache
def case_of(bug: str) -> Case:
    return planted(**BUGS[bug])


def _special(test: Any) -> Callable[[Case], None]:
    return lambda case: [test(case, special, d) for special in case.special for d in (jnp.float64, jnp.float32)]


def _vmap(case: Case) -> None:
    for batched in ((0,), (1,), (0, 1)):
        moved.test_vmap(case, batched)


def _at_a_point(transform: Any) -> Callable[[Case], None]:
    return functools.partial(moved.test_at_a_point, transform=transform)


def _shapes(case: Case) -> None:
    test_shapes.check(case.rule, test_shapes.normal(2, 3), test_shapes.normal(3, 5))


taken, moved = test_derivatives, test_transformations

# Each comparison, and the bugs that it must see.
SEES: dict[str, tuple[Callable[[Case], Any], tuple[str, ...]]] = {
    "reference": (test_value.test_value_is_the_references, ("primal",)),
    "value": (taken.test_value, ("value of fwd",)),
    "types": (functools.partial(test_value.test_shapes_and_dtypes, dtype=jnp.bfloat16), ("promotes",)),
    "vjp": (taken.test_vjp, ("vjp", "vjp ignores g", "vjp takes |g|", "both maps")),
    "jvp": (taken.test_jvp, ("jvp", "sign of w", "both maps")),
    "rows": (taken.test_jacobian_by_rows, ("vjp", "both maps")),
    "columns": (taken.test_jacobian_by_columns, ("jvp", "both maps")),
    "adjoint": (taken.test_the_two_maps_are_adjoint, ("vjp", "jvp", "sign of w")),
    "forward over reverse": (taken.test_forward_over_reverse, ("second order", "vjp")),
    "reverse over forward": (taken.test_reverse_over_forward, ("second order", "jvp")),
    "reverse over reverse": (taken.test_reverse_over_reverse, ("second order", "vjp")),
    "forward over forward": (taken.test_forward_over_forward, ("second order", "jvp")),
    "jit": (_at_a_point(jax.jit), ("vjp", "jvp")),
    "checkpoint": (_at_a_point(jax.checkpoint), ("vjp", "jvp")),
    "scan": (moved.test_scan, ("vjp", "jvp")),
    "vmap": (_vmap, ("vjp", "jvp")),
    "precision": (functools.partial(test_precision.test_precision, dtype=jnp.float32), ("rounds", "in float32")),
    "special value": (_special(test_special.test_value), ("special value",)),
    "special cotangents": (_special(test_special.test_cotangents), ("special cotangent",)),
    "special tangents": (_special(test_special.test_tangents), ("special tangent", "special NaN")),
    "one array kept": (test_residuals.test_an_activation_keeps_at_most_one_array, ("none",)),
    "kept by autodiff": (test_residuals.test_a_rule_keeps_no_more_than_autodiff, ("keeps more",)),
    "shapes": (_shapes, ("vjp", "jvp")),
}  # fmt: skip


@pytest.mark.parametrize(("comparison", "bug"), [(c, bug) for c, (_, bugs) in SEES.items() for bug in bugs])
def test_a_planted_bug_is_seen(comparison: str, bug: str) -> None:
    with pytest.raises(AssertionError):
        SEES[comparison][0](case_of(bug))


@pytest.mark.parametrize("comparison", [c for c, (_, bugs) in SEES.items() if "none" not in bugs])
def test_a_right_rule_passes(comparison: str) -> None:
    SEES[comparison][0](case_of("none"))


def test_the_measure() -> None:
    """An error counts relative to the scale, a NaN is never close, infinities must be where they are expected."""
    assert error([1.0, 2e-9], [1.0, 1e-9]) == pytest.approx(1e-9)
    assert error([1e-9, 2e-9], [1e-9, 1e-9]) == pytest.approx(1.0)
    assert error([np.nan, 1.0], [0.0, 1.0]) == error([0.0, np.inf], [0.0, 1.0]) == np.inf
    assert error([1e-30], [0.0]) == np.inf
    assert error([0.0, np.inf], [0.0, np.inf]) == 0.0
    with pytest.raises(AssertionError):
        assert_close(np.zeros((2, 1)), np.zeros((2,)), "shapes")


def test_directions_have_both_signs() -> None:
    g = Problem.of(planted()).cotangent()
    assert (g > 0).any()
    assert (g < 0).any()
    assert len(np.unique(np.abs(g))) == g.size

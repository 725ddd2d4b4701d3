"""Special points, in both modes: the value, the cotangents, nothing that is not finite, and the maps adjoint."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit.core import Case, Special

from .truth import CASES, Problem, assert_adjoint, assert_close, call, choices, derivatives, joined, name, truth

POINTS = [
    pytest.param(case, special, id=f"{name(case)}: {special.why}".encode("ascii", "ignore").decode())
    for case in CASES
    for special in case.special
]
each_point = pytest.mark.parametrize(("case", "special"), POINTS)
in_precision = pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32], ids=lambda d: jnp.dtype(d).name)
ROUNDINGS = 64
AUTODIFF = ("value", "bars", "rows")
ANSWERS = ("value", "value of fwd", "bars", "dots")
_known: dict[tuple[int, str], tuple[Special, Any]] = {}


def at(case: Case, special: Special, dtype: Any) -> tuple[Problem, Any, Any, dict[str, Any]]:
    """The point, v, g, and what the rule answers there; computed once, in one program."""
    key = id(special), jnp.dtype(dtype).name
    if key not in _known:
        p = Problem(case.rule, special.args, {**case.static, **special.static}).astype(dtype)
        v, g = p.direction(7), p.cotangent()
        _known[key] = special, (p, v, g, derivatives(p, "ours", ANSWERS, v, v, g))
    return _known[key][1]


def _within(case: Case, dtype: Any) -> float:
    return ROUNDINGS * case.tol * float(jnp.finfo(dtype).eps)


@each_point
@in_precision
def test_value(case: Case, special: Special, dtype: Any) -> None:
    p, _, _, ours = at(case, special, dtype)
    want = _value(case, special, p)
    for what in ("value", "value of fwd"):
        assert_close(ours[what], want, f"{p.rule.name} at {special.why}: {what}", _within(case, dtype))


@each_point
@in_precision
def test_cotangents(case: Case, special: Special, dtype: Any) -> None:
    p, _, g, ours = at(case, special, dtype)
    bars, scales = _bars(special, p, g)
    for argument, got, want, scale in zip(p.names, ours["bars"], bars, scales, strict=True):
        assert_close(got, want, f"{p.rule.name} at {special.why}: cotangent of {argument}", _within(case, dtype), scale)


@each_point
@in_precision
def test_tangents(case: Case, special: Special, dtype: Any) -> None:
    """The tangent is finite wherever the cotangent is, and its adjoint, of the cotangents that are right."""
    p, v, g, ours = at(case, special, dtype)
    bars = [np.asarray(b, np.float64) for b in _bars(special, p, g)[0]]
    eps = case.tol * float(jnp.finfo(dtype).eps)
    for chosen in choices(len(v)):
        if not all(np.isfinite(bars[k]).all() for k in chosen):
            continue
        dot = ours["dots"][chosen]
        what = f"{p.rule.name} at {special.why}: tangent along {', '.join(p.names[k] for k in chosen)}"
        assert np.isfinite(np.asarray(dot)).all(), f"{what} is not finite: {dot}"
        bar, direction = (np.concatenate([np.ravel(a[k]) for k in chosen]) for a in (bars, v))
        assert_adjoint(g, dot, bar, direction, what, eps)


def _value(case: Case, special: Special, p: Problem) -> Any:
    if special.value is not None:
        specs = jax.tree.leaves(_output(p))
        values = jax.tree.leaves(special.value) if len(specs) > 1 else [special.value]
        return joined([np.broadcast_to(a, s.shape) for a, s in zip(values, specs, strict=True)])
    if case.reference:
        q = p.exact()
        return joined(case.reference(*jax.tree.map(np.asarray, q.args(*q.x)), **q.static))
    return truth(p, AUTODIFF, *[p.direction(7)] * 2, p.cotangent())["value"]


def _bars(special: Special, p: Problem, g: Any) -> tuple[list[Any], list[Any]]:
    """The cotangents that are right, and Σ |J|ᵀ |g|, what they are the sums of, which may cancel.

    They are what the special point says, else autodiff of the primal, which must be finite.
    """
    if special.cotangents is None:
        t = truth(p, AUTODIFF, *[p.direction(7)] * 2, g)
        assert all(np.isfinite(a).all() for a in (*t["bars"], *t["rows"])), (
            f"autodiff gives {t['bars']}: say which cotangents are right"
        )
        return t["bars"], [np.tensordot(abs(g), abs(J), np.ndim(g)) for J in t["rows"]]
    flat = g.astype(np.float64).reshape(-1)
    rows = [_said(special, p, (flat * e).reshape(g.shape)) for e in np.eye(flat.size)]
    scales = [sum(np.abs(np.nan_to_num(row)) for row in leaf) for leaf in zip(*rows, strict=True)]
    return _said(special, p, flat.reshape(g.shape)), scales


def _said(special: Special, p: Problem, g: Any) -> list[Any]:
    """The cotangents that a special point says, one for each float leaf."""
    answer = special.cotangents(_structured(p, g))
    answer = answer if isinstance(answer, tuple) else (answer,)
    arguments = p.tree.children()
    assert len(answer) == len(arguments), f"{len(answer)} cotangents for {len(arguments)} arguments"
    leaves = [b for bar, a in zip(answer, arguments, strict=True) for b in a.flatten_up_to(_nones(bar, a))]
    return [np.broadcast_to(leaves[i], np.shape(p.leaves[i])) for i in p.moving]


def _nones(bar: Any, tree: Any) -> Any:
    return jax.tree.unflatten(tree, [None] * tree.num_leaves) if bar is None else bar


def _output(p: Problem) -> Any:
    return jax.eval_shape(lambda *x: call(p.rule, p, x), *p.x)


def _structured(p: Problem, g: Any) -> Any:
    """A cotangent of the joined output as one of the output itself."""
    specs, tree = jax.tree.flatten(_output(p))
    if len(specs) == 1:
        return g
    parts = np.split(g, np.cumsum([math.prod(s.shape) for s in specs])[:-1])
    return jax.tree.unflatten(tree, [a.reshape(s.shape) for a, s in zip(parts, specs, strict=True)])

"""Whether a Jacobian is the same at every point: no number of its linear program comes from the argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import equation_jaxpr
from vjpkit.jacobian.pattern import CALLS


class Reads(NamedTuple):
    """What a value depends on."""

    point: bool
    vector: bool


class PointRead(Exception):
    """A tangent is multiplied with, moved by, or chosen by something that the point decides."""


def is_constant(f: Callable[[Any], Any], x: Any) -> bool:
    """Whether the Jacobian of f is proven not to depend on x; False too where f cannot be traced."""

    def tangent(x: Any, v: Any) -> Any:
        return jax.linearize(f, x)[1](v)

    try:
        closed = jax.make_jaxpr(tangent)(x, jnp.zeros_like(x))
        _run(rewrite(closed, equation_jaxpr).jaxpr, [Reads(True, False), Reads(False, True)])
    except (PointRead, jax.errors.ConcretizationTypeError):
        return False
    return True


def _run(jaxpr: Any, args: Sequence[Reads]) -> list[Reads]:
    nothing = Reads(False, False)
    env = dict(zip(jaxpr.invars, args, strict=True))

    def read(v: Any) -> Reads:
        return nothing if hasattr(v, "val") else env.get(v, nothing)

    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        moves = any(r.vector for r in operands)
        point = any(r.point and not r.vector for r in operands)
        if eqn.primitive.name in CALLS:
            inner = eqn.params[CALLS[eqn.primitive.name]]
            results = _run(getattr(inner, "jaxpr", inner), operands)
        elif moves and point:
            raise PointRead
        else:
            results = [Reads(point, moves)] * len(eqn.outvars)
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]

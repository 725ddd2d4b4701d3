"""Small tools of the tests that look at what was kept and which map was traced."""

from __future__ import annotations

from typing import Any

import jax
from jax.extend import core as jex

from vjpkit.core import Rule


class Counted:
    """A rule whose fwd, jvp and vjp count the times they are traced or run."""

    def __init__(self, r: Rule) -> None:
        self.counts = {"fwd": 0, "jvp": 0, "vjp": 0}
        self.rule = r.defrule(
            fwd=self._count("fwd", r.fwd), jvp=self._count("jvp", r.jvp), vjp=self._count("vjp", r.vjp), opaque=r.opaque
        )

    def _count(self, name: str, f: Any) -> Any:
        def counted(*args: Any, **static: Any) -> Any:
            self.counts[name] += 1
            return f(*args, **static)

        return counted


def kept(f: Any, *args: Any) -> list[jax.Array]:
    """The residuals: the array leaves of the function that `jax.vjp` returns."""
    return jax.tree.leaves(jax.vjp(f, *args)[1])


def equations(jaxpr: Any) -> list[Any]:
    """All equations of a jaxpr, at any depth."""
    found: list[Any] = []
    for eqn in jaxpr.eqns:
        found.append(eqn)
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
            if isinstance(value, jex.ClosedJaxpr):
                found += equations(value.jaxpr)
            elif isinstance(value, jex.Jaxpr):
                found += equations(value)
    return found


def primitives(f: Any, *args: Any) -> set[str]:
    """The names of all primitives in a function's jaxpr, at any depth."""
    return {eqn.primitive.name for eqn in equations(jax.make_jaxpr(f)(*args).jaxpr)}


def _is_jaxpr(x: Any) -> bool:
    return isinstance(x, jex.ClosedJaxpr | jex.Jaxpr)

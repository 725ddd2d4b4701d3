"""The reference: the same primal code with every custom rule taken out, for autodiff to differentiate.

A custom rule is an equation that carries the plain function beside its derivative: `custom_jvp_call` and
`custom_vjp_call` of JAX, and this library's own. Each is replaced by the plain function, at any depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from vjpkit.check.jaxprs import equations
from vjpkit.check.layout import Arrays
from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import equation_jaxpr, jaxpr_as_fun

_CUSTOM = ("custom_jvp_call", "custom_vjp_call")


def plain(f: Callable[[Arrays, Arrays], Arrays]) -> Callable[[Arrays, Arrays], Arrays]:
    """`f` computing the same value by the same operations, its derivatives left to autodiff."""

    def reference(x: Arrays, fixed: Arrays) -> Arrays:
        closed = jax.make_jaxpr(f)(x, fixed)
        return tuple(jaxpr_as_fun(rewrite(closed, _primal_jaxpr))(*x, *fixed))

    return reference


def custom_rules(jaxpr: Any) -> list[str]:
    """The names of the custom rules in a jaxpr, at any depth, in order of appearance."""
    return list(dict.fromkeys(_name(eqn) for eqn in equations(jaxpr) if _primal_jaxpr(eqn) is not None))


def _primal_jaxpr(eqn: Any) -> Any:
    """The jaxpr of the plain function of a custom rule's equation, None for any other equation."""
    if eqn.primitive.name in _CUSTOM:
        return eqn.params["call_jaxpr"]
    return equation_jaxpr(eqn)


def _name(eqn: Any) -> str:
    if eqn.primitive.name not in _CUSTOM:
        return eqn.primitive.name
    inner = eqn.params["call_jaxpr"].jaxpr
    named = next(
        (v for v in (eqn.params.get("bwd"), eqn.params.get("jvp_jaxpr_fun")) if hasattr(v, "f_transformed")), None
    )
    return str(getattr(inner.debug_info, "func_name", None) or named or eqn.primitive.name)

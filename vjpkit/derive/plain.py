"""What is linearised in the place of some equations, so that the tangent program is the one that one would write."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from vjpkit.core.primitives import equation_jaxpr


class Plain:
    """For an equation of a jaxpr, the closed jaxpr that takes its place; None where it stays.

    Rules are replaced by their primals; a `jax.custom_vjp` function, whose derivative JAX does not see as a program,
    by its own; quotients, tanh and sigmoid by functions whose tangents read their own results.
    """

    def __init__(self) -> None:
        self._inner: dict[int, Any] = {}  # the equations inside those made here, which stay

    def __call__(self, eqn: Any) -> Any:
        if eqn.primitive.name == "custom_vjp_call":
            return eqn.params["call_jaxpr"]
        function = FUNCTIONS.get(eqn.primitive.name)
        if function is None or id(eqn) in self._inner:
            return equation_jaxpr(eqn)
        if not jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.inexact):
            return None
        closed = jax.make_jaxpr(lambda *x: [function(*x)])(*(v.aval for v in eqn.invars))
        (inner,) = closed.jaxpr.eqns[0].params["call_jaxpr"].jaxpr.eqns
        self._inner[id(inner)] = inner
        return closed


@jax.custom_jvp
def _quotient(a: Any, b: Any) -> Any:
    """y = a / b: from y b = a follows ẏ b + y ḃ = ȧ, so ẏ = (ȧ − y ḃ) / b."""
    return jax.lax.div(a, b)


def _quotient_jvp(primals: tuple[Any, Any], dots: tuple[Any, Any]) -> tuple[Any, Any]:
    (a, b), (a_dot, b_dot) = primals, dots
    y = jax.lax.div(a, b)
    if isinstance(b_dot, SymbolicZero):
        return y, a_dot / b
    if isinstance(a_dot, SymbolicZero):
        return y, -(y / b) * b_dot
    return y, (a_dot - y * b_dot) / b


_quotient.defjvp(_quotient_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _tanh(x: Any) -> Any:
    """y = tanh x: ẏ = (1 + y) (1 − y) ẋ, one slope."""
    return jax.lax.tanh(x)


_tanh.defjvps(lambda x_dot, y, x: (1 + y) * (1 - y) * x_dot)


@jax.custom_jvp
def _sigmoid(x: Any) -> Any:
    """y = 1 / (1 + e⁻ˣ): ẏ = y (1 − y) ẋ, one slope."""
    return jax.lax.logistic(x)


_sigmoid.defjvps(lambda x_dot, y, x: y * (1 - y) * x_dot)


FUNCTIONS = {"div": _quotient, "tanh": _tanh, "logistic": _sigmoid}

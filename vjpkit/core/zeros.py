"""A jvp without the terms of arguments that do not move.

A rule's jvp is written for all tangents at once: ẏ = ẋ W + x Ẇ. Where only x moves, Ẇ = 0, and XLA would still
multiply by it: it must not drop x · 0, which is NaN for an infinite x. The map is linear, so that we may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from vjpkit.core.primitives import jaxpr_as_fun

ADDITIONS = {"add", "add_any", "sub"}
PRODUCTS = {"mul", "dot_general", "conv_general_dilated"}  # zero where one operand is
LINEAR = {*ADDITIONS, "neg", "reshape", "transpose", "broadcast_in_dim", "reduce_sum", "convert_element_type",
          "squeeze", "slice", "rev", "copy", "cumsum", "concatenate", "real", "imag"}  # fmt: skip  # where all are


def without_zeros(f: Callable[..., Sequence[Any]], zero: Sequence[bool]) -> Callable[..., list[Any]]:
    """`f`, linear in the operands that are marked `zero`, with the sums that they would only add zeros to cut short.

    The products themselves are then unused, and compiling drops them.
    """

    def cut(*operands: Any) -> list[Any]:
        closed = jax.make_jaxpr(f)(*operands)
        jaxpr, _ = _cut(closed.jaxpr, zero)
        return jaxpr_as_fun(closed.replace(jaxpr=jaxpr))(*operands)

    return cut


def _cut(jaxpr: Any, zero: Sequence[bool]) -> tuple[Any, list[bool]]:
    """The jaxpr without additions of zero, and which of its outputs are zero."""
    zeros = {v for v, z in zip(jaxpr.invars, zero, strict=True) if z}
    same: dict[Any, Any] = {}  # variables that equal an earlier one
    eqns = []

    def current(v: Any) -> Any:
        return v if _is_literal(v) else same.get(v, v)

    def is_zero(v: Any) -> bool:
        return not _is_literal(v) and v in zeros

    for eqn in jaxpr.eqns:
        eqn = eqn.replace(invars=[current(v) for v in eqn.invars])
        name, none = eqn.primitive.name, [is_zero(v) for v in eqn.invars]
        if name in ADDITIONS and sorted(none) == [False, True] and (name, none[0]) != ("sub", True):
            other = eqn.invars[none.index(False)]
            if other.aval.shape == eqn.outvars[0].aval.shape:  # a scalar may have been broadcast
                same[eqn.outvars[0]] = other
                continue
        if name == "jit" and any(none):
            inner = eqn.params["jaxpr"]
            cut, out = _cut(inner.jaxpr, none)
            eqn = eqn.replace(params={**eqn.params, "jaxpr": inner.replace(jaxpr=cut)})
            zeros |= {v for v, z in zip(eqn.outvars, out, strict=True) if z}
        elif (name in LINEAR and all(none)) or (name in PRODUCTS and any(none)):
            zeros |= set(eqn.outvars)
        eqns.append(eqn)
    outvars = [current(v) for v in jaxpr.outvars]
    return jaxpr.replace(eqns=eqns, outvars=outvars), [is_zero(v) for v in outvars]


def _is_literal(v: Any) -> bool:
    return hasattr(v, "val")

"""What operations cost: floating-point operations as XLA counts them, and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from vjpkit.derive.program import Equation, Value

FREE = {
    *("reshape", "squeeze", "broadcast_in_dim", "expand_dims", "transpose", "slice", "concatenate", "pad", "rev"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "copy", "iota", "split", "stack", "unstack", "stop_gradient"),
    *("convert_element_type", "select_n", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor"),
    *("random_bits", "random_wrap", "random_unwrap", "random_seed", "bitcast_convert_type"),
}


def flops(equations: Iterable[Equation]) -> int:
    """Of all of them: 2 m n k of a matrix product, one of an elementwise result, one of a term of a sum."""
    return sum(map(_flops, equations))


def _flops(eqn: Equation) -> int:
    if eqn.op in FREE:
        return 0
    if eqn.op == "dot_general":
        (lc, _), _ = eqn.params["dimension_numbers"]
        terms = math.prod(eqn.inputs[0].shape[a] for a in lc)
        return eqn.outputs[0].size * (2 * terms if terms > 1 else 1)  # an outer product adds nothing
    if eqn.op == "conv_general_dilated":
        kernel = eqn.inputs[1]
        out_channels = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
        return 2 * eqn.outputs[0].size * kernel.size // out_channels
    if eqn.op == "scan":
        return eqn.params["length"] * _inner(eqn.params["jaxpr"])
    if eqn.op == "cond":
        return max(map(_inner, eqn.params["branches"]))
    if eqn.op == "while":
        return _inner(eqn.params["body_jaxpr"])
    if eqn.op.startswith(("reduce_", "cum", "arg", "scatter", "select_and")):
        return max((v.size for v in eqn.inputs), default=0)
    return sum(v.size for v in eqn.outputs)


def _inner(jaxpr: Any) -> int:
    from vjpkit.derive.program import unfold

    return flops(unfold(jaxpr).equations)


def nbytes(values: Iterable[Value]) -> int:
    """Of the arrays."""
    return sum(v.size * getattr(v.dtype, "itemsize", 8) for v in values)


def short(n: float) -> str:
    """1 338 378 as "1.34 M"."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if n >= size:
            scale = 1e3 if unit == "k" else size
            return f"{n / scale:.3g} {unit}"
    return str(int(n))

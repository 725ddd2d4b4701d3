"""What operations cost: floating-point operations as XLA counts them, and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from vjpkit.derive.program import Equation, Value

MOVES = {
    *("reshape", "squeeze", "broadcast_in_dim", "expand_dims", "transpose", "slice", "concatenate", "pad", "rev"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "copy", "iota", "split", "stack", "unstack", "stop_gradient"),
    *("random_bits", "random_wrap", "random_unwrap", "random_seed", "bitcast_convert_type", "optimization_barrier"),
}
CHOICES = {"select_n", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "convert_element_type"}
FREE = MOVES | CHOICES  # no arithmetic; XLA counts one for a choice all the same


def flops(equations: Iterable[Equation]) -> int:
    """Of all of them: 2 m n k of a matrix product, one of an elementwise result (exp too), one of a term of a sum."""
    return sum(map(_flops, equations))


def _flops(eqn: Equation) -> int:
    if eqn.op in MOVES:
        return 0
    if "function" in eqn.params:
        return _inner(eqn.params["jaxpr"])
    if "linear" in eqn.params:
        return _inner(eqn.params["linear"].program.trace(*(v.spec for v in eqn.inputs)).jaxpr)
    if eqn.op == "dot_general":
        (lc, _), _ = eqn.params["dimension_numbers"]
        terms = math.prod(eqn.inputs[0].shape[a] for a in lc)
        return eqn.outputs[0].size * (2 * terms if terms > 1 else 1)  # an outer product adds nothing
    if eqn.op == "conv_general_dilated":
        return _convolution(eqn)
    if eqn.op == "scan":
        return eqn.params["length"] * _inner(eqn.params["jaxpr"])
    if eqn.op == "cond":
        return max(map(_inner, eqn.params["branches"]))
    if eqn.op == "while":
        return _inner(eqn.params["body_jaxpr"])
    if eqn.op.startswith("scatter"):
        return eqn.inputs[2].size
    if eqn.op.startswith(("reduce_", "cum", "arg", "select_and")):
        return max((v.size for v in eqn.inputs), default=0)
    return _each(eqn) * sum(v.size for v in eqn.outputs)


def _convolution(eqn: Equation) -> int:
    """Two of each place where the kernel meets an entry of the image, not of its padding or between dilated entries."""
    p, (image, kernel), out = eqn.params, eqn.inputs, eqn.outputs[0]
    d = p["dimension_numbers"]
    meets = 1
    for k, (i, j, o) in enumerate(zip(d.lhs_spec[2:], d.rhs_spec[2:], d.out_spec[2:], strict=True)):
        first = np.arange(out.shape[o]) * p["window_strides"][k] - p["padding"][k][0]
        at = first[:, None] + np.arange(kernel.shape[j]) * p["rhs_dilation"][k]
        step = p["lhs_dilation"][k]
        meets *= int(np.sum((at % step == 0) & (at >= 0) & (at < image.shape[i] * step)))
    channels = kernel.shape[d.rhs_spec[1]] * out.shape[d.out_spec[1]]
    return 2 * meets * channels * out.shape[d.out_spec[0]]


def _each(eqn: Equation) -> int:
    """Of one entry of an elementwise result, as it is lowered: x³ is x x x, a logistic 1/(1 + exp(−x))."""
    if eqn.op == "integer_pow":
        power = abs(eqn.params["y"])
        return max(1, power.bit_length() + power.bit_count() - 2) + (eqn.params["y"] < 0)
    return 4 if eqn.op == "logistic" else 1


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

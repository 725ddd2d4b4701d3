"""Programs made shorter: what does nothing is gone, what is said twice is said once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.jaxprs import scan_sizes
from vjpkit.derive.program import Equation, Value, alive, equations_of, number, unfold

NOTHING = {"copy", "copy_p", "stop_gradient", "optimization_barrier", "pvary", "reduce_precision_noop", "pcast"}


Shortening = Callable[[Equation, Mapping[Value, Equation]], list[Equation] | None]


def simplify(
    equations: Sequence[Equation],
    outputs: Sequence[Value],
    stays: Collection[str] = (),
    algebra: Shortening = lambda eqn, makers: None,
) -> tuple[list[Equation], list[Value]]:
    """Equations with the same outputs, aliases followed, common terms shared, dead ones dropped.

    Args:    stays: operations that are kept though they compute nothing.
             algebra: for an equation, and those that made its operands, others with the same result, or None.
    """
    same: dict[Value, Value] = {}
    seen: dict[Any, list[Value]] = {}
    makers: dict[Value, Equation] = {}
    out: list[Equation] = []
    todo = list(equations)[::-1]
    while todo:
        eqn = todo.pop()
        eqn = eqn.replace([same.get(v, v) for v in eqn.inputs])
        shorter = _shorter(eqn, makers) or algebra(eqn, makers)
        if shorter is not None:
            todo += shorter[::-1]
            continue
        alias = None if eqn.op in stays else _alias(eqn)
        if alias is not None:
            same[eqn.outputs[0]] = alias
            if eqn.outputs[0].name and not alias.name and alias.constant is None:
                alias.name = eqn.outputs[0].name
            continue
        if eqn.op == "scan":
            same.update(_passed_through(eqn))
        key = _key(eqn)
        if key in seen:
            same.update(zip(eqn.outputs, seen[key], strict=True))
            continue
        seen[key] = eqn.outputs
        makers.update(dict.fromkeys(eqn.outputs, eqn))
        out.append(eqn)
    results = [same.get(v, v) for v in outputs]
    return alive(out, results), results


def _shorter(eqn: Equation, makers: dict[Value, Equation]) -> list[Equation] | None:
    """A sum over axes of length 1 as a reshape, a reshape of a reshape as one."""
    if len(eqn.outputs) != 1 or not eqn.inputs:
        return None
    x, y = eqn.inputs[0], eqn.outputs[0]
    if eqn.op == "reduce_sum" and x.size == y.size and x.shape != y.shape:
        return _reshaped(x, eqn)
    maker = makers.get(x)
    if maker is None or not _reshapes(maker):
        return None
    origin = maker.inputs[0]
    if _reshapes(eqn):
        return _reshaped(origin, eqn)
    if eqn.op == "broadcast_in_dim" and len(origin.shape) == len(y.shape):
        kept = [k for k, s in enumerate(origin.shape) if s != 1]
        if kept == list(eqn.params["broadcast_dimensions"]) and all(origin.shape[k] == y.shape[k] for k in kept):
            params = eqn.params | {"broadcast_dimensions": tuple(range(len(y.shape)))}
            return [Equation(eqn.primitive, params, [origin], [y], eqn.where)]
    return None


def _reshapes(eqn: Equation) -> bool:
    return (
        eqn.op in ("reshape", "squeeze", "broadcast_in_dim", "expand_dims")
        and eqn.inputs[0].size == eqn.outputs[0].size
    )


def _reshaped(x: Value, eqn: Equation) -> list[Equation]:
    """x as the result of `eqn`, which has as many entries."""
    (y,) = eqn.outputs
    if x.shape == y.shape:
        return [Equation(jax.lax.copy_p, {}, [x], [y], eqn.where)]
    (made,), _ = equations_of(lambda v: jax.lax.reshape(v, y.shape), x)
    made.outputs = [y]
    return [made]


def _passed_through(eqn: Equation) -> dict[Value, Value]:
    """What a scan hands out twice, and what it hands out as it came in."""
    p = eqn.params
    consts, carries = scan_sizes(p)
    inner = unfold(p["jaxpr"])
    _, ends = simplify(inner.equations, inner.outputs)
    came = dict(zip(inner.inputs[consts + carries :], eqn.inputs[consts + carries :], strict=True))
    same: dict[Value, Value] = {}
    for end, v in zip(ends[carries:], eqn.outputs[carries:], strict=True):
        if end.constant is None:
            if end in came:
                same[v] = came[end]
            came.setdefault(end, v)
    return same


def _key(eqn: Equation) -> Any:
    inputs = tuple(id(v) if v.constant is None else (repr(v.constant), v.shape, str(v.dtype)) for v in eqn.inputs)
    return eqn.op, inputs, repr(sorted(eqn.params.items(), key=lambda item: item[0]))


def _alias(eqn: Equation) -> Value | None:
    """The value that the equation's result is, if it computes nothing."""
    if len(eqn.outputs) != 1:
        return None
    (y,), x = eqn.outputs, eqn.inputs[0] if eqn.inputs else None
    if x is None:
        return number(0, y) if eqn.op.startswith("empty") else None
    if eqn.op in NOTHING or (eqn.op == "convert_element_type" and x.dtype == y.dtype):
        return x if x.shape == y.shape else None
    if (
        eqn.op in ("broadcast_in_dim", "reshape", "convert_element_type", "transpose", "squeeze")
        and x.number is not None
    ):
        if (
            eqn.op == "convert_element_type"
            and jnp.issubdtype(y.dtype, jnp.integer)
            and np.dtype(type(x.number)).kind == "f"
        ):
            return None
        return number(_as(y.dtype, x.number), y)
    if eqn.op in ("reshape", "broadcast_in_dim", "transpose", "slice", "squeeze") and _moves_nothing(eqn, x, y):
        return x
    return _neutral(eqn, y)


def _as(dtype: Any, value: Any) -> Any:
    kinds = ((jnp.bool_, bool), (jnp.integer, int), (jnp.floating, float))
    return next((convert(value) for kind, convert in kinds if jnp.issubdtype(dtype, kind)), value)


def _moves_nothing(eqn: Equation, x: Value, y: Value) -> bool:
    if x.shape != y.shape:
        return False
    return eqn.op != "transpose" or tuple(eqn.params["permutation"]) == tuple(range(len(x.shape)))


def _neutral(eqn: Equation, y: Value) -> Value | None:
    """x of x + 0, x − 0, x · 1, x / 1, max(−∞, x), and of "True where x, False elsewhere"."""
    if eqn.op == "select_n" and y.dtype == bool and len(eqn.inputs) == 3:
        which, otherwise, then = eqn.inputs
        return which if otherwise.number is False and then.number is True and which.shape == y.shape else None
    if eqn.op == "max" and jnp.issubdtype(y.dtype, jnp.inexact):
        a, b = eqn.inputs
        return b if a.number == -np.inf and b.shape == y.shape else None
    if eqn.op not in ("add", "add_any", "sub", "mul", "div") or not jnp.issubdtype(y.dtype, jnp.number):
        return None
    a, b = eqn.inputs
    neutral = 1 if eqn.op in ("mul", "div") else 0
    if _is(b, neutral) and a.shape == y.shape:
        return a
    if _is(a, neutral) and b.shape == y.shape and eqn.op in ("add", "add_any", "mul"):
        return b
    return None


def _is(v: Value, n: int) -> bool:
    return v.number is not None and v.number == n

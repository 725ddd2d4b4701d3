"""What the common primitives of JAX compute, in NumPy: nothing is compiled, so that thousands of variants are cheap.

A primitive that is not listed is evaluated by JAX itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from vjpkit.check.convolution import convolved

Params = Mapping[str, Any]

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "atan2": np.arctan2,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "square": np.square,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "xor": np.bitwise_xor,
    "rem": np.fmod,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.invert,
    "is_finite": np.isfinite,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "copy": lambda x: x,
    "stop_gradient": lambda x: x,
    "copy_p": lambda x: x,
}
ELEMENTWISE = frozenset(_ELEMENTWISE) - {"stop_gradient"} | {
    *("div", "integer_pow", "select_n", "convert_element_type", "erf", "erfc", "erf_inv", "lgamma", "digamma"),
    *("reduce_precision", "clamp", "atanh", "acosh", "nextafter", "square"),
}


def _divide(p: Params, x: Any, y: Any) -> Any:
    return np.true_divide(x, y) if np.issubdtype(x.dtype, np.inexact) else NotImplemented


def _select(p: Params, which: Any, *cases: Any) -> Any:
    return np.where(which, cases[1], cases[0]) if len(cases) == 2 and which.dtype == bool else NotImplemented


def _broadcast(p: Params, x: Any, *dynamic: Any) -> Any:
    shape = [1] * len(p["shape"])
    for axis, size in zip(p["broadcast_dimensions"], np.shape(x), strict=True):
        shape[axis] = size
    return np.broadcast_to(np.reshape(x, shape), p["shape"])


def _dot(p: Params, x: Any, y: Any) -> Any:
    (cx, cy), (bx, by) = p["dimension_numbers"]
    fx = [i for i in range(x.ndim) if i not in (*cx, *bx)]
    fy = [i for i in range(y.ndim) if i not in (*cy, *by)]
    batch = [x.shape[i] for i in bx]
    n = int(np.prod([x.shape[i] for i in cx]))
    left = x.transpose(*bx, *fx, *cx).reshape(*batch, -1, n) if x.size else None
    right = y.transpose(*by, *cy, *fy).reshape(*batch, n, -1) if y.size else None
    if left is None or right is None:
        return NotImplemented
    return (left @ right).reshape([*batch, *(x.shape[i] for i in fx), *(y.shape[i] for i in fy)])


def _reduce(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, x: f(x, axis=tuple(p["axes"]))


def _first(f: Callable[..., Any], p: Params, x: Any) -> Any:
    return f(x, axis=p["axes"][0]).astype(p["index_dtype"])


def _cumulative(p: Params, x: Any) -> Any:
    axis = p["axis"]
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis) if p["reverse"] else np.cumsum(x, axis)


def _pad(p: Params, x: Any, value: Any) -> Any:
    if any(low < 0 or high < 0 or between for low, high, between in p["padding_config"]):
        return NotImplemented
    return np.pad(x, [(low, high) for low, high, _ in p["padding_config"]], constant_values=value)


def _iota(p: Params, *dynamic: Any) -> Any:
    shape, axis = p["shape"], p["dimension"]
    along = np.arange(shape[axis], dtype=p["dtype"]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(along, shape)


def _window(x: Any, sizes: Any, starts: Any) -> tuple[slice, ...]:
    """The window of these sizes that begins at `starts`, moved to lie within x."""
    return tuple(
        slice(k := min(max(int(start), 0), n - size), k + size)
        for start, size, n in zip(starts, sizes, x.shape, strict=True)
    )


def _update(p: Params, x: Any, update: Any, *starts: Any) -> Any:
    answer = x.copy()
    answer[_window(x, update.shape, starts)] = update
    return answer


def _slice(p: Params, x: Any) -> Any:
    strides = p["strides"] or [1] * x.ndim
    return x[tuple(slice(*s) for s in zip(p["start_indices"], p["limit_indices"], strides, strict=True))]


def _converted(p: Params, x: Any) -> Any:
    real = np.iscomplexobj(x) and not np.issubdtype(p["new_dtype"], np.complexfloating)
    return np.asarray(x.real if real else x).astype(p["new_dtype"])


_STRUCTURAL: dict[str, Callable[..., Any]] = {
    "div": _divide,
    "select_n": _select,
    "integer_pow": lambda p, x: x ** p["y"] if p["y"] >= 0 else 1 / x ** -p["y"],
    "convert_element_type": _converted,
    "broadcast_in_dim": _broadcast,
    "reshape": lambda p, x, *_: np.reshape(x, p["new_sizes"]) if p["dimensions"] is None else NotImplemented,
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
    "reduce_sum": _reduce(np.sum),
    "reduce_max": _reduce(np.max),
    "reduce_min": _reduce(np.min),
    "reduce_prod": _reduce(np.prod),
    "dot_general": _dot,
    "cumsum": _cumulative,
    "argmax": lambda p, x: _first(np.argmax, p, x),
    "argmin": lambda p, x: _first(np.argmin, p, x),
    "concatenate": lambda p, *x: np.concatenate(x, p["dimension"]),
    "split": lambda p, x: np.split(x, np.cumsum(p["sizes"])[:-1], p["axis"]),
    "optimization_barrier": lambda p, *x: x,
    "slice": _slice,
    "dynamic_slice": lambda p, x, *starts: x[_window(x, p["slice_sizes"], starts)],
    "dynamic_update_slice": _update,
    "pad": _pad,
    "conv_general_dilated": convolved,
    "iota": _iota,
    "rev": lambda p, x: np.flip(x, tuple(p["dimensions"])),
    "complex": lambda p, x, y: x + 1j * y,
}


def bind(primitive: Any, params: Params, values: list[Any]) -> list[Any]:
    """What an equation computes of these values, one array per output."""
    name = primitive.name
    if (f := _ELEMENTWISE.get(name)) is not None:
        return [np.asarray(f(*values))]
    if (rule := _STRUCTURAL.get(name)) is not None:
        answer = rule(params, *values)
        if answer is not NotImplemented:
            return list(map(np.asarray, answer if primitive.multiple_results else [answer]))
    answer = primitive.bind(*values, **params)
    return [_host(a) for a in (answer if primitive.multiple_results else [answer])]


def opaque(a: Any) -> bool:
    """Whether an array is none of NumPy's: a PRNG key."""
    return jax.dtypes.issubdtype(getattr(a, "dtype", np.float64), jax.dtypes.extended)


def _host(a: Any) -> Any:
    return a if opaque(a) else np.asarray(a)

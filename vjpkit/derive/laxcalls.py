"""Operations that stay calls of `jax.lax` and `jax.random`, with the parameters that are not their defaults."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vjpkit.derive.indexing import numbers
from vjpkit.derive.program import Equation, Value
from vjpkit.derive.text import Text, call

if TYPE_CHECKING:
    from vjpkit.derive.writer import Writer


def value_of(w: Writer, p: Any) -> str | None:
    """A parameter as Python; None where it has none."""
    if p is None or isinstance(p, bool | int | str):
        return repr(p)
    if isinstance(p, float):
        return repr(p)
    if isinstance(p, enum.Enum):
        name = type(p).__name__
        return f"jax.lax.{name}.{p.name}"
    if isinstance(p, np.dtype):
        return w.type(p)
    if hasattr(p, "_fields") or type(p).__name__.endswith("DimensionNumbers"):
        return numbers(p)
    if isinstance(p, tuple | list):
        parts = [value_of(w, q) for q in p]
        return None if None in parts else f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"
    return None


def lax(name: str, *options: str, **renamed: str) -> Callable[[Any, Equation], Text]:
    """A function of jax.lax of the operands, with these parameters by keyword."""

    def express(w: Writer, eqn: Equation) -> Text:
        found = {}
        for option in (*options, *renamed):
            p = eqn.params.get(option)
            if p is None:
                continue
            code = value_of(w, p)
            if code is None:
                raise w.refuse(eqn, f"with {option}={p!r} is not covered")
            found[renamed.get(option, option)] = code
        return call(name, *(w.text(v).code for v in eqn.inputs), **found)

    return express


def ints(p: Any) -> str:
    """A tuple of integers, or of tuples of them, whatever kind of integers they are."""
    return repr(tuple(tuple(map(int, q)) if isinstance(q, tuple | list) else int(q) for q in p))


def _conv(w: Writer, eqn: Equation) -> Text:
    p = eqn.params
    ones = (1,) * len(p["window_strides"])
    options = {"dimension_numbers": "({})".format(", ".join(f'"{s}"' for s in _layouts(p["dimension_numbers"])))}
    for name in ("lhs_dilation", "rhs_dilation"):
        if tuple(p[name]) != ones:
            options[name] = ints(p[name])
    for name in ("feature_group_count", "batch_group_count"):
        if p[name] != 1:
            options[name] = repr(p[name])
    x, kernel = (w.text(v).code for v in eqn.inputs)
    return call("jax.lax.conv_general_dilated", x, kernel, ints(p["window_strides"]), ints(p["padding"]), **options)


def _layouts(d: Any) -> tuple[str, ...]:
    """Where the batch (or the output's features), the features and each spatial axis are: "NHWC", "HWIO", "NHWC"."""
    spatial = "DHW"[-(len(d.lhs_spec) - 2) :] if len(d.lhs_spec) < 6 else "0123456789"[: len(d.lhs_spec) - 2]
    found = []
    for first, spec in (("NC", d.lhs_spec), ("OI", d.rhs_spec), ("NC", d.out_spec)):
        at = dict(zip(spec, first + spatial, strict=True))
        found.append("".join(at[k] for k in range(len(spec))))
    return tuple(found)


def _dynamic_slice(w: Writer, eqn: Equation) -> Text:
    x, *index = eqn.inputs
    at = _places(w, index)
    return call("jax.lax.dynamic_slice", w.text(x).code, f"({at},)", ints(eqn.params["slice_sizes"]))


def _dynamic_update(w: Writer, eqn: Equation) -> Text:
    x, update, *index = eqn.inputs
    at = _places(w, index)
    return call("jax.lax.dynamic_update_slice", w.text(x).code, w.text(update).code, f"({at},)")


def _places(w: Writer, index: list[Value]) -> str:
    """Start indices, of one type: bare numbers where all of them are."""
    if all(v.number is not None for v in index):
        return ", ".join(str(v.number) for v in index)
    return ", ".join(w.text(v).code for v in index)


def _sort(w: Writer, eqn: Equation) -> Text:
    p = eqn.params
    if len(eqn.inputs) == 1:
        return call("jnp.sort", w.text(eqn.inputs[0]).code, str(p["dimension"]))
    operands = ", ".join(w.text(v).code for v in eqn.inputs)
    return call("jax.lax.sort", f"({operands})", dimension=str(p["dimension"]), num_keys=str(p["num_keys"]))


def _window(reducer: str, init: str) -> Callable[[Any, Equation], Text]:
    return lambda w, eqn: _windowed(w.text(eqn.inputs[0]).code, init, reducer, eqn)


def _windowed(x: str, init: str, reducer: str, eqn: Equation) -> Text:
    p, rank = eqn.params, len(eqn.params["window_dimensions"])
    options = {}
    for name in ("base_dilation", "window_dilation"):
        if tuple(p.get(name, (1,) * rank)) != (1,) * rank:
            options[name] = ints(p[name])
    windows = (ints(p[name]) for name in ("window_dimensions", "window_strides", "padding"))
    return call("jax.lax.reduce_window", x, init, reducer, *windows, **options)


def _of_the_largest(w: Writer, eqn: Equation) -> Text:
    """The entries of one array where another is largest in a window, or its transpose: JAX names neither."""
    vectors, x = (w.text(v).code for v in eqn.inputs)
    largest = eqn.params["select_prim"].name == "ge"
    init, reducer = ("-jnp.inf", "jax.lax.max") if largest else ("jnp.inf", "jax.lax.min")
    pool = f"lambda v: {_windowed('v', init, reducer, eqn).code}"
    if eqn.op == "select_and_gather_add":
        return Text(f"jax.jvp({pool}, ({x},), ({vectors},))[1]")
    return Text(f"jax.vjp({pool}, {x})[1]({vectors})[0]")


def _bits(w: Writer, eqn: Equation) -> Text:
    return call(
        "jax.random.bits",
        w.text(eqn.inputs[0]).code,
        w.shape(eqn.params["shape"]),
        f"jnp.uint{eqn.params['bit_width']}",
    )


def _split(w: Writer, eqn: Equation) -> Text:
    ends = [int(sum(eqn.params["sizes"][: k + 1])) for k in range(len(eqn.params["sizes"]) - 1)]
    return call("jnp.split", w.text(eqn.inputs[0]).code, repr(ends), str(eqn.params["axis"]))


def _wrap(w: Writer, eqn: Equation) -> Text:
    return call("jax.random.wrap_key_data", w.text(eqn.inputs[0]).code, impl=repr(str(eqn.params["impl"].name)))


CALLS: dict[str, Callable[[Any, Equation], Text]] = {
    "conv_general_dilated": _conv,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update,
    "sort": _sort,
    "split": _split,
    "top_k": lax("jax.lax.top_k", "k"),
    "approx_top_k": lax("jax.lax.approx_max_k", "k"),
    "reduce_window_sum": _window("jax.lax.add", "0.0"),
    "reduce_window_max": _window("jax.lax.max", "-jnp.inf"),
    "reduce_window_min": _window("jax.lax.min", "jnp.inf"),
    "select_and_scatter_add": _of_the_largest,
    "select_and_gather_add": _of_the_largest,
    "stack": lambda w, eqn: call(
        "jnp.stack", f"[{', '.join(w.text(v).code for v in eqn.inputs)}]", str(eqn.params.get("axis", 0))
    ),
    "reduce_precision": lax("jax.lax.reduce_precision", "exponent_bits", "mantissa_bits"),
    "bitcast_convert_type": lax("jax.lax.bitcast_convert_type", "new_dtype"),
    "triangular_solve": lax(
        "jax.lax.linalg.triangular_solve", "left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal"
    ),
    "cholesky": lax("jax.lax.linalg.cholesky", symmetrize_input="symmetrize_input"),
    "fft": lax("jax.lax.fft", "fft_type", "fft_lengths"),
    "unstack": lambda w, eqn: call("jnp.unstack", w.text(eqn.inputs[0]).code, axis=str(eqn.params["axis"])),
    "random_bits": _bits,
    "random_unwrap": lax("jax.random.key_data"),
    "random_wrap": _wrap,
    "random_fold_in": lax("jax.random.fold_in"),
    "random_split": lambda w, eqn: call(
        "jax.random.split", w.text(eqn.inputs[0]).code, repr(tuple(eqn.params["shape"]))
    ),
    "round": lambda w, eqn: call("jnp.round", w.text(eqn.inputs[0]).code),
}

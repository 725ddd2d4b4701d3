"""Operations as one writes them in jnp: a table from primitives to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from vjpkit.derive.contractions import contraction
from vjpkit.derive.indexing import INDEXING
from vjpkit.derive.laxcalls import CALLS, ints
from vjpkit.derive.program import Equation
from vjpkit.derive.text import AND, COMPARE, OR, PLUS, POWER, TIMES, UNARY, XOR, Text, binary, call

if TYPE_CHECKING:
    from vjpkit.derive.writer import Writer

INFIX = {
    "add": ("+", PLUS),
    "add_any": ("+", PLUS),
    "sub": ("-", PLUS),
    "mul": ("*", TIMES),
    "and": ("&", AND),
    "or": ("|", OR),
    "xor": ("^", XOR),
    "eq": ("==", COMPARE),
    "ne": ("!=", COMPARE),
    "lt": ("<", COMPARE),
    "le": ("<=", COMPARE),
    "gt": (">", COMPARE),
    "ge": (">=", COMPARE),
}
FUNCTIONS = {
    **{name: f"jnp.{name}" for name in ("exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh")},
    **{
        name: f"jnp.{name}" for name in ("tanh", "sqrt", "cbrt", "abs", "sign", "floor", "ceil", "real", "imag", "conj")
    },
    **{name: f"jax.lax.{name}" for name in ("erf", "erfc", "erf_inv", "lgamma", "digamma", "rsqrt", "bessel_i0e")},
    "bessel_i1e": "jax.lax.bessel_i1e",
    "population_count": "jnp.bitwise_count",
    "clz": "jax.lax.clz",
    "asin": "jnp.arcsin",
    "acos": "jnp.arccos",
    "atan": "jnp.arctan",
    "asinh": "jnp.arcsinh",
    "acosh": "jnp.arccosh",
    "atanh": "jnp.arctanh",
    "logistic": "jax.nn.sigmoid",
    "is_finite": "jnp.isfinite",
    "max": "jnp.maximum",
    "min": "jnp.minimum",
    "atan2": "jnp.arctan2",
    "nextafter": "jnp.nextafter",
    "complex": "jax.lax.complex",
    "igamma": "jax.lax.igamma",
    "igammac": "jax.lax.igammac",
    "zeta": "jax.lax.zeta",
    "polygamma": "jax.lax.polygamma",
    "regularized_incomplete_beta": "jax.lax.betainc",
    "igamma_grad_a": "jax.lax.igamma_grad_a",
    "random_gamma_grad": "jax.lax.random_gamma_grad",
    "shift_left": "jnp.left_shift",
    "shift_right_arithmetic": "jnp.right_shift",
    "shift_right_logical": "jax.lax.shift_right_logical",
}
FULL = {"erf_inv", "igamma", "igammac", "zeta", "polygamma", "regularized_incomplete_beta", "complex"}
FULL |= {"shift_right_logical", "igamma_grad_a", "random_gamma_grad"}  # of jax.lax, which does not broadcast
REDUCTIONS = {
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_and": "all",
    "reduce_or": "any",
}


def express(w: Writer, eqn: Equation) -> Text:
    """The text of an equation.

    Raises:  DeriveError that names the operation and its line where it is not covered.
    """
    if eqn.op == "ge" and (k := _diagonal(w, eqn)) is not None:
        rows, columns = eqn.outputs[0].shape
        return call("jnp.tri", str(rows), str(columns), *([str(k)] if k else []), dtype="bool")
    if eqn.op in INFIX:
        a, b = w.operands(eqn)
        sign, level = INFIX[eqn.op]
        if level == COMPARE:
            return Text(f"{a.at(COMPARE + 1)} {sign} {b.at(COMPARE + 1)}", COMPARE)
        return binary(a, sign, b, level)
    if eqn.op in FUNCTIONS:
        texts = map(w.text, eqn.inputs) if eqn.op in FULL else w.operands(eqn, numbers=True)
        return call(FUNCTIONS[eqn.op], *(t.code for t in texts))
    if eqn.op in REDUCTIONS:
        return _reduction(w, eqn)
    for table in (OPERATIONS, INDEXING, CALLS):
        if eqn.op in table:
            return table[eqn.op](w, eqn)
    raise w.refuse(eqn)


def _reduction(w: Writer, eqn: Equation) -> Text:
    (x,) = eqn.inputs
    axes, rank = tuple(map(int, eqn.params["axes"])), len(x.shape)
    w.reductions.add(eqn.outputs[0])
    if len(axes) == rank:
        arguments = ""
    elif len(axes) == 1:
        arguments = "-1" if axes[0] == rank - 1 and rank > 1 else str(axes[0])
    else:
        arguments = repr(axes)
    return Text(f"{w.text(x).atom}.{REDUCTIONS[eqn.op]}({arguments})")


def _diagonal(w: Writer, eqn: Equation) -> int | None:
    """k of the mask j ≤ i + k: row index, shifted by k, ≥ column index; None for another comparison."""
    rows, columns = (w.makers.get(v) for v in eqn.inputs)
    k = 0
    if rows is not None and rows.op == "add" and rows.inputs[1].number is not None:
        k, rows = int(rows.inputs[1].number), w.makers.get(rows.inputs[0])
    if rows is None or columns is None or not rows.op == columns.op == "iota" or len(eqn.outputs[0].shape) != 2:
        return None
    return k if (rows.params["dimension"], columns.params["dimension"]) == (0, 1) else None


def _divide(w: Writer, eqn: Equation) -> Text:
    if jnp.issubdtype(eqn.outputs[0].dtype, jnp.integer):
        return call("jax.lax.div", *(w.text(v).code for v in eqn.inputs))
    a, b = w.operands(eqn)
    if _averages(w, eqn) and ".sum(" in a.code:
        before, _, after = a.code.rpartition(".sum(")
        return Text(f"{before}.mean({after}")
    return binary(a, "/", b, TIMES)


def _averages(w: Writer, eqn: Equation) -> bool:
    """Whether a sum that nobody else reads is divided by the number of its terms."""
    v, n = eqn.inputs
    while v in w.waiting:
        v = w.waiting[v].inputs[0]
    total = w.makers.get(v)
    if total is None or total.op != "reduce_sum" or v not in w.reductions or w.uses[v] > 1:
        return False
    return n.number == total.inputs[0].size / max(v.size, 1) and w.text(v).code.endswith(")")


def _negative(w: Writer, eqn: Equation) -> Text:
    return Text(f"-{w.operands(eqn)[0].at(UNARY)}", UNARY)


def _not(w: Writer, eqn: Equation) -> Text:
    return Text(f"~{w.operands(eqn)[0].at(UNARY)}", UNARY)


def _power(w: Writer, eqn: Equation) -> Text:
    x = w.operands(eqn)[0]
    n = eqn.params.get("y", 2)
    return binary(Text("1"), "/", x, TIMES) if n == -1 else Text(f"{x.atom}**{n}", POWER)


def _pow(w: Writer, eqn: Equation) -> Text:
    x, y = w.operands(eqn)
    return Text(f"{x.atom}**{y.at(UNARY)}", POWER)


def _where(w: Writer, eqn: Equation) -> Text:
    if len(eqn.inputs) != 3 or eqn.inputs[0].dtype != bool:
        return call("jax.lax.select_n", *(w.text(v).code for v in eqn.inputs))
    which, otherwise, then = w.operands(eqn)
    if all(v.number is not None for v in eqn.inputs[1:]):
        otherwise = w.text(eqn.inputs[1])  # two bare numbers would not have the dtype
    return call("jnp.where", which.code, then.code, otherwise.code)


def _clamp(w: Writer, eqn: Equation) -> Text:
    low, x, high = w.operands(eqn)
    return call("jnp.clip", x.code, low.code, high.code)


def _convert(w: Writer, eqn: Equation) -> Text:
    x = eqn.inputs[0]
    text = w.text(x) if x in w.texts or x.constant is not None else w.operands(eqn)[0]
    return Text(f"{text.atom}.astype({w.type(eqn.params['new_dtype'])})")


def _remainder(w: Writer, eqn: Equation) -> Text:
    return call("jnp.fmod", *(t.code for t in w.operands(eqn)))


def _reshape(w: Writer, eqn: Equation) -> Text:
    x, shape = eqn.inputs[0], eqn.outputs[0].shape
    if len(shape) == 1:
        return Text(f"{w.text(x).atom}.ravel()")
    return Text(f"{w.text(x).atom}.reshape({w.shape(shape) if shape else '()'})")


def _squeeze(w: Writer, eqn: Equation) -> Text:
    axes = tuple(eqn.params["dimensions"])
    return Text(f"{w.text(eqn.inputs[0]).atom}.squeeze({axes[0] if len(axes) == 1 else repr(axes)})")


def _transpose(w: Writer, eqn: Equation) -> Text:
    if eqn.inputs[0] in w.products:
        return contraction(w, w.products[eqn.inputs[0]], eqn.params["permutation"])
    order, x = tuple(eqn.params["permutation"]), w.text(eqn.inputs[0]).atom
    if order == tuple(range(len(order)))[::-1]:
        return Text(f"{x}.T")
    if order == (*range(len(order) - 2), len(order) - 1, len(order) - 2):
        return Text(f"{x}.mT")
    return Text(f"{x}.transpose{order!r}")


def _slice(w: Writer, eqn: Equation) -> Text:
    x = eqn.inputs[0]
    start, stop = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or (1,) * len(start)
    parts = []
    for a, b, s, size in zip(map(int, start), map(int, stop), map(int, strides), x.shape, strict=True):
        parts.append(f"{a or ''}:{b if b != size else ''}" + (f":{s}" if s != 1 else ""))
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return Text(f"{w.text(x).atom}[{', '.join(parts)}]")


def _concatenate(w: Writer, eqn: Equation) -> Text:
    parts = ", ".join(w.text(v).code for v in eqn.inputs)
    axis = eqn.params["dimension"]
    return Text(f"jnp.concatenate([{parts}]{f', {axis}' if axis else ''})")


def _flip(w: Writer, eqn: Equation) -> Text:
    axes = tuple(eqn.params["dimensions"])
    return call("jnp.flip", w.text(eqn.inputs[0]).code, str(axes[0]) if len(axes) == 1 else repr(axes))


def _cumsum(w: Writer, eqn: Equation) -> Text:
    x, axis = w.text(eqn.inputs[0]), eqn.params["axis"]
    if eqn.params["reverse"]:
        return call(f"jax.lax.{eqn.op}", x.code, f"{axis}", reverse="True")
    return Text(f"{x.atom}.cumsum({axis})") if eqn.op == "cumsum" else call(f"jax.lax.{eqn.op}", x.code, f"{axis}")


def _iota(w: Writer, eqn: Equation) -> Text:
    p, y = eqn.params, eqn.outputs[0]
    if len(y.shape) == 1:
        return call("jnp.arange", str(y.shape[0]), dtype=w.type(y.dtype))
    return call("jax.lax.broadcasted_iota", w.type(y.dtype), repr(y.shape), str(p["dimension"]))


def _pad(w: Writer, eqn: Equation) -> Text:
    x, fill = eqn.inputs
    config = eqn.params["padding_config"]
    simple = fill.number == 0 and all(low >= 0 and high >= 0 and not inner for low, high, inner in config)
    if simple:
        return call("jnp.pad", w.text(x).code, ints([(low, high) for low, high, _ in config]))
    return call("jax.lax.pad", w.text(x).code, w.text(fill).code, ints(config))


def _argmax(w: Writer, eqn: Equation) -> Text:
    (axis,) = eqn.params["axes"]
    return call(f"jax.lax.{eqn.op}", w.text(eqn.inputs[0]).code, str(axis), w.type(eqn.params["index_dtype"]))


def _one_minus_square(w: Writer, eqn: Equation) -> Text:
    (x,) = w.operands(eqn)
    return Text(f"(1.0 - {x.at(TIMES)}) * (1.0 + {x.at(TIMES)})", TIMES)


OPERATIONS: dict[str, Callable[[Any, Equation], Text]] = {
    "div": _divide,
    "neg": _negative,
    "not": _not,
    "integer_pow": _power,
    "square": _power,
    "one_minus_square": _one_minus_square,
    "pow": _pow,
    "rem": _remainder,
    "select_n": _where,
    "clamp": _clamp,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "slice": _slice,
    "concatenate": _concatenate,
    "rev": _flip,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumsum),
    "iota": _iota,
    "pad": _pad,
    "argmax": _argmax,
    "argmin": _argmax,
    "dot_general": contraction,
}

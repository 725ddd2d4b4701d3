"""Equations as Python statements: what is read once and is short stands where it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.program import Equation, Value
from vjpkit.derive.source import place
from vjpkit.derive.text import ATOM, Names, Text, call, literal

SHORT = 56  # characters of an expression that stands inside another
LONG = 96  # of one that is all that is returned
LETTERS = {
    "exp": "e",
    "tanh": "t",
    "logistic": "s",
    "log": "log",
    "rsqrt": "r",
    "sqrt": "root",
    "reduce_sum": "total",
    "reduce_max": "largest",
    "reduce_min": "least",
    "dot_general": "product",
    "iota": "index",
    "cumsum": "sums",
    "conv_general_dilated": "z",
    "gather": "picked",
    "select_n": "chosen",
    "gt": "mask",
    "ge": "mask",
    "eq": "mask",
    "lt": "mask",
    "le": "mask",
    "and": "mask",
    "integer_pow": "power",
    "div": "ratio",
    "random_bits": "bits",
}


class Writer:
    """Writes one function's body: `lines`, and a text for each value that was made."""

    def __init__(self, names: Names, main: Any, dtype: str, outer: Writer | None = None) -> None:
        self.names, self.main, self.dtype = names, main, dtype
        self.lines: list[str] = []
        self.texts: dict[Value, Text] = dict(outer.texts) if outer else {}
        self.shapes: list[tuple[str, tuple[int, ...]]] = list(outer.shapes) if outer else []
        self.waiting: dict[Value, Equation] = dict(outer.waiting) if outer else {}
        self.deferred: dict[Value, Equation] = dict(outer.deferred) if outer else {}
        self.makers: dict[Value, Equation] = dict(outer.makers) if outer else {}
        self.uses: Counter[Value] = Counter()
        self.products: dict[Value, Equation] = {}
        self.reductions: set[Value] = set()
        self.last: Value | None = None

    # -------------------------------------------------------------------------------------------- values

    def take(self, value: Value, text: str, *, shape: bool = True) -> None:
        """A value is known under this text."""
        self.texts[value] = Text(text)
        if shape and value.shape:
            self.shapes.append((text, value.shape))

    def text(self, v: Value) -> Text:
        """The value at its full shape."""
        if v in self.deferred:
            self._state(self.deferred.pop(v))
        if v in self.texts:
            return self.texts[v]
        if v.constant is not None:
            return self._constant(v)
        if v not in self.waiting:
            raise DeriveError("a value is read before it is made; please report this function")
        text, shape = self.broadcasting(v)
        if shape == v.shape:
            return text
        new = len(v.shape) - len(shape)
        if shape and (1,) * new + shape == v.shape:
            return Text(f"{text.atom}[{', '.join(['None'] * new)}]")
        return call("jnp.broadcast_to", text.code, self.shape(v.shape))

    def broadcasting(self, v: Value) -> tuple[Text, tuple[int, ...]]:
        """The value for a place where it broadcasts, and the shape that it has there."""
        if v in self.texts:
            return self.texts[v], v.shape
        if v.number is not None:
            return literal(v.number, self.main if v.dtype == self.main else None, self.dtype), ()
        if v not in self.waiting:
            return self.text(v), v.shape
        eqn = self.waiting[v]
        x, axes = eqn.inputs[0], placed(eqn) or ()
        if x.shape == ():
            return self.broadcasting(x)
        kept = self._kept(x, axes, len(v.shape))
        if kept is not None:
            return kept, tuple(s if k in axes else 1 for k, s in enumerate(v.shape))
        text, inner = self.broadcasting(x)
        if len(inner) < len(x.shape):  # leading axes are left out already
            axes = axes[len(x.shape) - len(inner) :]
        if not axes:
            return text, ()
        index = [":" if k in axes else "None" for k in range(axes[0], len(v.shape))]
        sizes = dict(zip(axes, inner, strict=True))
        shape = tuple(sizes.get(k, 1) for k in range(axes[0], len(v.shape)))
        return (Text(f"{text.atom}[{_slices(index)}]") if "None" in index else text), shape

    def _kept(self, x: Value, axes: Sequence[int], rank: int) -> Text | None:
        """A reduction whose axes are put back: keepdims."""
        eqn = self.makers.get(x)
        if eqn is None or x not in self.texts or x not in self.reductions or self.uses[x] > 1:
            return None
        gone = sorted(eqn.params["axes"])
        if sorted([*axes, *gone]) != list(range(rank)) or len(eqn.inputs[0].shape) != rank:
            return None
        code = self.texts[x].code
        return Text(f"{code[:-1]}{', ' if code[-2] != '(' else ''}keepdims=True)") if code.endswith(")") else None

    def operands(self, eqn: Equation, *, numbers: bool = False) -> list[Text]:
        """The operands of an elementwise equation, broadcasting as far as the result's shape allows.

        Where all are bare numbers, of which an operator of Python's would make a number, one becomes an array,
        unless `numbers` are welcome.
        """
        found = [self.broadcasting(v) for v in eqn.inputs]
        texts = [t for t, _ in found]
        shapes = [s for _, s in found]
        for k, v in enumerate(eqn.inputs):
            if np.broadcast_shapes(*shapes) == eqn.outputs[0].shape:
                break
            texts[k], shapes[k] = self.text(v), v.shape
        if not numbers and all(v.number is not None for v in eqn.inputs):
            texts[0] = self.text(eqn.inputs[0])
        return texts

    def _constant(self, v: Value) -> Text:
        n = v.number
        if n is not None:
            if v.shape == ():
                return call("jnp.array", literal(n, self.main, self.dtype).code, self.type(v.dtype))
            if n in (0, 1) and v.dtype != bool:
                return call("jnp.zeros" if n == 0 else "jnp.ones", self.shape(v.shape), self.type(v.dtype))
            return call("jnp.full", self.shape(v.shape), literal(n, self.main, self.dtype).code, self.type(v.dtype))
        array = np.asarray(v.constant)
        if array.size > 64:
            raise DeriveError(
                f"the function closes over an array {list(array.shape)} of {array.dtype}; make it an argument"
            )
        return call("jnp.array", _listed(array.tolist()), self.type(v.dtype))

    def type(self, dtype: Any) -> str:
        if dtype == self.main and self.dtype:
            return self.dtype
        name = np.dtype(dtype).name
        return {"bool": "bool", "int64": "int", "float64": "float"}.get(name, f"jnp.{name}")  # what x64 decides

    def shape(self, shape: Sequence[int]) -> str:
        """A shape, as that of an array at hand where there is one."""
        return next((f"{name}.shape" for name, s in self.shapes if s == tuple(shape) and s), repr(tuple(shape)))

    # ---------------------------------------------------------------------------------------- statements

    def write(self, equations: Sequence[Equation], results: Iterable[Value]) -> None:
        """The statements of a list of equations, whose results are read afterwards."""
        from vjpkit.derive.indexing import LAID_OUT, from_the_end
        from vjpkit.derive.loops import STATEMENTS

        results = list(results)
        self.uses = Counter(v for eqn in equations for v in eqn.inputs) + Counter(results)
        self.last = results[0] if len(results) == 1 else None
        turned = self._turned(equations)
        for eqn in equations:
            if eqn.outputs[0] in turned:
                continue
            self.makers.update(dict.fromkeys(eqn.outputs, eqn))
            if eqn.op in STATEMENTS:
                STATEMENTS[eqn.op](self, eqn)
            elif placed(eqn) is not None:
                self.waiting[eqn.outputs[0]] = eqn
                self.uses[eqn.inputs[0]] += self.uses[eqn.outputs[0]] - 1
            elif from_the_end(eqn, self.makers) or (eqn.op in LAID_OUT and eqn.inputs[0] in self.deferred):
                self.deferred[eqn.outputs[0]] = eqn  # indexing works this out by itself, if nobody else reads it
            else:
                self._state(eqn)

    def _turned(self, equations: Sequence[Equation]) -> set[Value]:
        """Products that are read once, to be transposed: their transpose is written with them."""
        products = {eqn.outputs[0]: eqn for eqn in equations if eqn.op == "dot_general"}
        found = [e.inputs[0] for e in equations if e.op == "transpose" and self.uses[e.inputs[0]] == 1]
        self.products = {v: products[v] for v in found if v in products}
        return set(self.products)

    def _state(self, eqn: Equation) -> None:
        """The statement of an equation, or the text that takes its place where it is read."""
        from vjpkit.derive.idioms import express

        text = express(self, eqn)
        if len(eqn.outputs) > 1:
            self.assign(eqn.outputs, text.code, eqn)
            return
        (v,) = eqn.outputs
        if self.uses[v] <= 1 and not v.name and len(text.code) <= (LONG if v is self.last else SHORT):
            self.texts[v] = text
        else:
            self.assign([v], text.code, eqn)

    def assign(self, values: Sequence[Value], code: str, eqn: Equation) -> None:
        """A statement; values that nobody reads are `_`."""
        names = [self._name(v, eqn) if self.uses[v] else "_" for v in values]
        for v, name in zip(values, names, strict=True):
            if name != "_":
                self.take(v, name)
        self.lines.append(f"{', '.join(names)} = {code}")

    def _name(self, v: Value, eqn: Equation) -> str:
        return self.names.fresh(v.name or v.hint or LETTERS.get(eqn.op) or letter(self.names))

    def named(self, v: Value) -> str:
        """A name for the value, for a place that reads it several times."""
        text = self.text(v)
        if text.code.isidentifier() or (v.constant is not None and text.level == ATOM):
            return text.code
        name = self.names.fresh(v.name or letter(self.names))
        self.lines.append(f"{name} = {text.code}")
        self.take(v, name)
        return name

    def refuse(self, eqn: Equation, why: str = "is not covered") -> DeriveError:
        shapes = ", ".join(f"{v.dtype}{list(v.shape)}" for v in eqn.inputs)
        return DeriveError(f"the operation {eqn.op} of {shapes} {why}{place(eqn.where)}")


def _listed(items: Any) -> str:
    return f"[{', '.join(map(_listed, items))}]" if isinstance(items, list) else literal(items).code


def letter(names: Names) -> str:
    return next((c for c in "uvpqrabcdkhmn" if c not in names.taken), "u")


def _slices(index: list[str]) -> str:
    return "..., None" if len(index) > 2 and index[-1] == "None" and "None" not in index[:-1] else ", ".join(index)


def placed(eqn: Equation) -> tuple[int, ...] | None:
    """For an equation that only adds axes or repeats along them: where the operand's axes go."""
    if eqn.op == "broadcast_in_dim":
        return tuple(eqn.params["broadcast_dimensions"])
    if eqn.op == "reshape" and eqn.params.get("dimensions") is None:
        small, big = eqn.inputs[0].shape, eqn.outputs[0].shape
        kept = tuple(k for k, s in enumerate(big) if s != 1)
        if 1 not in small and tuple(s for s in big if s != 1) == small and len(big) > len(small) > 0:
            return kept
    if eqn.op == "expand_dims":
        gone = {d % len(eqn.outputs[0].shape) for d in eqn.params["dimensions"]}
        return tuple(k for k in range(len(eqn.outputs[0].shape)) if k not in gone)
    return None


def is_float(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating))

"""Tangent programs in which a chain of products is one product: ẏ = slope · ẋ, with the slope a primal value.

Where a Jacobian is diagonal this makes the Hadamard product visible, and leaves one array to keep.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vjpkit.derive.program import Equation, Value, dependent, equations_of, number

SUMS: dict[str, Callable[..., Any]] = {"add": operator.add, "add_any": operator.add, "sub": operator.sub}


class Scaled(NamedTuple):
    """slope · base; no slope is 1. `first` is the equation that alone would make it, if one would."""

    base: Value
    slope: Value | None
    first: Equation | None


def gather(
    equations: Sequence[Equation], dots: Sequence[Value], outputs: Sequence[Value]
) -> tuple[list[Equation], list[Value]]:
    """The equations with products of tangents gathered, and the outputs' new values."""
    return _Gathering(equations, dots).run(equations, outputs)


class _Gathering:
    def __init__(self, equations: Sequence[Equation], dots: Sequence[Value]) -> None:
        self.linear = dependent(equations, dots)
        self.forms: dict[Value, Scaled] = {}
        self.made: dict[Value, Value] = {}
        self.out: list[Equation] = []

    def run(self, equations: Sequence[Equation], outputs: Sequence[Value]) -> tuple[list[Equation], list[Value]]:
        for eqn in equations:
            if not any(v in self.linear for v in eqn.inputs):
                self.out.append(eqn)
                continue
            form = self._form(eqn)
            if form is None:
                self.out.append(eqn.replace([self._value(v) for v in eqn.inputs]))
            else:
                self.forms[eqn.outputs[0]] = form
        return self.out, [self._value(v) for v in outputs]

    def _form(self, eqn: Equation) -> Scaled | None:
        """The equation's result as a product, None where it is something else."""
        if len(eqn.outputs) != 1:
            return None
        y = eqn.outputs[0]
        if eqn.op == "neg":
            base, slope, _ = self._of(eqn.inputs[0])
            return Scaled(base, self._emit(operator.neg, slope) if slope else number(-1.0, y), self._only(eqn))
        if eqn.op in ("mul", "div"):
            a, b = eqn.inputs
            if a not in self.linear:
                a, b = b, a
            if a.shape != y.shape:
                return None
            base, slope, _ = self._of(a)
            if eqn.op == "mul":
                slope = b if slope is None else self._emit(operator.mul, slope, b)
            else:
                slope = self._emit(operator.truediv, number(1.0, b) if slope is None else slope, b)
            return Scaled(base, slope, self._only(eqn))
        if eqn.op in SUMS and all(v in self.linear for v in eqn.inputs):
            first, second = map(self._of, eqn.inputs)
            if first.base is second.base:
                slopes = [s or number(1.0, y) for s in (first.slope, second.slope)]
                return Scaled(first.base, self._emit(SUMS[eqn.op], *slopes), None)
        return None

    def _of(self, v: Value) -> Scaled:
        return self.forms.get(v) or Scaled(v, None, None)

    def _only(self, eqn: Equation) -> Equation | None:
        """The equation, if it reads a tangent that is no product yet."""
        return None if any(v in self.forms for v in eqn.inputs) else eqn

    def _emit(self, operation: Callable[..., Any], *inputs: Value) -> Value:
        """The result of an operation that broadcasts; numbers are computed here."""
        numbers = [v.number for v in inputs]
        if None not in numbers:
            return number(operation(*numbers), max(inputs, key=lambda v: v.size))
        made, result = equations_of(operation, *inputs)
        self.out += made
        return result

    def _value(self, v: Value) -> Value:
        """The value itself: made by one product, where it has not been yet."""
        if v not in self.forms:
            return v
        if v not in self.made:
            base, slope, first = self.forms[v]
            if slope is None:
                self.made[v] = base
            elif first is not None:
                self.out.append(first)
                self.made[v] = v
            elif slope.number == 0:
                self.made[v] = number(0.0, v)
            else:
                made = self._emit(operator.mul, slope, base)
                made.name, self.made[v] = v.name, made
        return self.made[v]

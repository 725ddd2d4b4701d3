"""A function read as values, each of them a linear map away from those that it reads, at a point.

Elementwise operations that no name divides are one expression; activations keep the names that the source calls.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.formulas.calculus import partial
from vjpkit.derive.formulas.calls import Called, flattened
from vjpkit.derive.formulas.dimensions import Dimensions, unit_reshape
from vjpkit.derive.formulas.functions import defined, elementwise
from vjpkit.derive.formulas.maps import Hadamard, Map, Permute, Space, Spread, Sum, simplified
from vjpkit.derive.formulas.scalars import (
    Apply,
    Expr,
    Leaf,
    Num,
    Size,
    T,
    Test,
    leaves,
    mul,
    num,
    reframed,
    replaced,
)
from vjpkit.derive.formulas.structural import STRUCTURAL
from vjpkit.derive.program import Equation, Program, Value, alive, equations_of, everything
from vjpkit.derive.source import place

FRAMES = {"transpose", "broadcast_in_dim", "reshape", "squeeze", "expand_dims"}
STOPS = {"stop_gradient", "sign", "floor", "ceil", "round", "is_finite", "argmax", "argmin"}


class Made(NamedTuple):
    """A constant that only formulas need: its numbers, from those of the program, and what it is, in words."""

    numbers: Callable[[dict[Value, Any]], Any]
    told: str  # with {} for each of the values that it is about
    about: tuple[Value, ...]


@dataclass
class Edge:
    """What a value reads, and the linear map by which its differential follows."""

    source: Value
    maps: list[Map]


@dataclass
class Reading:
    """The program of a function with everything that formulas are written from."""

    program: Program
    wrt: list[Value]
    given: Sequence[Any]
    named: tuple[dict[tuple[Value, int], str], dict[str, int]]
    expr: dict[Value, Expr] = field(default_factory=dict)
    maker: dict[Value, Equation] = field(default_factory=dict)
    made: dict[Value, Made] = field(default_factory=dict)
    moving: set[Value] = field(default_factory=set)

    @property
    def out(self) -> Value:
        return self.program.outputs[0]

    def __post_init__(self) -> None:
        equations, called = flattened(self.program)
        if self.out in self.program.inputs:
            copied, self.program.outputs[0] = equations_of(jnp.copy, self.out)
            equations += copied
        self.program.equations = alive(equations, [self.out])
        self.dims = Dimensions(self.program.equations)
        self.dims.name(*self.named)
        self.maker = {v: e for e in self.program.equations for v in e.outputs}
        self.called: dict[Value, Called] = called
        hidden = {e for c in called.values() for e in c.equations}
        self.steps = [e for e in self.program.equations if e not in hidden or e.outputs[0] in called]
        self.readers = Counter(v for e in self.steps for v in dict.fromkeys(self._inputs(e)))
        self.moving = self._moving()
        self.functions: dict[str, Any] = {}
        self.means: set[Value] = set()
        for eqn in self.steps:
            made = self._expressed(eqn)
            if made is not None:
                self.expr[eqn.outputs[0]] = made

    def space(self, v: Value) -> Space:
        return self.dims.space(v)

    def make(
        self,
        name: str,
        space: Space,
        numbers: Callable[[dict[Value, Any]], Any],
        told: str,
        about: tuple[Value, ...],
    ) -> Value:
        """A constant of that shape, for formulas to read."""
        v = Value(space.shape, np.dtype(float), name)
        self.dims.names.update({(v, k): dim for k, dim in enumerate(space.dims) if not dim.isdigit()})
        self.made[v] = Made(numbers, told, about)
        return v

    # ------------------------------------------------------------------------------------------ expressions

    def _inputs(self, eqn: Equation) -> list[Value]:
        y = eqn.outputs[0]
        return [self.called[y].x] if y in self.called else eqn.inputs

    def _moving(self) -> set[Value]:
        found = set(self.wrt)
        for eqn in self.steps:
            if eqn.op not in STOPS and any(v in found for v in self._inputs(eqn)):
                found.update(v for v in eqn.outputs if jnp.issubdtype(v.dtype, jnp.floating))
        return found

    def _expressed(self, eqn: Equation) -> Expr | None:
        """The entries of the equation's result, where they are an expression in entries of others."""
        y = eqn.outputs[0]
        if y in self.called:
            return Apply(self._function(self.called[y]), (self.argument(self.called[y].x),))
        if eqn.op in FRAMES:
            where = self._frame(eqn)
            if where is None or not eqn.inputs:
                return None
            return reframed(self.operand(eqn.inputs[0], y.size), where.get)
        if eqn.op == "convert_element_type" and not _keeps_numbers(eqn):
            return None
        if eqn.op in ("and", "or", "not", "xor") and y.dtype != jnp.bool_:
            return None
        if eqn.op in ("tanh", "logistic"):
            return elementwise(eqn.op, eqn.params, [self.argument(eqn.inputs[0])])
        operands = [self._fitted(v, y) for v in eqn.inputs]
        if eqn.op == "div" and (count := self._count(operands)) is not None:
            operands[1] = count
            self.means.add(y)
        if eqn.op == "abs" and self._positive(operands[0]):
            return operands[0]
        return elementwise(eqn.op, eqn.params, operands)

    def operand(self, v: Value, size: int = 0) -> Expr:
        """A value as an operand of so many entries: its expression where nothing names it, else its entry.

        What is spread over more entries than it has is a value of its own: a mean is not written out for each entry.
        """
        if v.constant is not None and v.number is not None:
            return num(v.number)
        if v in self.expr and self.inlined(v) and (size <= v.size or isinstance(self.expr[v], Leaf | Num)):
            return self.expr[v]
        return Leaf(v, tuple(range(len(v.shape))))

    def argument(self, v: Value) -> Expr:
        """The argument of an activation, whose slope is taken there: a value of its own."""
        made = self.operand(v)
        return made if isinstance(made, Leaf) else Leaf(v, tuple(range(len(v.shape))))

    def _fitted(self, v: Value, y: Value) -> Expr:
        """An operand in the frame of y, where an axis of length 1 is spread."""
        short = {k for k, (n, m) in enumerate(zip(v.shape, y.shape, strict=False)) if n != m}
        return reframed(self.operand(v, y.size), lambda k: None if k in short else k)

    def inlined(self, v: Value) -> bool:
        """Whether a value is written as its expression where it is read."""
        made = self.expr[v]
        if v is self.out or self.maker[v].op == "stop_gradient":
            return False
        if isinstance(made, Leaf | Num):
            return True
        return not v.name and (self.readers[v] == 1 or isinstance(made, Test))

    def _frame(self, eqn: Equation) -> dict[int, int] | None:
        """Where each axis of the operand went, of an operation that only puts axes elsewhere; None for another."""
        x, y = eqn.inputs[0], eqn.outputs[0]
        if eqn.op == "transpose":
            return {axis: k for k, axis in enumerate(eqn.params["permutation"])}
        if eqn.op == "broadcast_in_dim":
            axes = eqn.params["broadcast_dimensions"]
            return {k: axis for k, axis in enumerate(axes) if x.shape[k] == y.shape[axis]}
        return unit_reshape(x.shape, y.shape)

    def _function(self, called: Called) -> Any:
        """The function that was called: one of the name and the formula, another of that name with a number."""
        env: dict[Value, Expr] = {called.x: T}
        for eqn in called.equations:
            operands = [env[v] if v in env else num(v.number) for v in eqn.inputs]
            if eqn.op in FRAMES:
                env[eqn.outputs[0]] = operands[0]
                continue
            found = elementwise(eqn.op, eqn.params, operands)
            env[eqn.outputs[0]] = found if found is not None else T
        body = env[called.y]
        for name in itertools.chain([called.name], (f"{called.name}{k}" for k in itertools.count(2))):
            known = self.functions.setdefault(name, (body, defined(name, body)))
            if known[0] == body:
                return known[1]
        raise AssertionError

    def _count(self, operands: Sequence[Expr]) -> Expr | None:
        """How many entries a sum has that is divided by this number, by the names of its dimensions."""
        total, divisor = operands
        if not isinstance(total, Leaf) or not isinstance(divisor, Num) or total.value not in self.maker:
            return None
        eqn = self.maker[total.value]
        if eqn.op != "reduce_sum":
            return None
        x = eqn.inputs[0]
        if math.prod(x.shape[a] for a in eqn.params["axes"]) != divisor.value:
            return None
        each = [(self.dims.of(x, a), x.shape[a]) for a in eqn.params["axes"]]
        return mul(*(num(n) if name.isdigit() else Size(name, n) for name, n in each))

    def _positive(self, e: Expr) -> bool:
        """Whether it is a sum of exponentials."""
        if not isinstance(e, Leaf) or e.value not in self.maker:
            return False
        eqn = self.maker[e.value]
        made = self.expr.get(eqn.inputs[0]) if eqn.op == "reduce_sum" else None
        return isinstance(made, Apply) and made.function.name == "exp"

    # ------------------------------------------------------------------------------------------------ edges

    def edges(self, v: Value) -> Iterator[Edge]:
        """What a value reads that moves, each with its map."""
        if v in self.expr:
            e = self.expr[v]
            for leaf in leaves(e):
                if leaf.value in self.moving:
                    yield self._edge(leaf, v, partial(e, leaf))
        elif v in self.maker:
            eqn = self.maker[v]
            if eqn.op not in STRUCTURAL:
                raise DeriveError(f"derive: {eqn.op} is not covered{place(eqn.where)}")
            for k, x in enumerate(eqn.inputs):
                if x in self.moving:
                    source, before = self.source(x)
                    after = STRUCTURAL[eqn.op](self, eqn, k, eqn.outputs.index(v))
                    yield Edge(source, simplified([*before, *after]))

    def _edge(self, leaf: Leaf, v: Value, slope: Expr) -> Edge:
        frame = self.space(v)
        return Edge(leaf.value, simplified([*self.into(leaf, frame), Hadamard(self.own(slope, v), frame)]))

    def own(self, slope: Expr, v: Value) -> Expr:
        """A slope in which the value's own expression is written as the value."""
        e = self.expr[v]
        if isinstance(e, Leaf | Num | Test) or not (v.name or (isinstance(e, Apply) and e.function.name == "exp")):
            return slope
        return replaced(slope, {e: Leaf(v, tuple(range(len(v.shape))))})

    def source(self, v: Value) -> tuple[Value, list[Map]]:
        """The value of which this one is another view, and the maps that make the view."""
        e = self.expr.get(v)
        return (e.value, self.into(e, self.space(v))) if isinstance(e, Leaf) and self.inlined(v) else (v, [])

    def into(self, leaf: Leaf, frame: Space) -> list[Map]:
        """The maps that put a value into a frame."""
        space = self.space(leaf.value)
        gone = tuple(k for k, a in enumerate(leaf.axes) if a is None)
        maps: list[Map] = [Sum(gone, space)]
        space = maps[0].y
        kept = [a for a in leaf.axes if a is not None]
        order = tuple(sorted(range(len(kept)), key=kept.__getitem__))
        maps.append(Permute(order, space))
        maps.append(Spread(tuple(a for a in range(len(frame.shape)) if a not in kept), frame))
        return simplified(maps)

    # ---------------------------------------------------------------------------------------------- numbers

    @functools.cached_property
    def point(self) -> dict[Value, Any]:
        """Everything that the program computes at the arguments given."""
        return self._run(self.given)

    def numbers(self, inputs: Sequence[Any]) -> dict[Value, Any]:
        """The value of everything at a point, the constants of formulas too."""
        env = self._run(inputs)
        return env | {v: made.numbers(env) for v, made in self.made.items()}

    @functools.cached_property
    def _run(self) -> Callable[[Sequence[Any]], dict[Value, Any]]:
        return everything(self.program)


def _keeps_numbers(eqn: Equation) -> bool:
    """Whether a conversion leaves numbers as they are."""
    return jnp.issubdtype(eqn.outputs[0].dtype, jnp.floating) or not jnp.issubdtype(eqn.inputs[0].dtype, jnp.floating)

"""A function as a list of equations on values: a jaxpr with the calls in it unfolded, to be rewritten freely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.core.primitives import ClosedJaxpr

CALLS = {
    **dict.fromkeys(("jit", "pjit", "remat", "remat2", "checkpoint", "core_call", "xla_call"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_closed_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"),
}


@dataclass(eq=False)
class Value:
    """What an equation computes, an argument, or a constant; `name` is what the source calls it, if it does."""

    shape: tuple[int, ...]
    dtype: Any
    name: str = ""
    hint: str = ""  # what to call it, should it need a name
    constant: Any = None  # an array, or a number that stands for an array full of it

    @property
    def number(self) -> Any:
        """The number that a constant is full of, else None."""
        if self.constant is None:
            return None
        flat = np.asarray(self.constant).ravel()
        return flat[0].item() if flat.size and np.all(flat == flat[0]) and flat.dtype.kind in "bifc" else None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, self.dtype)


@dataclass(eq=False)
class Equation:
    """One operation: a JAX primitive with its parameters."""

    primitive: Any
    params: dict[str, Any]
    inputs: list[Value]
    outputs: list[Value]
    where: tuple[Any, ...] = ()  # tracebacks: its own, and those of the calls around it

    @property
    def op(self) -> str:
        return self.primitive.name

    def apply(self, *values: Any) -> list[Any]:
        """The operation on JAX values."""
        out = self.primitive.bind(*values, **self.primitive.get_bind_params(self.params))
        return list(out) if self.primitive.multiple_results else [out]

    def replace(self, inputs: Sequence[Value]) -> Equation:
        return Equation(self.primitive, self.params, list(inputs), self.outputs, self.where)


@dataclass
class Program:
    """Equations in order, from inputs to outputs."""

    inputs: list[Value]
    equations: list[Equation] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


def equations_of(operation: Callable[..., Any], *inputs: Value) -> tuple[list[Equation], Value]:
    """The equations by which a function of JAX computes its one result from these values."""
    program = unfold(jax.make_jaxpr(operation)(*(v.spec for v in inputs)), inputs)
    return program.equations, program.outputs[0]


Namer = Callable[[Any], str]


def unfold(
    closed: Any,
    inputs: Sequence[Value] | None = None,
    name: Namer = lambda eqn: "",
    whole: Collection[str] = (),
) -> Program:
    """The program of a closed jaxpr.

    Args:    inputs: its inputs; new ones if left out.  name: what the source calls an equation's result.
             whole: operations that are not unfolded.
    """
    jaxpr, consts = (closed.jaxpr, closed.consts) if isinstance(closed, ClosedJaxpr) else (closed, [])
    given = [_value(v.aval) for v in jaxpr.invars] if inputs is None else list(inputs)
    program = Program(given)
    program.outputs = _unfold(jaxpr, consts, given, program.equations, name, whole)
    return program


def _unfold(
    jaxpr: Any,
    consts: Iterable[Any],
    inputs: Sequence[Value],
    equations: list[Equation],
    name: Namer,
    whole: Collection[str],
    outer: tuple[Any, ...] = (),
) -> list[Value]:
    env = dict(zip(jaxpr.invars, inputs, strict=True))
    for var, const in zip(jaxpr.constvars, consts, strict=True):
        env[var] = const if isinstance(const, Value) else constant(const, var.aval)

    def read(v: Any) -> Value:
        return constant(v.val, v.aval) if hasattr(v, "val") else env[v]

    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        called, where = name(eqn), (eqn.source_info.traceback, *outer)
        inner = None if eqn.primitive.name in whole else _called(eqn, operands)
        if eqn.primitive.name == "platform_index":
            default = [p is None for p in eqn.params["platforms"]].index(True)
            results = [constant(np.int32(default))]
        elif inner is not None:
            if eqn.primitive.name == "cond":
                operands = operands[1:]
            closed = inner if isinstance(inner, ClosedJaxpr) else None
            body, consts = (closed.jaxpr, closed.consts) if closed else (inner, [])
            results = _unfold(body, consts, operands, equations, name, whole, where)
            if called and len(results) == 1 and not results[0].name and results[0] not in operands:
                results[0].name = called
        else:
            results = [_value(v.aval, called if len(eqn.outvars) == 1 else "") for v in eqn.outvars]
            equations.append(Equation(eqn.primitive, dict(eqn.params), operands, results, where))
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _called(eqn: Any, operands: Sequence[Value]) -> Any:
    """The jaxpr that an equation calls without condition, None for another equation."""
    if eqn.primitive.name == "cond" and operands[0].number is not None:
        return eqn.params["branches"][int(operands[0].number)]
    return eqn.params[CALLS[eqn.primitive.name]] if eqn.primitive.name in CALLS else None


def constant(value: Any, aval: Any = None) -> Value:
    """A constant."""
    aval = jax.typeof(jnp.asarray(value)) if aval is None else aval
    return Value(tuple(aval.shape), aval.dtype, constant=value)


def number(value: Any, like: Value) -> Value:
    """A number as a constant of the shape and dtype of another value."""
    return Value(like.shape, like.dtype, constant=value)


def _value(aval: Any, name: str = "") -> Value:
    return Value(tuple(getattr(aval, "shape", ())), getattr(aval, "dtype", None), name)


def dependent(equations: Iterable[Equation], on: Iterable[Value]) -> set[Value]:
    """The values that depend on some values, these among them."""
    found = set(on)
    for eqn in equations:
        if any(v in found for v in eqn.inputs):
            found.update(eqn.outputs)
    return found


def alive(equations: Sequence[Equation], outputs: Iterable[Value]) -> list[Equation]:
    """The equations that the outputs need."""
    needed, kept = set(outputs), []
    for eqn in reversed(equations):
        if any(v in needed for v in eqn.outputs):
            kept.append(eqn)
            needed.update(eqn.inputs)
    return kept[::-1]


def everything(program: Program) -> Callable[[Sequence[Any]], dict[Value, Any]]:
    """The program as one compiled function, from the inputs' numbers to those of every value."""
    read = (v for e in program.equations for v in (*e.inputs, *e.outputs))
    values = list(dict.fromkeys([*program.inputs, *read]))

    def run(*inputs: Any) -> list[Any]:
        env: dict[Value, Any] = dict(zip(program.inputs, inputs, strict=True))
        for eqn in program.equations:
            operands = [env[v] if v in env else jnp.full(v.shape, v.constant, v.dtype) for v in eqn.inputs]
            env.update(zip(eqn.inputs, operands, strict=True))
            env.update(zip(eqn.outputs, eqn.apply(*operands), strict=True))
        return [env[v] for v in values]

    compiled = jax.jit(run)
    return lambda inputs: dict(zip(values, map(np.asarray, compiled(*inputs)), strict=True))

"""A traced function as one flat list of equations that can be evaluated, edited, and evaluated again from the edit on.

Calls are inlined, short scans unrolled; each equation knows which line it comes from and whether its value depends
on the vectors (the cotangents or tangents) or on the point alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.diagnosis.arithmetic import bind
from vjpkit.check.diagnosis.lines import Line, of_equation, scope_of
from vjpkit.check.jaxprs import scan_sizes
from vjpkit.core.primitives import ClosedJaxpr, Jaxpr, equation_jaxpr

MOST = 4000  # equations
UNROLLED = 32  # steps of a scan
_CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}
Edit = Callable[[list[Any]], list[Any]]  # from the values of an equation's inputs to those of its outputs


@dataclass(frozen=True)
class Equation:
    """`outputs = primitive(inputs)`; variables are numbers. `origin` is the same for all steps of one scan."""

    primitive: Any
    params: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    line: Line | None
    origin: tuple[int, ...]
    scope: str = ""

    @property
    def name(self) -> str:
        return self.primitive.name

    def __call__(self, values: list[Any]) -> list[Any]:
        return bind(self.primitive, self.params, values)


@dataclass
class Program:
    """Inputs are variables 0 … n−1; `linear` holds the variables that depend on the inputs from `n_point` on."""

    n_inputs: int
    n_point: int
    equations: list[Equation] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    size: int = 0
    linear: set[int] = field(default_factory=set)
    users: dict[int, list[int]] = field(default_factory=dict)
    _origins: dict[tuple[int, ...], list[int]] = field(default_factory=dict)
    _reach: dict[int, set[int]] = field(default_factory=dict)

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The values of all variables."""
        values: list[Any] = [None] * self.size
        values[: self.n_inputs] = inputs
        for v, constant in self.constants.items():
            values[v] = constant
        for eqn in self.equations:
            for v, out in zip(eqn.outputs, eqn([values[i] for i in eqn.inputs]), strict=True):
                values[v] = out
        return values

    def again(self, base: list[Any], edits: Mapping[int, Edit], given: Mapping[int, Any] | None = None) -> list[Any]:
        """The outputs when some equations compute something else, or some variables are given."""
        values = list(base)
        changed: set[int] = set()
        queue = sorted(edits)
        for v, value in (given or {}).items():
            values[v] = value
            changed.add(v)
        start = min([*queue, *(min(self.users.get(v, [len(self.equations)])) for v in changed)], default=0)
        for k in range(start, len(self.equations)):
            eqn, edit = self.equations[k], edits.get(k)
            if edit is None and changed.isdisjoint(eqn.inputs):
                continue
            inputs = [values[i] for i in eqn.inputs]
            for v, out in zip(eqn.outputs, (edit or eqn)(inputs), strict=True):
                if v not in (given or {}):
                    values[v] = out
                    changed.add(v)
        return [values[v] for v in self.outputs]

    def steps(self, k: int) -> list[int]:
        """The equations that stand at the same place in the source as the k-th: all steps of a scan."""
        origin = self.equations[k].origin
        return self._origins.get(origin, [k])

    def lines_from(self, forward: Program) -> Program:
        """Equations that stand under the name of an equation of another program take its line."""
        for k, eqn in enumerate(self.equations):
            if eqn.line is None and eqn.scope:
                self.equations[k] = replace(eqn, line=forward.equations[int(eqn.scope)].line)
        return self

    def reach(self, v: int) -> set[int]:
        """Which outputs, by place, a variable has a part in."""
        return self._reach.get(v, set())

    def finish(self) -> Program:
        """Dead equations are dropped, and what depends on what is found out."""
        live = set(self.outputs)
        kept = []
        for eqn in reversed(self.equations):
            if not live.isdisjoint(eqn.outputs):
                kept.append(eqn)
                live.update(eqn.inputs)
        self.equations = kept[::-1]
        self.linear = set(range(self.n_point, self.n_inputs))
        for k, eqn in enumerate(self.equations):
            self._origins.setdefault(eqn.origin, []).append(k)
            for v in eqn.inputs:
                self.users.setdefault(v, []).append(k)
            if not self.linear.isdisjoint(eqn.inputs):
                self.linear.update(eqn.outputs)
        for place, v in enumerate(self.outputs):
            self._reach.setdefault(v, set()).add(place)
        for eqn in reversed(self.equations):
            union = set().union(*(self._reach.get(v, set()) for v in eqn.outputs))
            for v in eqn.inputs:
                self._reach.setdefault(v, set()).update(union)
        return self


def trace(f: Callable[..., Any], inputs: Sequence[Any], n_point: int) -> Program:
    """The program of `f`, a function of arrays that answers arrays."""
    return flat(jax.make_jaxpr(f)(*inputs), n_point)


def flat(closed: Any, n_point: int) -> Program:
    """A closed jaxpr, its calls inlined."""
    n = len(closed.in_avals)
    program = Program(n, n_point, size=n)
    program.outputs = _inline(program, closed.jaxpr, closed.consts, list(range(n)), ())
    return program.finish()


def _inline(program: Program, jaxpr: Any, consts: Sequence[Any], inputs: list[int], path: tuple[int, ...]) -> list[int]:
    names = dict(zip(jaxpr.invars, inputs, strict=True))

    def new() -> int:
        program.size += 1
        return program.size - 1

    def constant(value: Any) -> int:
        v = new()
        extended = jax.dtypes.issubdtype(getattr(value, "dtype", np.float64), jax.dtypes.extended)
        program.constants[v] = value if extended else np.asarray(value)
        return v

    def read(atom: Any) -> int:
        if hasattr(atom, "val"):
            return constant(np.asarray(atom.val, atom.aval.dtype))
        return names[atom]

    names.update((v, constant(c)) for v, c in zip(jaxpr.constvars, consts, strict=True))
    for eqn in jaxpr.eqns:
        into = [read(a) for a in eqn.invars]
        here = (*path, id(eqn))
        body = called(eqn)
        if body is not None:
            out = _inline(program, body.jaxpr, body.consts, into, here)
        elif eqn.primitive.name == "scan" and eqn.params["length"] <= UNROLLED:
            out = _unroll(program, eqn, into, here, new)
        else:
            if len(program.equations) >= MOST:
                raise OverflowError(f"more than {MOST} equations")
            out = [new() for _ in eqn.outvars]
            program.equations.append(
                Equation(eqn.primitive, eqn.params, tuple(into), tuple(out), of_equation(eqn), here, scope_of(eqn))
            )
        names.update(zip(eqn.outvars, out, strict=True))
    return [read(a) for a in jaxpr.outvars]


def called(eqn: Any) -> Any:
    """The closed jaxpr that an equation calls, None where it computes something itself."""
    carried = equation_jaxpr(eqn)
    if carried is not None or eqn.primitive.name not in _CALLS:
        return carried
    inner = next((eqn.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in eqn.params), None)
    if isinstance(inner, Jaxpr):
        return ClosedJaxpr(inner, ())
    return inner


def _unroll(program: Program, eqn: Any, into: list[int], here: tuple[int, ...], new: Callable[[], int]) -> list[int]:
    """A scan's body, once for each step."""
    p, body = eqn.params, eqn.params["jaxpr"]
    consts, carries = scan_sizes(p)
    fixed, carry, stacked = np.split(np.array(into, int), [consts, consts + carries])
    steps = range(p["length"])
    answers: dict[int, list[int]] = {}
    state = list(map(int, carry))
    for t in reversed(steps) if p["reverse"] else steps:
        each = [_emit(program, new, _at(t), [int(v)], (*here, -1)) for v in stacked]
        out = _inline(program, body.jaxpr, body.consts, [*map(int, fixed), *state, *each], here)
        state, answers[t] = out[:carries], out[carries:]
    columns: Iterator[Sequence[int]] = zip(*(answers[t] for t in steps), strict=True)
    return [*state, *(_emit(program, new, _Stack(), list(column), (*here, -2)) for column in columns)]


def _emit(program: Program, new: Callable[[], int], primitive: Any, into: list[int], origin: tuple[int, ...]) -> int:
    v = new()
    program.equations.append(Equation(primitive, {}, tuple(into), (v,), None, origin))
    return v


class _Stack:
    """The steps' answers as one array."""

    name, multiple_results = "stack", False

    def bind(self, *values: Any) -> Any:
        return np.stack(values) if isinstance(values[0], np.ndarray) else jnp.stack(values)


class _at:
    """One step of a stacked input."""

    name, multiple_results = "step", False

    def __init__(self, t: int) -> None:
        self.t = t

    def bind(self, x: Any) -> Any:
        return x[self.t]

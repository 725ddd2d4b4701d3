"""A traced function as one flat list of equations that can be evaluated, edited, and evaluated again from the edit on.

Calls are inlined, scans unrolled; each equation knows which line it comes from and whether its value depends on the
vectors (the cotangents or tangents) or on the point alone. What stands once in the source and is computed at every
step of a loop, `lax.scan` or Python's own, is one *site*: an edit of it is one mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.arithmetic import bind
from vjpkit.check.diagnosis.lines import Line, call_site, of_equation, scope_of
from vjpkit.check.diagnosis.loops import KINDS, Loop
from vjpkit.check.diagnosis.operators import Operator, operator_of, product
from vjpkit.check.jaxprs import called, scan_sizes

MOST = 4000  # equations
UNROLLED, LONGEST = 16, 128  # steps of a scan: up to which it is unrolled, and may be where nothing else helps
SINGLY = 4  # steps of a loop up to which each is a site of its own too
Edit = Callable[[list[Any]], list[Any]]  # from the values of an equation's inputs to those of its outputs


@dataclass(frozen=True)
class Equation:
    """`outputs = primitive(inputs)`; variables are numbers. `origin` is the same for all steps of one loop."""

    primitive: Any
    params: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    line: Line | None
    origin: tuple[Any, ...]
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
    unrolled: int = UNROLLED
    whole: bool = False  # solves are one equation, not an inverse times a right-hand side
    linear: set[int] = field(default_factory=set)
    varying: set[int] = field(default_factory=set)  # what depends on any input
    users: dict[int, list[int]] = field(default_factory=dict)
    _origins: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
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
        """The equations that stand at the same place in the source as the k-th: all steps of a loop."""
        return self._origins.get(self.equations[k].origin, [k])

    def sites(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The places of the source, each by its first equation and all of them; of a short loop, each step too."""
        for k in range(len(self.equations)):
            steps = self.steps(k)
            if steps[0] == k:
                yield k, tuple(steps)
            if 1 < len(steps) <= SINGLY:
                yield k, (k,)

    def like(self, forward: Program) -> Program:
        """Equations made from an equation of another program take its line, and are steps of a loop where it is one."""
        count: dict[tuple[Any, ...], int] = {}
        for k, eqn in enumerate(self.equations):
            if eqn.scope:
                source = forward.equations[int(eqn.scope)]
                mark = (eqn.name, eqn.origin[-1], *(v in self.linear for v in eqn.inputs))
                count[eqn.scope, mark] = count.get((eqn.scope, mark), 0) + 1
                origin = (source.origin, mark, count[eqn.scope, mark])
                self.equations[k] = replace(eqn, line=eqn.line or source.line, origin=origin)
        self._trace_origins()
        return self

    def _trace_origins(self) -> None:
        self._origins = {}
        for k, eqn in enumerate(self.equations):
            self._origins.setdefault(eqn.origin, []).append(k)

    @property
    def loops(self) -> set[int]:
        """The lengths of the scans that are too long to be unrolled."""
        return {eqn.params["length"] for eqn in self.equations if eqn.name == "scan"}

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
        self.linear, self.varying = set(range(self.n_point, self.n_inputs)), set(range(self.n_inputs))
        self._trace_origins()
        for k, eqn in enumerate(self.equations):
            for v in eqn.inputs:
                self.users.setdefault(v, []).append(k)
            for which in (self.linear, self.varying):
                if not which.isdisjoint(eqn.inputs):
                    which.update(eqn.outputs)
        for place, v in enumerate(self.outputs):
            self._reach.setdefault(v, set()).add(place)
        for eqn in reversed(self.equations):
            union = set().union(*(self._reach.get(v, set()) for v in eqn.outputs))
            for v in eqn.inputs:
                self._reach.setdefault(v, set()).update(union)
        return self


def trace(
    f: Callable[..., Any], inputs: Sequence[Any], n_point: int, unrolled: int = UNROLLED, whole: bool = False
) -> Program:
    """The program of `f`, a function of arrays that answers arrays: its calls inlined, scans of few steps unrolled."""
    closed = jax.make_jaxpr(f)(*inputs)
    n = len(closed.in_avals)
    program = Program(n, n_point, size=n, unrolled=unrolled, whole=whole)
    program.outputs = _inline(program, closed.jaxpr, closed.consts, list(range(n)), ())
    return program.finish()


def _inline(program: Program, jaxpr: Any, consts: Sequence[Any], inputs: list[int], path: tuple[Any, ...]) -> list[int]:
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
        here = (*path, call_site(eqn), tuple(np.shape(a.aval) for a in eqn.invars))
        operator, body = operator_of(eqn), called(eqn)
        if operator is not None:
            out = _operate(program, operator, eqn, into, here, new)
        elif body is not None:
            out = _inline(program, body.jaxpr, body.consts, into, here)
        elif eqn.primitive.name == "scan" and eqn.params["length"] <= program.unrolled:
            out = _unroll(program, eqn, into, here, new)
        else:
            if len(program.equations) >= MOST:
                raise OverflowError(f"more than {MOST} equations")
            out = [new() for _ in eqn.outvars]
            primitive = Loop(eqn) if eqn.primitive.name in KINDS else eqn.primitive
            program.equations.append(
                Equation(primitive, eqn.params, tuple(into), tuple(out), of_equation(eqn), here, scope_of(eqn))
            )
        names.update(zip(eqn.outvars, out, strict=True))
    return [read(a) for a in jaxpr.outvars]


def _unroll(program: Program, eqn: Any, into: list[int], here: tuple[Any, ...], new: Callable[[], int]) -> list[int]:
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


def _operate(
    program: Program, operator: Operator, eqn: Any, into: list[int], here: tuple[Any, ...], new: Callable[[], int]
) -> list[int]:
    """A function of matrices as one equation; a solve as its inverse times the right-hand side, if not as a whole."""
    if operator.inverse is None or program.whole:
        out = [new() for _ in eqn.outvars]
        line, scope = of_equation(eqn), scope_of(eqn)
        program.equations.append(Equation(operator, {}, tuple(into), tuple(out), line, here, scope))
        return out
    a, b = (np.ndim(v.aval) for v in eqn.invars)
    inverse = _emit(program, new, operator.inverse, into[:1], (*here, -3), eqn)
    operands, ranks = ([inverse, into[1]], (a, b)) if operator.left else ([into[1], inverse], (b, a))
    return [_emit(program, new, jax.lax.dot_general_p, operands, (*here, -4), eqn, product(ranks))]


def _emit(
    program: Program,
    new: Callable[[], int],
    primitive: Any,
    into: list[int],
    origin: tuple[Any, ...],
    eqn: Any = None,
    params: Mapping[str, Any] | None = None,
) -> int:
    v = new()
    line, scope = (of_equation(eqn), scope_of(eqn)) if eqn is not None else (None, "")
    program.equations.append(Equation(primitive, params or {}, tuple(into), (v,), line, origin, scope))
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

"""Functions that the source calls by name: where a call is elementwise in one array, it stays one operation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vjpkit.core.primitives import ClosedJaxpr
from vjpkit.derive.formulas.dimensions import unit_reshape
from vjpkit.derive.formulas.functions import ELEMENTWISE
from vjpkit.derive.program import CALLS, Equation, Program, Value, unfold
from vjpkit.derive.source import OWN

INSIDE = {*ELEMENTWISE, "integer_pow", "broadcast_in_dim", "reshape"} - {"stop_gradient"}


class Called(NamedTuple):
    """A call of a function of one array, entry by entry."""

    name: str
    x: Value
    y: Value
    equations: list[Equation]


def flattened(program: Program) -> tuple[list[Equation], dict[Value, Called]]:
    """All equations with the calls among them unfolded, and the calls that are activations, by their results."""
    same: dict[Value, Value] = {}
    called: dict[Value, Called] = {}
    equations = _flattened(program.equations, same, called)
    program.outputs = [same.get(v, v) for v in program.outputs]
    for group in _by_function(equations):
        _record(group[0], group[1], called, equations)
    return equations, called


def _flattened(equations: Sequence[Equation], same: dict[Value, Value], called: dict[Value, Called]) -> list[Equation]:
    out: list[Equation] = []
    for eqn in equations:
        eqn.inputs = [same.get(v, v) for v in eqn.inputs]
        inner = eqn.params["jaxpr"] if "function" in eqn.params else eqn.params.get(CALLS.get(eqn.op, ""))
        if inner is None:
            out.append(eqn)
            continue
        closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())
        program = unfold(closed, eqn.inputs, whole=CALLS)
        for e in program.equations:
            e.where = (*e.where, *eqn.where)
        inside = _flattened(program.equations, same, called)
        results = [same.get(v, v) for v in program.outputs]
        for outer, v in zip(eqn.outputs, results, strict=True):
            same[outer] = v
            if outer.name and not v.name and v not in eqn.inputs:
                v.name = outer.name
        _record(_name(eqn, closed), inside, called, None, results)
        out += inside
    return out


def _name(eqn: Equation, closed: Any) -> str:
    """The name of the function that an equation calls."""
    if "function" in eqn.params:
        return eqn.op
    return str(eqn.params.get("name") or closed.jaxpr.debug_info.func_name)


def _record(
    name: str,
    equations: Sequence[Equation],
    called: dict[Value, Called],
    everything: Sequence[Equation] | None,
    results: Sequence[Value] | None = None,
) -> None:
    """Note a call that is a function of one array, entry by entry, and has a name of its own."""
    if not equations or name.startswith(("_", "<")) or (hasattr(jnp, name) and not hasattr(jax.nn, name)):
        return
    made = {v for e in equations for v in e.outputs}
    if results is None:
        own = set(equations)
        read = {v for e in everything or () if e not in own for v in e.inputs}
        results = [v for v in made if v in read] or [equations[-1].outputs[0]]
    inputs = {v for e in equations for v in e.inputs if v not in made and (v.constant is None or v.number is None)}
    if len(inputs) != 1 or len(results) != 1 or not _entrywise(equations):
        return
    x, y = inputs.pop(), results[0]
    if x.shape == y.shape and y in made and x.constant is None and jnp.issubdtype(x.dtype, jnp.floating):
        called[y] = Called(name, x, y, list(equations))


def _entrywise(equations: Sequence[Equation]) -> bool:
    for e in equations:
        if e.op not in INSIDE:
            return False
        if e.op == "broadcast_in_dim" and e.inputs[0].shape not in ((), e.outputs[0].shape):
            return False
        if e.op == "reshape" and unit_reshape(e.inputs[0].shape, e.outputs[0].shape) is None:
            return False
    return True


def _by_function(equations: Sequence[Equation]) -> list[tuple[str, list[Equation]]]:
    """Neighbouring equations that one call of a function of the user's own made."""
    groups = []
    for (name, _), group in itertools.groupby(equations, _caller):
        if name:
            groups += [(name, call) for call in _repeated(list(group))]
    return groups


def _repeated(equations: list[Equation]) -> list[list[Equation]]:
    """The calls of one function that stand side by side on a line: as many as its operations are repeated."""
    ops, n = [e.op for e in equations], len(equations)
    length = next(k for k in range(1, n + 1) if n % k == 0 and ops == ops[:k] * (n // k))
    return [equations[k : k + length] for k in range(0, n, length)]


def _caller(eqn: Equation) -> tuple[str, Any]:
    """The user's innermost function that is called by another of theirs, and the lines it is called from."""
    traced = [f for t in eqn.where[:1] if t is not None for f in t.frames]
    own = itertools.dropwhile(lambda f: _library(f.file_name), traced)
    chain = list(itertools.takewhile(lambda f: not _library(f.file_name), own))
    if len(chain) < 2:
        return ("", None)
    return chain[0].function_name.rpartition(".")[2], tuple((f.function_name, f.line_num) for f in chain[1:])


def _library(file: str) -> bool:
    return file.startswith(OWN) or "importlib" in file

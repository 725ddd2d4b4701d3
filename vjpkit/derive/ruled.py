"""A stage that is a rule: its value, what its fwd keeps, and its own jvp and vjp, as programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax import tree_util

from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import equation_jaxpr
from vjpkit.derive.program import Equation, Program, Value, alive, dependent, unfold
from vjpkit.derive.simplify import simplify
from vjpkit.derive.source import returned_residuals


@dataclass
class Ruled:
    """What a rule's own functions do: `fwd` from the stage's inputs, the two maps from the residuals and a vector."""

    args: list[Value]
    out: Value
    fwd: list[Equation]
    kept: list[Value]
    dots: list[Value]  # of the inputs
    out_dot: Value
    tangent: list[Equation]  # from the inputs' tangents to the output's
    jvps: list[list[Equation]]  # what the tangent of each input alone takes
    jvp: list[Equation]
    vjps: list[list[Equation]]
    vjp: list[Equation]


def ruled(run: Callable[..., Any], read: Sequence[Value], moving: Sequence[Value]) -> Ruled:
    """The programs of a stage in which one rule stands, and movements before it.

    Args:    run: the stage as a function, the rule called in it.  read: its inputs.  moving: those differentiated.
    """
    at = [read.index(v) for v in moving]

    def joint(values: Sequence[Any], dots: Sequence[Any]) -> Any:
        def of_moving(*moved: Any) -> Any:
            return run(*(dict(enumerate(values)) | dict(zip(at, moved, strict=True))).values())

        y, linear = jax.linearize(of_moving, *(values[k] for k in at))
        return y, linear(*dots)

    closed = jax.make_jaxpr(joint)([v.spec for v in read], [v.spec for v in moving])
    program = unfold(rewrite(closed, lambda eqn: None if "linear" in eqn.params else _plain(eqn)))
    args, dots = program.inputs[: len(read)], program.inputs[len(read) :]
    (linear,) = (e for e in program.equations if "linear" in e.params)
    for v, told in zip(linear.inputs, _residual_names(linear.params["linear"]), strict=False):
        v.name = told or v.name
    count = linear.params["linear"].n_res
    res, vectors = linear.inputs[:count], linear.inputs[count:]
    jvp = _map(linear.params["linear"], [*res, *vectors])
    vjp = _map(linear.params["linear"].T, [*res, *(Value(v.shape, v.dtype) for v in linear.outputs)])
    tangent = unfold(rewrite(closed, _plain), [*args, *dots])
    equations, (_, out_dot) = simplify(tangent.equations, tangent.outputs)
    places = [_reached(program, dot, vectors) for dot in dots]
    return Ruled(
        args,
        program.outputs[0],
        alive(program.equations, [program.outputs[0], *res]),
        [v for v in dict.fromkeys(res) if v.constant is None],
        dots,
        out_dot,
        equations,
        [_alone(jvp, vectors, own) for own in places],
        jvp.equations,
        [alive(vjp.equations, [vjp.outputs[k] for k in own]) for own in places],
        vjp.equations,
    )


def _residual_names(linear: Any) -> list[str]:
    """What the rule's fwd calls each leaf of its residuals: `row.lse` where `row` has that field."""
    while hasattr(linear, "inner"):  # what batches it
        linear = linear.inner
    called = returned_residuals(linear.call.rule.fwd)
    leaves, _ = tree_util.tree_flatten_with_path(tree_util.tree_unflatten(linear.res_tree, range(linear.n_res)))
    return [_joined(called, path) for path, _ in leaves]


def _joined(called: Sequence[str], path: Sequence[Any]) -> str:
    at = getattr(path[0], "idx", len(called)) if path else len(called)
    return called[at] + tree_util.keystr(tuple(path[1:])) if at < len(called) and called[at] else ""


def _plain(eqn: Any) -> Any:
    """The program of a rule's equation; a barrier, which does nothing, gone."""
    if eqn.primitive.name == "optimization_barrier":
        return jax.make_jaxpr(lambda *values: list(values))(*(v.aval for v in eqn.invars))
    return equation_jaxpr(eqn)


def _map(linear: Any, operands: Sequence[Value]) -> Program:
    """The program of a map, on these values."""
    traced = linear.program.trace(*(v.spec for v in operands)).jaxpr
    program = unfold(rewrite(traced, _plain), operands)
    program.equations, program.outputs = simplify(program.equations, program.outputs)
    return program


def _reached(program: Program, dot: Value, vectors: Sequence[Value]) -> list[int]:
    moved = dependent(program.equations, [dot])
    return [k for k, v in enumerate(vectors) if v in moved]


def _alone(program: Program, vectors: Sequence[Value], own: Sequence[int]) -> list[Equation]:
    """What a program still does where only some of the vectors move."""
    moved = dependent(program.equations, [vectors[k] for k in own])
    still = dependent(program.equations, [v for k, v in enumerate(vectors) if k not in own]) - moved
    return alive([e for e in program.equations if not any(v in still for v in e.outputs)], program.outputs)

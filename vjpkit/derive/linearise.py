"""A function, its tangent program and its cotangent program, on the same values.

primal      y = f(x)                   the program of f
tangent     ẏ = J ẋ                    equation by equation, as JAX linearises them, products gathered into slopes
cotangent   x̄ = Jᵀ g                   the tangent program backwards, each equation replaced by its transpose
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import jaxpr_as_fun
from vjpkit.derive.algebra import Makers, Shorter, shortened
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.plain import Plain
from vjpkit.derive.program import Equation, Namer, Program, Value, alive, dependent, equations_of, number, unfold
from vjpkit.derive.simplify import simplify
from vjpkit.derive.slopes import gather
from vjpkit.derive.source import place


@dataclass
class Derivation:
    """The three programs: equations of each, and the values that they start from and end in."""

    args: list[Value]
    out: list[Value]
    dots: list[Value | None]  # None for an argument, or an output, without a tangent
    out_dots: list[Value | None]
    cotangents: list[Value | None]
    bars: list[Value | None]
    primal: list[Equation]  # of the value and of all that the other two read
    tangent: list[Equation]
    cotangent: list[Equation]
    plain: Program  # f alone, as it is written


def floats(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def linearise(f: Callable[..., Sequence[Any]], leaves: Sequence[Any], name: Namer) -> Derivation:
    """The programs of a function from leaves to leaves."""
    written_out = rewrite(jax.make_jaxpr(f)(*leaves), Plain())
    plain = jaxpr_as_fun(written_out)
    moving = [i for i, x in enumerate(leaves) if floats(x)]

    def joint(values: Sequence[Any], dots: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        def of_moving(*moved: Any) -> tuple[list[Any], list[Any]]:
            full = dict(enumerate(values)) | dict(zip(moving, moved, strict=True))
            out = plain(*full.values())
            return [y for y in out if floats(y)], [y for y in out if not floats(y)]

        y, linear, rest = jax.linearize(of_moving, *(values[i] for i in moving), has_aux=True)
        return [y, rest], linear(*dots)

    try:
        closed, shapes = jax.make_jaxpr(joint, return_shape=True)(list(leaves), [leaves[i] for i in moving])
    except NotImplementedError as error:
        raise DeriveError(f"no derivative{_undifferentiable(written_out)}: {error}") from error
    program = unfold(closed, name=name)
    n, m = len(leaves), len(shapes[1])
    args, given = program.inputs[:n], program.inputs[n:]
    alone = unfold(jax.make_jaxpr(plain)(*leaves), args, name)
    moves = dependent(program.equations, given)
    last_named(alone.equations)
    last_named([e for e in program.equations if _any(e, moves)])
    for v in (v for e in program.equations if not _any(e, moves) for v in e.outputs):
        v.name = ""  # it has its name from f alone, where it is the same
    equations, outputs = simplify([*alone.equations, *program.equations], program.outputs)
    alone.equations, alone.outputs = simplify(alone.equations, alone.outputs)
    ys, rest, out_dots = outputs[:m], outputs[m : len(outputs) - m], outputs[len(outputs) - m :]
    order = [floats(y) for y in alone.outputs]
    return _assemble(alone, order, args, given, moving, equations, (ys, rest, out_dots))


def _assemble(
    alone: Program,
    order: list[bool],
    args: list[Value],
    given: list[Value],
    moving: list[int],
    equations: list[Equation],
    results: tuple[list[Value], list[Value], list[Value]],
) -> Derivation:
    ys, rest, out_dots = results
    written = {v for e in alone.equations for v in e.outputs}  # these stay as they are

    def algebra(eqn: Equation, makers: Makers) -> Shorter:
        return None if eqn.outputs[0] in written else shortened(eqn, makers)

    equations, out_dots = gather(equations, given, out_dots)
    equations, ends = simplify(equations, [*ys, *rest, *out_dots], algebra=algebra)
    ys, rest, out_dots = ends[: len(ys)], ends[len(ys) : len(ys) + len(rest)], ends[len(ys) + len(rest) :]
    linear = dependent(equations, given)
    tangent = [e for e in equations if any(v in linear for v in e.inputs)]
    cotangents = [Value(v.shape, v.dtype) for v in out_dots]
    backwards, bars = transpose(tangent, given, out_dots, cotangents, linear)
    primal = [e for e in equations if e not in set(tangent)]
    everything, ends = simplify([*primal, *backwards], [*ys, *rest, *bars], algebra=algebra)
    backward = dependent(everything, cotangents)
    cotangent = [e for e in everything if _any(e, backward)]
    known = {id(e.outputs[0]) for e in primal}
    primal = [*primal, *(e for e in everything if not _any(e, backward) and id(e.outputs[0]) not in known)]
    bars = ends[len(ys) + len(rest) :]
    dots, xbars = [None] * len(args), [None] * len(args)  # type: list[Value | None], list[Value | None]
    for k, i in enumerate(moving):
        dots[i], xbars[i] = given[k], bars[k]
    out, odots, cts = [], [], []
    floating, others = iter(zip(ys, out_dots, cotangents, strict=True)), iter(rest)
    for is_float in order:
        y, y_dot, g = next(floating) if is_float else (next(others), None, None)
        out.append(y)
        odots.append(y_dot)
        cts.append(g)
    return Derivation(args, out, dots, odots, cts, xbars, primal, tangent, cotangent, alone)


def _undifferentiable(closed: Any) -> str:
    """Which operation it is that JAX has no derivative of, and where it stands."""
    for eqn in unfold(closed).equations:
        moving = [v.spec for v in eqn.inputs if floats(v)]
        try:
            jax.eval_shape(lambda *x, eqn=eqn, moving=moving: jax.linearize(_of_floats(eqn), *x)[0], *moving)
        except NotImplementedError:
            return f" of {eqn.op}{place(eqn.where)}"
    return ""


def _of_floats(eqn: Equation) -> Callable[..., Any]:
    """An equation as a function of its float operands, the others being 0."""

    def of_floats(*moving: Any) -> Any:
        given = iter(moving)
        return eqn.apply(*(next(given) if floats(v) else jnp.zeros(v.shape, v.dtype) for v in eqn.inputs))

    return of_floats


def last_named(equations: Sequence[Equation]) -> None:
    """Of the equations of one statement the last has its name."""
    following = ""
    for eqn in reversed(equations):
        for v in eqn.outputs:
            v.name, following = ("" if v.name == following else v.name), v.name


def _any(eqn: Equation, values: set[Value]) -> bool:
    return any(v in values for v in eqn.inputs)


def transpose(
    tangent: Sequence[Equation],
    dots: Sequence[Value],
    out_dots: Sequence[Value],
    cotangents: Sequence[Value],
    linear: set[Value],
) -> tuple[list[Equation], list[Value]]:
    """The tangent program backwards: for each equation its transpose, cotangents of what is read twice added."""
    out: list[Equation] = []
    bar: dict[Value, Value] = {}

    def add(v: Value, contribution: Value) -> None:
        if v not in bar:
            bar[v] = contribution
            return
        made, bar[v] = equations_of(jax.lax.add, bar[v], contribution)
        out.extend(made)

    for v, g in zip(out_dots, cotangents, strict=True):
        if v in linear:
            add(v, g)
    for eqn in reversed(tangent):
        if not any(v in bar for v in eqn.outputs):
            continue
        cts = [bar.get(v) or number(0.0, v) for v in eqn.outputs]
        places = [k for k, v in enumerate(eqn.inputs) if v in linear]
        for k, contribution in zip(places, _transposed(eqn, places, cts, out), strict=True):
            add(eqn.inputs[k], contribution)
    for v, total in bar.items():
        total.hint = f"{v.name}_bar" if v.name else ""
    return out, [bar.get(v) or number(0.0, v) for v in dots]


def _transposed(eqn: Equation, places: list[int], cts: list[Value], out: list[Equation]) -> list[Value]:
    """The transpose of one equation in the operands at `places`, its equations added to `out`."""
    constants = [v for k, v in enumerate(eqn.inputs) if k not in places]
    specs = [eqn.inputs[k].spec for k in places]

    def backwards(values: list[Any], g: list[Any]) -> Any:
        def forwards(*moving: Any) -> list[Any]:
            rest, moved = iter(values), iter(moving)
            return eqn.apply(*(next(moved) if k in places else next(rest) for k in range(len(eqn.inputs))))

        return jax.linear_transpose(forwards, *specs)(g)

    try:
        closed = jax.make_jaxpr(backwards)([v.spec for v in constants], [c.spec for c in cts])
    except Exception as error:
        raise DeriveError(
            f"{eqn.op} has no reverse mode here{place(eqn.where)}: {str(error).strip().splitlines()[0][:200]}"
        ) from error
    program = unfold(closed, [*constants, *cts])
    for e in program.equations:
        e.where = eqn.where
    out += alive(program.equations, program.outputs)
    return program.outputs

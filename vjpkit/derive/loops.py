"""Control flow: the function inside is written as a function, and called by the `jax.lax` function that loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vjpkit.check.jaxprs import scan_sizes
from vjpkit.derive.program import Equation, Program, Value, unfold
from vjpkit.derive.simplify import simplify

if TYPE_CHECKING:
    from vjpkit.derive.writer import Writer


def _inner(jaxpr: Any, inputs: Sequence[Value] | None = None) -> Program:
    program = unfold(jaxpr, inputs)
    program.equations, program.outputs = simplify(program.equations, program.outputs)
    return program


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _packed(items: Sequence[str]) -> str:
    """One bare, none as (), several as a tuple."""
    return items[0] if len(items) == 1 else _tuple(items)


def _body(w: Writer, program: Program, params: Sequence[tuple[str, Sequence[Value]]], name: str, returns: Any) -> None:
    """`def name(...)`: a packed parameter for each group of values; `returns` packs the results' texts."""
    from vjpkit.derive.writer import Writer

    inner = Writer(w.names, w.main, w.dtype, w)
    header, unpack = [], []
    read = {v for eqn in program.equations for v in eqn.inputs} | set(program.outputs)
    for wish, values in params:
        names = [w.names.fresh(v.name or f"{wish[0]}") if v in read else "_" for v in values]
        for v, n in zip(values, names, strict=True):
            if n != "_":
                inner.take(v, n)
        if len(values) == 1 and names[0] != "_":
            header.append(names[0])
        else:
            header.append(w.names.fresh(wish) if any(n != "_" for n in names) else "_" * (1 + len(header)))
            if any(n != "_" for n in names):
                unpack.append(f"{_tuple(names)[1:-1]} = {header[-1]}")
    inner.write(program.equations, program.outputs)
    results = [_full(inner, v) for v in program.outputs]
    w.lines.append(f"def {name}({', '.join(header)}):")
    w.lines += [f"    {line}" for line in [*unpack, *inner.lines, f"return {returns(results)}"]]


def _full(w: Writer, v: Value) -> str:
    return w.text(v).code


def scan(w: Writer, eqn: Equation) -> None:
    """jax.lax.scan, or jax.lax.fori_loop's scan."""
    p = eqn.params
    consts, carries = scan_sizes(p)
    outer = eqn.inputs
    for v in outer[:consts]:
        if v.constant is None:
            w.named(v)
    program = _inner(p["jaxpr"])
    given = dict(zip(program.inputs[:consts], outer[:consts], strict=True))
    _substitute(program, given)
    name = w.names.fresh("step")
    carry, xs = program.inputs[consts : consts + carries], program.inputs[consts + carries :]
    _body(
        w,
        program,
        [("carry", carry), ("xs", xs)],
        name,
        lambda out: f"{_packed(out[:carries])}, {_packed(out[carries:])}",
    )
    start = _packed([_full(w, v) for v in outer[consts : consts + carries]])
    over = _packed([_full(w, v) for v in outer[consts + carries :]]) if xs else "None"
    options = "" if xs else f", length={p['length']}"
    options += ", reverse=True" if p["reverse"] else ""
    options += f", unroll={p['unroll']}" if p.get("unroll", 1) != 1 else ""
    _receive(w, eqn, [eqn.outputs[:carries], eqn.outputs[carries:]], f"jax.lax.scan({name}, {start}, {over}{options})")


def cond(w: Writer, eqn: Equation) -> None:
    """jax.lax.cond for a bool, jax.lax.switch for an integer."""
    index, *operands = eqn.inputs
    names = []
    for k, branch in enumerate(eqn.params["branches"]):
        program = _inner(branch)
        for v, outer in zip(program.inputs, operands, strict=True):
            if outer.constant is None:
                w.named(outer)
            _substitute(program, {v: outer})
        names.append(w.names.fresh(("otherwise", "then")[k] if len(eqn.params["branches"]) == 2 else f"branch{k}"))
        _body(w, program, [], names[-1], _packed)
    maker = w.makers.get(index)
    if len(names) == 2 and maker is not None and maker.op == "convert_element_type" and maker.inputs[0].dtype == bool:
        code = f"jax.lax.cond({w.text(maker.inputs[0]).code}, {names[1]}, {names[0]})"
    else:
        code = f"jax.lax.switch({w.text(index).code}, {_tuple(names)})"
    if len(eqn.outputs) == 1:
        w.assign(eqn.outputs, code, eqn)
    else:
        _receive(w, eqn, None, code)


def loop(w: Writer, eqn: Equation) -> None:
    """jax.lax.while_loop, forward alone."""
    p = eqn.params
    a, b = p["cond_nconsts"], p["body_nconsts"]
    state = eqn.inputs[a + b :]
    names = []
    for jaxpr, outer, wish in (
        (p["cond_jaxpr"], eqn.inputs[:a], "proceed"),
        (p["body_jaxpr"], eqn.inputs[a : a + b], "step"),
    ):
        for v in outer:
            if v.constant is None:
                w.named(v)
        program = _inner(jaxpr)
        _substitute(program, dict(zip(program.inputs[: len(outer)], outer, strict=True)))
        names.append(w.names.fresh(wish))
        _body(w, program, [("state", program.inputs[len(outer) :])], names[-1], _packed)
    code = f"jax.lax.while_loop({', '.join(names)}, {_packed([_full(w, v) for v in state])})"
    if len(eqn.outputs) == 1:
        w.assign(eqn.outputs, code, eqn)
    else:
        _receive(w, eqn, None, code)


def _receive(w: Writer, eqn: Equation, groups: Sequence[Sequence[Value]] | None, code: str) -> None:
    """The results of a loop under names of their own, one packed target for each group."""

    def target(v: Value) -> str:
        if not w.uses[v]:
            return "_"
        w.take(v, w.names.fresh(v.name or "out"))
        return w.texts[v].code

    if groups is None:
        w.lines.append(f"{', '.join(map(target, eqn.outputs))} = {code}")
        return
    targets = []
    for group in groups:
        names = [target(v) for v in group]
        targets.append("_" if all(n == "_" for n in names) else _packed(names))
    w.lines.append(f"{', '.join(targets)} = {code}")


def _substitute(program: Program, given: dict[Value, Value]) -> None:
    program.equations = [eqn.replace([given.get(v, v) for v in eqn.inputs]) for eqn in program.equations]
    program.outputs = [given.get(v, v) for v in program.outputs]


STATEMENTS: dict[str, Callable[[Any, Equation], None]] = {"scan": scan, "cond": cond, "while": loop}

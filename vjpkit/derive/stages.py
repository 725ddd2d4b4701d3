"""A function as a graph of stages: rules and control flow whole, products with their bias, the rest by statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from vjpkit.derive.costs import FREE, flops, nbytes
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.following import path
from vjpkit.derive.kinds import Kind, kind, nothing
from vjpkit.derive.linearise import floats, last_named, linearise
from vjpkit.derive.program import Equation, Program, Value, alive, dependent, unfold
from vjpkit.derive.residuals import residuals
from vjpkit.derive.ruled import Ruled, ruled
from vjpkit.derive.simplify import simplify
from vjpkit.derive.source import library_function, place
from vjpkit.derive.text import Names
from vjpkit.derive.writer import LETTERS, Writer

PRODUCTS = {"dot_general", "conv_general_dilated"}
BIAS = {"add", "sub", "broadcast_in_dim", "reshape"}
WHOLE = {"custom_jvp_call", "custom_vjp_call", "scan", "while", "cond"}


@dataclass
class Stage:
    """Some equations with one result: what they are called, what they read, and what their derivative is."""

    name: str
    where: str
    equations: list[Equation]
    inputs: list[Value]  # those that are differentiated
    output: Value
    kinds: list[Kind] = field(default_factory=list)
    kept: list[Value] = field(default_factory=list)
    jvps: list[int] = field(default_factory=list)  # FLOPs of the tangent program of each input alone
    vjps: list[int] = field(default_factory=list)
    value_flops: int = 0
    fwd_flops: int = 0  # of the value and of all that the derivative reads
    jvp_flops: int = 0
    vjp_flops: int = 0

    @property
    def kept_bytes(self) -> int:
        return nbytes(self.kept)


def stages(
    f: Callable[..., Sequence[Any]], leaves: Sequence[Any], names: Sequence[str], namer: Any
) -> tuple[Program, list[Stage]]:
    """The program of a function of leaves, and the stages that divide it, in order."""
    closed = jax.make_jaxpr(f)(*leaves)
    program = unfold(closed, name=namer, whole=WHOLE)
    last_named(program.equations)
    for v, name in zip(program.inputs, names, strict=True):
        v.name = name
    program.equations, program.outputs = simplify(program.equations, program.outputs, {"stop_gradient"})
    moving = dependent(program.equations, [v for v in program.inputs if floats(v)])
    groups = _groups([e for e in program.equations if any(v in moving for v in e.inputs)])
    ends = set(program.outputs)
    found: list[Stage] = []
    for group in groups:
        stage = _stage(group, program, ends, moving, len(found) + 1)
        if stage is not None:
            found.append(stage)
    return program, found


def _groups(equations: Sequence[Equation]) -> list[list[Equation]]:
    """Equations that stand together: of one statement, a product opening a stage and taking its bias along."""
    groups: list[list[Equation]] = []
    key: Any = None
    for eqn in equations:
        own = _key(eqn)
        current = groups[-1] if groups else []
        has_product = any(e.op in PRODUCTS for e in current)
        alone = _is_whole(eqn) or (current and _is_whole(current[-1]))
        opens = eqn.op in PRODUCTS and any(e.op not in FREE for e in current)
        biased = has_product and eqn.op not in BIAS | FREE
        if own != key or alone or opens or biased:
            groups.append([])
        groups[-1].append(eqn)
        key = own
    return _with_movements(groups)


def _with_movements(groups: list[list[Equation]]) -> list[list[Equation]]:
    """Groups that only move values go to the stage that reads them, where that is the next one."""
    out: list[list[Equation]] = []
    pending: list[Equation] = []
    for group in groups:
        if all(e.op in FREE for e in group) and group is not groups[-1]:
            pending += group
        else:
            out.append([*pending, *group])
            pending = []
    if pending:
        out.append(pending)
    return out


def _key(eqn: Equation) -> Any:
    return place(eqn.where) or (eqn.op,), library_function(eqn.where)


def _is_whole(eqn: Equation) -> bool:
    return eqn.op in WHOLE or "function" in eqn.params or "linear" in eqn.params


def _stage(group: list[Equation], program: Program, ends: set[Value], moving: set[Value], k: int) -> Stage | None:
    inside = {v for e in group for v in e.outputs}
    read_later = ends | {v for e in program.equations if e not in group for v in e.inputs}
    results = [v for e in group for v in e.outputs if v in read_later and v in moving]
    if not results:
        return None
    read = [v for e in group for v in e.inputs if v not in inside and v.constant is None]
    inputs = [v for v in dict.fromkeys(read) if v in moving and floats(v)]
    results[-1].hint = results[-1].hint or f"v{k}"
    stage = Stage(_name(group, results[-1]), place(group[-1].where).strip(" ()"), group, inputs, results[-1])
    try:
        _derive(stage, list(dict.fromkeys(read)))
    except (DeriveError, NotImplementedError, TypeError, ValueError) as error:
        raise _refused(stage, error) from error
    return stage


def _refused(stage: Stage, error: Exception) -> DeriveError:
    """What is said of a stage that JAX cannot differentiate: the operation, its line, and JAX's reason."""
    told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if not isinstance(error, DeriveError):  # which says the operation itself
        operations = dict.fromkeys(e.op for e in stage.equations if e.op not in FREE)
        told = f"no derivative of {', '.join(operations)}: {told}"
    return DeriveError(f"explain: {told}" + (f" ({stage.where})" if stage.where not in told else ""))


def _derive(stage: Stage, read: list[Value]) -> None:
    """Kinds, costs and residuals of one stage, from the program of it alone."""

    def run(*values: Any) -> Any:
        env = dict(zip(read, values, strict=True))
        for e in stage.equations:
            operands = [env[v] if v in env else jax.numpy.full(v.shape, v.constant, v.dtype) for v in e.inputs]
            env.update(zip(e.outputs, e.apply(*operands), strict=True))
        return env[stage.output]

    if not floats(stage.output):
        stage.kinds = [nothing(stage.output.size, v.size) for v in stage.inputs]
        stage.jvps, stage.vjps = [0] * len(stage.inputs), [0] * len(stage.inputs)
        stage.value_flops = stage.fwd_flops = flops(stage.equations)
        return
    if stage.inputs and any("function" in e.params for e in stage.equations):
        _derive_rule(stage, read, ruled(run, read, stage.inputs))
        return
    d = linearise(lambda *values: [run(*values)], [v.spec for v in read], lambda eqn: "")
    _name_alike(d.args, read)
    (out,), (out_dot,) = d.out, d.out_dots
    reads = [v for e in (*d.tangent, *d.cotangent) for v in e.inputs]
    made = {v for e in d.primal for v in e.outputs} | set(d.args)
    stage.kept = residuals(d.primal, [v for v in dict.fromkeys(reads) if v in made], d.args)
    _name_kept(stage, d.primal, out)
    for k in map(read.index, stage.inputs):
        dot, bar = d.dots[k], d.bars[k]
        assert dot is not None  # the stage's inputs are floats
        assert bar is not None
        assert out_dot is not None
        stage.kinds.append(kind(d.tangent, dot, out_dot, d.primal))
        stage.jvps.append(flops(path(d.tangent, dot, out_dot)))
        stage.vjps.append(flops(alive(d.cotangent, [bar])))
    stage.value_flops, stage.fwd_flops = flops(d.plain.equations), flops(d.primal)
    stage.jvp_flops, stage.vjp_flops = flops(d.tangent), flops(d.cotangent)


def _derive_rule(stage: Stage, read: list[Value], r: Ruled) -> None:
    """The same of a stage that is a rule, from what its own fwd, jvp and vjp do."""
    _name_alike(r.args, read)
    stage.kept = r.kept
    _name_kept(stage, r.fwd, r.out)
    stage.kinds = [kind(r.tangent, dot, r.out_dot, r.fwd) for dot in r.dots]
    stage.jvps, stage.vjps = list(map(flops, r.jvps)), list(map(flops, r.vjps))
    stage.value_flops, stage.fwd_flops = flops(stage.equations), flops(r.fwd)
    stage.jvp_flops, stage.vjp_flops = flops(r.jvp), flops(r.vjp)


def _name_alike(own: Sequence[Value], outer: Sequence[Value]) -> None:
    for v, o in zip(own, outer, strict=True):
        v.name, v.hint = o.name or o.hint, ""


def _name_kept(stage: Stage, primal: Sequence[Equation], out: Value) -> None:
    for v in stage.kept:
        v.name = (stage.output.name or stage.output.hint) if v is out else v.name or _by_maker(primal, v)


def _by_maker(primal: Sequence[Equation], v: Value) -> str:
    return next((LETTERS.get(e.op, "slope") for e in primal if v in e.outputs), "")


def equation_jaxpr_of(eqn: Equation) -> Any:
    """The plain jaxpr of a rule's equation, of a custom function's, None for another."""
    if "function" in eqn.params:
        return eqn.params["jaxpr"]
    if eqn.op in ("custom_jvp_call", "custom_vjp_call"):
        return eqn.params["call_jaxpr"]
    return None


def _name(group: list[Equation], result: Value) -> str:
    """As one would write it: `z = x @ w + b`; the operations where that is long."""
    whole = next((e for e in group if _is_whole(e)), None)
    if whole is not None:
        inner = equation_jaxpr_of(whole)
        told = getattr(getattr(inner, "jaxpr", None), "debug_info", None)
        called = whole.op if inner is None or "function" in whole.params else getattr(told, "func_name", whole.op)
        arguments = ", ".join(v.name or v.hint or "·" for v in whole.inputs if v.constant is None)
        text = f"{called}({arguments})"
    else:
        text = _expression(group, result)
    return f"{result.name or result.hint} = {text}"


def _expression(group: list[Equation], result: Value) -> str:
    w = Writer(Names(set()), result.dtype, "float")
    made = {v for e in group for v in e.outputs}
    for v in (v for e in group for v in e.inputs):
        if v.constant is None and v not in made:
            w.take(v, v.name or v.hint or "·", shape=False)
    spared, result.name = result.name, ""
    try:
        w.write(group, [result])
        text = w.text(result).code
    except DeriveError:
        text = ""
    result.name = spared
    if text and len(text) <= 44 and not w.lines:
        return text
    functions = {library_function(e.where) for e in group if e.op not in FREE}
    if len(functions) == 1 and (function := functions.pop()):
        read = dict.fromkeys(v.name or v.hint for e in group for v in e.inputs if v not in made and v.constant is None)
        return f"{function}({', '.join(filter(None, read))})"
    return ", ".join(dict.fromkeys(e.op for e in group if e.op not in FREE)) or group[-1].op

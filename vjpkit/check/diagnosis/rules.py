"""The diagnosis of a rule, or of any function with custom rules in it: its value, its reverse and its forward mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.causes import sentence
from vjpkit.check.diagnosis.drawing import another
from vjpkit.check.diagnosis.finding import Argument, Diagnosis, Finding
from vjpkit.check.diagnosis.formula import diagnosed
from vjpkit.check.diagnosis.programs import Program, trace
from vjpkit.check.diagnosis.question import Asked
from vjpkit.check.jaxprs import NO_FORWARD, refusal
from vjpkit.check.layout import argument_names, function_name
from vjpkit.check.reference import plain
from vjpkit.core.calling import with_options
from vjpkit.core.rule import Rule

EVERYTHING = Argument("", -1)
PLACES = 4  # further points for the value


def diagnose_rule(
    fn: Any,
    args: Sequence[Any],
    static: Mapping[str, Any],
    seed: int,
    seconds: float,
    reference: Callable[..., Any] | None = None,
) -> Diagnosis:
    """Both modes of a function against autodiff of the same code with its custom rules taken out."""
    start = time.perf_counter()
    name = function_name(fn)
    names = fn.argument_names(len(args)) if isinstance(fn, Rule) else argument_names(fn, len(args))
    f = with_options(fn, static, {*static, *(fn.static if isinstance(fn, Rule) else ())})
    truth = f if reference is None else with_options(reference, static, static)
    total = Diagnosis(name)
    with jax.enable_x64(True), np.errstate(all="ignore"):
        if (finding := _primal(f, truth, args, names)) is not None:
            total.findings.append(finding)
        share = seconds * 2 / 3
        for kind, candidate in (("vjp", _reverse(f)), ("jvp", _forward(f))):
            asked = Asked(truth, candidate, kind, tuple(args), names)
            formula = _formula(fn, static)
            if kind == "vjp" and formula is not None and _refused(asked):
                asked = Asked(truth, formula, kind, tuple(args), names)
            if kind == "jvp" and _unavailable(asked):
                total.notes.append(NO_FORWARD)
                continue
            begun = time.process_time()
            said = diagnosed(asked, name, seed, share, traced=isinstance(fn, Rule), ties=True)
            share = max(share / 2, share - (time.process_time() - begun) / 2)
            total.findings += [x for x in said.findings if x.cause != "correct"]
            total.right += [a for a in said.right if a not in total.right]
            total.notes += [n for n in said.notes if n not in total.notes]
            total.report |= {f"{a} ({kind})": text for a, text in said.report.items()}
            total.errors |= {a if kind == "vjp" else f"{a} (jvp)": e for a, e in said.errors.items()}
            total.asked |= {a if kind == "vjp" else f"{a} (jvp)": x for a, x in said.asked.items()}
    wrong = {str(x.argument) for x in total.findings}
    total.right = [a for a in total.right if a not in wrong]
    if not total.findings:
        total.findings = [Finding(EVERYTHING, "correct", "", sentence("correct", "", "", "vjp"), "", 0.0, True)]
    total.seconds = time.perf_counter() - start
    return total


def _reverse(f: Callable[..., Any]) -> Callable[..., Any]:
    """candidate(g, *args): the cotangents that reverse mode gives."""

    def candidate(g: Any, *args: Any) -> Any:
        y, pull = jax.vjp(f, *args)
        whole = jax.tree.map(
            lambda a, b: np.zeros(a.shape, jax.dtypes.float0) if b is None else b, y, g, is_leaf=lambda a: a is None
        )
        return tuple(jax.tree.map(_differentiable, bar) for bar in pull(whole))

    return candidate


def _formula(fn: Any, static: Mapping[str, Any]) -> Callable[..., Any] | None:
    """candidate(g, *args): what a rule's own formula returns, before JAX or this library looks at its shapes."""
    fwd: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None
    options: Mapping[str, Any] = {}
    if isinstance(fn, Rule):
        fwd, vjp, options = fn.fwd, fn.vjp, static
    elif isinstance(fn, jax.custom_vjp) and not fn.nondiff_argnums:
        fwd, vjp = fn.fwd, fn.bwd
    return None if fwd is None or vjp is None else lambda g, *args: vjp(fwd(*args, **options)[1], g, **options)


def _refused(asked: Asked) -> bool:
    """Whether the candidate fails when it is lowered, for the shapes of what it returns say."""
    flat, specs = _candidate(asked)
    try:
        jax.jit(flat).lower(*specs)
    except Exception:
        return True
    return False


def _forward(f: Callable[..., Any]) -> Callable[..., Any]:
    """candidate(dots, *args): the output's tangent that forward mode gives."""

    def candidate(dots: Any, *args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args, is_leaf=lambda a: a is None)
        moves = jax.tree.leaves(dots, is_leaf=lambda a: a is None)
        which = [i for i, m in enumerate(moves) if m is not None]

        def along(*moving: Any) -> Any:
            values = list(leaves)
            for i, m in zip(which, moving, strict=True):
                values[i] = m
            out = jax.tree.leaves(f(*jax.tree.unflatten(tree, values)))
            return [a for a in out if np.issubdtype(a.dtype, np.inexact)]

        return jax.jvp(along, tuple(leaves[i] for i in which), tuple(moves[i] for i in which))[1]

    return candidate


def _differentiable(a: Any) -> Any:
    return None if getattr(a, "dtype", None) == jax.dtypes.float0 else a


def _unavailable(asked: Asked) -> bool:
    """Whether there is no forward mode to diagnose."""
    flat, specs = _candidate(asked)
    return refusal(jax.jit(flat).trace, *specs) == NO_FORWARD


def _candidate(asked: Asked) -> tuple[Callable[..., Any], list[Any]]:
    """The candidate as a function of the arrays and the vectors, and what it is traced at."""
    n = len(asked.arrays)
    vectors = [jax.ShapeDtypeStruct(s, d) for s, d in asked.vector_shapes()]
    return lambda *x: asked.candidate(asked.vector(x[n:]), *asked.rebuilt(x[:n])), [*asked.point, *vectors]


def _primal(
    f: Callable[..., Any], truth: Callable[..., Any], args: Sequence[Any], names: Sequence[str]
) -> Finding | None:
    """The value beside that of the plain function: of the forward pass that comes with the derivative too."""
    asked, right = (Asked(g, g, "vjp", tuple(args), names) for g in (f, truth))

    def with_rule(*arrays: Any) -> Any:
        def value(*moving: Any) -> Any:
            each = dict(zip(asked.active, moving, strict=True))
            return asked.value(*(each.get(i, a) for i, a in enumerate(arrays)))

        return jax.vjp(value, *(arrays[i] for i in asked.active))[0]

    n = len(asked.point)
    programs = [
        ("the function", trace(asked.value, asked.point, n)),
        ("the forward pass of its rule", trace(with_rule, asked.point, n)),
    ]
    plainly = trace(lambda *a: list(plain(lambda x, _: tuple(right.value(*x)))(a, ())), asked.point, n)
    rng = np.random.default_rng(0)
    for place in (asked.point, *([another(a, rng) for a in asked.point] for _ in range(PLACES))):
        want = _outputs(plainly, place)
        for said, program in programs:
            for a, b in zip(_outputs(program, place), want, strict=True):
                known = np.isfinite(b)
                size = float(np.linalg.norm(b[known]))
                off = float(np.linalg.norm((a - b)[known])) if a.shape == b.shape else np.inf
                if off > 1e-9 * size + 1e-12:
                    detail = f"{said} is off by {off / max(size, 1e-300):.2g} of the plain function's value"
                    return Finding(
                        EVERYTHING,
                        "wrong_primal",
                        detail,
                        f"the value is wrong: {detail}",
                        "return what the primal returns",
                        0.0,
                    )
    return None


def _outputs(program: Program, place: Sequence[Any]) -> list[Any]:
    values = program.run(place)
    return [np.asarray(values[v]) for v in program.outputs]

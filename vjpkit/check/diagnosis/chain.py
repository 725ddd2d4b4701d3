"""Chains y = fₙ(… f₁(x)): which stage is wrong, missing, doubled, untransposed, or applied in the wrong order."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.causes import sentence
from vjpkit.check.diagnosis.factors import fitted
from vjpkit.check.diagnosis.finding import Argument, Diagnosis, Finding
from vjpkit.check.diagnosis.formula import diagnosed
from vjpkit.check.diagnosis.question import Asked
from vjpkit.check.diagnosis.workings import RIGHT, Workings
from vjpkit.check.errors import CheckError
from vjpkit.check.layout import argument_names

Fn = Callable[..., Any]
Step = Callable[[Any], Any]
ORDERS = 5  # stages up to which every order is tried


def diagnose_chain(stages: Sequence[Any], first: Any, args: Sequence[Any], seed: int, seconds: float) -> Diagnosis:
    """A chain with a formula for each stage, or with one formula for all of it."""
    if stages and all(isinstance(s, tuple | list) and len(s) == 2 and all(map(callable, s)) for s in stages):
        return _stage_by_stage(stages, first, seed, seconds)
    if stages and all(map(callable, stages)) and callable(first) and len(args) == 1:
        return _as_a_whole(list(stages), first, args[0], seed, seconds)
    raise CheckError("a chain is [(f1, c1), (f2, c2), …], x or [f1, f2, …], candidate, x")


def _stage_by_stage(stages: Sequence[Any], x: Any, seed: int, seconds: float) -> Diagnosis:
    """Each stage's formula at the stage's own input."""
    total = Diagnosis("chain")
    start = time.perf_counter()
    for n, (f, c) in enumerate(stages):
        with jax.enable_x64(True):
            asked = Asked(f, c, "vjp", (x,), argument_names(f, 1))
            said = diagnosed(asked, _name(f), seed, seconds / len(stages))
            x = f(x)
        where = f"stage {n + 1}, {_name(f)}"
        total.findings += [
            dataclasses.replace(b, stage=n, message=f"{where}: {b.message}")
            for b in said.findings
            if b.cause != "correct"
        ]
        total.right += [Argument(where, n)] if said.ok else []
        total.notes += said.notes
        total.report |= {f"{where}, {name}": text for name, text in said.report.items()}
    if not total.findings:
        total.findings = [_finding("correct", "", "", None)]
    total.seconds = time.perf_counter() - start
    return total


def _as_a_whole(stages: list[Fn], candidate: Fn, x: Any, seed: int, seconds: float) -> Diagnosis:
    """The product of the stages' transposes, edited as a chain; then the formula as any other."""

    def f(x: Any) -> Any:
        for stage in stages:
            x = stage(x)
        return x

    start = time.perf_counter()
    with jax.enable_x64(True), np.errstate(all="ignore"):
        asked = Asked(f, candidate, "vjp", (x,), argument_names(stages[0], 1))
        w = Workings(asked, seed)
        try:
            w.ask()
        except Exception:
            return diagnosed(asked, "chain", seed, seconds)
        found = [] if _matches(w, w.want[0]) else list(_edited(w, stages))
    if not found:
        return diagnosed(asked, "chain", seed, seconds)
    found.sort(key=lambda pair: pair[0])
    tied = len(found) > 1 and found[0][0] == found[1][0]
    findings = [dataclasses.replace(finding, tied=tied, argument=asked.arms[0]) for _, finding in found[:4]]
    return Diagnosis("chain", findings=findings, seconds=time.perf_counter() - start)


def _edited(w: Workings, stages: list[Fn]) -> Iterator[tuple[float, Finding]]:
    """Every edit of the chain that gives the candidate's numbers."""
    steps = [_steps(stages, w.asked.rebuilt(place)[0]) for place in w.places]
    back = list(range(len(stages)))[::-1]
    for cost, plan, cause, detail, stage in _plans(back, stages):
        try:
            answers = [
                np.asarray(_followed(plan, steps[w.probes[i].place], w.probes[i].vectors[0])) for i in w.of_arm(0)
            ]
        except Exception:  # the shapes of this edit do not fit
            continue
        if answers[0].shape == w.got[0][0].shape and _matches(w, answers):
            yield cost, _finding(cause, detail, f"{' · '.join(f'J{n + 1}ᵀ' for n in reversed(back))} g", stage)


Plan = list[tuple[int, str]]  # stages in the order in which they are applied to g, each as "T", "J" or "D"


def _plans(back: list[int], stages: list[Fn]) -> Iterator[tuple[float, Plan, str, str, int | None]]:
    right: Plan = [(n, "T") for n in back]
    for i, n in enumerate(back):
        name = f"stage {n + 1}, {_name(stages[n])},"
        yield 1, right[:i] + right[i + 1 :], "dropped_path", f"{name} is missing", n
        yield 1, right[: i + 1] + right[i:], "counted_twice", f"{name} is applied twice", n
        yield 1, [*right[:i], (n, "J"), *right[i + 1 :]], "transposed_operand", f"{name} is not transposed", n
        yield (
            1.5,
            [*right[:i], (n, "D"), *right[i + 1 :]],
            "diagonal_only",
            f"of {name} the diagonal alone is applied",
            n,
        )
        if i + 1 < len(back):
            swapped = [*right[:i], right[i + 1], right[i], *right[i + 2 :]]
            yield 1, swapped, "wrong_order", f"{name} and stage {back[i + 1] + 1} are applied in the wrong order", n
    yield 1, right[::-1], "wrong_order", "the stages are applied from the first to the last", None
    yield 1.2, [(n, "J") for n in back[::-1]], "jvp_for_vjp", "every stage is applied forwards", None
    mixed = [(n, "J") for n in back]
    yield (
        1.2,
        mixed,
        "mixed_layout",
        "no stage is transposed, as in numerator layout, but the order is that of the other layout",
        None,
    )
    if len(back) <= ORDERS:
        for order in itertools.permutations(back):
            text = f"the order is {', '.join(str(n + 1) for n in order)}"
            yield 2, [(n, "T") for n in order], "wrong_order", text, None
        for flips in itertools.product("TJ", repeat=len(back)):
            which = [n + 1 for n, word in zip(back, flips, strict=True) if word == "J"]
            if len(which) > 1:
                text = f"stages {', '.join(map(str, which))} are not transposed"
                yield 2, list(zip(back, flips, strict=True)), "mixed_layout", text, None


def _steps(stages: list[Fn], x: Any) -> list[dict[str, Step]]:
    """Each stage's derivative at its own input: transposed, forwards, and its diagonal."""
    steps: list[dict[str, Step]] = []
    for f in stages:
        y, pull = jax.vjp(f, jax.numpy.asarray(x))

        def forward(v: Any, f: Fn = f, x: Any = x) -> Any:
            return jax.jvp(f, (jax.numpy.asarray(x),), (jax.numpy.asarray(v),))[1]

        def diagonal(v: Any, f: Fn = f, x: Any = x) -> Any:
            J = jax.jacobian(f)(jax.numpy.asarray(x)).reshape(np.size(x), np.size(x))
            return np.diagonal(J).reshape(np.shape(x)) * v

        steps.append({"T": lambda g, pull=pull: pull(jax.numpy.asarray(g))[0], "J": forward, "D": diagonal})  # type: ignore[misc]
        x = y
    return steps


def _followed(plan: Plan, steps: list[dict[str, Step]], g: Any) -> Any:
    for n, how in plan:
        g = steps[n][how](g)
    return g


def _matches(w: Workings, answers: list[Any]) -> bool:
    if w.got[0][0].shape != answers[0].shape:
        return False
    c, off = fitted(w.got[0], answers)
    return off < 10 * RIGHT and abs(c - 1) < 1e-7


def _finding(cause: str, detail: str, fix: str, stage: int | None) -> Finding:
    message = sentence(cause, "", detail, "vjp")
    return Finding(Argument("", -1), cause, detail, message, fix, 0.0, True, stage=stage)


def _name(f: Fn) -> str:
    return getattr(f, "__name__", type(f).__name__)

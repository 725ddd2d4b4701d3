"""The call: `diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.check.arguments import drawn, specified, usable
from vjpkit.check.diagnosis.chain import diagnose_chain
from vjpkit.check.diagnosis.finding import Diagnosis
from vjpkit.check.diagnosis.formula import SECONDS, diagnosed
from vjpkit.check.diagnosis.question import Asked
from vjpkit.check.diagnosis.rules import diagnose_rule
from vjpkit.check.errors import CheckError
from vjpkit.check.layout import argument_names, function_name
from vjpkit.core.rule import Rule

Fn = Callable[..., Any]


def diagnose(
    f: Any,
    candidate: Any,
    *args: Any,
    kind: str = "vjp",
    static: dict[str, Any] | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Diagnosis:
    """Say what is wrong with a derivative.

        diagnose(f, candidate, *args)                 candidate(g, *args) -> one cotangent per argument
        diagnose(f, candidate, *args, kind="jvp")     candidate(dots, *args) -> the output's tangent
        diagnose(rule_or_fn, *args)                   a rule, or a function with custom rules in it
        diagnose([f1, f2, …], candidate, x)           a chain y = …f2(f1(x)) and one formula for all of it
        diagnose([(f1, c1), (f2, c2), …], x)          a chain with a formula for each stage

    Args:    f: a function of JAX, the truth: its autodiff, with every custom rule taken out.
             candidate: the suspected formula, in JAX or NumPy; a bare cotangent will do for one argument.
             args: arrays, numbers, pytrees of them, draws, shapes in words, as in `vjpkit.check`.
             static: keyword options handed to f. seed: of all random vectors and points.
             seconds: of CPU, after which the search stops with what it has.
    Returns: a `Diagnosis`: its `findings`, ranked, each with argument, cause, detail, message, fix, residual,
             confirmed.
    Raises:  CheckError where the question is wrong: f itself fails, or nothing can be differentiated.
    """
    if kind not in ("vjp", "jvp"):
        raise CheckError(f'diagnose: kind is "vjp" or "jvp", got {kind!r}')
    if isinstance(f, list | tuple):
        return diagnose_chain(f, candidate, args, seed, seconds)
    if not callable(candidate) or isinstance(candidate, jax.Array):
        return diagnose_rule(f, _read(f, (candidate, *args), seed), static or {}, seed, seconds)
    args = _read(f, args, seed)
    called = (lambda *a: f(*a, **static)) if static else f
    names = f.argument_names(len(args)) if isinstance(f, Rule) else argument_names(f, len(args))
    return diagnosed(question(called, candidate, kind, args, names, function_name(f)), function_name(f), seed, seconds)


def question(f: Fn, candidate: Fn, kind: str, args: Sequence[Any], names: Sequence[str], name: str) -> Asked:
    """The question read; CheckError where it is wrong."""
    with jax.enable_x64(True):
        try:
            asked = Asked(f, candidate, kind, tuple(args), names)
        except Exception as error:
            raise CheckError(f"{name} itself fails at these arguments: {type(error).__name__}: {error}") from error
    if not asked.arms or not asked.spoken:
        raise CheckError(
            f"{name}: {'no argument can be differentiated' if not asked.arms else 'its output is no float'}"
        )
    return asked


def _read(f: Any, args: Sequence[Any], seed: int) -> tuple[Any, ...]:
    if not args:
        raise CheckError(f"{function_name(f)}: no arguments to diagnose at")
    read = drawn(specified(args), seed, jnp.float32)
    usable(function_name(f), read, [f"argument {i}" for i in range(len(jax.tree.leaves(read)))])
    return read

"""Planted bugs: every rule of the library, spoiled mechanically, under the checker in its default setting.

    python -m tests.evidence.mutants [rules] [--places N] [--all-cases] [--write]

A mutant that computes what the right rule computes, at many points, is equivalent, and counted apart: the checker
must pass it. Every other one it must catch.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.evidence.mutations import KINDS, Mutation
from tests.evidence.pool import in_parallel
from tests.evidence.spoiled import Subject, in_float64, is_float, vectors
from tests.evidence.tables import markdown
from vjpkit.catalogue import CASES
from vjpkit.check import check_case
from vjpkit.core import Case, Rule
from vjpkit.core.case import fullest
from vjpkit.core.registry import named
from vjpkit.sweep import prepare

PAGE = Path(__file__).parents[2] / "docs" / "checker" / "planted_bugs.md"
CAUGHT, EQUIVALENT, MISSED, ALARM = "caught", "equivalent", "MISSED", "FALSE ALARM"
QUICK = {"fwd": ("value",), "jvp": ("adjoint", "linearity"), "vjp": ("adjoint", "linearity")}
FIRST = ("structure", "value", "linearity", "adjoint", "reverse", "forward")
POINTS, SCALES = 16, (2.0**10, 2.0**-10, 0.0)


class Verdict(NamedTuple):
    rule: str
    mutation: Mutation
    outcome: str
    by: str = ""


def verdicts(case: Case, most: int) -> Iterator[Verdict]:
    """Every mutant of the case's rule, under the checker and beside the truth."""
    subject = Subject(case)
    for mutation in subject.mutations(most):
        mutant = subject.mutant(mutation)
        same = is_equivalent(case, mutant)
        by = failed(case, mutant, mutation.part)
        outcome = (ALARM if by else EQUIVALENT) if same else (CAUGHT if by else MISSED)
        yield Verdict(case.rule.name, mutation, outcome, by)


def failed(case: Case, mutant: Rule, part: str) -> str:
    """The first of the default checks that fails, or nothing. Those that cost more run where the quick ones pass."""
    spoiled = with_rule(case, mutant)
    for checks in ({"checks": QUICK[part]}, {"checks": FIRST}, {}):
        failures = check_case(spoiled, **checks).failures
        if failures:
            return failures[0].check
    return ""


def with_rule(case: Case, rule: Rule) -> Case:
    return Case(rule, case.args, case.static, case.special, case.reference, case.tol, case.reason)


def is_equivalent(case: Case, mutant: Rule) -> bool:
    """Whether value, cotangents, tangent and their derivative are the rule's at many drawn points and all special ones.

    Some points are large, tiny or zero: a maximum that is not taken away first is seen where exp overflows, and one
    that is counted once where two are equal.
    """
    drawn = [(case.static, case.draw(seed, jnp.float64)) for seed in range(POINTS)]
    drawn += [(static, scaled(args, factor)) for factor in SCALES for static, args in drawn[:2]]
    special = [({**case.static, **s.static}, s.args) for s in case.special]
    points = enumerate((*drawn, *special))
    return all(equal(_at(mutant, *point, seed), _at(case.rule, *point, seed)) for seed, point in points)


def scaled(args: Any, factor: float) -> Any:
    return jax.tree.map(lambda a: a * factor if is_float(a) else a, args)


def _at(rule: Rule, static: Any, args: Any, seed: int) -> list[Any]:
    """The rule's value, cotangents and tangent; an argument left at its default is at rest, and no one asks for its."""
    given = len(args)
    args, options = in_float64(rule, args, static)
    g = vectors(jax.eval_shape(lambda *args: rule.fwd(*args, **options)[0], *args), 2 * seed)
    dots = vectors(args, 2 * seed + 1)
    dots = (*dots[:given], *(jax.tree.map(jnp.zeros_like, dot) for dot in dots[given:]))
    (y, bars, y_dot), second = _compiled(rule, tuple(options.items()))(args, g, dots)
    return [y, bars[:given] if isinstance(bars, tuple) else bars, y_dot, second]


@functools.lru_cache(64)
def _compiled(rule: Rule, static: Any) -> Any:
    answers = functools.partial(_answers, rule, dict(static))
    return jax.jit(
        lambda args, g, dots: (answers(args, g, dots), _along(lambda *args: answers(args, g, dots), args, dots))
    )


def _along(f: Any, args: Any, dots: Any) -> Any:
    """The derivative of `f` along the tangents of its arguments, None where an argument has none."""
    tangent = lambda a, dot: np.zeros(np.shape(a), jax.dtypes.float0) if dot is None else dot  # noqa: E731
    return jax.jvp(f, args, jax.tree.map(tangent, args, dots))[1]


def _answers(rule: Rule, static: dict[str, Any], args: Any, g: Any, dots: Any) -> tuple[Any, Any, Any]:
    out, res = rule.fwd(*args, **static)
    bars = rule.vjp(res, g, **static) if rule.vjp is not None else None
    return out, bars, rule.jvp(res, *dots, **static) if rule.jvp is not None else None


def equal(ours: Sequence[Any], truth: Sequence[Any]) -> bool:
    """Whether the answers differ by no more than roundings in float64."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(truth), strict=True)]
    return all(a.shape == b.shape and np.allclose(a, b, 1e-9, 1e-11 * _scale(b), equal_nan=True) for a, b in pairs)


def _scale(a: np.ndarray) -> float:
    finite = np.abs(a[np.isfinite(a)])
    return float(finite.max()) if finite.size else 0.0


# ----------------------------------------------------------------------------------------------- the table


def table(found: Sequence[Verdict]) -> list[list[str]]:
    """Rule × kind: how many were caught, how many more are equivalent, how many were missed."""
    rows = [["rule", *KINDS]]
    for name in dict.fromkeys(v.rule for v in found):
        own = [v for v in found if v.rule == name]
        rows.append([name, *(_entry(Counter(v.outcome for v in own if v.mutation.kind == kind)) for kind in KINDS)])
    return rows


def _entry(count: Counter[str]) -> str:
    signs = {CAUGHT: "", EQUIVALENT: "≡", MISSED: " missed", ALARM: " alarm"}
    return " ".join(f"{count[outcome]}{sign}" for outcome, sign in signs.items() if count[outcome])


def chosen(names: Sequence[str], every: bool) -> list[int]:
    """The places in CASES of each rule's case with the most arguments, or of every case."""
    wanted = named(names, (case.rule for case in CASES))
    places = range(len(CASES)) if every else fullest(CASES)
    return [i for i in places if wanted(CASES[i].rule)]


def of_case(i: int, most: int) -> list[Verdict]:
    """What a worker does: CASES cannot be sent to another process, places in it can."""
    prepare()
    return list(verdicts(CASES[i], most))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.mutants", description=__doc__)
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--places", type=int, default=2, help="at most so many places for each kind in each map")
    parser.add_argument(
        "--all-cases", action="store_true", help="every case of a rule, not only the one with the most arguments"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)

    cases = chosen(arguments.rules, arguments.all_cases)
    found = [v for part in in_parallel(of_case, [(i, arguments.places) for i in cases]) for v in part]
    count = Counter(v.outcome for v in found)
    wrong = [v for v in found if v.outcome in (MISSED, ALARM)]
    print(markdown(table(found)))
    for v in wrong:
        print(f"{v.outcome}: {v.rule}: {v.mutation.part}, {v.mutation.kind}, place {v.mutation.place} {v.by}")
    print(summary := f"{len(found)} mutants of {len({v.rule for v in found})} rules: " + _counted(count))
    print(by := "caught by: " + ", ".join(f"{k} {n}" for k, n in Counter(v.by for v in found if v.by).most_common()))
    if arguments.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(_page(summary, by, found))
    return 1 if wrong else 0


def _counted(count: Counter[str]) -> str:
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in (CAUGHT, EQUIVALENT, MISSED, ALARM))


def _page(summary: str, by: str, found: Sequence[Verdict]) -> str:
    return f"""# Planted bugs

Made by `python -m tests.evidence.mutants --write`: the rules of this library, spoiled mechanically (one equation of
the traced fwd, jvp or vjp rewritten, one answer changed, one residual taken for another), under `vjpkit.check` in its
default setting.

{summary[0].upper() + summary[1:]}.
{by[0].upper() + by[1:]}.

A number: mutants caught. A number with ≡: mutants that compute what the right rule computes at {POINTS} drawn points
and at all special ones (a factor that is 1, a term that is 0), which the checker passes, as it should.

{markdown(table(found))}
"""


if __name__ == "__main__":
    sys.exit(main())

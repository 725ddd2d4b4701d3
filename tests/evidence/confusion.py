"""Planted bugs under the diagnosis: what was planted against what was named, and where.

    python -m tests.evidence.confusion [rules] [--places N] [--each N] [--random N] [--write]

Every rule of the library is spoiled mechanically, as for the checker (`tests.evidence.mutants`); a mutation's kind
says which causes name it rightly. Mutants that compute what the right rule computes are left out. Beside them: rules
that are right, for which the answer must be `correct`, and random wrong ones, for which no cause must be named.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from tests.evidence.mutants import chosen, is_equivalent
from tests.evidence.mutations import KINDS, Mutation
from tests.evidence.pool import in_parallel
from tests.evidence.spoiled import Subject
from tests.evidence.tables import markdown
from vjpkit.catalogue import CASES
from vjpkit.check.diagnosis import Diagnosis, diagnose
from vjpkit.core import Case

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis" / "confusion.md"
_FACTOR = ("scale", "mean_for_sum", "sum_for_mean")
_OPERAND = ("wrong_operand", "slope_at_wrong_point", "slope_at_output", "value_for_slope")
_MISSING = ("missing_factor", "missing_slope")
NAMED: dict[str, tuple[str, ...]] = {  # what says that this was done, and not only that something is wrong there
    "drop a term": ("dropped_path", "diagonal_only", "zero", *_MISSING),
    "drop a factor": (*_MISSING, *_FACTOR, "positions_ignored", "ignores_cotangent", "nonlinear_in_cotangent"),
    "flip a sign": ("sign", "term_sign"),
    "× 2": (*_FACTOR, "counted_twice"),
    "× 1/2": _FACTOR,
    "× n": _FACTOR,
    "× 1/n": _FACTOR,
    "transpose": ("transposed_operand", "transposed_result", "wrong_order", "jvp_for_vjp", "mixed_layout"),
    "swap operands": ("term_sign", "sign", "wrong_order", "positions_ignored", "transposed_operand"),
    "drop a sum": ("missing_sum", "overwritten_for_accumulated"),
    "mean for sum": _FACTOR,
    "other axis": ("wrong_axis",),
    "other residual": (*_OPERAND, "swapped_arguments", "stale"),
    "f for f′": _OPERAND,
    "slope at the output": _OPERAND,
    "ignore g": ("ignores_cotangent", "ignores_output", "nonlinear_in_cotangent"),  # to other arguments a constant term
    "|g|": ("nonlinear_in_cotangent",),
    "zero a few entries": ("positions_ignored",),
    "off by 1e-3": ("scale",),
}


class Verdict(NamedTuple):
    rule: str
    mutation: Mutation
    arguments: bool  # errors are found, and only in the map that was spoiled
    first: str  # the cause of the first finding
    right: bool  # a cause that names the mutation is among the first two findings of every wrong argument
    seconds: float
    causes: str


def verdicts(case: Case, most: int, each: int) -> Iterator[Verdict]:
    """Mutants of the case's rule, `each` of them if that is not 0, diagnosed."""
    subject = Subject(case)
    mutations = list(subject.mutations(most))
    if each:
        drawn = np.random.default_rng(len(mutations)).permutation(len(mutations))[:each]
        mutations = [mutations[i] for i in drawn]
    for mutation in mutations:
        mutant = subject.mutant(mutation)
        if is_equivalent(case, mutant):
            continue
        d = diagnose(mutant, *subject.args, static=dict(subject.static))
        yield judged(case.rule.name, mutation, d)


def judged(name: str, mutation: Mutation, d: Diagnosis) -> Verdict:
    wanted = NAMED[mutation.kind]
    if mutation.part == "fwd":
        wanted = (*wanted, "wrong_primal", "nonfinite")
    by_argument: dict[tuple[str, str], list[str]] = {}
    for f in d.findings:
        by_argument.setdefault((f.argument, f.kind), []).append(f.cause)
    if any(f.cause == "wrong_primal" for f in d.findings):
        hit = "wrong_primal" in wanted
    else:
        hit = bool(by_argument) and all(set(causes[:2]) & set(wanted) for causes in by_argument.values())
    kinds = {"vjp": {"vjp"}, "jvp": {"jvp"}, "fwd": {"vjp", "jvp"}}[mutation.part]
    where = not d.ok and {f.kind for f in d.findings} <= kinds
    causes = "; ".join(f"{a or '·'}({k}): {', '.join(c[:3])}" for (a, k), c in by_argument.items())
    return Verdict(name, mutation, where, d.findings[0].cause, hit, d.seconds, causes)


# -------------------------------------------------------------------------------------- right and random ones


def of_right(i: int) -> str:
    """The causes that are named for a right rule: `correct`."""
    jax.config.update("jax_enable_x64", True)
    case = CASES[i]
    return ", ".join(diagnose(case.rule, *case.draw(0, np.float64), static=dict(case.static)).causes)


def random_rule(seed: int) -> tuple[Any, Any, tuple[Any, ...]]:
    """A function, a formula that has nothing to do with its derivative, and arguments."""
    import jax.numpy as jnp

    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((3, 5)), rng.standard_normal((5, 7))
    mixed = (
        rng.standard_normal((5, 7)),
        rng.standard_normal((3, 3)),
        rng.standard_normal((3, 5)),
        rng.standard_normal((5, 3)),
    )

    def f(x: Any, w: Any) -> Any:
        return (jnp.tanh, jax.nn.softplus, jnp.sin, jax.nn.silu)[seed % 4](x @ w)

    def candidate(g: Any, x: Any, w: Any) -> Any:
        a, b, c, d = map(jnp.asarray, mixed)
        x_bar = b @ g @ a.T * jnp.cos(c * x) if seed % 3 else g @ a.T + b @ g @ w.T
        w_bar = d @ g * jnp.sin(a + w) if seed % 5 else d @ g
        return x_bar, w_bar

    return f, candidate, (x, w)


def of_random(seed: int) -> str:
    """The causes that are named for a random wrong rule: `unexplained`."""
    f, candidate, args = random_rule(seed)
    return ", ".join(diagnose(f, candidate, *args, seed=seed).causes)


def of_case(i: int, most: int, each: int = 0) -> list[Verdict]:
    """What a worker does."""
    jax.config.update("jax_enable_x64", True)
    return list(verdicts(CASES[i], most, each))


# ------------------------------------------------------------------------------------------------ the tables


def confusion(found: Sequence[Verdict]) -> list[list[str]]:
    """Planted × named first."""
    names = [name for name, _ in Counter(v.first for v in found).most_common()]
    rows = [["planted", "n", "named rightly", *names]]
    for kind in KINDS:
        own = [v for v in found if v.mutation.kind == kind]
        if own:
            count = Counter(v.first for v in own)
            rows.append([kind, str(len(own)), str(sum(v.right for v in own)), *(str(count[n] or "") for n in names)])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.confusion", description=__doc__)
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--places", type=int, default=1, help="at most so many places for each kind in each map")
    parser.add_argument("--each", type=int, default=0, help="so many mutants of each rule, drawn; 0: all")
    parser.add_argument("--random", type=int, default=100, help="so many random wrong rules")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)

    cases = chosen(arguments.rules, False)
    found = [v for part in in_parallel(of_case, [(i, arguments.places, arguments.each) for i in cases]) for v in part]
    right = Counter(in_parallel(of_right, [(i,) for i in cases]))
    wild = Counter(in_parallel(of_random, [(i,) for i in range(arguments.random)]))
    table = markdown(confusion(found))
    missed = [v for v in found if not v.right or not v.arguments]
    lines = [
        f"{len(found)} mutants of {len({v.rule for v in found})} rules: the right cause among the first two findings "
        f"about every wrong argument for {_share(v.right for v in found)}, errors only in the map that was spoiled for "
        f"{_share(v.arguments for v in found)}; {np.mean([v.seconds for v in found]):.1f} s each.",
        f"Right rules: {_counted(right)}.",
        f"Random wrong rules: {_counted(wild)}.",
    ]
    print(table, *lines, sep="\n")
    for v in missed:
        print(f"missed: {v.rule}: {v.mutation.part}, {v.mutation.kind}, place {v.mutation.place}: {v.causes}")
    if arguments.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(_page(lines, table, missed))
    return 0


def _share(flags: Any) -> str:
    flags = list(flags)
    return f"{sum(flags)} ({100 * sum(flags) / max(len(flags), 1):.1f} %)"


def _counted(count: Counter[str]) -> str:
    return ", ".join(f"{cause} {n}" for cause, n in count.most_common())


def _page(lines: Sequence[str], table: str, missed: Sequence[Verdict]) -> str:
    rows = [["rule", "map", "planted", "place", "named"]]
    rows += [[v.rule, v.mutation.part, v.mutation.kind, str(v.mutation.place), v.causes] for v in missed]
    return "\n".join(
        [
            "# What was planted and what was named\n",
            "Made by `python -m tests.evidence.confusion --write`: the mutants of `docs/checker/planted_bugs.md` under",
            "`vjpkit.diagnose`. A row is a kind of mutation, a column the cause that was named first.\n",
            "\n\n".join(lines),
            "",
            table,
            "\n## Not named\n",
            markdown(rows),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

"""The claims that docstrings make in their line *Wins:*, and whether the compiled programs bear them out.

    Wins:    residuals 3× less; temp memory 2× less in a scan; FLOPs 1.3× less; 6× as fast on a CPU; finite at 0

A clause `residuals`, `temp memory` or `FLOPs`, `<number>× less`, and at the end `alone`, `in a stack`, `in a scan` or
nothing, which means alone, is a claim. It says that autodiff of the primal needs so many times as much, forward and
reverse, at the rule's first workload, in the program that XLA compiles for a CPU. Nothing is run to find out, and
none of it depends on the day. Clauses that begin otherwise are prose.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from vjpkit.bench.contestants import contestants
from vjpkit.bench.measure import Cost, Program, residual_bytes
from vjpkit.bench.settings import SETTINGS, reverse
from vjpkit.bench.workloads import Workload
from vjpkit.core import Rule
from vjpkit.core.docstring import sections

_CLAIM = re.compile(r"(residuals|temp memory|FLOPs) (\d+(?:\.\d+)?)× less(?: (alone|in a stack|in a scan))?")
_BEGINS_LIKE_A_CLAIM = re.compile(r"(residuals|temp memory|FLOPs) \d", re.I)
_FIGURES = {"temp memory": "temp_bytes", "FLOPs": "flops"}


class ClaimError(ValueError):
    """A docstring's claim that cannot be read, or that there is no workload for."""


@dataclass(frozen=True)
class Claim:
    """That autodiff of the primal needs `factor` times as much as the rule."""

    measure: str
    factor: float
    setting: str = "alone"

    def __str__(self) -> str:
        return self.measure if self.measure == "residuals" else f"{self.measure}, {self.setting}"


@dataclass(frozen=True)
class Verdict:
    """A rule's claim beside what was measured, infinite where the rule needs nothing."""

    rule: str
    claim: Claim
    claimed: float
    measured: float
    met: bool


def claims_of(rule: Rule) -> list[Claim]:
    """The claims of a rule's docstring that can be held against compiled programs.

    Raises:  ClaimError for a clause that begins like a claim and is none.
    """
    wins = " ".join(sections(rule.__doc__).get("Wins", []))
    clauses = " ".join(wins.split()).removesuffix(".").split(";")
    claims = []
    for clause in map(str.strip, clauses):
        claim = _CLAIM.fullmatch(clause)
        if claim:
            measure, factor, setting = claim.groups()
            claims.append(Claim(measure, float(factor), (setting or "alone").removeprefix("in a ")))
        elif _BEGINS_LIKE_A_CLAIM.match(clause):
            raise ClaimError(
                f"{rule.name}: cannot read the claim {clause!r}; "
                "expected such as 'temp memory 2× less in a scan' with 'alone', 'in a stack', 'in a scan' or nothing"
            )
    return claims


def check_claims(rules: Iterable[Rule], workloads: Sequence[Workload]) -> list[Verdict]:
    """Every claim of these rules, each held against the compiled programs at the rule's first workload.

    Raises:  ClaimError where a claim cannot be read, or its rule has no workload.
    """
    verdicts = []
    for rule in rules:
        claims = claims_of(rule)
        workload = next((w for w in workloads if w.rule is rule), None)
        if claims and workload is None:
            raise ClaimError(f"{rule.name}: claims something, and has no workload to measure it at")
        if claims and workload is not None:
            figure = functools.cache(functools.partial(_figures, workload))
            verdicts += [_verdict(rule, claim, figure) for claim in claims]
    return verdicts


def _verdict(rule: Rule, claim: Claim, figures: Callable[[str], dict[str, tuple[float, float]]]) -> Verdict:
    ours, theirs = figures("residuals" if claim.measure == "residuals" else claim.setting)[claim.measure]
    measured = theirs / ours if ours else math.inf
    return Verdict(rule.name, claim, claim.factor, measured, measured >= claim.factor)


def _figures(workload: Workload, where: str) -> dict[str, tuple[float, float]]:
    """What the rule and autodiff of its primal need, by measure: their residuals, or their programs in a setting."""
    both = list(contestants(workload.rule, None, workload.static).values())[:2]
    specs = workload.specs()
    with jax.enable_x64(False), jax.default_device(jax.devices("cpu")[0]):
        if where == "residuals":
            ours, theirs = (residual_bytes(f, specs) for f in both)
            return {"residuals": (ours, theirs)}
        costs = [_cost(SETTINGS[where](f), specs) for f in both]
    return {name: (getattr(costs[0], figure), getattr(costs[1], figure)) for name, figure in _FIGURES.items()}


def _cost(f: Callable[..., Any], specs: tuple[Any, ...]) -> Cost:
    """What the program of both passes costs, all but the time: it is compiled and not run."""
    program: Callable[..., Any]

    def arguments(*args: Any) -> Any:
        nonlocal program
        program, needed = reverse(f, args)
        return needed

    needed = jax.eval_shape(arguments, *specs)
    return Program.of(program, needed).cost([math.nan])

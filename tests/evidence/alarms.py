"""False alarms: functions that are right, under the checker in float64, float32 and bfloat16.

    python -m tests.evidence.alarms [names] [--write]

The functions of `tests.evidence.functions` and every case of this library's rules. What fails is either a genuine
fault of theirs, of which `tests.evidence.faults` has the evidence, or a false alarm, of which there may be none.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from tests.evidence.faults import FAULTS, HANGS
from tests.evidence.functions import FAMILIES, Function, functions
from tests.evidence.pool import in_parallel
from tests.evidence.tables import markdown
from vjpkit.catalogue import CASES
from vjpkit.check import CHECKS, Report, check, check_case

PAGE = Path(__file__).parents[2] / "docs" / "checker" / "false_alarms.md"
DTYPES = ("float32", "bfloat16")
OURS = "this library"


class Outcome(NamedTuple):
    family: str
    name: str
    failures: tuple[str, ...]
    checks: int
    seconds: float


def of_function(name: str, family: str) -> Outcome:
    """One function under the checker; what it raises counts as a failure."""
    jax.config.update("jax_enable_x64", True)
    f = next(f for f in functions() if (f.name, f.family) == (name, family))
    try:
        return _outcome(family, name, _checked(f))
    except Exception:
        return Outcome(family, name, (f"the checker raises: {traceback.format_exc(limit=-2)}",), 0, 0.0)


def of_case(place: int) -> Outcome:
    jax.config.update("jax_enable_x64", True)
    case = CASES[place]
    return _outcome(OURS, str(case), check_case(case, dtypes=DTYPES))


def _checked(f: Function) -> Report:
    checks = [name for name in CHECKS if name not in f.without]
    return check(f.fn, *f.args, special=f.special, dtypes=DTYPES, checks=checks)


def _outcome(family: str, name: str, report: Report) -> Outcome:
    return Outcome(family, name, tuple(map(str, report.failures)), len(report.results), sum(report.seconds.values()))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.alarms", description=__doc__)
    parser.add_argument("names", nargs="*", help="of functions; all, and this library's rules, if left out")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)

    wanted = [(f.name, f.family) for f in functions() if not arguments.names or f.name in arguments.names]
    if unknown := set(arguments.names) - {name for name, _ in wanted}:
        parser.error(f"no functions named {sorted(unknown)}")
    outcomes = in_parallel(of_function, wanted)
    if not arguments.names:
        outcomes += in_parallel(of_case, [(i,) for i in range(len(CASES))])
    alarms = [o for o in outcomes if o.failures and o.name not in FAULTS]
    stale = [o.name for o in outcomes if o.name in FAULTS and not o.failures]
    rows = table(outcomes)
    print(markdown(rows))
    for o in alarms:
        print(f"\nFALSE ALARM? {o.family}: {o.name}", *o.failures, sep="\n  ")
    print(*(f"no fault any more: {name}" for name in stale), sep="\n")
    slowest = sorted(outcomes, key=lambda o: -o.seconds)[:5]
    print("slowest:", ", ".join(f"{o.name} {o.seconds:.1f} s" for o in slowest))
    if arguments.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(_page(rows, outcomes))
    return 1 if alarms or stale else 0


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """How many functions of each family, lines of their reports, genuine faults and false alarms."""
    rows = [["family", "functions", "lines of reports", "genuine faults", "false alarms"]]
    for family in (*FAMILIES, OURS):
        these = [o for o in outcomes if o.family == family]
        if not these:
            continue
        faults = sum(bool(o.failures) and o.name in FAULTS for o in these)
        alarms = sum(bool(o.failures) for o in these) - faults
        rows.append([family, *(str(n) for n in (len(these), sum(o.checks for o in these), faults, alarms))])
    total = [sum(int(row[k]) for row in rows[1:]) for k in range(1, 5)]
    return [*rows, ["all", *map(str, total)]]


def _page(rows: Sequence[Sequence[str]], outcomes: Sequence[Outcome]) -> str:
    found = {o.name: o for o in outcomes if o.failures and o.name in FAULTS}
    faults = "\n\n".join(
        f"**{o.family}: {name}.** {FAULTS[name]}\n\n```\n{o.failures[0]}\n```" for name, o in found.items()
    )
    without = {f.name: ", ".join(f.without) for f in functions() if f.without}
    hangs = "\n".join(f"- **{name}** ({without[name]}): {why}" for name, why in HANGS.items())
    names = "\n\n".join(
        f"**{family}**: " + ", ".join(o.name for o in outcomes if o.family == family) + "." for family in FAMILIES
    )
    return f"""# False alarms

Made by `python -m tests.evidence.alarms --write`: functions that are right, under `vjpkit.check` with all its
checks, in float64, {" and ".join(DTYPES)}, at random and at special points (kinks, ties, zeros, infinities, large
and tiny arguments), with jax {jax.__version__}. A function's own limits (no bfloat16, no second derivative) are gaps
in its report, no failures.

{markdown(rows)}

## Genuine faults

{faults}

## Functions that do not return

In these checks the function itself hangs, so that they were left out for it.

{hangs}

## The functions

{names}
"""


if __name__ == "__main__":
    sys.exit(main())

"""The rows of this folder as a table in the test output: group by group, how many passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_FOLDER = "transforms/"
_SEPARATOR = " | "  # between group, row and check in a test's id
_HEAD = ("transformations", "passed", "total")


def group_of(node: str) -> str | None:
    """The row group of a test, the test module's name for a test that is no row, None outside this folder."""
    path, _, test = node.partition("::")
    if _FOLDER not in path:
        return None
    if _SEPARATOR in test:
        return test.partition("[")[2].partition(_SEPARATOR)[0]
    return path.rpartition("/")[2].removesuffix(".py").removeprefix("test_")


def table(reports: Iterable[Any]) -> list[str]:
    """Lines of the table "group, passed, total", from the reports of a run in any order.

    Args:    reports: pytest's test reports, of all phases and outcomes, of this folder or not.
    Returns: the lines, empty where no test of this folder ran. A test with any phase that failed has not passed.
    """
    outcome: dict[str, bool] = {}
    for report in reports:
        if report.when == "call" or not report.passed:
            outcome[report.nodeid] = outcome.get(report.nodeid, True) and report.passed
    count: dict[str, list[int]] = {}
    for node in sorted(outcome):
        group = group_of(node)
        if group is not None:
            passed_total = count.setdefault(group, [0, 0])
            passed_total[0] += outcome[node]
            passed_total[1] += 1
    if not count:
        return []
    whole = [sum(c) for c in zip(*count.values(), strict=True)]
    body = [_HEAD, *((group, str(p), str(n)) for group, (p, n) in count.items()), ("all", *map(str, whole))]
    widths = [max(len(line[i]) for line in body) for i in range(3)]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in body]


def write(reporter: Any) -> None:
    """Print the table with a terminal reporter, once a run; with pytest-xdist the reports are the workers'."""
    if getattr(reporter, "_vjpkit_table_written", False):
        return
    reporter._vjpkit_table_written = True
    reports = (r for kind in ("passed", "failed", "error", "skipped") for r in reporter.stats.get(kind, ()))
    lines = table(r for r in reports if hasattr(r, "when"))
    if lines:
        reporter.section("transformations of a rule, each against plain autodiff")
        for line in lines:
            reporter.line(line)

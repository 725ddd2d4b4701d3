"""The pytest plugin: the fixture `check_rule`, the marker `rules`, the options `--rules-…`, a table at the end.

    def test_dense(check_rule):
        check_rule(dense, "b i", "i o", "o")

    @pytest.mark.rules(dtypes=("float32",), thorough=True)
    def test_gelu(check_rule):
        check_rule(gelu, normal(3, 5))

What a test asks for in its call comes before the marker, the marker before the command line. Reports travel in
the tests' properties, so that the table and the file are whole under pytest-xdist too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vjpkit.check.report import Report

PROPERTY = "vjpkit"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("vjpkit", "checks of derivative rules")
    group.addoption("--rules-checks", metavar="NAMES", help="run these checks only, separated by commas")
    group.addoption("--rules-dtypes", metavar="NAMES", help="audit these dtypes, separated by commas; none: no audit")
    group.addoption("--rules-thorough", action="store_true", help="more draws, more transformations")
    group.addoption("--rules-seed", type=int, metavar="N", help="draw everything from this seed")
    group.addoption("--rules-report", metavar="FILE.json", help="write every report to this file")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rules(**options): options of vjpkit.check for `check_rule` in this test")


@pytest.fixture
def check_rule(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`check_rule(fn, *args, **options)`, or `check_rule(case, **options)`: check, record, fail with the findings."""
    from vjpkit.check import check, check_case
    from vjpkit.core import Case

    options = _command_line(request.config)
    for mark in reversed(list(request.node.iter_markers("rules"))):
        if mark.args:
            raise pytest.UsageError(f"the marker rules takes keyword options alone, got {mark.args}")
        options |= mark.kwargs

    def run(fn: Any, *args: Any, **own: Any) -> Report:
        call = check_case if isinstance(fn, Case) else check
        report = call(fn, *args, **(options | own))
        request.node.user_properties.append((PROPERTY, report.to_json()))
        return report.raise_if_failed()

    return run


def _command_line(config: pytest.Config) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if (checks := config.getoption("--rules-checks")) is not None:
        options["checks"] = tuple(_names(checks))
    if (dtypes := config.getoption("--rules-dtypes")) is not None:
        options["dtypes"] = () if dtypes == "none" else tuple(_names(dtypes))
    if config.getoption("--rules-thorough"):
        options["thorough"] = True
    if (seed := config.getoption("--rules-seed")) is not None:
        options["seed"] = seed
    return options


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """One line per checked function, and the file where one was asked for."""
    reports = [
        (test.nodeid, json.loads(text))
        for tests in terminalreporter.stats.values()
        for test in tests
        if getattr(test, "when", None) == "call"
        for name, text in getattr(test, "user_properties", ())
        if name == PROPERTY
    ]
    if (file := config.getoption("--rules-report")) is not None:
        Path(file).write_text(json.dumps([{"test": test, **report} for test, report in reports], indent=1))
    if not reports:
        return
    terminalreporter.section("rules")
    width = max(len(report["name"]) for _, report in reports)
    for test, report in sorted(reports, key=lambda r: (r[1]["ok"], r[1]["name"])):
        terminalreporter.write_line(f"{report['name']:{width}}  {_line(report)}  {test}")


def _line(report: dict[str, Any]) -> str:
    verdicts = [result["verdict"] for result in report["results"]]
    failed = sorted({f["check"] for f in report["findings"] if f["level"] == "failure"})
    diagnosis = report.get("diagnosis") or {"findings": []}
    causes = ", ".join(dict.fromkeys(f["cause"] for f in diagnosis["findings"][:2]))
    outcome = f"FAIL {', '.join(failed)}" + (f" ({causes})" if causes else "") if failed else "pass"
    return f"{outcome}  {verdicts.count('pass')}/{len(verdicts)} checks  {sum(report['seconds'].values()):.1f} s"

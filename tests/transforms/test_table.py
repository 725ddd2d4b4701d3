"""The table of the test output itself."""

from __future__ import annotations

from dataclasses import dataclass

from .table import group_of, table

VALUE = "tests/transforms/test_loops.py::test_value"


@dataclass
class Report:
    nodeid: str
    passed: bool = True
    when: str = "call"


def test_groups_are_read_from_ids() -> None:
    assert group_of(f"{VALUE}[vmap | of grad [1], over x | rule]") == "vmap"
    assert group_of("tests/transforms/test_opaque.py::test_value[Pallas kernel-jit]") == "opaque"
    assert group_of("tests/check/test_verify.py::test_it[a | b | c]") is None


def test_the_table_counts_tests_once() -> None:
    reports = [
        Report(f"{VALUE}[vmap | of grad | rule]"),
        Report(f"{VALUE}[vmap | of jvp | rule]", passed=False),
        Report(f"{VALUE}[eval and jit | jit | rule]", when="setup"),
        Report(f"{VALUE}[eval and jit | jit | rule]"),
        Report(f"{VALUE}[eval and jit | jit | rule]", passed=False, when="teardown"),
        Report(f"{VALUE}[eval and jit | call | rule]"),
        Report("tests/core/test_errors.py::test_text", passed=False),
    ]
    assert table(reports) == [
        "transformations  passed  total",
        "eval and jit          1      2",
        "vmap                  1      2",
        "all                   2      4",
    ]
    assert table(reversed(reports)) == table(reports)


def test_no_table_without_tests_of_this_folder() -> None:
    assert table([Report("tests/core/test_errors.py::test_text")]) == []

"""The table of rows is whole: every row has a test or a reason, every erratum a row, and the pages are up to date."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.seeds.rows import DOCS, ERRATA, PAGES, ROWS, VERDICTS, shown_by

HERE = Path(__file__).parent


def test_every_row_is_there() -> None:
    expected = [f"{letter}{k}" for letter, last in (("A", 30), ("B", 22), ("C", 25)) for k in range(1, last + 1)]
    assert [row.id for row in ROWS] == expected
    assert len(ROWS) == 77
    assert all(row.verdict in VERDICTS and row.said and row.true for row in ROWS)


def test_every_row_has_a_test_or_a_reason() -> None:
    assert all(bool(row.tests) != bool(row.no_test) for row in ROWS)
    assert [row.id for row in ROWS if row.no_test] == ["A30", "B7", "C4"]


def written() -> set[str]:
    """The tests of the three files."""
    files = sorted(HERE.glob("test_*.py"))
    trees = {path.stem: ast.parse(path.read_text(encoding="utf8")) for path in files if path.stem != "test_rows"}
    return {
        f"{stem}::{node.name}"
        for stem, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_tests_are_there_and_none_is_without_a_row() -> None:
    named = {test for row in ROWS for test in row.tests}
    assert named <= written(), named - written()
    without = {name.partition("::test_")[2] for name in written() - named}
    assert without == {"page", "pages", "every_script_has_the_same_step"}


def test_24_errata_each_with_a_test() -> None:
    assert [e.number for e in ERRATA] == list(range(1, 25))
    assert all(shown_by(e) for e in ERRATA)


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_what_the_command_writes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf8") == PAGES[name]()

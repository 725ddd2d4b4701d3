"""The checks that every row goes through, as tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest

from .row import Factor, Group, Row, assert_close, scaled, shows
from .subjects import subjects

Test = Callable[[Row], None]


@cache
def expected(row: Row) -> Any:
    """What plain autodiff of the primal gives, in float64."""
    return row.build(subjects("primal"))


def check_value(row: Row, mount: str) -> None:
    """The result is that of autodiff."""
    assert_close(row.build(subjects(mount)), expected(row), row.tol)


def check_provenance(row: Row, mount: str, factor: Factor) -> None:
    """The planted rule's result is `factor` times that of autodiff: the value is right, and the right map gave it."""
    assert shows(factor, expected(row))
    assert_close(row.build(subjects(f"planted {mount}")), scaled(factor, expected(row)), row.tol)


def check(row: Row, mount: str, factor: Factor) -> None:
    """Both at once, for a mount whose value was not checked alone; the value where there is no single factor."""
    if factor is None:
        check_value(row, mount)
    else:
        check_provenance(row, mount, factor)


def matrix(*groups: Group) -> tuple[Test, Test, Test, Test]:
    """The four tests of some groups: value, provenance, both of the opaque rule, both of the stock function."""
    rows = [row for group in groups for row in group]

    def test_value(row: Row) -> None:
        check_value(row, "rule")

    def test_provenance(row: Row) -> None:
        check_provenance(row, "rule", row.factor)

    def test_opaque(row: Row) -> None:
        check(row, "opaque", row.opaque)

    def test_stock(row: Row) -> None:
        check(row, "stock", row.factor)

    return (
        _over(rows, "value")(test_value),
        _over((row for row in rows if row.factor is not None), "map")(test_provenance),
        _over(rows, "opaque")(test_opaque),
        _over((row for row in rows if row.stock), "custom_vjp")(test_stock),
    )


def _over(rows: Iterable[Row], what: str) -> Callable[[Test], Test]:
    """One test for each row, under an id that table.py reads."""
    cases = pytest.mark.parametrize("row", [pytest.param(r, id=f"{r.group} | {r.name} | {what}") for r in rows])
    return lambda test: pytest.mark.usefixtures("quick_compilation")(cases(test))

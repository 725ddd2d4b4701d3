"""All tests of a case, of whatever file, one after another: its truth is one program, compiled once for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .truth import CASES

_PLACES = {id(case): k for k, case in enumerate(CASES)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of this folder alone, those without a case first."""
    of_rules = [k for k, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    ordered = sorted((items[k] for k in of_rules), key=_place)
    for k, item in zip(of_rules, ordered, strict=True):
        items[k] = item


def _place(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    return _PLACES.get(id(callspec.params.get("case")), -1) if callspec else -1

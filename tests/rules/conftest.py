"""All tests of a case, within a file, one after another: the programs of its truth are compiled once for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .truth import CASES

_PLACES = {id(case): k for k, case in enumerate(CASES)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of this folder alone; the order of files, and of tests without a case, stays."""
    of_rules = [k for k, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    ordered = sorted((items[k] for k in of_rules), key=lambda item: (str(item.path), _place(item)))
    for k, item in zip(of_rules, ordered, strict=True):
        items[k] = item


def _place(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    return _PLACES.get(id(callspec.params.get("case")), -1) if callspec else -1

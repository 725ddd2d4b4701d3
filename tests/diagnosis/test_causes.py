"""Every cause has an entry in docs/diagnosis/causes.md, and the example of each is diagnosed as what it stands for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vjpkit import Diagnosis, diagnose
from vjpkit.check.diagnosis import CAUSES

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis" / "causes.md"
SETUP = re.search(r"```python setup\n(.*?)```", PAGE.read_text(encoding="utf8"), re.S)
ENTRIES = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf8"), re.S | re.M))


def example(cause: str) -> Diagnosis:
    scope: dict[str, Any] = {}
    code = re.search(r"```python\n(.*?)```", ENTRIES[cause], re.S)
    assert SETUP is not None
    assert code is not None
    exec(SETUP[1] + code[1], scope)
    if "stages" in scope:
        return diagnose(scope["stages"], scope["candidate"], *scope["args"])
    if "candidate" not in scope:
        return diagnose(scope["f"], *scope["args"])
    return diagnose(scope["f"], scope["candidate"], *scope["args"])


def test_every_cause_has_an_entry() -> None:
    assert list(ENTRIES) == list(CAUSES)
    for cause, text in ENTRIES.items():
        assert "Recognised:" in text, cause


@pytest.mark.parametrize("cause", CAUSES)
def test_the_example_is_named(cause: str) -> None:
    said = example(cause)
    assert said.findings[0].cause == cause or {f.cause for f in said.findings if f.part > 1} >= {cause}, str(said)
    assert said.ok == (cause == "correct")

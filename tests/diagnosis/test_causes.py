"""Every cause has a page in docs/diagnosis/causes, whose example is diagnosed as the page says."""

from __future__ import annotations

import re

import pytest

from tests.diagnosis.causes import HEADINGS, PAGES, page, run, said
from vjpkit.check.diagnosis import CAUSES

INDEX = PAGES.with_suffix(".md")


def test_every_cause_has_a_page_and_a_line_of_the_index() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} == {*CAUSES}
    index = INDEX.read_text(encoding="utf8")
    assert sorted(re.findall(r"^\| \[`(\w+)`\]\(causes/\1\.md\) \|", index, re.M)) == sorted(CAUSES)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_page_has_all_headings_and_leads_nowhere_else(cause: str) -> None:
    text = page(cause)
    assert text.startswith(f"# {cause}\n")
    assert tuple(re.findall(r"^## (.*)$", text, re.M)) == HEADINGS
    assert {*re.findall(r"\]\((\w+)\.md\)", text)} <= {*CAUSES} - {cause}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_example_is_named_as_the_page_says(cause: str) -> None:
    text = page(cause)
    diagnosis = run(text)
    assert diagnosis.findings[0].cause == cause, str(diagnosis)
    assert diagnosis.ok == (cause == "correct")
    head = f"{diagnosis.findings[0].cause}: {diagnosis.findings[0].message}"
    assert head in said(text), f"{head}\nis not what the page says: python -m tests.diagnosis.causes --write"


def test_the_index_shows_a_map() -> None:
    text = INDEX.read_text(encoding="utf8")
    assert said(text) == f"{run(text).map()}\n"

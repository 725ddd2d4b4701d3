"""Every wrong formula of the gallery is named, and the page is what the command writes."""

from __future__ import annotations

import re

import pytest

from tests.diagnosis.gallery import PAGE, Exhibit, exhibits, named

EXHIBITS = exhibits()


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda e: re.sub(r"\W+", "_", e.title))
def test_the_mistake_is_named(exhibit: Exhibit) -> None:
    said = exhibit.diagnose()
    assert named(exhibit, said), str(said)


def test_the_page_shows_all_of_them() -> None:
    page = PAGE.read_text(encoding="utf8")
    assert page.count("\n## ") == len(EXHIBITS)


def test_what_fails_to_run_says_which_shapes_do_not_fit() -> None:
    (exhibit,) = [e for e in EXHIBITS if e.formula == "(w δ⁺) ⊙ σ′(z)" and e.args[0].shape == (3,)]
    text = str(exhibit.diagnose())
    assert "`w` [5, 3] and `g` [5] do not fit in a product" in text
    assert "w.T @ g" in text

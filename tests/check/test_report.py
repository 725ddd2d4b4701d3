"""The report: data, text, JSON, and an exception."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import pytest

from tests.check.rules import dense
from vjpkit.check import CheckFailed, Report, check

SHAPES = ("b i", "i o", "o")


@pytest.fixture(scope="module")
def failed() -> Report:
    def vjp(res: Any, g: Any) -> Any:
        return g @ res[1].T, -(res[0].T @ g), g.sum(0)

    return check(dense(vjp=vjp), *SHAPES, seed=4, checks=("structure", "adjoint", "reverse"))


def test_the_failure_names_everything(failed: Report) -> None:
    failure = next(f for f in failed.failures if f.check == "reverse")
    assert failure.argument == "w"
    assert failure.what == "35 of 35 entries differ from autodiff"
    assert failure.where.startswith("[")
    assert "rule" in failure.where
    assert "autodiff" in failure.where
    assert "a sign is flipped" in failure.cause
    assert 1 < len(failure.lines) <= 4


def test_raise(failed: Report) -> None:
    with pytest.raises(CheckFailed, match=r"dense: \d failed") as error:
        failed.raise_if_failed()
    assert "vjpkit.check(dense, 'b i', 'i o', 'o', seed=4)" in str(error.value)
    assert isinstance(error.value, AssertionError)


def test_a_report_that_is_right_raises_nothing() -> None:
    report = check(dense(), *SHAPES, checks=("reverse",))
    assert report.raise_if_failed() is report
    assert report.failures == []


def test_text(failed: Report) -> None:
    text = str(failed)
    assert text.splitlines()[0].startswith("dense: 2 failed")
    assert "check      argument" in text
    assert "seed 4; again: vjpkit.check(" in text


def test_json(failed: Report) -> None:
    data = json.loads(failed.to_json())
    assert data["ok"] is False
    assert data["seed"] == 4
    assert {r["verdict"] for r in data["results"]} == {"pass", "FAIL"}
    assert data["findings"][0]["level"] == "failure"


def test_it_goes_to_another_process_with_its_diagnosis(failed: Report) -> None:
    """What `vjpkit check` does of many rules; the functions themselves cannot be sent."""
    sent = pickle.loads(pickle.dumps(failed))
    assert str(sent) == str(failed)
    said = failed.diagnosis
    assert said is not None
    assert sent.diagnosis.findings == said.findings
    assert sent.diagnosis.findings[0].argument.position == 1
    assert "w [5, 7]" in sent.diagnosis.map()


def test_every_pass_has_a_power() -> None:
    report = check(dense(), *SHAPES, checks=("linearity", "adjoint", "reverse", "forward"))
    powers = [r.power for r in report.results if "of zero" not in r.argument]
    assert all(p is not None and 0 < p < 1e-10 for p in powers)


def test_rich_and_notebook(failed: Report) -> None:
    console = pytest.importorskip("rich.console")
    out = console.Console(width=200, record=True, file=io.StringIO())
    out.print(failed)
    assert "FAIL" in out.export_text()
    assert failed._repr_html_().startswith("<p>dense")


def test_the_reference_says_what_it_is_without() -> None:
    assert check(dense(), *SHAPES, checks=()).reference == "autodiff of the primal, custom rules taken out: dense"

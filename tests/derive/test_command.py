"""The command line of explanations and written rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vjpkit.cli import main


def test_a_rule_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write-rule", "tests.evidence.layers:dense", "--args", "b i", "i o", "o"]) == 0
    assert "return g @ w.T, x.T @ g, g.sum(0)" in capsys.readouterr().out


@pytest.mark.parametrize(("format", "sign"), [("text", "Cheapest: "), ("markdown", "| stage |"), ("latex", "tabular")])
def test_a_function_is_explained(capsys: pytest.CaptureFixture[str], format: str, sign: str) -> None:
    assert main(["explain", "jax.numpy:tanh", "--args", "b i", "--format", format]) == 0
    assert sign in capsys.readouterr().out


def test_an_explanation_is_plotted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "tanh.svg"
    assert main(["explain", "jax.numpy:tanh", "--args", "b i", "--plot", str(file)]) == 0
    assert file.read_text(encoding="utf8").startswith("<?xml")
    assert "Cheapest: " in capsys.readouterr().out
    assert main(["explain", "jax.numpy:tanh", "--args", "b i", "--plot", str(tmp_path / "tanh.nothing")]) == 2
    assert "expected one of" in capsys.readouterr().err


def test_what_cannot_be_derived_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write-rule", "jax.numpy:argmax", "--args", "b i"]) == 2
    assert "argmax returns no float" in capsys.readouterr().err


def test_what_cannot_be_explained_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "tests.derive.test_explain:called_back", "--args", "i"]) == 2
    assert re.search(r"no derivative of pure_callback: .* \(at test_explain.py:\d+\)", capsys.readouterr().err)

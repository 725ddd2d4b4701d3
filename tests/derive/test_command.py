"""The command line of explanations and written rules."""

from __future__ import annotations

import pytest

from vjpkit.cli import main


def test_a_rule_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write-rule", "tests.evidence.layers:dense", "--args", "b i", "i o", "o"]) == 0
    assert "return g @ w.T, x.T @ g, g.sum(0)" in capsys.readouterr().out


@pytest.mark.parametrize(("format", "sign"), [("text", "Cheapest: "), ("markdown", "| stage |"), ("latex", "tabular")])
def test_a_function_is_explained(capsys: pytest.CaptureFixture[str], format: str, sign: str) -> None:
    assert main(["explain", "jax.numpy:tanh", "--args", "b i", "--format", format]) == 0
    assert sign in capsys.readouterr().out


def test_what_cannot_be_derived_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write-rule", "jax.numpy:argmax", "--args", "b i"]) == 2
    assert "argmax returns no float" in capsys.readouterr().err

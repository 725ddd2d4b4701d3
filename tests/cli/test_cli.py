"""The command line: what it prints, and its exit status."""

import json

import pytest

from vjpkit.catalogue import CASES
from vjpkit.cli import main
from vjpkit.nn import dense


def test_list(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "vjpkit.nn.activations.relu" in out
    assert "Rectified linear unit." in out


def test_check_of_a_rule(capsys, tmp_path):
    file = tmp_path / "reports.json"
    assert main(["check", "tanh", "--dtypes", "none", "--json", str(file)]) == 0
    assert "0 failed" in capsys.readouterr().out
    assert all(report["ok"] for report in json.loads(file.read_text()))


def test_one_case_of_a_rule_goes_through_every_check(tmp_path):
    """What is costly is asked of one case of dense, and of all where --thorough or --checks ask for it."""

    def checks_of_each(*words):
        file = tmp_path / "reports.json"
        assert main(["check", "dense", "--dtypes", "none", "--json", str(file), *words]) == 0
        reports = json.loads(file.read_text())
        return [{result["check"] for result in report["results"]} for report in reports]

    everything, *others = checks_of_each()
    assert len(others) == len([case for case in CASES if case.rule is dense]) - 1
    assert all(everything - other == {"second order", "transformations", "residuals"} for other in others)
    assert checks_of_each("--checks", "transformations") == [{"transformations"}] * (len(others) + 1)


def test_many_rules_are_checked_in_several_processes(tmp_path):
    file = tmp_path / "reports.json"
    names = ["relu", "relu6", "tanh", "sigmoid", "softplus", "silu", "mish", "l2_loss"]
    assert main(["check", *names, "--checks", "value", "--dtypes", "none", "--jobs", "2", "--json", str(file)]) == 0
    assert {report["name"] for report in json.loads(file.read_text())} == set(names)


def test_check_of_a_function(capsys):
    assert main(["check", "jax.nn:silu", "--args", "b i", "--dtypes", "none"]) == 0
    assert "silu" in capsys.readouterr().out
    assert main(["check", "jax.nn:silu", "--args", "normal(3, 5)", "--checks", "value"]) == 0


def test_a_failure_exits_with_one(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp, vjpkit\n"
        "@vjpkit.elementwise(slope=lambda x: -jnp.cos(x))\n"
        "def sine(x): return jnp.sin(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "mine:sine", "--args", "b i", "--dtypes", "none"]) == 1
    out = capsys.readouterr().out
    assert "1 failed" in out
    assert out.count("failure: reverse, x") == 1  # the report is told once


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nothing"], "no rule named 'nothing'"),
        (["check", "tanh", "--jobs", "0"], "--jobs: expected 1 or more, got 0"),
        (["check", "no_such_module:f", "--args", "b"], "no_such_module:f: No module named"),
        (["check", "jax.nn:no_such", "--args", "b"], "jax.nn:no_such: module 'jax.nn' has no attribute"),
        (["check", "jax.nn:silu"], "jax.nn:silu needs --args"),
        (["check", "jax.nn:silu", "--args", "normal("], "neither a shape such as 'b i' nor an expression"),
        (["check", "tanh", "--checks", "taste"], "no checks ['taste']"),
        (["bench", "max_poool"], "no rule named 'max_poool'; did you mean 'max_pool'?"),
        (["bench", "tanh", "--settings", "attic"], "--settings: unknown setting 'attic'"),
        (["bench", "tanh", "--rounds", "0"], "--rounds: expected 1 or more, got 0"),
    ],
)
def test_bad_commands_exit_with_two(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err

"""The pytest plugin, in test runs of its own: fixture, marker, options, table and file, with and without xdist."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OWN_RULE = Path(__file__).parents[2] / "examples" / "own_rule"

RULES = """
import jax.numpy as jnp
import pytest
import vjpkit

@vjpkit.elementwise(slope=lambda x: jnp.cos(x))
def right(x):
    return jnp.sin(x)

@vjpkit.elementwise(slope=lambda x: 1.01 * jnp.cos(x))
def wrong(x):
    return jnp.sin(x)

def test_right(check_rule):
    check_rule(right, "b i", dtypes=())

def test_wrong(check_rule):
    check_rule(wrong, "b i", dtypes=())

@pytest.mark.rules(checks=("value",))
def test_only_the_value(check_rule):
    report = check_rule(wrong, "b i")
    assert {result.check for result in report.results} == {"value"}
"""


def pytest_run(folder, *options):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    if "vjpkit" not in _entry_points():
        command += ["-p", "vjpkit.check.pytest_plugin"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def _entry_points():
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="pytest11")}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_rules.py").write_text(RULES)
    return tmp_path


@pytest.mark.parametrize("workers", ["0", "2"])
def test_verdicts_table_and_file(project, workers):
    run = pytest_run(project, "-n", workers, "--rules-report", "report.json")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 2 passed" in run.stdout
    table = run.stdout.partition("= rules =")[2]
    assert "FAIL" in table.splitlines()[1]
    assert "test_rules.py::test_right" in table
    reports = json.loads((project / "report.json").read_text())
    assert sorted((r["name"], r["ok"]) for r in reports) == [("right", True), ("wrong", False), ("wrong", True)]


def test_the_failure_says_what_and_how_to_see_it_again(project):
    run = pytest_run(project, "-n", "0", "-k", "test_wrong")
    assert "CheckFailed" in run.stdout
    assert "wrong" in run.stdout
    assert "seed 0" in run.stdout


def test_the_command_line_chooses(project):
    run = pytest_run(project, "-n", "0", "-k", "test_wrong or test_right", "--rules-checks", "value, structure")
    assert "2 passed" in run.stdout, run.stdout


def test_a_marker_with_positions_is_refused(project):
    (project / "test_rules.py").write_text(RULES.replace('rules(checks=("value",))', 'rules("value")'))
    run = pytest_run(project, "-n", "0", "-k", "test_only_the_value")
    assert "the marker rules takes keyword options alone" in run.stdout


def test_the_example_project(tmp_path):
    shutil.copytree(OWN_RULE, tmp_path, dirs_exist_ok=True)
    run = pytest_run(tmp_path, "-n", "0")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout

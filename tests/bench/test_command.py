"""The command on one tiny rule: the tables, the files, and what it refuses."""

import json
import sys

import jax
import jax.numpy as jnp
import pytest

from vjpkit import nn
from vjpkit.bench import command
from vjpkit.bench.command import BenchError, Options
from vjpkit.bench.summary import Line, geometric_means, plain, table
from vjpkit.bench.workloads import Workload
from vjpkit.cli import main
from vjpkit.core import elementwise
from vjpkit.core.draw import normal


@elementwise(slope=lambda y: 1 - jnp.exp(-y))
def soft(x):
    """Softplus.

    Wins:    residuals 2× less.
    """
    return jnp.log(1 + jnp.exp(x))


@elementwise(slope=lambda x: jnp.cos(x))
def boastful(x):
    """Sine.

    Wins:    residuals 5× less.
    """
    return jnp.sin(x)


TINY = (
    Workload(soft, (normal(3, 5),), against={"jax.nn.softplus": jax.nn.softplus}),
    Workload(soft, (normal(7, 5),), label="larger"),
    Workload(boastful, (normal(3, 5),)),
)


def run(*names, known=TINY, **options):
    said = []
    ok = command.run(Options(names, rounds=1, **options), known, said.append)
    return ok, "\n".join(said)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    files = folder / "figures.json", folder / "ratios.svg"
    ok, text = run("soft", settings=("scan",), json=files[0], plot=files[1])
    assert ok
    return text, *files


def test_the_tables(measured):
    text = measured[0]
    assert text.startswith(jax.devices()[0].platform)
    assert "jax " in text.partition("\n")[0]
    assert "\nsoft  float32[3,5]" in text
    assert "\nsoft larger  float32[7,5]" in text
    assert "jax.nn.softplus" in text
    assert "scan, forward+reverse" in text


def test_the_summary(measured):
    summary = measured[0][measured[0].index("forward+reverse, autodiff / rule") :].splitlines()
    assert summary[1].split("  ")[-2:] == ["time scan", "temp scan"]
    assert {line.partition("  ")[0] for line in summary[2:4]} == {"soft", "soft larger"}
    assert summary[-1].startswith("geometric mean")


def test_the_json(measured):
    content = json.loads(measured[1].read_text())
    assert content["rounds"] == 1
    assert "jax" in content["device"]
    first, second = content["workloads"]
    assert (first["workload"], second["workload"]) == ("soft", "soft larger")
    assert set(first["ratios"]) == {"time scan", "temp scan"}
    assert (first["residuals"]["soft"], first["residuals"]["autodiff"]) == (60, 120)
    assert first["rows"][0]["costs"]["soft"]["seconds"] > 0
    assert content["geometric means"]["time scan"] > 0


def test_the_plot(measured):
    assert "<svg" in measured[2].read_text()


def test_worst_first_and_the_mean():
    lines = [Line("good", "", {"time alone": 4.0, "temp alone": float("inf")}), Line("bad", "", {"time alone": 1.0})]
    rows = table(lines).splitlines()
    assert [row.split()[0] for row in rows[2:4]] == ["bad", "good"]
    assert rows[2].split() == ["bad", "1.00", "-"]
    assert rows[3].split() == ["good", "4.00", "inf"]
    assert geometric_means(lines)["time alone"] == 2.0
    assert plain({"a": [float("inf"), 1.0]}) == {"a": [None, 1.0]}


def test_claims_are_checked(tmp_path):
    file = tmp_path / "claims.json"
    assert run("soft", check_claims=True)[0]
    ok, text = run(check_claims=True, json=file)
    assert not ok
    assert "claimed       5×  measured       1×  NOT MET" in text
    assert "1 claims met, 1 not met" in text
    assert [v["met"] for v in json.loads(file.read_text())["claims"]] == [True, False]


def test_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(command, "workloads", lambda: TINY)
    words = ["bench", "soft", "--settings", "alone", "--rounds", "1"]
    assert main([*words, "--modes", "forward+reverse"]) == 0
    out = capsys.readouterr().out
    assert "geometric mean" in out
    assert "alone, forward+reverse: " in out
    assert "alone, forward mode: " not in out
    assert main(["bench", "soft", "--check-claims"]) == 0
    assert main(["bench", "boastful", "--check-claims"]) == 1
    assert main(["bench", "sofft"]) == 2
    assert "vjpkit bench: no rule named 'sofft'; did you mean 'soft'?" in capsys.readouterr().err


def test_peers():
    pytest.importorskip("torch")
    ok, text = run(known=[Workload(nn.silu, (normal(3, 5),))], peers=True, settings=("alone",))
    assert ok
    assert "torch 2" in text
    assert text.splitlines()[-3].endswith("temp alone  torch / rule")


def test_without_torch_or_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BenchError, match="--peers needs PyTorch, which is not installed: pip install torch"):
        run(peers=True)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BenchError, match=r"--plot needs matplotlib: pip install 'vjpkit\[bench\]'"):
        run(plot=tmp_path / "x.png")


def test_an_unreadable_claim(monkeypatch):
    monkeypatch.setattr(soft, "__doc__", "Softplus.\n\n    Wins:    residuals 2x less.\n")
    with pytest.raises(BenchError, match="soft: cannot read the claim 'residuals 2x less'"):
        run("soft", check_claims=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": ("attic",)}, "--settings: unknown setting 'attic', expected of alone, stack, scan"),
        (
            {"modes": ("backward",)},
            "--modes: unknown mode 'backward', expected of forward, forward",
        ),
        ({"modes": ("forward",)}, "--modes: expected forward\\+reverse among them, which the table is made of"),
        ({"rounds": 0}, "--rounds: expected 1 or more, got 0"),
        ({"check_claims": True, "peers": True}, "--check-claims runs nothing, so it has no --plot and no --peers"),
        ({"peers": True, "settings": ("scan",)}, "--peers are measured alone, so --settings must have that"),
    ],
)
def test_what_is_refused(options, message):
    if "peers" in options:
        pytest.importorskip("torch")
    with pytest.raises(BenchError, match=message):
        command.run(Options(**options), TINY)


def test_files_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(BenchError, match=r"unknown kind of file '\.nothing'"):
        run(plot=tmp_path / "x.nothing")
    with pytest.raises(BenchError, match="there is no such directory"):
        run(json=tmp_path / "nowhere" / "x.json")

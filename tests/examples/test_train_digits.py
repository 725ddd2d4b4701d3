"""The main job: digits are read, rules are held, devices agree, and what cannot be is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import train_digits

    return train_digits


def python(*arguments, cwd):
    """A fresh interpreter, as a user's: no devices simulated, no float64."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    env["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, EXAMPLES)))
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )


def train(*arguments, cwd):
    return python(EXAMPLES / "train_digits.py", *arguments, cwd=cwd)


def last_loss(run):
    return float(re.search(r"loss of the last batch ([\d.]+)", run.stdout)[1])


def read_right(run):
    right, images = re.search(r"\((\d+) of (\d+)\)", run.stdout).groups()
    return int(right) / int(images)


def test_the_main_job_reads_more_than_97_percent(tmp_path):
    run = train(cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert read_right(run) > 0.97
    assert "training: 100%" in run.stderr
    for name in ("loss.png", "predictions.png"):
        picture = matplotlib.image.imread(tmp_path / "out" / name)
        assert min(picture.shape[:2]) > 400
        assert picture[..., :3].std() > 0.02


def test_eight_devices_find_the_loss_of_one(tmp_path):
    one, eight = (
        train("--steps", 20, "--hidden", 32, "--devices", n, "--out", tmp_path / "o", cwd=tmp_path) for n in (1, 8)
    )
    assert last_loss(eight) == pytest.approx(last_loss(one), rel=1e-5)
    assert read_right(eight) == read_right(one)


def test_every_device_has_its_part(example):
    learn, hold = example.digits()
    options = example.command().parse_args(["--steps", "2", "--devices", "8"])
    params = example.initial((64, 16, 16, 10), seed=0)
    params, _ = example.train(options, params, learn, hold, example.row_of_devices(8))
    assert {len(a.sharding.device_set) for a in jax.tree.leaves(params)} == {8}


def test_check_prints_a_row_for_each_rule_and_three_steps_miss_the_promise(example, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert example.main(["--check", "--precision", "bfloat16", "--steps", "3", "--out", str(out)]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["rule", "shapes", "value", "vjp", "jvp", "adjoint", "bound"]
    layers = ["dense", "gelu", "dense", "gelu", "dense", "softmax_cross_entropy_with_integer_labels"]
    assert [line.split()[0] for line in lines[1:7]] == layers
    assert all(line.endswith("holds") for line in lines[1:7])
    assert "[128,64] [64,256] [256] → [128,256]" in lines[1]
    assert lines[7].startswith("3 steps in")
    assert "not above the 97% promised" in said.err
    assert {p.name for p in out.iterdir()} == {"loss.png", "predictions.png"}


PLANTED = """
import jax.numpy as jnp, rule_check
from vjpkit import nn, rule

def planted(name, fwd=lambda x: (x**2, x), jvp=lambda x, x_dot: 2 * x * x_dot, vjp=lambda x, g: 2 * x * g):
    def primal(x):
        return x**2
    primal.__name__ = primal.__qualname__ = name
    return rule(primal).defrule(fwd=fwd, jvp=jvp, vjp=vjp)

rules = [
    planted("right"),
    planted("wrong_value", fwd=lambda x: (x**2 + 1e-3, x)),
    planted("wrong_vjp", vjp=lambda x, g: 2 * x),
    planted("wrong_jvp", jvp=lambda x, x_dot: x * x_dot),
    planted("not_a_number", vjp=lambda x, g: g * jnp.nan),
]

@rule
def outer(x):
    return rules[2](x)
outer.defrule(fwd=lambda x: (x**2, x), vjp=lambda x, g: 2 * x * g)

x = jnp.arange(6.0).reshape(2, 3) - 2
rows = rule_check.check(lambda x: [r(x) for r in rules] + [outer(x)], x)
print(*(f"{row.rule}:{row.holds}" for row in rows))
"""


def test_check_finds_planted_faults(tmp_path):
    run = python("-c", PLANTED, cwd=tmp_path)
    assert run.stdout.split() == [
        "right:True",
        "wrong_value:False",
        "wrong_vjp:False",
        "wrong_jvp:False",
        "not_a_number:False",
        "outer:False",  # its truth leans on the wrong rule inside,
        "wrong_vjp:False",  # which has a row of its own
    ], run.stderr


def test_a_rule_that_does_not_hold_stops_the_job(tmp_path):
    plant = "nn.gelu.vjp = lambda res, g, **_: (g,)"
    job = f"import sys, train_digits; from vjpkit import nn; {plant}; sys.exit(train_digits.main(['--check']))"
    run = python("-c", job, cwd=tmp_path)
    assert run.returncode == 1
    wrong = [line.split()[0] for line in run.stdout.splitlines() if line.endswith("WRONG")]
    assert wrong == ["gelu", "gelu"]
    assert "nothing was trained" in run.stderr
    assert not list(tmp_path.iterdir())


def test_bfloat16_computes_layers_in_half_and_keeps_float32_parameters(example):
    learn, hold = example.digits()
    options = example.command().parse_args(["--steps", "10", "--precision", "bfloat16"])
    start = example.initial((64, 16, 16, 10), seed=0)
    batch = next(example.batches(learn, 16, seed=0))
    jaxpr = jax.make_jaxpr(lambda p: example.loss_of(p, *batch, "bfloat16"))(start)
    dtypes = {eqn.primitive.name: eqn.invars[0].aval.dtype for eqn in jaxpr.eqns}
    assert dtypes["dense"] == dtypes["gelu"] == jnp.bfloat16
    assert dtypes["softmax_cross_entropy_with_integer_labels"] == jnp.float32

    mesh = example.row_of_devices(1)
    halves, curve = example.train(options, start, learn, hold, mesh)
    assert {a.dtype for a in jax.tree.leaves(halves)} == {jnp.dtype("float32")}
    options.precision = "float32"
    _, exact = example.train(options, start, learn, hold, mesh)
    np.testing.assert_allclose(curve.batch, exact.batch, rtol=0.05)
    assert curve.batch != exact.batch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--devices 3", "--batch-size 128 cannot be divided evenly over --devices 3"),
        ("--batch-size 100 --devices 8", "--batch-size 100 cannot be divided evenly over --devices 8"),
        ("--batch-size 5000", "--batch-size 5000 is more than the 1437 images"),
        ("--devices 16", "JAX had already started with 8 devices; 16 cannot be simulated any more"),
        ("--steps 0", "argument --steps: expected a whole number of at least 1, got 0"),
        ("--steps many", "argument --steps: invalid whole number value: 'many'"),
        ("--seed -1", "argument --seed: expected a whole number of at least 0, got -1"),
        ("--learning-rate nan", "argument --learning-rate: expected a number above 0, got nan"),
        ("--precision float16", "argument --precision: invalid choice: 'float16'"),
        (f"--out {__file__}", "argument --out: expected a folder, got the file"),
        ("--epochs 3", "unrecognized arguments: --epochs 3"),
    ],
)
def test_what_cannot_be_is_refused_before_training(example, arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        example.main(arguments.split())
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_images_are_divided_the_same_way_every_time_and_none_twice(example):
    learn, hold = example.digits()
    again, _ = example.digits()
    np.testing.assert_array_equal(learn.pixels, again.pixels)
    assert (len(learn.labels), len(hold.labels)) == (1437, 360)
    assert learn.pixels.mean() == pytest.approx(0, abs=1e-4)
    assert learn.pixels.std() == pytest.approx(1, abs=1e-4)


def test_batches_follow_the_seed_and_move_by_one_pixel_at_most(example):
    learn, _ = example.digits()
    first, again, other = (list(islice(example.batches(learn, 480, seed), 3)) for seed in (1, 1, 2))
    np.testing.assert_equal(first, again)
    assert not np.array_equal(first[0][1], other[0][1])
    assert len(first) == 3  # the third begins a second pass: 1437 holds 480 twice
    seen = first[0][0].reshape(-1, 8, 8)[:, 1:-1, 1:-1]  # what no shift can push out of the frame
    for image, label in zip(seen[:5], first[0][1], strict=False):
        places = np.lib.stride_tricks.sliding_window_view(learn.pixels, (6, 6), axis=(1, 2))
        same = (places == image).all((-1, -2)).any((1, 2))
        assert label in learn.labels[same]

"""The language model: the library's layers learn what plain JAX's do, a run goes on where it stopped, devices agree."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = "--steps 8 --batch-size 4 --sequence 29 --layers 2 --width 20 --heads 2 --hidden 24 --vocabulary 300 --sample 9"


@pytest.fixture
def example(monkeypatch):
    """The example, on a few files of the standard library."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import lm_text
    import train_lm

    some = lm_text.standard_library()[:21]
    monkeypatch.setattr(lm_text, "standard_library", lambda: some)
    return train_lm


def last_loss(example, monkeypatch, out, *arguments):
    """The loss of the last step's batch."""
    runs = []
    made = example.Run.__init__

    def remembered(self, *args):
        made(self, *args)
        runs.append(self)

    monkeypatch.setattr(example.Run, "__init__", remembered)
    assert example.main([*SMALL.split(), "--out", str(out), *arguments]) == 0
    return runs[0].curve.batch[-1]


def test_it_learns_what_plain_jax_learns(example, tmp_path, capsys):
    assert example.main([*SMALL.split(), "--baseline", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    ours, plain = (re.search(rf"{name} .* MiB +([\d.]+) nats a token", said)[1] for name in ("vjpkit", "plain JAX"))
    assert float(ours) == pytest.approx(float(plain), abs=2e-3)
    assert re.search(r"^ratio +[\d.]+ × +[\d.]+ ×$", said, re.M)
    assert (tmp_path / "loss.png").exists()
    assert (tmp_path / "sample.txt").read_text(encoding="utf8").startswith("def __init__(self, ")


def test_both_models_have_one_gradient(example):
    model = example.lm_model
    params = model.initial(model.Shape(3, 24, 2, 40, 101), seed=0)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
    tokens = np.random.default_rng(0).integers(101, size=(2, 18))
    ours, plain = (
        jax.jit(jax.grad(lambda p, m=m: model.loss(m, p, tokens, 2)))(params) for m in (model.OURS, model.PLAIN)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)  # jax.nn's softmax is in float32


def test_a_run_goes_on_where_it_stopped(example, monkeypatch, tmp_path):
    whole = last_loss(example, monkeypatch, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints" / "8")
    assert last_loss(example, monkeypatch, tmp_path, "--resume") == whole
    with pytest.raises(SystemExit):
        example.main([*SMALL.split(), "--out", str(tmp_path)])  # which would overwrite checkpoints


def test_four_devices_learn_what_one_learns(example, monkeypatch, tmp_path):
    one = last_loss(example, monkeypatch, tmp_path / "one")
    assert last_loss(example, monkeypatch, tmp_path / "four", "--devices", "4") == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--width 30 --heads 4", "--width 30 is not an even number for each of --heads 4"),
        ("--batch-size 3 --devices 2", "--batch-size 3 cannot be divided evenly over --devices 2"),
        ("--baseline --resume", "there is nothing to --resume"),
        ("--vocabulary 10", "expected a whole number of at least 256, got 10"),
    ],
)
def test_what_cannot_be_is_refused(example, capsys, arguments, message):
    with pytest.raises(SystemExit):
        example.main(arguments.split())
    assert message in capsys.readouterr().err


def test_every_token_has_its_text(example, tmp_path):
    text = example.lm_text.corpus(300, tmp_path)
    some = example.lm_text.standard_library()[1]
    assert text.tokenizer.decode(text.tokenizer.encode(some).ids) == some
    again = example.lm_text.corpus(300, tmp_path)
    np.testing.assert_array_equal(text.learn, again.learn)

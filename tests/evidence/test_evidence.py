"""The three tables' own machinery, on a few rules and functions; the tables themselves come from the commands."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.check.custom import with_vjp
from tests.evidence import accuracy, alarms, mutants, scoreboard
from tests.evidence.faults import FAULTS, HANGS
from tests.evidence.functions import FAMILIES, Function, functions
from tests.evidence.mutations import KINDS, Mutation, respelled
from tests.evidence.spoiled import Subject
from vjpkit.catalogue import CASES
from vjpkit.core import Case, Special, elementwise
from vjpkit.core.draw import normal

TANH = next(case for case in CASES if case.rule.name == "tanh")
DENSE = next(case for case in CASES if case.rule.name == "dense")


# ---------------------------------------------------------------------------------------------- mutants


@pytest.mark.parametrize(
    ("kind", "place", "got"),
    [
        ("drop a term", 0, lambda x, y: x * y),
        ("drop a term", 1, lambda x, y: jnp.sin(x)),
        ("flip a sign", 0, lambda x, y: x * y - jnp.sin(x)),
        ("drop a factor", 1, lambda x, y: y + jnp.sin(x)),
        ("f for f′", 0, lambda x, y: x * y + jnp.cos(x)),
    ],
)
def test_an_equation_is_respelled(kind: str, place: int, got: Any) -> None:
    x, y = jnp.array([0.5, -2.0]), jnp.array([3.0, 0.25])
    spoiled = respelled(jax.jit(lambda x, y: x * y + jnp.sin(x)), kind, place)
    assert jnp.allclose(spoiled(x, y), got(x, y))


def test_every_kind_applies_somewhere() -> None:
    """In these four rules every kind of mutation is found, and every mutant is another function of the same shapes."""
    names = ("dense", "tanh", "softmax", "logsumexp")
    subjects = [Subject(next(c for c in CASES if c.rule.name == name)) for name in names]
    assert {m.kind for s in subjects for m in s.mutations(1)} == set(KINDS)


def test_a_mutant_is_caught_and_an_equivalent_one_is_not() -> None:
    def verdict(case: Any, mutation: Mutation) -> tuple[bool, str]:
        mutant = Subject(case).mutant(mutation)
        return mutants.is_equivalent(case, mutant), mutants.failed(case, mutant, mutation.part)

    assert verdict(TANH, Mutation("vjp", "off by 1e-3", 0)) == (False, "adjoint")
    assert verdict(TANH, Mutation("fwd", "zero a few entries", 0)) == (False, "value")
    assert verdict(DENSE, Mutation("jvp", "|g|", 1)) == (False, "linearity")
    unchanged = mutants.with_rule(TANH, TANH.rule).rule
    assert mutants.is_equivalent(TANH, unchanged)
    assert mutants.failed(TANH, unchanged, "vjp") == ""


def test_a_missed_mutant_is_reported(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(mutants, "failed", lambda case, mutant, part: "")
    monkeypatch.setattr(mutants, "KINDS", ("× 2",))
    monkeypatch.setattr(Subject, "mutations", lambda self, most: iter([Mutation("vjp", "× 2", 0)]))
    assert mutants.main(["tanh"]) == 1
    out = capsys.readouterr().out
    assert "| tanh | 1 missed |" in out
    assert "MISSED: tanh: vjp, × 2, place 0" in out


# ----------------------------------------------------------------------------------------- false alarms


def test_a_name_that_does_not_exist_is_refused(capsys: Any) -> None:
    """A table of nothing would pass."""
    with pytest.raises(LookupError, match="no rule named 'tanj'; did you mean 'tanh'"):
        mutants.main(["tanj"])
    with pytest.raises(SystemExit):
        alarms.main(["no such function"])
    assert "no functions named ['no such function']" in capsys.readouterr().err


def test_the_functions_are_many_and_each_has_one_name() -> None:
    every = list(functions())
    assert len({(f.family, f.name) for f in every}) == len(every)
    counts = {family: sum(f.family == family for f in every) for family in FAMILIES}
    assert counts["jax.nn"] + counts["jax.numpy"] >= 120
    assert set(FAULTS) <= {f.name for f in every}
    assert set(HANGS) == {f.name for f in every if f.without}


def test_a_fault_is_found_and_a_right_function_passes() -> None:
    assert alarms.of_function("reciprocal", "jax.numpy").failures == ()
    (failure, *_) = alarms.of_function("logsumexp, b", "jax.nn").failures
    assert failure.startswith("special, a factor 0")


def test_a_false_alarm_and_a_mended_fault_are_told(monkeypatch: Any, capsys: Any) -> None:
    wrong = Function("jax.nn", "sine", with_vjp(jnp.sin, lambda r, g: (-g * jnp.cos(r[0]),)), (normal(3),))
    monkeypatch.setattr(alarms, "functions", lambda: iter([wrong, Function("jax.nn", "cosine", jnp.cos, (normal(3),))]))
    monkeypatch.setattr(alarms, "FAULTS", {"cosine": "once wrong"})
    monkeypatch.setattr(alarms, "in_parallel", lambda f, calls: [f(*args) for args in calls])
    assert alarms.main(["sine", "cosine"]) == 1
    out = capsys.readouterr().out
    assert "FALSE ALARM? jax.nn: sine" in out
    assert "no fault any more: cosine" in out


# ------------------------------------------------------------------------------------------- scoreboard


def test_scores_of_a_bug_and_of_a_right_function(monkeypatch: Any) -> None:
    asked = {name: ask for name, ask in scoreboard.CHECKERS.items() if name.startswith(("vjpkit", "check_grads"))}
    monkeypatch.setattr(scoreboard, "CHECKERS", asked)
    small = next(item for item in scoreboard.items(()) if item.name == "sign, output 1e-7")
    assert scoreboard.score(small).says == ("caught", "MISSED", "MISSED")
    kink = next(item for item in scoreboard.items(()) if item.name == "relu at 0")
    assert scoreboard.score(kink).says == ("ok", "false alarm", "false alarm")


def test_torch_sees_the_same_function() -> None:
    torch = pytest.importorskip("torch")
    f = scoreboard.torch_function(lambda x, y: [jnp.sin(x) * y], 2, jax.jit)
    x, y = (torch.tensor(np.array(v), requires_grad=True) for v in ([0.5, 1.0], [2.0, 3.0]))
    assert torch.autograd.gradcheck(f, (x, y))
    assert torch.autograd.gradgradcheck(f, (x, y))


# --------------------------------------------------------------------------------------------- accuracy


def test_a_slope_that_loses_digits_is_told_from_one_that_does_not() -> None:
    @elementwise(slope=lambda x: (0.3 * jnp.cos(x)).astype(jnp.float16))
    def sine(x: Any) -> Any:
        return 0.3 * jnp.sin(x)

    with jax.enable_x64(True):
        told = list(accuracy.drawn(Case(sine, (normal(7),)), "float32"))
        right = [*accuracy.drawn(Case(sine, (normal(7),)), "bfloat16"), *accuracy.drawn(TANH, "float32")]
    assert [f.where for f in told] == ["0.001", "1", "1000"]
    assert all(f.worse and f.ours > 100 > f.autodiff for f in told)
    assert not any(f.worse for f in right)


def test_at_special_points_the_case_is_the_truth() -> None:
    @elementwise(slope=lambda x: jnp.where(x == 0, 1.0, jnp.cos(x)))
    def sinc_times_x(x: Any) -> Any:
        return x * (jnp.sin(x) / x)

    special = (
        Special((np.array([0.0, 1.0]),), "0 / 0", cotangents=lambda g: (g * np.array([1.0, np.cos(1.0)]),)),
        Special((np.array([0.1]),), "no float32 is that number", cotangents=lambda g: (g * np.nan,)),
    )
    with jax.enable_x64(True):
        (found,) = accuracy.special(Case(sinc_times_x, (normal(3),), special=special), "float32")
    assert found.ours < 1
    assert found.autodiff == np.inf

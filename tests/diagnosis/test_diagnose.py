"""The call, what it answers, and that it never guesses."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from tests.diagnosis.drawing import drawn
from tests.evidence.confusion import random_rule
from vjpkit import diagnose
from vjpkit.check import CheckError, check_vjp
from vjpkit.check.diagnosis import CAUSES, Finding

X, W, B = drawn(3, 5), drawn(5, 7), drawn(7)


def layer(x: Any, w: Any, b: Any) -> Any:
    z = x @ w + b
    return jnp.tanh(z)


def wrong_w(g: Any, x: Any, w: Any, b: Any) -> Any:
    d = g * (1 - jnp.tanh(x @ w + b) ** 2)
    return d @ w.T, -(x.T @ d), d.sum(0)


def test_a_finding_says_everything() -> None:
    said = diagnose(layer, wrong_w, X, W, B)
    finding = said.findings[0]
    assert (finding.argument, finding.argument.name, finding.argument.position) == ("w", "w", 1)
    assert finding.cause == "sign"
    assert finding.confirmed
    assert finding.residual < 1e-6
    assert finding.fix
    assert "`w`" in finding.message
    assert said.right == ["x", "b"]
    assert [f.argument for f in said.findings] == ["w"]


def test_text_data_and_picture(tmp_path: Any) -> None:
    said = diagnose(layer, wrong_w, X, W, B)
    data = json.loads(json.dumps(said.to_dict()))
    assert data["findings"][0]["argument"] == {"name": "w", "position": 1}
    assert "sign" in str(said)
    pytest.importorskip("matplotlib").use("Agg")
    said.picture(tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 0


def test_forward_mode() -> None:
    def f(x: Any, w: Any) -> Any:
        return jnp.sin(x @ w)

    def candidate(dots: Any, x: Any, w: Any) -> Any:
        return jnp.cos(x @ w) * (dots[0] @ w)

    said = diagnose(f, candidate, X, W, kind="jvp")
    assert (said.findings[0].argument, said.findings[0].cause) == ("w", "zero")


def test_pytrees_integers_and_static_options() -> None:
    def f(params: Any, i: Any, *, power: int) -> Any:
        return params["table"][i] ** power * params["scale"]

    def candidate(g: Any, params: Any, i: Any) -> Any:
        rows = params["table"][i]
        table = jnp.zeros_like(params["table"]).at[i].set(g * 2 * rows * params["scale"])
        return {"scale": jnp.sum(g * rows**2), "table": table}, None

    args = {"table": drawn(5, 3), "scale": np.float64(1.5)}, np.array([0, 2, 0, 4])
    said = diagnose(f, candidate, *args, static={"power": 2})
    assert said.findings[0].cause == "overwritten_for_accumulated"
    assert said.findings[0].argument == "params['table']"
    assert said.findings[0].argument.position == 0


def test_a_rule_and_a_function_with_custom_rules() -> None:
    @jax.custom_vjp
    def f(x: Any, w: Any) -> Any:
        return jax.nn.softplus(x @ w)

    def backward(res: Any, g: Any) -> Any:
        x, w = res
        return g @ w.T, x.T @ (g * jax.nn.sigmoid(x @ w))

    f.defvjp(lambda x, w: (f(x, w), (x, w)), backward)
    said = diagnose(f, X, W)
    assert (said.findings[0].argument, said.findings[0].cause) == ("x", "missing_slope")
    assert diagnose(vjpkit.nn.gelu, X).causes == ["correct"]


@pytest.mark.parametrize("kind", ["custom_vjp", "rule"])
def test_the_sum_of_a_bias_that_a_rule_forgets(kind: str) -> None:
    """JAX and this library refuse such a cotangent for its shape; the diagnosis looks at what the formula returns."""

    def dense(x: Any, w: Any, b: Any) -> Any:
        return x @ w + b

    def fwd(x: Any, w: Any, b: Any) -> Any:
        return dense(x, w, b), (x, w)

    def bwd(res: Any, g: Any) -> Any:
        x, w = res
        return g @ w.T, x.T @ g, g

    made: Any = jax.custom_vjp(dense) if kind == "custom_vjp" else vjpkit.rule(dense)
    _ = made.defvjp(fwd, bwd) if kind == "custom_vjp" else made.defrule(fwd=fwd, vjp=bwd)
    said = diagnose(made, X, W, B)
    assert (said.findings[0].cause, said.findings[0].argument.name) == ("missing_sum", "b")
    assert said.right == ["x", "w"]


def test_a_rule_that_is_wrong_where_two_values_tie() -> None:
    """Every maximum gets all of g. A formula that is right but there is right; a rule meets ties."""

    def formula(g: Any, x: Any) -> Any:
        return g[:, None] * (x == x.max(-1, keepdims=True))

    largest = jax.custom_vjp(lambda x: x.max(-1))
    largest.defvjp(lambda x: (x.max(-1), x), lambda x, g: (formula(g, x),))
    said = diagnose(largest, X)
    assert (said.findings[0].argument, said.findings[0].cause) == ("x", "missing_factor")
    said = diagnose(lambda x: x.max(-1), formula, X)
    assert said.causes == ["correct"]
    assert "tie" in said.notes[0]


def test_an_argument_that_is_none() -> None:
    def f(x: Any, scale: Any, where: Any) -> Any:
        return jnp.where(where, jnp.sin(x), 0.0) * (1.0 if scale is None else scale)

    assert diagnose(f, X, None, X > 0).causes == ["correct"]


def test_the_stage_of_a_chain() -> None:
    stages = [
        (lambda x: W.T[:5] @ x, lambda g, x: W.T[:5].T @ g),
        (jnp.tanh, lambda g, x: g * jnp.tanh(x)),
    ]
    said = diagnose(stages, drawn(5))
    assert (said.findings[0].stage, said.findings[0].cause) == (1, "value_for_slope")


@pytest.mark.parametrize("seed", range(4))
def test_a_random_rule_is_unexplained(seed: int) -> None:
    f, candidate, args = random_rule(seed)
    said = diagnose(f, candidate, *args, seed=seed, seconds=2)
    assert said.causes == ["unexplained"]
    assert "entries differ" in said.report["x"]


def test_a_failed_check_carries_the_diagnosis() -> None:
    report = check_vjp(layer, wrong_w, "b i", "i o", "o", checks=("reverse",))
    assert report.diagnosis is not None
    assert report.diagnosis.findings[0].cause == "sign"
    assert "diagnosis: sign" in str(report)
    with pytest.raises(AssertionError, match="diagnosis: sign"):
        report.raise_if_failed()
    assert json.loads(report.to_json())["diagnosis"]["findings"][0]["cause"] == "sign"


def test_a_check_that_passes_has_none() -> None:
    right = check_vjp(jnp.sin, lambda g, x: g * jnp.cos(x), "i", checks=("reverse",))
    assert right.diagnosis is None
    assert "diagnosis" not in vars(right)["seconds"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((layer, wrong_w), "no arguments"),
        ((lambda i: i, lambda g, i: g, np.arange(3)), "no argument can be differentiated"),
        ((lambda x: x > 0, lambda g, x: g, X), "its output is no float"),
        ((lambda x: x @ x, lambda g, x: g, X), "itself fails"),
        (([lambda x: x], X), "a chain is"),
    ],
)
def test_a_wrong_question(args: Any, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        diagnose(*args)


def test_a_wrong_kind() -> None:
    with pytest.raises(CheckError, match="kind"):
        diagnose(layer, wrong_w, X, W, B, kind="hvp")


def test_every_cause_that_is_named_is_listed() -> None:
    assert {f.cause for f in diagnose(layer, wrong_w, X, W, B).findings} <= set(CAUSES)
    assert Finding.__doc__ is not None

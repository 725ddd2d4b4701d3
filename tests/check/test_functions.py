"""Anybody's functions: custom rules of JAX and its neighbours, models, pytrees, control flow. No false alarm."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from tests.check.custom import with_jvp, with_vjp
from vjpkit.check import check
from vjpkit.core.draw import integers, normal, probabilities, uniform


def recurrent(w: Any, x: Any) -> Any:
    return jax.lax.scan(lambda h, a: (jnp.tanh(h + a @ w), jax.nn.relu(h)), jnp.zeros_like(x[0] @ w), x)


def branch(x: Any) -> Any:
    return jax.lax.cond(x.sum() > 0, jax.nn.silu, jax.nn.softplus, x)


def loop(x: Any) -> Any:
    return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1]


FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "relu": (jax.nn.relu, (normal(3, 5),)),
    "softmax": (jax.nn.softmax, (normal(3, 5),)),
    "log_softmax": (jax.nn.log_softmax, (normal(3, 5),)),
    "logsumexp": (jax.nn.logsumexp, (normal(3, 5),)),
    "gather": (lambda x, i: x[i], (normal(5, 3), integers(7, high=5))),
    "power": (jnp.power, (uniform(3, 5, low=0.2, high=3.0), normal(5))),
    "cholesky": (lambda x: jnp.linalg.cholesky(x @ x.T + 5 * jnp.eye(3, dtype=x.dtype)), (normal(3, 5),)),
    "complex": (lambda z: jnp.exp(z) * jnp.conj(z), (jnp.array([1 + 2j, 0.5 - 1j]),)),
    "fft": (lambda x: jnp.fft.rfft(x), (normal(7),)),
    "x.at": (lambda x: x.at[1].set(0), (normal(5, 3),)),
    "sort": (jnp.sort, (normal(3, 5),)),
    "scan": (recurrent, (normal(5, 5), normal(7, 3, 5))),
    "cond": (branch, (normal(7),)),
    "while": (loop, (normal(7),)),
    "checkpoint": (jax.checkpoint(lambda x: jax.nn.gelu(x @ x.T)), (normal(3, 5),)),
    "pytree": (lambda p: {"a": p["w"] * 2, "b": [p["w"].sum()]}, ({"w": normal(3)},)),
    "log at 1e-5": (jnp.log, (jnp.array([1e-5, 2e-5]),)),
    "exp far out": (lambda x: jnp.exp(x + 20), (normal(5),)),
    "bfloat16": (jnp.sin, (jnp.array([1.0, 2.0], jnp.bfloat16),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_jax(name: str) -> None:
    fn, args = FUNCTIONS[name]
    report = check(fn, *args)
    assert report.ok, str(report)
    assert any(r.check in ("reverse", "forward") for r in report.results)


def test_a_mode_that_does_not_exist_is_not_a_failure() -> None:
    report = check(loop, normal(7), checks=("structure", "reverse", "forward"))
    assert report.ok
    assert any(g.check == "reverse" for g in report.gaps)


def test_keys_are_not_differentiated() -> None:
    def dropout(key: Any, x: Any) -> Any:
        return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x, 0)

    report = check(dropout, jax.random.key(0), normal(7))
    assert report.ok, str(report)


@pytest.mark.parametrize("loss", ["huber_loss", "softmax_cross_entropy", "sigmoid_binary_cross_entropy"])
def test_a_loss_of_optax(loss: str) -> None:
    optax = pytest.importorskip("optax")
    report = check(getattr(optax, loss), normal(3, 5), probabilities(3, 5))
    assert report.ok, str(report)


def test_a_module_of_flax() -> None:
    linen = pytest.importorskip("flax.linen")
    model = linen.Dense(3)
    x = jnp.linspace(0, 1, 10, dtype=jnp.float32).reshape(2, 5)
    report = check(model.apply, model.init(jax.random.key(0), x), x, checks=("reverse", "forward", "adjoint"))
    assert report.ok, str(report)
    assert {r.argument for r in report.results if r.check == "reverse"} >= {"variables['params']['kernel']"}


def test_a_module_of_equinox() -> None:
    equinox = pytest.importorskip("equinox")
    model = equinox.nn.MLP(3, 2, 5, 1, key=jax.random.key(0))
    report = check(lambda model, x: model(x), model, normal(3), checks=("reverse", "forward", "adjoint"))
    assert report.ok, str(report)


def test_a_function_that_hangs_on_what_is_no_number_is_not_asked() -> None:
    """LAPACK's singular vectors of an infinite matrix never return; the value there is NaN already."""
    report = check(lambda x: jnp.linalg.svd(x, compute_uv=False), normal(2, 3), checks=("extremes",))
    assert report.ok, str(report)
    assert any(g.what == "one entry +inf" for g in report.gaps)


def test_a_second_derivative_that_does_not_compile() -> None:
    """It is traced without complaint, for only the compiler finds that nothing has this name."""

    def missing(x: Any) -> Any:
        return jax.ffi.ffi_call("no_such_function", jax.ShapeDtypeStruct(x.shape, x.dtype))(x)

    cosine = with_jvp(jnp.cos, lambda p, t: t[0] * missing(p[0]))
    sine = with_jvp(jnp.sin, lambda p, t: t[0] * cosine(p[0]))
    report = check(sine, normal(3), checks=("forward", "second order"))
    assert [f.check for f in report.failures] == ["second order"]
    assert "no_such_function" in report.failures[0].what


def test_a_jacobian_of_a_billion_entries_is_never_formed() -> None:
    """40,000 numbers to 40,000 numbers: 1.6e9 entries, 12 GB; one wrong number among them is seen all the same."""
    right = with_vjp(jnp.sin, lambda r, g: (g * jnp.cos(r[0]),))
    wrong = with_vjp(jnp.sin, lambda r, g: ((g * jnp.cos(r[0])).at[31_234].multiply(1 + 1e-6),))
    assert check(right, normal(40_000)).ok
    failures = check(wrong, normal(40_000), checks=("reverse",)).failures
    assert [f.cause for f in failures] == ["the rule is right but for 1 of 40000 entries"]

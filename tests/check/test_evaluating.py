"""Programs that NumPy evaluates: the numbers of XLA, and XLA has the last word where something seems wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import check, nn
from vjpkit.check import arithmetic, evaluating
from vjpkit.check.compiling import Evaluated, Program
from vjpkit.check.evaluating import Evaluation, TooLong, length

EPS = np.finfo(float).eps
X = np.linspace(-1.5, 1.25, 15).reshape(3, 5)


def _newton(x: jax.Array) -> jax.Array:
    return jax.lax.while_loop(lambda s: jnp.any(s[0] < 3), lambda s: (s[0] + 1, s[1] - s[1] ** 3 * x), (0, x))[1]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "scan": lambda x: jax.lax.scan(lambda c, a: (jnp.tanh(c + a), c * a), x[0], x),
    "scan backwards": lambda x: jax.lax.scan(lambda c, a: (c - a, c * a), x[0], x, reverse=True),
    "scan of nothing": lambda x: jax.lax.scan(lambda c, a: (c - a, c), x[0], x[:0]),
    "while": _newton,
    "cond": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
    "switch, index beyond the last": lambda x: jax.lax.switch(7, [jnp.sin, jnp.cos, jnp.exp], x),
    "checkpoint of a gradient": jax.grad(lambda x: jax.checkpoint(lambda x: jnp.sum(jnp.exp(x) ** 2))(x)),
    "a rule and its maps": jax.grad(lambda x: nn.softmax(x)[1, 2]),
    "dynamic slices": lambda x: jax.lax.dynamic_update_slice(x, jax.lax.dynamic_slice(x, (2, 7), (2, 2)), (-9, 1)),
    "gather and scatter": jax.grad(lambda x: jnp.sum(x[jnp.array([0, 2, 0])] ** 3)),
    "sort": lambda x: jnp.sort(x, axis=0),
    "split": lambda x: jnp.split(x, [1, 4], axis=1),
    "a barrier": lambda x: jax.lax.optimization_barrier((x, x[0], x + 1)),
    "the first of several that are equal": lambda x: (jnp.argmax(jnp.round(x), 0), jnp.argmin(x > 0, 1)),
    "integers": lambda x: (jnp.arange(7) % 3).sum() + jnp.argmax(x, 1) ^ 5,
    "complex to real": lambda x: jax.lax.convert_element_type_p.bind(
        (1 + 2j) * x, new_dtype=x.dtype, weak_type=False, sharding=None
    ),
    "a key": lambda x: x + jax.random.normal(jax.random.key(3), x.shape),
    "a solve": lambda x: jnp.linalg.solve(x.T @ x + jnp.eye(5), x.T),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_gives_what_xla_gives(name: str) -> None:
    f = FUNCTIONS[name]
    traced = jax.jit(f).trace(X)
    got = Evaluation()(traced.jaxpr, [X])
    for a, b in zip(got, jax.tree.leaves(jax.jit(f)(X)), strict=True):
        largest = np.max(np.abs(b), initial=0)
        assert np.max(np.abs(a - b), initial=0) <= 50 * EPS * largest  # sums of at most 35 terms, a solve, a normal
        assert np.asarray(a).dtype == b.dtype


@pytest.mark.parametrize("name", ["exp", "log1p", "expm1", "tanh", "asinh", "logistic", "rsqrt", "cbrt", "log"])
def test_numpy_is_exact_in_the_tails(name: str) -> None:
    """(1 + tanh ½x) / 2 has lost every digit at x = −40: a rule that has them all would be called wrong."""
    x = np.concatenate([-np.logspace(-9, 2.8, 40), np.logspace(-9, 2.8, 40)])
    x = x if name not in ("log1p", "rsqrt", "log") else abs(x)
    with np.errstate(all="ignore"):
        got = arithmetic._ELEMENTWISE[name](x)
    np.testing.assert_allclose(got, getattr(jax.lax, name)(x), rtol=2e-15)


def test_the_length_counts_every_step() -> None:
    body = jax.jit(lambda x: jax.lax.scan(lambda c, a: (jnp.sin(c) * a, None), x[0], x)[0]).trace(X)
    longer = jax.jit(lambda x: jax.lax.scan(lambda c, a: (jnp.sin(c) * a, None), x[0], x)[0]).trace(np.ones((60, 5)))
    assert length(longer.jaxpr) - length(body.jaxpr) == 2 * 57


def test_a_long_loop_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(x: Any) -> Any:
        return jax.lax.fori_loop(0, 100, lambda i, x: x / 2, x)

    monkeypatch.setattr(evaluating, "MOST", 50)
    with pytest.raises(TooLong):
        Evaluation()(jax.jit(halved).trace(X).jaxpr, [X])
    np.testing.assert_array_equal(Evaluated(halved, calls=1)(X), X / 2**100)


def test_a_program_with_an_operation_that_cannot_stand_alone_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(Evaluation, "operation", refuses)
    np.testing.assert_array_equal(Evaluated(jnp.sin, calls=1)(X), Program(jnp.sin)(X))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_narrower_than_float64_is_compiled(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(arithmetic._ELEMENTWISE, "sin", np.cos)
    x = X.astype(dtype)
    np.testing.assert_array_equal(Evaluated(jnp.sin, calls=1)(x), Program(jnp.sin)(x))


def test_a_program_that_was_compiled_stays_with_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Evaluated(jnp.sin, calls=1)
    np.testing.assert_array_equal(program(X, compiled=True), Program(jnp.sin)(X))
    monkeypatch.setitem(arithmetic._ELEMENTWISE, "sin", np.cos)
    np.testing.assert_array_equal(program(X), Program(jnp.sin)(X))


def test_xla_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's cosh is made wrong: only the second derivatives' and the transformations' programs have one."""
    f = jax.custom_vjp(jnp.cosh)
    f.defvjp(lambda x: (jnp.cosh(x), x), lambda x, g: (g * jnp.sinh(x),))
    monkeypatch.setitem(arithmetic._ELEMENTWISE, "cosh", np.exp)
    report = check(f, X, reference=lambda x: (jnp.exp(x) + jnp.exp(-x)) / 2, checks=("second order", "transformations"))
    assert report.ok, str(report)
    assert {r.check for r in report.results if r.verdict == "pass"} == {"second order", "transformations"}


def test_xla_has_the_last_word_on_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right rule of cosh is held against a reference that NumPy takes for another function."""
    f = jax.custom_vjp(lambda x: (jnp.exp(x) + jnp.exp(-x)) / 2)
    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * (jnp.exp(x) - jnp.exp(-x)) / 2,))
    monkeypatch.setitem(arithmetic._ELEMENTWISE, "cosh", np.exp)
    report = check(f, X, reference=jnp.cosh, checks=("value", "reverse"))
    assert report.ok, str(report)


def test_a_reference_without_reverse_mode_cannot_be_asked_again() -> None:
    """Its cotangents are made of columns; where they differ there is nothing that XLA could say."""

    def doubled(x: Any) -> Any:
        return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, 2 * s[1]), (0, x))[1]

    f = jax.custom_vjp(doubled)
    f.defvjp(lambda x: (doubled(x), ()), lambda _, g: (7 * g,))
    report = check(f, X, checks=("reverse",))
    assert [finding.check for finding in report.failures] == ["reverse"], str(report)

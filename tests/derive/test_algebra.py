"""The formulas that write_rule writes are the ones in the books: constants gathered, quotients by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import write_rule
from vjpkit.derive.algebra import RULES, shortened
from vjpkit.derive.program import constant, equations_of, unfold
from vjpkit.derive.writing import executed

Array = jax.Array
X, Y = (jax.random.normal(jax.random.key(k), (3, 5)) for k in range(2))


def softmax(x: Array) -> Array:
    e = jnp.exp(x)
    return e / e.sum(-1, keepdims=True)


def rms_norm(x: Array) -> Array:
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def centred(x: Array) -> Array:
    return x - x.mean(-1, keepdims=True)


WRITTEN: tuple[tuple[Callable[..., Any], tuple[Any, ...], tuple[str, ...]], ...] = (
    (
        softmax,
        (X,),
        ("ratio = g / total[:, None]", "ratio - (e / total[:, None] * ratio).sum(-1, keepdims=True)"),
    ),
    (rms_norm, (X,), ("g * r - 0.2 * (x * (r**3 * (x * g).sum(-1, keepdims=True)))",)),
    (centred, (X,), ("return g - g.mean(-1, keepdims=True)",)),
    (lambda x: 0.5 * jnp.sum(x * x), (X,), ("return x * g",)),
    (lambda x, y: x * x / y, (X, Y), ("2.0 * (x * ratio)", "-(x * x / y * ratio)")),
    (lambda x: jnp.where(jnp.tril(jnp.ones((3, 5), bool), 1), x, 0), (X,), ("jnp.tri(3, 5, 1, dtype=bool)",)),
)


@pytest.mark.parametrize(("f", "args", "lines"), WRITTEN, ids=[str(k) for k in range(len(WRITTEN))])
def test_the_reverse_rule_is_the_one_in_the_books(f: Callable[..., Any], args: Any, lines: tuple[str, ...]) -> None:
    source = write_rule(f, *args, name="f")
    for line in lines:
        assert line in source


def test_what_does_not_fit_in_one_line_is_returned_by_name() -> None:
    def block(x: Array, w1: Array, w2: Array, w3: Array) -> Array:
        return jnp.tanh(jnp.tanh(x @ w1) @ w2) @ w3

    shapes = ((2, 3, 5), (5, 7), (7, 5), (5, 11))
    source = write_rule(block, *(jax.random.normal(jax.random.key(k), s) for k, s in enumerate(shapes)))
    assert "    return x_bar, w1_bar, w2_bar, w3_bar\n" in source
    executed(source, "block")


# ------------------------------------------------------------------------------------------------- rules

SAME: dict[str, tuple[Callable[..., Any], str]] = {
    "(2 a) (3 b)": (lambda a, b: (2 * a) * (3 * b), "mul mul"),
    "(−a) (−b)": (lambda a, b: (-a) * (-b), "mul"),
    "2 (3 a)": (lambda a, b: 2 * (3 * a), "mul"),
    "−(−a)": (lambda a, b: jnp.negative(-a), "copy"),
    "3 (2 / a)": (lambda a, b: 3 * (2 / a), "div"),
    "(2 / a) b": (lambda a, b: (2 / a) * b, "div mul"),
    "(1 / a) b": (lambda a, b: (1 / a) * b, "div"),
    "(2 a) / (4 b)": (lambda a, b: (2 * a) / (4 * b), "div mul"),
    "a / √, thrice": (lambda a, b: jax.lax.rsqrt(a) / a, "integer_pow"),
    "a + a": (lambda a, b: a + a, "mul"),
    "a + −2 b": (lambda a, b: a + (-2 * b), "mul sub"),
    "−a + b": (lambda a, b: -a + b, "sub"),
    "a − −b": (lambda a, b: a - (-b), "add"),
    "Σ 2 a": (lambda a, b: jnp.sum(2 * a, 0), "reduce_sum mul"),
    "(−a)ᵀ": (lambda a, b: (-a).T, "transpose neg"),
}


@pytest.mark.parametrize("name", SAME)
def test_each_rule_has_the_same_result_in_the_equations_that_it_says(name: str) -> None:
    f, ops = SAME[name]
    a, b = abs(X) + 0.5, Y
    program = unfold(jax.make_jaxpr(f)(a, b))
    *before, last = program.equations
    makers = {v: eqn for eqn in before for v in eqn.outputs}
    shorter = shortened(last, makers)
    assert shorter is not None
    assert " ".join(eqn.op for eqn in shorter) == ops
    values: dict[Any, Any] = dict(zip(program.inputs, (a, b), strict=True))
    for eqn in [*before, *shorter]:
        out = eqn.apply(*(v.constant if v.constant is not None else values[v] for v in eqn.inputs))
        values.update(zip(eqn.outputs, out, strict=True))
    np.testing.assert_allclose(values[last.outputs[0]], f(a, b), rtol=1e-6)


def test_what_has_no_shorter_form_stays() -> None:
    for f in (lambda a, b: a * b, lambda a, b: a - b, lambda a, b: -a, lambda a, b: a / 3.0, lambda a, b: 2.0 * a):
        (eqn,) = unfold(jax.make_jaxpr(f)(X, Y)).equations
        assert eqn.op in RULES
        assert shortened(eqn, {}) is None


def test_integers_stay() -> None:
    one = constant(np.int32(1))
    (eqn,), _ = equations_of(jax.lax.add, one, one)
    assert shortened(eqn, {}) is None

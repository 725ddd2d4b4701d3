"""Shapes that are drawn: distinct primes, any number of leading axes, any axis; value, both maps, against autodiff."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vjpkit import losses, nn
from vjpkit.check.compiling import jit
from vjpkit.core import Rule

from .truth import Problem, assert_all_close, assert_close, vjp

PRIMES = (2, 3, 5, 7, 11, 13)

drawn = settings(  # no shrinking: each example is compiled, and small as it is
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def dimensions(at_least: int, at_most: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Between so many and so many distinct primes."""
    orders = st.permutations(PRIMES)
    return st.tuples(orders, st.integers(at_least, at_most)).map(lambda drawn: tuple(drawn[0][: drawn[1]]))


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng((seed, *shape)).normal(size=shape))


def check(rule: Rule, *args: Any, **static: Any) -> None:
    p = Problem(rule, args, static)
    u, g = p.direction(1), p.cotangent(2)
    run = jit(lambda x, u, g: [(f(*x), jax.jvp(f, x, u)[1], vjp(f, x, g)) for f in (p.ours, p.plain)])
    (y, dot, bars), (want_y, want_dot, want_bars) = run(p.x, u, g)
    assert_close(y, want_y, f"{rule.name}: value")
    assert_close(dot, want_dot, f"{rule.name}: tangent")
    assert_all_close(bars, want_bars, p, "cotangent of")


@drawn
@given(dimensions(2, 5))
def test_dense(shape: tuple[int, ...]) -> None:
    *rows, i, o = shape
    check(nn.dense, normal(*rows, i), normal(i, o), normal(o))


@drawn
@given(dimensions(2, 3))
def test_affine(shape: tuple[int, ...]) -> None:
    o, i, *columns = shape
    check(nn.affine, normal(o, i), normal(i, *columns), normal(o))


@st.composite
def subscripts(draw: st.DrawFn) -> str:
    """Two operands over letters that each stand in one or both, an output that keeps or sums each, all in any order."""
    letters = draw(st.permutations("abcde"))[: draw(st.integers(1, 5))]
    places = [draw(st.sampled_from(("left", "right", "both"))) for _ in letters]
    kept = [draw(st.booleans()) for _ in letters]
    left = [a for a, p in zip(letters, places, strict=True) if p != "right"]
    right = [a for a, p in zip(letters, places, strict=True) if p != "left"]
    out = [a for a, k in zip(letters, kept, strict=True) if k]
    return f"{''.join(left)},{''.join(draw(st.permutations(right)))}->{''.join(draw(st.permutations(out)))}"


@settings(drawn, max_examples=15)
@given(subscripts())
def test_einsum(pattern: str) -> None:
    sizes = dict(zip("abcde", PRIMES, strict=False))
    left, right = pattern.split("->")[0].split(",")
    check(nn.einsum, *(normal(*(sizes[a] for a in letters)) for letters in (left, right)), subscripts=pattern)


@st.composite
def shape_and_axis(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = draw(dimensions(1, 4))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@drawn
@given(shape_and_axis())
def test_softmax(drawn: tuple[tuple[int, ...], int]) -> None:
    shape, axis = drawn
    check(nn.softmax, normal(*shape), axis=axis)


@drawn
@given(shape_and_axis())
def test_log_softmax(drawn: tuple[tuple[int, ...], int]) -> None:
    shape, axis = drawn
    check(nn.log_softmax, normal(*shape), axis=axis)


@drawn
@given(shape_and_axis(), st.booleans())
def test_logsumexp(drawn: tuple[tuple[int, ...], int], keepdims: bool) -> None:
    shape, axis = drawn
    check(nn.logsumexp, normal(*shape), axis=axis, keepdims=keepdims)


@drawn
@given(dimensions(1, 4))
def test_elementwise_losses(shape: tuple[int, ...]) -> None:
    a, b = normal(*shape), normal(*shape, seed=1)
    for loss in (losses.squared_error, losses.l2_loss, losses.sigmoid_binary_cross_entropy):
        check(loss, a, b)


@drawn
@given(dimensions(1, 3))
def test_half_mean_squared_error(shape: tuple[int, ...]) -> None:
    check(losses.half_mean_squared_error, normal(*shape), normal(*shape, seed=1))


@drawn
@given(shape_and_axis())
def test_softmax_cross_entropies(drawn: tuple[tuple[int, ...], int]) -> None:
    shape, axis = drawn
    rest = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    labels = np.random.default_rng(1).integers(0, shape[axis], rest)
    check(losses.softmax_cross_entropy, normal(*shape), jax.nn.softmax(normal(*shape, seed=1), axis), axis=axis)
    check(losses.softmax_cross_entropy_with_integer_labels, normal(*shape), jnp.asarray(labels), axis=axis)

"""Written rules: that they are right is checked before they are handed over; here, that they read and behave well."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from tests.evidence import layers
from vjpkit import nn
from vjpkit.core.draw import normal
from vjpkit.derive import DeriveError, write_rule


def k(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


def module(source: str) -> dict[str, Any]:
    """The names that a source defines."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(source, scope)
    return scope


DENSE = '''\
"""A rule for dense, written by vjpkit.write_rule."""

import jax
import jax.numpy as jnp

from vjpkit import rule


@rule
def dense(x: jax.Array, w: jax.Array, b: jax.Array):
    """dense, as traced at x float32[2, 3], w float32[3, 5], b float32[5]."""
    return x @ w + b


def dense_fwd(x, w, b):
    return x @ w + b, (x, w)


def dense_jvp(res, x_dot, w_dot, b_dot):
    x, w = res
    return x_dot @ w + x @ w_dot + b_dot


def dense_vjp(res, g):
    x, w = res
    return g @ w.T, x.T @ g, g.sum(0)


dense.defrule(fwd=dense_fwd, jvp=dense_jvp, vjp=dense_vjp)
'''


def test_a_dense_layer_reads_as_by_hand() -> None:
    assert write_rule(layers.dense, k(2, 3), k(3, 5), k(5)) == DENSE


def test_where_the_jacobian_is_diagonal_one_slope_is_kept() -> None:
    source = write_rule(jax.nn.gelu, k(3, 5))
    assert "(slope,) = res\n    return slope * x_dot" in source
    assert "(slope,) = res\n    return slope * g" in source
    assert "return jnp.where(mask, g, 0.0)" in write_rule(jax.nn.relu, k(3, 5))


def test_names_are_those_of_the_source() -> None:
    source = write_rule(layers.attention, k(2, 3, 5), k(2, 7, 5), k(2, 7, 5))
    assert "scores = (q @ k.mT) / jnp.sqrt(5.0)" in source
    assert "p_dot @ v + p @ v_dot" in source
    assert "p.mT @ g" in source


def test_no_line_is_long() -> None:
    source = write_rule(layers.gru, *(k(*s) for s in ((2, 5), (2, 3), (3, 15), (5, 15))))
    assert max(map(len, source.splitlines())) <= 120


def test_trees_keep_their_form() -> None:
    params = [{"w": k(3, 5), "b": k(5)}, {"w": k(5, 7), "b": k(7)}]
    scope = module(write_rule(layers.network, params, k(2, 3), name="made"))
    loss = lambda f: jax.grad(lambda p: jnp.sin(f(p, k(2, 3))).sum())(params)  # noqa: E731
    got, want = loss(scope["made"]), loss(layers.network)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_written_rule_is_a_rule() -> None:
    scope = module(write_rule(layers.softmax, k(3, 5), name="written"))
    x, g = k(3, 5), k(5, 3).T
    assert isinstance(scope["written"], vjpkit.Rule)
    y, res = scope["written_fwd"](x)
    np.testing.assert_allclose(y, jax.nn.softmax(x), rtol=1e-5)
    (want,) = jax.vjp(jax.nn.softmax, x)[1](g)
    np.testing.assert_allclose(scope["written_vjp"](res, g), want, rtol=1e-4, atol=1e-6)
    assert y.dtype == jnp.float32
    assert scope["written_jvp"](res, g).dtype == jnp.float32
    batched = jax.vmap(jax.grad(lambda x: (scope["written"](x) ** 2).sum()))(jnp.stack([x, 2 * x]))
    assert batched.shape == (2, 3, 5)


def test_a_rule_of_this_library_is_written_from_its_primal() -> None:
    source = write_rule(nn.softmax, normal(3, 5), axis=0)
    assert "vjpkit.nn" not in source.partition("from vjpkit import rule")[2]
    assert ".sum(0" in source
    assert "def l2_normalize(" in write_rule(nn.l2_normalize, "b i")


def test_half_precision_is_kept() -> None:
    scope = module(write_rule(layers.rms_norm, k(3, 5).astype(jnp.bfloat16), k(5).astype(jnp.bfloat16), name="half"))
    assert scope["half"](k(3, 5).astype(jnp.bfloat16), k(5).astype(jnp.bfloat16)).dtype == jnp.bfloat16


SAMPLE = (
    *("recurrent", "linear_recurrence", "switched", "exponential_average", "convolution", "embedding", "scattered"),
    *("batch_norm", "cross_entropy", "two_outputs", "average_pool", "rotary"),
)
ROWS = {fn.__name__: (fn, args) for fn, args in layers.layers()}


@pytest.mark.parametrize("name", SAMPLE)
def test_layers(name: str) -> None:
    """`write_rule` checks what it writes; a failure there is a failure here."""
    fn, args = ROWS[name]
    assert f"def {name}_vjp(res, g):" in write_rule(fn, *args)


def closing(x: jax.Array) -> jax.Array:
    return x @ jnp.asarray(np.arange(195.0).reshape(13, 15))


def looping(x: jax.Array) -> jax.Array:
    return jax.lax.while_loop(lambda v: v.sum() < 10, lambda v: v * 2, x)


def opaque(x: jax.Array) -> Any:
    return jnp.linalg.eigh(x + x.T)[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: write_rule(3, k(2)), "expected a function, got int"),
        (lambda: write_rule(jnp.sin), "needs arguments to be traced at"),
        (lambda: write_rule(jnp.sin, jnp.arange(3)), "no argument of sin is a float"),
        (lambda: write_rule(jnp.argmax, k(3)), "argmax returns no float"),
        (lambda: write_rule(jnp.matmul, k(2, 3), k(2, 3)), r"itself fails at a float32\[2, 3\]"),
        (lambda: write_rule(jnp.sin, k(3), name="two words"), "cannot be a rule's name"),
        (lambda: write_rule(closing, k(2, 13)), r"closes over an array \[13, 15\].*make it an argument"),
        (lambda: write_rule(looping, jnp.ones(3)), r"while has no reverse mode here \(at test_write_rule.py:\d+\)"),
        (lambda: write_rule(opaque, k(3, 3)), r"the operation eigh of float64.* is not covered"),
    ],
)
def test_what_is_refused(call: Callable[[], str], message: str) -> None:
    with pytest.raises(DeriveError, match=message):
        call()


def test_functions_without_a_name_get_one() -> None:
    assert "def f_vjp(res, g):" in write_rule(lambda x: jnp.sin(x) * x, k(3))
    assert "def silu_vjp(res, g):" in write_rule(functools.partial(jax.nn.silu), k(3))
    assert "def softmax_vjp" in write_rule(layers.softmax, normal(3, 5))


def test_a_convolution_says_its_layouts_in_letters() -> None:
    def conv(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    source = write_rule(conv, normal(2, 5, 7, 3), normal(3, 3, 3, 5))
    assert 'dimension_numbers=("NHWC", "HWIO", "NHWC")' in source
    assert 'dimension_numbers=("CHWN", "IHWO", "HWNC")' in source  # of the kernel's cotangent


def test_what_has_no_derivative_in_jax_is_named_with_its_line() -> None:
    def values(x: jax.Array) -> jax.Array:
        return jnp.linalg.svd(x, full_matrices=True)[1]

    with pytest.raises(DeriveError, match=r"no derivative of svd \(at test_write_rule\.py:\d+\)"):
        write_rule(values, normal(3, 5))


def index(places: Any) -> jax.Array:
    return jnp.asarray(places, jnp.int32)


@pytest.mark.parametrize(
    ("f", "args", "lines"),
    [
        (lambda x, i: x[i], (k(5, 3), index([4, 0, -1, 0])), ("return x[i], (i,)", ".at[i].add(g")),
        (
            lambda x, i: jnp.take_along_axis(x, i[..., None], 2),
            (k(2, 3, 5), index([[4, 0, -1], [0, 0, 7]])),
            ("jnp.take_along_axis(x, i[..., None], 2)", ".at[jnp.arange(2)[:, None, None], jnp.arange(3)[:, None], i["),
        ),
        (
            lambda x, i: jnp.take_along_axis(x, i[None], 0),
            (k(5, 3), index([4, 0, -1])),
            ("jnp.take_along_axis(x, i[None], 0)", ".at[i[None], jnp.arange(3)].add("),
        ),
        (lambda x, i: x.at[i].get(mode="fill", fill_value=0) * 1.0, (k(5, 3), index([7, 0])), (".get(mode=",)),
    ],
)
def test_indices_are_written_as_one_indexes(f: Callable[..., Any], args: Any, lines: tuple[str, ...]) -> None:
    source = write_rule(f, *args, name="f")
    for line in lines:
        assert line in source
    assert "jnp.where" not in source  # negative indices are worked out by indexing itself


def test_an_index_that_is_read_elsewhere_is_written_out() -> None:
    def offset(x: jax.Array, i: jax.Array) -> jax.Array:
        i = jnp.where(i < 0, i + x.shape[0], i)
        return x[i] * i[:, None]

    source = write_rule(offset, k(5, 3), index([4, 0, -1]))
    assert "jnp.where(i < 0, i + 5, i)" in source


def test_a_loop_keeps_one_slope_of_a_tanh() -> None:
    source = write_rule(layers.recurrent, k(3, 3), k(3, 5), k(7, 5))
    assert "return t, (t, c, (1.0 + t) * (1.0 - t))" in source

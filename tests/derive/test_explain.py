"""Explanations: stages, structures, costs beside XLA's, the order that is cheapest."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

import vjpkit
from tests.evidence import layers
from vjpkit import nn
from vjpkit.derive import DeriveError, explain
from vjpkit.derive.brackets import dense, diagonal, identity, kronecker, left_to_right, optimum, right_to_left


def k(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


def network(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array, w4: Array, y: Array) -> Array:
    z1 = w1 @ x + b1
    a1 = jnp.tanh(z1)
    z2 = w2 @ a1 + b2
    a2 = jnp.tanh(z2)
    z3 = w3 @ a2 + b3
    a3 = jnp.tanh(z3)
    z4 = w4 @ a3
    return jnp.mean((z4 - y) ** 2) / 2


NETWORK = (k(784), k(512, 784), k(512), k(256, 512), k(256), k(128, 256), k(128), k(10, 128), k(10))


def block(x: Array, gain: Array, wq: Array, wk: Array, wv: Array, wo: Array, w1: Array, w2: Array) -> Array:
    h = nn.rms_norm(x, gain)
    q, keys, v = h @ wq, h @ wk, h @ wv
    p = jax.nn.softmax(jnp.einsum("btd,bsd->bts", q, keys) / 4)
    x = x + (p @ v) @ wo
    return x + jax.nn.gelu(nn.rms_norm(x, gain) @ w1) @ w2


BLOCK = (k(2, 7, 16), k(16), k(16, 16), k(16, 16), k(16, 16), k(16, 16), k(16, 64), k(64, 16))


def near(counted: int, measured: int) -> bool:
    return measured / 1.5 <= counted <= measured * 1.5


@pytest.mark.parametrize(("f", "args"), [(network, NETWORK), (block, BLOCK)], ids=["network", "transformer block"])
def test_explained_in_seconds_with_costs_as_xla_counts_them(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    start = time.process_time()
    e = explain(f, *args)
    assert time.process_time() - start < 10
    assert near(e.counted["value"], e.xla["value"])
    assert near(e.counted["fwd"] + e.counted["jvp"], e.xla["value + jvp"])
    assert near(e.counted["fwd"] + e.counted["vjp"], e.xla["value + vjp"])


def test_the_stages_of_the_documents_network() -> None:
    e = explain(network, *NETWORK, xla=False)
    assert [s.name for s in e.stages][:3] == ["z1 = w1 @ x + b1", "a1 = jnp.tanh(z1)", "z2 = w2 @ a1 + b2"]
    first, second = e.stages[:2]
    told = {v.name: kind for v, kind in zip(first.inputs, first.kinds, strict=True)}
    assert told["x"].product == "w1ᵀ g: adjoint of v ↦ w1 v"
    assert told["w1"].product.startswith("outer product")
    assert told["b1"].structure == "identity"
    assert second.kinds[0].product == "Hadamard, because J is diagonal"
    assert [v.name for v in second.kept] == ["a1"]
    assert e.recommended.flops * 300 < max(o.flops for o in e.orders)


def test_rules_stay_whole() -> None:
    names = [s.name for s in explain(block, *BLOCK, xla=False).stages]
    assert names[0] == "h = rms_norm(x, gain)"
    assert any("softmax(" in n for n in names)
    assert any("gelu(" in n for n in names)


@pytest.mark.parametrize(
    ("f", "x", "structure"),
    [
        (jnp.tanh, k(3, 5), "diagonal"),
        (nn.gelu, k(3, 5), "diagonal"),
        (nn.softmax, k(3, 5), "block-diagonal"),
        (lambda x: x + 1, k(3, 5), "identity"),
        (lambda x: x.sum(0), k(3, 5), "kronecker"),
        (lambda x: x @ jnp.ones((5, 2), x.dtype), k(3, 5), "kronecker"),
        (lambda x: jnp.ones((2, 5), x.dtype) @ x, k(5), "dense"),
        (lambda x: x.T, k(3, 5), "permutation"),
    ],
)
def test_structures_agree_with_the_jacobian(f: Callable[[Any], Any], x: Array, structure: str) -> None:
    (stage,) = explain(f, x, xla=False).stages
    assert stage.kinds[0].structure == structure
    if structure not in ("kronecker", "dense"):
        assert vjpkit.jacobian(f, x).structure == structure


def test_brackets_on_the_linear_network_of_60000_columns() -> None:
    """Document 002: backpropagation forms every W X; the other brackets multiply the weights first."""
    n = 60_000
    G, layers_ = dense(1, 10 * n), [kronecker(dense(10, 512), identity(n)), kronecker(dense(512, 512), identity(n))]
    chain = [G, *layers_, kronecker(identity(512), dense(n, 784))]
    backwards, best = left_to_right(chain), optimum(chain, ["G", "W3", "W2", "X"])
    assert round(backwards.flops / best.flops) == 84
    assert best.text == "(G (W3 (W2 X)))"
    assert right_to_left(chain).flops == best.flops


def test_a_waist_is_met_in_the_middle() -> None:
    sizes = (256, 64, 8, 64, 256)
    chain = [f for a, b in itertools.pairwise(sizes) for f in (dense(b, a), diagonal(b))][::-1]
    best = optimum(chain, [f"J{8 - i}" for i in range(8)])
    assert best.flops < left_to_right(chain).flops / 4
    assert best.flops < right_to_left(chain).flops / 4


def test_the_first_float_is_meant() -> None:
    e = explain(layers.two_outputs, k(2, 3), k(3, 5), xla=False)
    assert (e.wrt, e.out) == ("x", (2, 5))
    assert explain(nn.embed, jnp.arange(3), k(5, 3), xla=False).of == (5, 3)


def test_it_is_printed_in_four_ways() -> None:
    e = explain(layers.perceptron, k(2, 3), k(3, 5), k(5), k(5, 7), k(7))
    assert "h = jnp.tanh(x @ w1 + b1)" in str(e) or "jnp.tanh" in str(e)
    assert "| stage |" in e.markdown()
    assert "so the VJP is" in e.html()
    assert r"\begin{tabular}" in e.latex()
    assert "ᵀ" not in e.latex()
    assert e._repr_html_() == e.html()
    assert str(e).splitlines()[-1].startswith("XLA: value ")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explain(3, k(2)), "expected a function, got int"),
        (lambda: explain(jnp.sin), "needs arguments"),
        (lambda: explain(jnp.matmul, k(2, 3), k(2, 3)), "itself fails"),
        (lambda: explain(jnp.sin, k(3), wrt=1), "no argument 1 among x"),
        (lambda: explain(jnp.argmax, k(3)), "no derivative"),
        (lambda: explain(layers.embedding, k(5, 3), jnp.arange(3), wrt=1), "has no float"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeriveError, match=message):
        call()


def looped(x: Array) -> Array:
    y = jnp.sin(x)
    return lax.while_loop(lambda v: v.sum() < 10, lambda v: v * 2, y)


def called_back(x: Array) -> Array:
    y = jnp.sin(x)
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), y)


def factored(x: Array) -> Array:
    return jnp.linalg.svd(jnp.outer(x, x[:2]), full_matrices=True)[0]


@pytest.mark.parametrize(
    ("f", "operation", "line"),
    [(looped, "while", 2), (called_back, "pure_callback", 2), (factored, "svd", 1)],
    ids=["while", "callback", "svd"],
)
def test_what_has_no_derivative_is_named_with_its_line(f: Callable[[Array], Array], operation: str, line: int) -> None:
    at = f.__code__.co_firstlineno + line
    with pytest.raises(DeriveError, match=rf"explain: .*{operation}.* \(at test_explain.py:{at}\)$"):
        explain(f, k(3))

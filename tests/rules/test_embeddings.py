"""Beside what every case says of them: embed's three programs, its sums in half precision, and integer positions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import nn
from vjpkit.nn import embeddings

from .truth import assert_close

PROGRAMS = [embeddings._one_by_one, embeddings._by_product, embeddings._by_sorting]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [0, 1, 2, 37])
def test_every_program_adds_the_same(program: Any, n: int) -> None:
    """Whatever platform it is for; rows that repeat, rows that no one asks for, and one past the last."""
    v, rng = 5, np.random.default_rng(n)
    k = rng.choice([0, 1, 3, v], n)
    g = rng.normal(size=(n, 3))
    g[k == v] = np.nan
    want = np.stack([g[k == row].sum(0) for row in range(v)])
    assert_close(program(jnp.asarray(k), jnp.asarray(g), v), want, program.__name__)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_an_id_a_thousand_times_in_half_precision(program: Any) -> None:
    """Rounded once: autodiff adds in bfloat16, where 512 + 1 is 512."""
    k = jnp.zeros(1000, int)
    g = jnp.ones((1000, 3), jnp.bfloat16)
    assert program(k, g, 2).tolist() == [[1000.0] * 3, [0.0] * 3]
    table = jnp.zeros((2, 3), jnp.bfloat16)
    by_autodiff = jax.vjp(lambda t: jnp.take(t, k, axis=0), table)[1](g)[0]
    by_rule = jax.vjp(lambda t: nn.embed(k, t), table)[1](g)[0]
    assert by_rule[0].tolist() == [1000.0] * 3
    assert by_autodiff[0].tolist() != [1000.0] * 3


@pytest.mark.parametrize("v", [5, embeddings.FEW + 1])
def test_programs_for_an_accelerator_lower(v: int) -> None:
    def bar(ids: Any, table: Any, g: Any) -> Any:
        return jax.vjp(lambda t: nn.embed(ids, t), table)[1](g)

    lowered = (
        jax.jit(bar).trace(jnp.zeros(7, int), jnp.zeros((v, 3)), jnp.zeros((7, 3))).lower(lowering_platforms=("cuda",))
    )
    assert "scatter" not in lowered.as_text() or "unique_indices = true" in lowered.as_text()


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.uint32, jnp.int32])
def test_ids_of_any_integer_dtype(dtype: Any) -> None:
    ids = jnp.array([3, 0, 3, 100], dtype)
    table = jnp.arange(614.0).reshape(307, 2)
    y, pull = jax.vjp(lambda t: nn.embed(ids, t), table)
    assert_close(y, np.asarray(table)[[3, 0, 3, 100]], "value")
    (bar,) = pull(jnp.ones((4, 2)))
    assert bar[:, 0].nonzero()[0].tolist() == [0, 3, 100]
    assert bar[3].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16, jnp.float64])
def test_integer_positions(dtype: Any) -> None:
    """No derivative, and the dtype that is asked for: float32 unless another."""
    y = nn.sinusoidal(jnp.arange(7), 6, dtype=dtype)
    assert y.dtype == (dtype or jnp.float32)
    want = nn.sinusoidal(jnp.arange(7.0), 6)
    assert_close(y, want, "value", 4 * float(jnp.finfo(y.dtype).eps))
    (none,) = jax.vjp(lambda p: nn.sinusoidal(p, 6, dtype=dtype), jnp.arange(7))[1](y)
    assert none.dtype == jax.dtypes.float0


def test_decoding_is_the_last_row() -> None:
    """One query beside all keys is biased as the last of as many queries as keys."""
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 7, 7)))
    assert_close(nn.alibi(logits[:, :, -1:]), nn.alibi(logits)[:, :, -1:], "value")

"""The bench measures what it says: deterministic figures are asserted, times only for being there."""

import jax
import jax.numpy as jnp
import pytest

from vjpkit import nn
from vjpkit.bench import bench
from vjpkit.bench.calling_cost import measure
from vjpkit.bench.contestants import contestants
from vjpkit.core import elementwise


@elementwise(slope=lambda y: 1 - jnp.exp(-y))
def soft(x):
    return jnp.log(1 + jnp.exp(x))


@jax.custom_vjp
def stock(x):
    return soft.primal(x)


stock.defvjp(lambda x: 2 * (soft.primal(x),), lambda y, g: (g * (1 - jnp.exp(-y)),))

X = jnp.linspace(-2, 2, 300, dtype=jnp.float32).reshape(20, 15)


@pytest.fixture(scope="module")
def comparison():
    return bench(soft, X, against={"stock": stock}, settings=("alone", "scan"), rounds=2)


def test_every_setting_mode_and_rival(comparison):
    assert [(r.setting, r.mode) for r in comparison.rows][:3] == [
        ("alone", "forward"),
        ("alone", "forward+reverse"),
        ("alone", "forward mode"),
    ]
    assert len(comparison.rows) == 6
    assert {"soft", "autodiff", "checkpoint", "stock"} <= set(comparison.rows[0].costs)


def test_a_rival_without_forward_mode_is_left_out_of_it(comparison):
    assert all(("stock" in row.costs) == (row.mode != "forward mode") for row in comparison.rows)


def test_residuals_and_memory_are_counted(comparison):
    assert comparison.residuals["soft"] == X.nbytes
    assert comparison.residual_ratio("autodiff") > 1
    assert comparison.ratio("autodiff", "temp_bytes", "scan") > 1.2
    assert comparison.ratio("autodiff", "seconds") > 0
    assert comparison.ratio("best checkpoint", "flops", "scan") > 0


def test_the_table_and_the_plain_data(comparison):
    text = str(comparison)
    assert text.startswith("soft  float32[20,15]")
    assert "residuals kept: soft 1.17 KiB" in text
    assert comparison.to_dict()["residuals"] == comparison.residuals


def test_options_that_stand_between_arguments():
    where = X > 0
    found = contestants(nn.softmax, {"jax.nn": jax.nn.softmax}, {"axis": 0})
    want = jax.nn.softmax(X, 0, where)
    assert {name for name, f in found.items() if not jnp.allclose(f(X, where), want, 1e-6, 0)} == set()


def test_bad_input():
    with pytest.raises(ValueError, match="bench: unknown setting 'attic', expected one of alone, stack, scan"):
        bench(soft, X, settings=("attic",))
    with pytest.raises(ValueError, match="bench: unknown mode 'sideways'"):
        bench(soft, X, modes=("sideways",))
    with pytest.raises(ValueError, match="bench: cos is no rule, so it needs rivals"):
        bench(jnp.cos, X)


def test_a_rules_program_is_smaller_than_that_of_custom_vjp():
    assert measure(rounds=1)["lowered program"][2] < 1

"""`mount("custom_vjp")`: every rule on stock JAX, the same gradients by the same map."""

from __future__ import annotations

from typing import Any

import jax
import pytest

from vjpkit.core import mount

from .checks import expected
from .probe import primitives
from .row import X_DOT, W, X, assert_close, scaled
from .rows import ROWS
from .subjects import subjects

# Every row runs `rule.custom_vjp` in its own test, and the mount calls nothing else: a few of every group suffice.
SAMPLE = [row for row in ROWS if row.stock and row.factor not in (None, 1)][::11]


@pytest.mark.usefixtures("quick_compilation")
def test_rows_under_the_mount() -> None:
    """One mount for all of them: entering and leaving it clears JAX's caches."""
    with mount("custom_vjp"):
        for row in SAMPLE:
            want = expected(row)
            assert_close(row.build(subjects("rule")), want, row.tol)
            assert_close(row.build(subjects("planted rule")), scaled(row.factor, want), row.tol)


def test_no_primitive_of_ours_under_the_mount_and_back_after_it() -> None:
    layer = subjects("rule").layer
    with mount("custom_vjp"):
        assert "layer" not in primitives(layer, X, W)
        with pytest.raises(TypeError, match="forward-mode"):
            jax.jvp(lambda x: layer(x, W), (X,), (X_DOT,))
        with mount("primitive"):
            assert "layer" in primitives(layer, X, W)
        assert "layer" not in primitives(layer, X, W)
    assert "layer" in primitives(layer, X, W)


def test_a_jitted_function_does_not_answer_under_the_other_mount() -> None:
    layer = subjects("rule").layer

    @jax.jit
    def step(x: Any) -> Any:
        return jax.grad(lambda x: layer(x, W).sum())(x)

    before = step(X)
    with mount("custom_vjp"):
        assert_close(step(X), before, 1e-12)
        assert not any(name.startswith("layer") for name in primitives(step, X))
    assert "layer_vjp" in primitives(step, X)


def test_the_mount_is_taken_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), mount("custom_vjp"):
        raise ZeroDivisionError
    assert "layer" in primitives(subjects("rule").layer, X, W)


def test_an_unknown_mount_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of 'primitive', 'custom_vjp', got 'stock'"), mount("stock"):
        pass

"""What explain says of a stage's Jacobian, against the matrix that autodiff gives; of rules, by their own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

import vjpkit
from vjpkit import losses, nn
from vjpkit.derive import explain
from vjpkit.derive.picture import pattern


def k(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


X, V, M = k(3, 5), k(5), k(5, 5)
IDS = jnp.array([1, 1, 0])

TABLE: list[tuple[str, str, Callable[[Any], Any], Array]] = [
    ("scaled", "twice the same", lambda x: x + x, X),
    ("scaled", "a number", lambda x: -2 * x / 4, X),
    ("scaled", "itself and a number of it", lambda x: x + 3 * x, X),
    ("zero", "less itself", lambda x: x - x, X),
    ("zero", "floor", jnp.floor, X),
    ("zero", "a comparison", lambda x: (x > 0).astype(x.dtype), X),
    ("zero", "stop_gradient", lax.stop_gradient, X),
    ("identity", "beside a constant", lambda x: V + x, X),
    ("scaled", "from a constant", lambda x: V - x, X),
    ("identity", "either way", lambda x: jnp.where(x > 0, x, x), X),
    ("identity", "of another shape", lambda x: x.reshape(5, 3), X),
    ("diagonal", "one way", lambda x: jnp.where(x > 0, x, 0), X),
    ("diagonal", "times itself", lambda x: x * x, X),
    ("diagonal", "over itself", lambda x: x / x, X),
    ("diagonal", "times a row", lambda x: x * V, X),
    ("dense", "with its transpose", lambda x: x @ x.T, X),
    ("dense", "plus its transpose", lambda x: x + x.T, M),
    ("dense", "outer with itself", lambda x: jnp.outer(x, x), V),
    ("block-diagonal", "a product beside itself", lambda x: x @ M + x, X),
    ("block-diagonal", "less its mean", lambda x: x - x.mean(1, keepdims=True), X),
    ("kronecker", "a product from a bias", lambda x: V - x @ M, X),
    ("kronecker, permuted", "a product, turned", lambda x: (x @ M).T, X),
    ("kronecker, permuted", "a product with it turned", lambda x: x.T @ k(3, 7), X),
    ("kronecker", "mean", lambda x: x.mean(1), X),
    ("selection", "twice, one below the other", lambda x: jnp.concatenate([x, x]), X),
    ("block-diagonal", "and its negative below", lambda x: jnp.concatenate([x, -x]), X),
    ("sparse", "with a row below", lambda x: jnp.concatenate([x, V[None]]), X),
    ("sparse", "padded", lambda x: jnp.pad(x, 1), X),
    ("selection", "rows, one twice", lambda x: x[IDS], X),
    ("selection", "a slice", lambda x: x[1:, ::2], X),
    ("selection", "broadcast", lambda x: jnp.broadcast_to(x, (3, 5)), V),
    ("sparse", "broadcast, times", lambda x: x * X, V),
    ("permutation", "turned", jnp.transpose, X),
    ("permutation", "rolled", lambda x: jnp.roll(x, 1, 0), X),
    ("permutation", "backwards", lambda x: x[::-1], X),
    ("sparse", "turned and negative", lambda x: -x.T, X),
    ("sparse", "turned, then a function", lambda x: jnp.tanh(x.T), X),
    ("block-diagonal", "convolved", lambda x: lax.conv(x, k(5, 3, 2), (1,), "SAME"), k(2, 3, 11)),
    ("block-diagonal", "a kernel", lambda w: lax.conv(k(2, 3, 11), w, (1,), "SAME"), k(5, 3, 2)),
    ("diagonal", "a rule", nn.gelu, X),
    ("block-diagonal", "a rule of rows", nn.softmax, X),
    ("block-diagonal", "a rule of columns", lambda x: nn.softmax(x, axis=0), X),
]


def blocks_of(J: np.ndarray, m: int) -> bool:
    """Whether some axis of the output is alone with some axis of the input: index k of one reads k of the other."""
    for a in range(m):
        for b in range(m, J.ndim):
            if J.shape[a] == J.shape[b] > 1:
                both = np.moveaxis(np.abs(J), (a, b), (0, 1)).reshape(J.shape[a], J.shape[a], -1).sum(-1)
                if not (both - np.diag(np.diag(both))).any():
                    return True
    return False


def holds(structure: str, f: Callable[[Any], Any], x: Array, full: np.ndarray) -> bool:
    """Whether the Jacobian is of that structure, by its numbers."""
    J = full.reshape(-1, x.size)
    one_a_row = bool(np.all((J != 0).sum(1) == 1) and np.all(J[J != 0] == 1))
    claims: dict[str, Callable[[], bool]] = {
        "zero": lambda: not J.any(),
        "identity": lambda: np.array_equal(J, np.eye(x.size)),
        "scaled": lambda: np.allclose(J, J[0, 0] * np.eye(x.size)),
        "diagonal": lambda: not (J - np.diag(np.diag(J))).any(),
        "selection": lambda: one_a_row,
        "permutation": lambda: one_a_row and bool(np.all(J.sum(0) == 1)),
        "sparse": lambda: bool(np.all((J != 0).sum(1) <= 1)),
        "block-diagonal": lambda: blocks_of(full, full.ndim - x.ndim),
        "kronecker": lambda: vjpkit.jacobian(f, x).structure == "kronecker",
        "kronecker, permuted": lambda: np.linalg.matrix_rank(J) > 8,  # of no low rank: nothing more is said
        "dense": lambda: True,
    }
    return claims[structure]()


@pytest.mark.parametrize(("structure", "name", "f", "x"), TABLE, ids=[row[1] for row in TABLE])
def test_the_structure_of_a_stage(structure: str, name: str, f: Callable[[Any], Any], x: Array) -> None:
    e = explain(f, x, xla=False)
    (stage,) = e.stages
    assert stage.kinds[0].structure == structure
    J = np.asarray(jax.jacobian(f)(x))
    assert holds(structure, f, x, J)
    assert not np.any((J != 0).reshape(stage.output.size, x.size) & ~pattern(e.path[0]))


def test_a_gradient_that_is_stopped_is_no_gradient() -> None:
    """A straight-through estimator: the value of the one, the derivative of the other."""
    last = explain(lambda x: x + lax.stop_gradient(jnp.round(x) - x), X, xla=False).stages[-1]
    assert last.kinds[[v.name for v in last.inputs].index("x")].structure == "identity"


def test_what_has_no_tangent_passes_none() -> None:
    def ordered(x: Array) -> Array:
        i = jnp.argsort(x, 0)
        return jnp.take_along_axis(x, i, 0)

    order, taken = explain(ordered, X, xla=False).stages
    assert [kind.structure for kind in order.kinds] == ["zero"]
    assert [(v.name, kind.structure) for v, kind in zip(taken.inputs, taken.kinds, strict=True)] == [("x", "selection")]


LABELS = jnp.array([0, 4, 4, 1, 2, 3, 0])
RULES = {
    "cross-entropy": (losses.softmax_cross_entropy_with_integer_labels, (k(7, 5), LABELS)),
    "dense": (nn.dense, (k(7, 5), k(5, 11), k(11))),
    "layer norm": (nn.layer_norm, (k(7, 13), k(13), k(13))),
    "linear cross-entropy": (losses.linear_cross_entropy, (k(7, 5), k(5, 11), LABELS)),
    "gelu": (nn.gelu, (k(7, 5),)),
    "convolution, transposed": (nn.conv_transpose, (k(2, 7, 3), k(3, 3, 5))),
    "convolution, padded and strided": (lambda x, w: lax.conv(x, w, (2,), "SAME"), (k(2, 3, 11), k(5, 3, 4))),
    "softmax of the transpose": (lambda x: nn.softmax(x.T), (k(7, 5),)),
    "vmap of softmax": (jax.vmap(nn.softmax), (k(2, 7, 5),)),
}


@pytest.mark.parametrize(("f", "args"), RULES.values(), ids=RULES)
def test_a_rule_costs_what_its_own_functions_cost(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    e = explain(f, *args)
    (stage,) = e.stages
    counted = {
        "value": stage.value_flops,
        "value + jvp": stage.fwd_flops + stage.jvp_flops,
        "value + vjp": stage.fwd_flops + stage.vjp_flops,
    }
    for name, n in counted.items():
        assert e.xla[name] / 1.15 <= n <= e.xla[name] * 1.15, (name, n, e.xla[name])
    assert all(jvp <= stage.jvp_flops for jvp in stage.jvps)
    assert all(vjp <= stage.vjp_flops for vjp in stage.vjps)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("cross-entropy", ["logits", "labels", "row.peak", "row.log_sum", "row.others"]),
        ("dense", ["x", "w"]),
        ("layer norm", ["x", "scale", "bias", "mean", "rstd"]),
        ("linear cross-entropy", ["h", "w", "labels", "row.peak", "row.log_sum", "row.others"]),
        ("gelu", ["x"]),
        ("vmap of softmax", ["v1"]),
    ],
)
def test_a_rule_keeps_what_its_fwd_returns(name: str, kept: list[str]) -> None:
    f, args = RULES[name]
    (stage,) = explain(f, *args, xla=False).stages
    assert [v.name for v in stage.kept] == kept

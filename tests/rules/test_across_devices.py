"""Batch norm with `axis_name`: parts of a batch, normalised together, are the batch normalised at once."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from vjpkit import nn

X, W, B = (jnp.asarray(np.random.default_rng(0).normal(size=s)) for s in ((6, 5, 3), (3,), (3,)))
G = jnp.asarray(np.random.default_rng(1).normal(size=X.shape))
WHERE = jnp.asarray(np.random.default_rng(2).random((6, 5, 1)) < 0.7)


def whole(x: Any, w: Any, b: Any, where: Any) -> Any:
    return nn.batch_norm(x, w, b, where=where)


def mapped(x: Any, w: Any, b: Any, where: Any) -> Any:
    parts = [None if a is None else a.reshape(2, 3, *a.shape[1:]) for a in (x, where)]
    f = jax.vmap(lambda x, where: nn.batch_norm(x, w, b, where=where, axis_name="d"), axis_name="d")
    return f(*parts).reshape(x.shape)


def sharded(x: Any, w: Any, b: Any, where: Any) -> Any:
    mesh, over = Mesh(np.array(jax.devices()[:2]), ("d",)), PartitionSpec("d")
    f = lambda x, w, b, where: nn.batch_norm(x, w, b, where=where, axis_name="d")  # noqa: E731
    return jax.shard_map(f, mesh=mesh, in_specs=(over, PartitionSpec(), PartitionSpec(), over), out_specs=over)(
        x, w, b, where
    )


@pytest.mark.parametrize("f", [mapped, sharded])
@pytest.mark.parametrize("where", [None, WHERE], ids=["all", "where"])
def test_batch_norm_across_devices(f: Any, where: Any) -> None:
    """Value, tangent, cotangents, and the tangents of the cotangents."""
    point, v = (X, W, B), (G * 0.5, B, W)
    answers = []
    for by in (f, whole):
        pulled = lambda *a, by=by: jax.vjp(lambda *a: by(*a, where), *a)[1](G)  # noqa: E731
        answers.append((jax.jvp(lambda *a, by=by: by(*a, where), point, v), jax.jvp(pulled, point, v)))
    for got, want in zip(*map(jax.tree.leaves, answers), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)

"""Blocks of an axis, of every size: each entry is met once, in loops of any derivative and under shard_map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from vjpkit.core.chunks import Blocks, over, pairs, side

X, Y = (jnp.asarray(np.random.default_rng(n).normal(size=s)) for n, s in enumerate([(2, 11), (7, 2)]))


@pytest.mark.parametrize(("length", "most"), [(7, 1), (7, 2), (7, 3), (7, 7), (7, 9), (12, 4), (1, 1), (0, 4)])
def test_every_entry_is_fresh_once(length, most):
    b = Blocks.of(length, most)
    assert b.size <= most
    assert b.count == -(-length // most)
    places = [np.asarray(b.places(i))[np.asarray(b.fresh(i))] for i in range(b.count)]
    assert [p.tolist() for p in places] == [list(range(b.span(i)[0], b.span(i)[1] + 1)) for i in range(b.count)]
    assert [p for block in places for p in block.tolist()] == list(range(length))
    assert b.ragged == any(not b.fresh(i).all() for i in range(b.count))


def test_blocks_are_of_even_sizes():
    assert Blocks.of(1000, 300) == Blocks(1000, 250)
    assert Blocks.of(1025, 512) == Blocks(1025, 342)


@pytest.mark.parametrize("most", [1, 3, 4, 11, 20])
def test_blocks_put_together_are_the_whole(most):
    b = Blocks.of(11, most)
    copied = over(lambda y, i: b.put(y, i, b.take(X, i, 1), 1), jnp.zeros_like(X), range(b.count))
    np.testing.assert_array_equal(copied, X)
    added = over(lambda y, i: b.add(y, i, b.take(X, i, 1) * b.fresh(i), 1), jnp.zeros_like(X), range(b.count))
    np.testing.assert_array_equal(added, X)


def product(x, y, rows=4, columns=3, wanted=lambda i, j: True):
    """tanh of the outer product of Σ x and Σ y, summed over columns: a function with a carry, by blocks."""
    a, b = Blocks.of(x.shape[1], rows), Blocks.of(y.shape[0], columns)

    def step(total, i, j):
        seen = a.fresh(i)[:, None] & b.fresh(j)
        part = jnp.tanh(a.take(x, i, 1).sum(0)[:, None] * b.take(y, j, 0).sum(1))
        return a.add(total, i, jnp.where(seen, part, 0).sum(1), 0)

    return over(step, jnp.zeros_like(x[0]), *pairs(a, b, wanted))


def whole(x, y):
    return jnp.tanh(x.sum(0)[:, None] * y.sum(1)).sum(1)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_derivatives_of_every_mode_and_of_second_order(checkpoint):
    f = jax.checkpoint(product) if checkpoint else product
    for derivative in (lambda f: f, jax.jacfwd, jax.jacrev, jax.hessian, lambda f: jax.jacrev(jax.jacrev(f))):
        # atol: the same sums in another order, where they cancel
        np.testing.assert_allclose(derivative(f)(X, Y), derivative(whole)(X, Y), rtol=1e-12, atol=1e-12)


def test_pairs_that_are_not_wanted_are_no_steps():
    a, b = Blocks.of(11, 4), Blocks.of(7, 3)
    i, j = pairs(a, b, lambda i, j: j <= i)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    np.testing.assert_array_equal(product(X, Y, wanted=lambda i, j: False), jnp.zeros(11))


def test_shard_map():
    """A carry that starts as the same zeros on every device becomes each device's own."""
    mesh, over_rows = Mesh(np.array(jax.devices()[:2]), ("d",)), PartitionSpec("d")
    f = jax.shard_map(lambda x: product(x, Y), mesh=mesh, in_specs=over_rows, out_specs=over_rows)
    rows = jnp.concatenate([X, 2 * X])
    np.testing.assert_allclose(f(rows), jnp.concatenate([whole(X, Y), whole(2 * X, Y)]), rtol=1e-12)


def test_sides():
    assert [side(n) for n in (0, 128**2, 256**2 - 1, 256**2, 2**40)] == [128, 128, 128, 256, 1024]
    assert side(300, least=4) == 16

"""`inline` rewrites jaxprs of every shape, among them those whose parameters are named tuples."""

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.core import elementwise, inline


@elementwise(slope=lambda x: jnp.cos(x))
def sine(x):
    return jnp.sin(x)


def test_a_gather_beside_a_rule():
    x, ids = jnp.arange(3.0), jnp.array([0, 2, 2])

    def f(x):
        return sine(x)[ids]

    np.testing.assert_array_equal(inline(f)(x), f(x))
    names = [eqn.primitive.name for eqn in jax.make_jaxpr(inline(f))(x).eqns]
    assert "sine" not in names
    assert "gather" in str(jax.make_jaxpr(inline(f))(x))

"""A rule as a stock `jax.custom_vjp` function: the same fwd and vjp, none of our primitives."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import tree_util as tu

from vjpkit.core.answers import has_tangent, spec
from vjpkit.core.carried import named
from vjpkit.core.maps import LinearMap

if TYPE_CHECKING:
    from vjpkit.core.call import Call


@functools.lru_cache(maxsize=4096)
def stock(call: Call) -> Any:
    """The `jax.custom_vjp` function, from leaves to the output."""

    def fwd(*leaves: Any) -> tuple[Any, Any]:
        out, res = call.fwd(leaves)
        outs, out_tree = tu.tree_flatten(out)
        kept, res_tree = tu.tree_flatten(res)
        in_specs = tuple(map(spec, leaves))
        perturbed = tuple(map(has_tangent, in_specs))
        linear = LinearMap(call, res_tree, perturbed, in_specs, out_tree, tuple(map(spec, outs)), transposed=True)
        return out, (kept, linear)

    def vjp(res: Any, g: Any) -> tuple[Any, ...]:
        kept, linear = res
        bars = iter(linear(*kept, *(jnp.asarray(x) for x in tu.tree_leaves(g) if has_tangent(spec(x)))))
        return tuple(next(bars) if p else None for p in linear.perturbed)

    function = jax.custom_vjp(named(lambda *leaves: call(*leaves), call.name))
    function.defvjp(fwd, vjp)
    return function

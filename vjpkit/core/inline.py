"""Rules taken out of a function again, for tools that read jaxprs themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from vjpkit.core.carried import named
from vjpkit.core.primitives import ClosedJaxpr, Jaxpr, equation_jaxpr, jaxpr_as_fun


def inline(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with every rule in it replaced by plain JAX: a call by its primal, a derivative by its written formula.

    Works at any depth: inside jit, scan, cond, while, checkpoint, shard_map and other custom rules' functions.
    The result computes the same values; its derivatives are those that autodiff takes of the primals.
    """

    @functools.wraps(f)
    def inlined(*args: Any, **kwargs: Any) -> Any:
        closed, shape = jax.make_jaxpr(functools.partial(f, **kwargs), return_shape=True)(*args)
        out = jaxpr_as_fun(rewrite(closed, equation_jaxpr))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), out)

    return inlined


def rewrite(closed: Any, plain: Callable[[Any], Any]) -> Any:
    """A closed jaxpr with equations replaced, at any depth, by jit equations of other jaxprs.

    Args:    plain: for an equation, the closed jaxpr from its inputs to its outputs to take its place, or None.
    """
    return closed.replace(jaxpr=_rewrite(closed.jaxpr, plain))


def _rewrite(jaxpr: Any, plain: Callable[[Any], Any]) -> Any:
    return jaxpr.replace(eqns=[_rewrite_equation(eqn, plain) for eqn in jaxpr.eqns])


def _rewrite_equation(eqn: Any, plain: Callable[[Any], Any]) -> Any:
    closed = plain(eqn)
    if closed is None:
        return eqn.replace(params={name: _rewrite_param(value, plain) for name, value in eqn.params.items()})
    call = _jit_equation(eqn.primitive.name, len(eqn.invars), len(eqn.outvars))
    return eqn.replace(primitive=call.primitive, params={**call.params, "jaxpr": rewrite(closed, plain)})


def _jit_equation(name: str, n_in: int, n_out: int) -> Any:
    """A jit equation of so many inputs and outputs, traced for its parameters' sake.

    The jaxpr to go in is not traced again, for the axes that it was traced under may be out of scope here.
    """

    def scalars(*leaves: Any) -> list[Any]:
        return [jax.numpy.zeros(()) for _ in range(n_out)]

    (eqn,) = jax.make_jaxpr(jax.jit(named(scalars, name)))(*[0.0] * n_in).jaxpr.eqns
    return eqn


def _rewrite_param(value: Any, plain: Callable[[Any], Any]) -> Any:
    if isinstance(value, ClosedJaxpr):
        return rewrite(value, plain)
    if isinstance(value, Jaxpr):
        return _rewrite(value, plain)
    if type(value) in (tuple, list):
        return type(value)(_rewrite_param(v, plain) for v in value)
    return value

"""Rules taken out of a function again, for tools that read jaxprs themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from vjpkit.core.primitives import ClosedJaxpr, Jaxpr, equation_program, jaxpr_as_fun


def inline(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with every rule in it replaced by plain JAX: a call by its primal, a derivative by its written formula.

    Works at any depth: inside jit, scan, cond, while, checkpoint, shard_map and other custom rules' functions.
    The result computes the same values; its derivatives are those that autodiff takes of the primals.
    """

    @functools.wraps(f)
    def inlined(*args: Any, **kwargs: Any) -> Any:
        closed, shape = jax.make_jaxpr(functools.partial(f, **kwargs), return_shape=True)(*args)
        out = jaxpr_as_fun(rewrite(closed, equation_program))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), out)

    return inlined


def rewrite(closed: Any, program: Callable[[Any], Any]) -> Any:
    """A closed jaxpr with equations replaced, at any depth, by calls of jitted functions.

    Args:    program: for an equation, the `jax.jit`-ted function of its inputs to take its place, or None.
    """
    return closed.replace(jaxpr=_rewrite(closed.jaxpr, program))


def _rewrite(jaxpr: Any, program: Callable[[Any], Any]) -> Any:
    return jaxpr.replace(eqns=[_rewrite_equation(eqn, program) for eqn in jaxpr.eqns])


def _rewrite_equation(eqn: Any, program: Callable[[Any], Any]) -> Any:
    f = program(eqn)
    if f is None:
        params = {name: _rewrite_param(value, program) for name, value in eqn.params.items()}
        return eqn.replace(params=params)
    closed = jax.make_jaxpr(lambda *leaves: jax.tree.leaves(f(*leaves)))(*(v.aval for v in eqn.invars))
    (call,) = closed.jaxpr.eqns
    call = call.replace(params=_rewrite_equation(call, program).params)
    return eqn.replace(primitive=call.primitive, params=call.params)


def _rewrite_param(value: Any, program: Callable[[Any], Any]) -> Any:
    if isinstance(value, ClosedJaxpr):
        return rewrite(value, program)
    if isinstance(value, Jaxpr):
        return _rewrite(value, program)
    if type(value) in (tuple, list):
        return type(value)(_rewrite_param(v, program) for v in value)
    return value

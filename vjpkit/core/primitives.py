"""How a rule is mounted on JAX: two kinds of primitive, and the only file that touches JAX's extension points.

A *function* primitive is the function itself, one equation under the rule's name. Its jvp rule asks the
function to linearise itself, which binds a *map* primitive: linear in its vectors, carrying the jvp and the
vjp. Every transformation is then one line of algebra, written once below:

    jvp of f          y = f(x),  ẏ = J(x) ẋ                     J is a map, bound as `f_jvp`
    transpose of J    ⟨g, J ẋ⟩ = ⟨Jᵀ g, ẋ⟩                       Jᵀ is the same map read backwards, `f_vjp`
    vmap of J         J acts example by example                an unbatched vector's cotangent is summed
    jvp of J          d(J(r) v) = J(r) v̇ + (∂J/∂r · ṙ) v       hence every higher order, in every nesting
    shard_map         operands vary over the same mesh axes    the transpose of that cast is the psum
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.experimental import jet
from jax.extend import core as jex
from jax.interpreters import ad, batching, mlir

from vjpkit.core.answers import has_tangent
from vjpkit.core.batched import Axis, BatchedFunction, BatchedMap
from vjpkit.core.carried import Function, Leaves, Map

jaxpr_as_fun, Jaxpr, ClosedJaxpr = jex.jaxpr_as_fun, jex.Jaxpr, jex.ClosedJaxpr


class Primitives(NamedTuple):
    """The primitives of one rule: the op, its opaque fwd, and its derivative read forwards and backwards."""

    op: jex.Primitive
    fwd: jex.Primitive
    jvp: jex.Primitive
    vjp: jex.Primitive


def primitives(name: str) -> Primitives:
    """New primitives that show in a jaxpr as `name`, `name_fwd`, `name_jvp` and `name_vjp`."""
    function = [_primitive(n, _function_rules) for n in (name, f"{name}_fwd")]
    maps = [_primitive(n, _map_rules) for n in (f"{name}_jvp", f"{name}_vjp")]
    return Primitives(*function, *maps)


def bind_function(function: Function, leaves: Leaves, jaxpr: Any) -> list[Any]:
    """Apply a function, as one equation that carries its program's jaxpr at these types."""
    return function.primitive.bind(*leaves, function=function, jaxpr=jaxpr)


def bind_map(linear: Map, res: Leaves, vectors: Leaves, like: Leaves) -> list[Any]:
    """Apply a linear map whose answers have the types of the tangents of `like`."""
    everything = varying_alike((*res, *vectors, *like))
    n = len(res) + len(vectors)
    return _bind_map(linear, everything[:n], tuple(jax.typeof(x).to_tangent_aval() for x in everything[n:]))


def varying_alike(leaves: Leaves) -> list[Any]:
    """The leaves, in shard_map all varying over the same mesh axes; the transpose of that cast is the psum it needs."""
    each = [jax.typeof(x).manual_axis_type.varying for x in leaves]
    axes = frozenset[str]().union(*each)
    return [
        jax.lax.pcast(x, tuple(sorted(axes - own)), to="varying") if axes - own else x
        for x, own in zip(leaves, each, strict=True)
    ]


def equation_jaxpr(eqn: Any) -> Any:
    """The plain jaxpr of an equation that a rule has put into a jaxpr, None for any other equation."""
    if eqn.primitive not in _ours:
        return None
    if "function" in eqn.params:
        return eqn.params["jaxpr"]
    return eqn.params["linear"].program.trace(*(v.aval for v in eqn.invars)).jaxpr


def jaxpr_variables(closed: Any) -> tuple[list[Any], list[Any]]:
    """The inputs and outputs of a closed jaxpr, as things that are equal where they are one variable."""
    n = len(closed.jaxpr.invars) - len(closed.in_avals)
    return list(map(id, closed.jaxpr.invars[n:])), list(map(id, closed.jaxpr.outvars))


def has_closure(trace: Any, leaves: Leaves) -> bool:
    """Whether a traced program reads tracers beside its arguments."""
    return len(trace.jaxpr.in_avals) != len(leaves) or any(isinstance(c, jax.core.Tracer) for c in trace.jaxpr.consts)


def _bind_map(linear: Map, operands: Leaves, avals: tuple[Any, ...]) -> list[Any]:
    return linear.primitive.bind(*operands, linear=linear, avals=avals)


def _perturbed(tangent: Any) -> bool:
    return type(tangent) is not ad.Zero and jax.typeof(tangent).dtype != jax.dtypes.float0


def _zero(aval: Any) -> ad.Zero:
    return ad.Zero(aval.to_tangent_aval())


# ---------------------------------------------------------------------------------------------- functions


def _function_impl(*leaves: Any, function: Function, jaxpr: Any) -> Any:
    return jax.tree.leaves(function.program(*leaves))


def _function_jvp(primals: Leaves, tangents: Leaves, *, function: Function, jaxpr: Any) -> tuple[Leaves, Leaves]:
    perturbed = tuple(map(_perturbed, tangents))
    if not any(perturbed):
        return bind_function(function, primals, jaxpr), [_zero(a) for a in jaxpr.out_avals]
    out, dots = function.jvp(primals, [t for t in tangents if _perturbed(t)], perturbed)
    dot = iter(dots)
    return out, [next(dot) if has_tangent(a) else _zero(a) for a in jaxpr.out_avals]


def _function_batch(
    data: Any, args: Leaves, dims: Leaves, *, function: Function, jaxpr: Any
) -> tuple[list[Any], list[Any]]:
    if all(d is None for d in dims):  # vmap asks even where nothing is batched
        return bind_function(function, args, jaxpr), [None] * len(jaxpr.out_avals)
    batch = BatchedFunction(function, tuple(dims), _axis(data))
    out = bind_function(batch, args, batch.program.trace(*args).jaxpr)
    return out, [0] * len(out)


def _function_avals(*leaves: Any, function: Function, jaxpr: Any) -> list[Any]:
    return list(jaxpr.out_avals)


# --------------------------------------------------------------------------------------------------- maps


def _map_impl(*operands: Any, linear: Map, avals: tuple[Any, ...]) -> Any:
    return linear.program(*operands)


def _map_avals(*operands: Any, linear: Map, avals: tuple[Any, ...]) -> list[Any]:
    return list(avals)


def _map_jvp(primals: Leaves, tangents: Leaves, *, linear: Map, avals: tuple[Any, ...]) -> tuple[Leaves, Leaves]:
    """d(J(r) v) = J(r) v̇ + (∂J/∂r · ṙ) v."""
    n = linear.n_res
    res, v, res_dot, v_dot = primals[:n], primals[n:], tangents[:n], tangents[n:]
    dots: Leaves = [_zero(a) for a in avals]
    if any(map(_perturbed, v_dot)):
        dots = _bind_map(linear, [*res, *map(ad.instantiate_zeros, v_dot)], avals)
    moving = [i for i, t in enumerate(res_dot) if _perturbed(t)]
    if moving:

        def at(*values: Any) -> list[Any]:
            r = dict(enumerate(res)) | dict(zip(moving, values, strict=True))
            return linear(*r.values(), *v)

        _, turned = jax.jvp(at, tuple(res[i] for i in moving), tuple(res_dot[i] for i in moving))
        dots = [ad.add_tangents(a, b) for a, b in zip(dots, turned, strict=True)]
    return _bind_map(linear, primals, avals), dots


def _map_transpose(cts: Leaves, *operands: Any, linear: Map, avals: tuple[Any, ...]) -> list[Any]:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩; residuals are constants here, for the map is linear in its vectors alone."""
    n = linear.n_res
    vectors = operands[n:]
    unknown = [ad.is_undefined_primal(v) for v in vectors]
    types = tuple(v.aval if u else jax.typeof(v) for v, u in zip(vectors, unknown, strict=True))
    if all(type(c) is ad.Zero for c in cts):
        return [None] * n + [ad.Zero(t) if u else None for t, u in zip(types, unknown, strict=True)]
    out = _bind_map(linear.T, [*operands[:n], *map(ad.instantiate_zeros, cts)], types)
    return [None] * n + [o if u else None for o, u in zip(out, unknown, strict=True)]


def _map_batch(
    data: Any, args: Leaves, dims: Leaves, *, linear: Map, avals: tuple[Any, ...]
) -> tuple[list[Any], list[Any]]:
    if all(d is None for d in dims):
        return _bind_map(linear, args, avals), [None] * len(avals)
    n = linear.n_res
    batch = BatchedMap(linear, tuple(dims[:n]), tuple(dims[n:]), len(avals), _axis(data))
    batched_avals = tuple(jex.unmapped_aval(data.size, 0, a, data.explicit_mesh_axis) for a in avals)
    return _bind_map(batch, args, batched_avals), [0] * len(avals)


def _axis(data: Any) -> Axis:
    return Axis(data.size, data.name, data.spmd_name)


# ------------------------------------------------------------------------------------------- registration

_ours: set[jex.Primitive] = set()


def _function_rules(p: jex.Primitive) -> None:
    _common(p, _function_impl, _function_avals)
    ad.primitive_jvps[p] = _function_jvp
    batching.fancy_primitive_batchers[p] = _function_batch


def _map_rules(p: jex.Primitive) -> None:
    _common(p, _map_impl, _map_avals)
    ad.primitive_jvps[p] = _map_jvp
    ad.primitive_transposes[p] = _map_transpose
    batching.fancy_primitive_batchers[p] = _map_batch


def _common(p: jex.Primitive, impl: Callable[..., Any], avals: Callable[..., Any]) -> None:
    p.def_impl(impl)
    p.def_abstract_eval(avals)
    mlir.register_lowering(p, mlir.lower_fun(impl, multiple_results=True))
    jet.jet_rules[p] = lambda primals, series, **params: jet.jet(
        functools.partial(impl, **params), tuple(primals), tuple(series), factorial_scaled=False
    )


def _primitive(name: str, rules: Callable[[jex.Primitive], None]) -> jex.Primitive:
    p = jex.Primitive(name)
    p.multiple_results = True
    rules(p)
    _ours.add(p)
    return p

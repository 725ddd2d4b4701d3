"""Which entries of the output read which entries of the input: propagated through a linear program.

Every value of the program is an array of bit masks, one Python integer for each entry, whose bit j says that the
entry reads x[j]. What moves values moves masks: a movement is run once on the places 1, 2, 3 … of its operands.
What adds values joins masks; a factor that is zero cuts them. Any other equation is asked for its own Jacobian,
where that is small, and else joins everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import equation_jaxpr, jaxpr_as_fun

Masks = np.ndarray  # of object
BITS = 2**31  # of all masks of one program together, beyond which a pattern is not listed
OWN = 2**20  # entries of an equation's own Jacobian

ELEMENTWISE = {
    *("add", "add_any", "sub", "neg", "convert_element_type", "copy", "copy_p", "real", "imag", "complex", "conj"),
    *("reduce_precision", "pvary", "pcast", "optimization_barrier", "sharding_constraint"),
}
MOVEMENTS = {
    *("reshape", "transpose", "squeeze", "broadcast_in_dim", "slice", "dynamic_slice", "rev", "gather", "pad"),
    *("concatenate", "expand_dims", "split"),
}
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr"}


class TooLarge(Exception):
    """The pattern has more entries than are listed."""


def pattern(closed: Any) -> Masks:
    """The masks of the one output of a linear program of one input, flat.

    Raises:  TooLarge.
    """
    closed = rewrite(closed, equation_jaxpr)
    n = math.prod(closed.in_avals[0].shape)
    if n * _entries(closed.jaxpr) > BITS:
        raise TooLarge
    x = np.array([1 << j for j in range(n)], object).reshape(closed.in_avals[0].shape)
    (out,) = _run(closed.jaxpr, closed.consts, [x])
    return out.ravel() if _tracked(out) else np.zeros(math.prod(closed.out_avals[0].shape), object)


def _entries(jaxpr: Any) -> int:
    return sum(math.prod(v.aval.shape) for eqn in jaxpr.eqns for v in eqn.outvars if hasattr(v.aval, "shape"))


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(v: Any) -> Any:
        return v.val if hasattr(v, "val") else env[v]

    for eqn in jaxpr.eqns:
        values = [read(v) for v in eqn.invars]
        if not any(map(_tracked, values)):
            out = eqn.primitive.bind(*values, **_params(eqn))
            results = out if eqn.primitive.multiple_results else [out]
        elif eqn.primitive.name in CALLS:
            inner = eqn.params[CALLS[eqn.primitive.name]]
            results = _run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        else:
            results = _transfer(eqn, values)
        if any(map(_tracked, values)):  # NumPy makes a number of an array without axes
            results = [np.asarray(r, object) for r in results]
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _params(eqn: Any) -> dict[str, Any]:
    return dict(eqn.primitive.get_bind_params(eqn.params))


def _tracked(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _transfer(eqn: Any, values: list[Any]) -> list[Masks]:
    name, shape = eqn.primitive.name, eqn.outvars[0].aval.shape
    if name in ELEMENTWISE:
        return [_joined(values, shape)]
    if name in MOVEMENTS:
        return _moved(eqn, values)
    if name in TRANSFERS:
        return [TRANSFERS[name](eqn, values, shape)]
    return _by_its_own_jacobian(eqn, values)


def _joined(values: Sequence[Any], shape: tuple[int, ...]) -> Masks:
    out: Any = 0
    for v in values:
        if _tracked(v):
            out = out | v
    return np.broadcast_to(np.asarray(out, object), shape)


def _cut(eqn: Any, values: list[Any], shape: tuple[int, ...]) -> Masks:
    """A product or a quotient with a constant: nothing passes where that is zero."""
    masks, constant = values if _tracked(values[0]) else values[::-1]
    if _tracked(constant):
        return _joined(values, shape)
    return np.where(np.broadcast_to(np.asarray(constant) != 0, shape), masks, 0)


def _chosen(eqn: Any, values: list[Any], shape: tuple[int, ...]) -> Masks:
    which, *cases = values
    masks = [np.broadcast_to(c if _tracked(c) else np.asarray(0, object), shape) for c in cases]
    return np.choose(np.broadcast_to(np.asarray(which).astype(int), shape), masks)


def _summed(eqn: Any, values: list[Any], shape: tuple[int, ...]) -> Masks:
    return np.asarray(np.bitwise_or.reduce(values[0], axis=tuple(eqn.params["axes"])), object).reshape(shape)


def _accumulated(eqn: Any, values: list[Any], shape: tuple[int, ...]) -> Masks:
    axis, masks = eqn.params["axis"], values[0]
    if eqn.params["reverse"]:
        return np.flip(np.bitwise_or.accumulate(np.flip(masks, axis), axis), axis)
    return np.bitwise_or.accumulate(masks, axis)


def _contracted(eqn: Any, values: list[Any], shape: tuple[int, ...]) -> Masks:
    """A product of masks and constants: an entry reads what stands before the factors of it that are not zero."""
    left, right = values
    if _tracked(left) and _tracked(right):
        return np.full(shape, np.bitwise_or.reduce(left, None) | np.bitwise_or.reduce(right, None))
    ((lc, rc), (lb, rb)) = eqn.params["dimension_numbers"]
    masks, weights = _three(left, lb, lc), _three(right, rb, rc)
    if not _tracked(left):
        masks, weights = weights, masks
    out = np.empty((*masks.shape[:2], weights.shape[1]), object)
    for b in range(masks.shape[0]):
        whole = np.bitwise_or.reduce(masks[b], 1) if masks.shape[2] else np.zeros(masks.shape[1], object)
        for j, weight in enumerate(weights[b] != 0):
            out[b, :, j] = whole if weight.all() else np.bitwise_or.reduce(masks[b][:, weight], 1)
    if not _tracked(left):
        out = out.swapaxes(1, 2)
    return out.reshape(shape)


def _three(value: Any, batch: Sequence[int], contracting: Sequence[int]) -> np.ndarray:
    """An operand as [batch, free, contracting]."""
    array = value if _tracked(value) else np.asarray(value)
    free = [a for a in range(array.ndim) if a not in (*batch, *contracting)]
    sizes = [math.prod(array.shape[a] for a in axes) for axes in (batch, free, contracting)]
    return array.transpose(*batch, *free, *contracting).reshape(sizes)


TRANSFERS: dict[str, Callable[[Any, list[Any], tuple[int, ...]], Masks]] = {
    "mul": _cut,
    "div": _cut,
    "select_n": _chosen,
    "reduce_sum": _summed,
    "cumsum": _accumulated,
    "dot_general": _contracted,
}


def _moved(eqn: Any, values: list[Any]) -> list[Masks]:
    """The movement, run on places; 0 is no place."""
    pool: list[Masks] = [np.zeros(1, object)]
    places, start = [], 1
    for v, var in zip(values, eqn.invars, strict=True):
        if _tracked(v):
            places.append(jnp.arange(start, start + v.size, dtype=jnp.int32).reshape(v.shape))
            pool.append(v.ravel())
            start += v.size
        elif jnp.issubdtype(var.aval.dtype, jnp.inexact):
            places.append(jnp.zeros(jnp.shape(v), jnp.int32))
        else:
            places.append(jnp.asarray(v))
    params = _params(eqn)
    if "fill_value" in params:
        params["fill_value"] = 0
    out = eqn.primitive.bind(*places, **params)
    sources = np.concatenate(pool)
    return [sources[np.asarray(o)] for o in (out if eqn.primitive.multiple_results else [out])]


def _by_its_own_jacobian(eqn: Any, values: list[Any]) -> list[Masks]:
    """The entries that an equation's own Jacobian has, joined over its operands."""
    linear = [k for k, v in enumerate(values) if _tracked(v)]
    masks = np.concatenate([values[k].ravel() for k in linear])
    shapes = [v.aval.shape for v in eqn.outvars]
    if len(masks) * sum(map(math.prod, shapes)) > OWN:
        return [np.full(s, np.bitwise_or.reduce(masks), object) for s in shapes]

    def apply(*operands: Any) -> Any:
        full = dict(enumerate(values)) | dict(zip(linear, operands, strict=True))
        out = eqn.primitive.bind(*full.values(), **_params(eqn))
        return out if eqn.primitive.multiple_results else [out]

    avals = [eqn.invars[k].aval for k in linear]
    sizes = np.cumsum([math.prod(a.shape) for a in avals])[:-1]

    def columns(flat: Any) -> Any:
        parts = jnp.split(flat, sizes)
        return apply(*(p.reshape(a.shape).astype(a.dtype) for p, a in zip(parts, avals, strict=True)))

    own = jax.vmap(columns)(jnp.eye(len(masks)))
    results = []
    for block, shape in zip(own, shapes, strict=True):
        entries = np.asarray(block).reshape(len(masks), -1).T != 0
        joined = [np.bitwise_or.reduce(masks[row]) if row.any() else 0 for row in entries]
        results.append(np.array(joined, object).reshape(shape))
    return results


def linear_program(f: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any], Any]:
    """The value of f at x, its linear map there, and that map's closed jaxpr."""
    y, linear = jax.linearize(f, x)
    return y, linear, jax.make_jaxpr(linear)(jnp.zeros_like(x))


def evaluate(closed: Any, v: Any) -> Any:
    """The one output of a closed jaxpr of one input."""
    return jaxpr_as_fun(closed)(v)[0]

"""Ways to spoil a function that is traced: what an equation computes, what goes in, what comes out.

Every way is a kind with a name. A `Mutation` names the map of a rule (fwd, jvp, vjp), the kind, and which of the
places where the kind applies is meant. Shapes and dtypes stay as they are, so that only numbers are wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vjpkit.core.inline import rewrite
from vjpkit.core.primitives import jaxpr_as_fun

Fn = Callable[..., Any]

UNARY = {
    *("tanh", "logistic", "exp", "exp2", "expm1", "log", "log1p", "sin", "cos", "erf", "erfc", "sqrt", "rsqrt"),
    *("square", "cbrt", "atan", "asinh"),
}
KINDS = (
    *("drop a term", "drop a factor", "flip a sign", "× 2", "× 1/2", "× n", "× 1/n", "transpose", "swap operands"),
    *("drop a sum", "mean for sum", "other axis", "other residual", "f for f′", "slope at the output", "ignore g"),
    *("|g|", "zero a few entries", "off by 1e-3"),
)


class Mutation(NamedTuple):
    """One bug: of which map, of what kind, at which of the places where that kind applies."""

    part: str
    kind: str
    place: int


# ------------------------------------------------------------------------------------- what comes out


def output_mutations(n: int) -> dict[str, Fn]:
    """What may go wrong with one array that a map answers; `n` stands for a batch's size."""
    return {
        "flip a sign": lambda a: -a,
        "× 2": lambda a: 2 * a,
        "× 1/2": lambda a: a / 2,
        "× n": lambda a: n * a,
        "× 1/n": lambda a: a / n,
        "off by 1e-3": lambda a: a * (1 + 1e-3),
        "transpose": _transposed,
        "zero a few entries": _few_zeroed,
    }


def _transposed(a: Any) -> Any:
    """The entries in the order of the transpose, in the old shape, as where the two sizes are equal."""
    return jnp.swapaxes(a, -1, -2).reshape(a.shape) if a.ndim > 1 else None


def _few_zeroed(a: Any) -> Any:
    """One entry in fifty, at least one, of an array that has several."""
    return a.reshape(-1).at[1 : 1 + max(a.size // 50, 1)].set(0).reshape(a.shape) if a.size > 1 else None


# -------------------------------------------------------------------------------- what an equation does


def _equations(eqn: Any) -> Iterator[tuple[str, Fn]]:
    """What may be written in place of an equation."""
    name, params = eqn.primitive.name, eqn.params

    def as_written(*x: Any) -> Any:
        return eqn.primitive.bind(*x, **params)

    if name in ("add", "add_any"):
        yield from (("drop a term", lambda x, y: x), ("drop a term", lambda x, y: y))
        yield "flip a sign", lambda x, y: x - y
    elif name == "sub":
        yield from (("drop a term", lambda x, y: x), ("drop a term", lambda x, y: -y))
        yield from (("flip a sign", lambda x, y: x + y), ("swap operands", lambda x, y: y - x))
    elif name == "neg":
        yield "flip a sign", lambda x: x
    elif name == "mul":
        yield from (("drop a factor", lambda x, y: x), ("drop a factor", lambda x, y: y))
    elif name == "div":
        yield from (("drop a factor", lambda x, y: x), ("swap operands", lambda x, y: y / x))
    elif name == "dot_general":
        yield "swap operands", lambda x, y: jnp.resize(as_written(y, x), eqn.outvars[0].aval.shape)
        yield "transpose", lambda x, y: as_written(_transposed(x), y)
        yield "transpose", lambda x, y: as_written(x, _transposed(y))
    elif name == "select_n" and len(eqn.invars) == 3:
        yield "swap operands", lambda which, x, y: as_written(which, y, x)
    elif name in UNARY:
        yield "f for f′", lambda x: jax.jvp(as_written, (x,), (jnp.ones_like(x),))[1]
    elif name == "integer_pow":
        yield "f for f′", lambda x: params["y"] * x ** (params["y"] - 1)
    elif name == "reduce_sum":
        axes, shape = params["axes"], eqn.invars[0].aval.shape
        n = eqn.invars[0].aval.size // max(eqn.outvars[0].aval.size, 1)
        others = tuple(i for i in range(len(shape)) if i not in axes)
        if n > 1:
            yield "drop a sum", lambda x: x[tuple(0 if i in axes else slice(None) for i in range(x.ndim))]
            yield "mean for sum", lambda x: as_written(x) / n
        if n > 1 and others:
            yield "other axis", lambda x: jnp.resize(x.sum(others), eqn.outvars[0].aval.shape)


# --------------------------------------------------------------------------------------- how it is done


def respelled(f: Fn, kind: str, place: int) -> Fn:
    """`f` with another equation at that place, counted over the traces's equations at any depth."""

    def spoiled(*args: Any, **static: Any) -> Any:
        closed, out_tree, leaves = _traced(f, args, static)
        count = itertools.count()

        def plain(eqn: Any) -> Any:
            for alternative in _alternatives(eqn, kind):
                if next(count) == place:
                    return alternative
            return None

        return jax.tree.unflatten(out_tree, jaxpr_as_fun(rewrite(closed, plain))(*leaves))

    return spoiled


def places(f: Fn, kind: str, *args: Any, **static: Any) -> int:
    """At how many places `respelled` can put an equation of this kind."""
    count = itertools.count()

    def plain(eqn: Any) -> None:
        for _ in _alternatives(eqn, kind):
            next(count)

    rewrite(_traced(f, args, static)[0], plain)
    return next(count)


def _alternatives(eqn: Any, kind: str) -> Iterator[Any]:
    """The jaxprs of this kind that fit where the equation stands."""
    out = eqn.outvars[0].aval if eqn.outvars else None
    if not jnp.issubdtype(getattr(out, "dtype", jnp.int32), jnp.inexact):
        return
    inputs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    for found, alternative in _equations(eqn):
        if found == kind:
            try:
                closed, shape = jax.make_jaxpr(_cast(alternative, out.dtype), return_shape=True)(*inputs)
            except (TypeError, ValueError, AttributeError):  # operands that can't be swapped, or have one axis
                continue
            if shape[0].shape == out.shape:
                yield closed


def _cast(f: Fn, dtype: Any) -> Fn:
    return lambda *x: [jnp.asarray(f(*x)).astype(dtype)]


def _traced(f: Fn, args: Any, static: Any) -> tuple[Any, Any, list[Any]]:
    leaves, tree = jax.tree.flatten(args)
    closed, shape = jax.make_jaxpr(lambda *x: f(*jax.tree.unflatten(tree, x), **static), return_shape=True)(*leaves)
    return closed, jax.tree.structure(shape), leaves

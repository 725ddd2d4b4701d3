"""Whether arguments fit: messages name function, argument, what was expected and what came."""

from __future__ import annotations

from types import EllipsisType

import jax
import jax.numpy as jnp

from vjpkit.core import DtypeError, ShapeError
from vjpkit.core.answers import has_tangent, show, spec
from vjpkit.core.broadcasting import Shape


def misfit(function: str, name: str, expected: str, a: jax.Array | None) -> str:
    """What a message says of an argument that does not fit."""
    return f"{function}: argument {name} does not fit: expected {expected}, got {a if a is None else show(spec(a))}"


def same_dtype(function: str, **arguments: jax.Array | None) -> None:
    """DtypeError unless all arguments that are there have one dtype, float or complex."""
    wanted, dtype = "a float or complex dtype", None
    for name, a in arguments.items():
        if a is None:
            continue
        if not has_tangent(spec(a)) or dtype not in (None, a.dtype):
            raise DtypeError(misfit(function, name, wanted, a))
        if dtype is None:
            wanted, dtype = f"{a.dtype}, the dtype of {name}", a.dtype


def real(function: str, **arguments: jax.Array | None) -> None:
    """DtypeError for a complex argument."""
    for name, a in arguments.items():
        if a is not None and jnp.iscomplexobj(a):
            raise DtypeError(misfit(function, name, "a real dtype", a))


def floating(function: str, **arguments: jax.Array | None) -> None:
    """DtypeError for an argument that is not real floats."""
    for name, a in arguments.items():
        if a is not None and not jnp.issubdtype(a.dtype, jnp.floating):
            raise DtypeError(misfit(function, name, "a real float dtype", a))


def integer(function: str, **arguments: jax.Array) -> None:
    """DtypeError for an argument that is not integers."""
    for name, a in arguments.items():
        if not jnp.issubdtype(a.dtype, jnp.integer):
            raise DtypeError(misfit(function, name, "an integer dtype", a))


def shaped(function: str, name: str, a: jax.Array | None, *axes: int | str | EllipsisType) -> Shape:
    """The shape of `a`, which must be `axes`: sizes, names of free axes, first perhaps `...`; else ShapeError."""
    fixed = [n for n in axes if n is not ...]
    shape = () if a is None else a.shape
    sizes = shape[max(len(shape) - len(fixed), 0) :]
    right_rank = a is not None and (len(shape) >= len(fixed) if ... in axes else len(shape) == len(fixed))
    if not right_rank or any(isinstance(n, int) and n != size for n, size in zip(fixed, sizes, strict=True)):
        expected = ", ".join("..." if n is ... else str(n) for n in axes)
        raise ShapeError(misfit(function, name, f"[{expected}]", a))
    return shape


def broadcast(function: str, **arguments: jax.Array | None) -> Shape:
    """The shape that the arguments broadcast to; ShapeError where they do not."""
    shape: Shape = ()
    for name, a in arguments.items():
        if a is not None:
            try:
                shape = jnp.broadcast_shapes(shape, a.shape)
            except ValueError:
                raise ShapeError(misfit(function, name, f"what broadcasts against {list(shape)}", a)) from None
    return shape


def mask(function: str, where: jax.Array | None, shape: Shape) -> None:
    """DtypeError unless `where` is bool, ShapeError unless it broadcasts to `shape`."""
    if where is not None and where.dtype != jnp.bool_:
        raise DtypeError(misfit(function, "where", "bool", where))
    broadcasts_to(function, shape, where=where)


def broadcasts_to(function: str, shape: Shape, **arguments: jax.Array | None) -> None:
    """ShapeError unless each argument broadcasts to `shape`."""
    for name, a in arguments.items():
        if a is None:
            continue
        try:
            fits = jnp.broadcast_shapes(jnp.shape(a), shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(misfit(function, name, f"what broadcasts to {list(shape)}", a))


def random_key(function: str, key: jax.Array, name: str = "key") -> None:
    """DtypeError unless `key` is a key, typed or raw, ShapeError unless it is one."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and key.dtype != jnp.uint32:
        raise DtypeError(misfit(function, name, "a key or its uint32 data", key))
    shape = () if typed else jax.eval_shape(jax.random.PRNGKey, 0).shape
    if key.shape != shape:
        raise ShapeError(misfit(function, name, f"one key, {list(shape)}", key))

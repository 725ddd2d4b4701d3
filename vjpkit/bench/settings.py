"""Where a function is measured: alone, in an unrolled stack, in a scan; forward, with reverse, in forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[..., Any]
DEPTH = 8


def alone(fn: Function) -> Function:
    """The function itself."""
    return fn


def stack(fn: Function) -> Function:
    """DEPTH applications in a row, unrolled."""

    def stacked(x: Any, *rest: Any) -> Any:
        for _ in range(DEPTH):
            x = _onward(x, fn(x, *rest))
        return x

    return stacked


def scan(fn: Function) -> Function:
    """DEPTH applications in a row, in `lax.scan`."""

    def scanned(x: Any, *rest: Any) -> Any:
        return jax.lax.scan(lambda x, _: (_onward(x, fn(x, *rest)), None), x, length=DEPTH)[0]

    return scanned


def _onward(x: Any, y: Any) -> Any:
    """The next layer's input: the output where it has the input's type, else the input moved by the output's mean."""
    first, out = jax.tree.leaves(x), jax.tree.leaves(y)
    if [(a.shape, a.dtype) for a in first] == [(b.shape, b.dtype) for b in out]:
        return jax.tree.unflatten(jax.tree.structure(x), out)
    moved = jnp.sum(jnp.stack([jnp.mean(b).astype(jnp.float32) for b in out]))
    return jax.tree.map(lambda a: a + moved.astype(a.dtype), x)


SETTINGS: dict[str, Callable[[Function], Function]] = {"alone": alone, "stack": stack, "scan": scan}


def forward(fn: Function, args: tuple[Any, ...]) -> tuple[Function, tuple[Any, ...]]:
    """The value."""
    return fn, args


def reverse(fn: Function, args: tuple[Any, ...]) -> tuple[Function, tuple[Any, ...]]:
    """The value and the cotangents of every float argument, for a given cotangent of the output."""
    split, join = differentiable(args)

    def program(moving: Any, fixed: Any, g: Any) -> Any:
        y, vjp = jax.vjp(lambda *m: fn(*join(m, fixed)), *moving)
        return y, vjp(g)

    g = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype) * 0.7, jax.eval_shape(fn, *args))
    return program, (*split, g)


def forward_mode(fn: Function, args: tuple[Any, ...]) -> tuple[Function, tuple[Any, ...]]:
    """The value and its tangent, for given tangents of every float argument."""
    (moving, fixed), join = differentiable(args)

    def program(moving: Any, fixed: Any, dots: Any) -> Any:
        return jax.jvp(lambda *m: fn(*join(m, fixed)), moving, dots)

    return program, (moving, fixed, tuple(m * 0.7 for m in moving))


MODES = {"forward": forward, "forward+reverse": reverse, "forward mode": forward_mode}


def differentiable(args: tuple[Any, ...]) -> tuple[tuple[tuple[Any, ...], tuple[Any, ...]], Function]:
    """The float leaves and the others, and how to put them together again."""
    leaves, tree = jax.tree.flatten(args)
    moves = [jnp.issubdtype(jnp.result_type(a), jnp.inexact) for a in leaves]

    def join(moving: Any, fixed: Any) -> Any:
        m, f = iter(moving), iter(fixed)
        return jax.tree.unflatten(tree, [next(m) if moved else next(f) for moved in moves])

    moving = tuple(jnp.asarray(a) for a, moved in zip(leaves, moves, strict=True) if moved)
    fixed = tuple(a for a, moved in zip(leaves, moves, strict=True) if not moved)
    return (moving, fixed), join

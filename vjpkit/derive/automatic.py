"""The derivative by the mode that is cheapest for the shapes: forward, reverse, or coloured where it is sparse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from vjpkit.derive.explaining import Explanation, explain
from vjpkit.jacobian import jacobian, sparse_jacobian
from vjpkit.jacobian.colouring import colour, entries

SPARSE_UP_TO = 2**12  # inputs or outputs, up to which a pattern is looked for


@dataclass(frozen=True)
class BestOrder:
    """The mode to take, "forward", "reverse" or "coloured", how many products it needs, and why.

    `brackets` is the optimal bracketing of the chain of Jacobians, where the function is a chain: with what it
    costs beside the mode, in `explanation.orders`.
    """

    mode: str
    products: int
    flops: int
    why: str
    brackets: str
    explanation: Explanation

    def __str__(self) -> str:
        return f"{self.mode}: {self.why}" + (f"\nbrackets: {self.brackets}" if self.brackets else "")


def best_order(f: Callable[..., Any], *args: Any, wrt: int | str | None = None) -> BestOrder:
    """The cheapest way to the whole Jacobian of f in one argument.

    Args:    as `explain`'s.
    Returns: the choice and its reason; print it.
    Raises:  DeriveError, as `explain` does.
    """
    e = explain(f, *args, wrt=wrt, xla=False)
    orders = {o.name: o for o in e.orders}
    n, m = math.prod(e.of), math.prod(e.out)
    jvps, vjps = orders["JVPs, one input at a time"], orders["VJPs, one output at a time"]
    brackets = orders.get("optimal brackets")
    mode, cost, products = ("forward", jvps.flops, n) if jvps.flops < vjps.flops else ("reverse", vjps.flops, m)
    why = f"{n} inputs and {m} outputs: {n} JVPs take {jvps.flops} FLOPs, {m} VJPs {vjps.flops}"
    coloured = _colours(f, args, e.wrt) if min(n, m) > 1 and max(n, m) <= SPARSE_UP_TO else None
    if coloured is not None and coloured[1] * 2 < products:
        direction, products = coloured
        cost = products * (jvps.flops // n if direction == "JVPs" else vjps.flops // m)
        mode, why = "coloured", f"the pattern is sparse: {products} {direction} give all of {m} by {n} entries"
    told = f"{brackets.note}, {brackets.flops} FLOPs" if brackets else ""
    return BestOrder(mode, products, cost, why, told, e)


def _colours(f: Callable[..., Any], args: tuple[Any, ...], wrt: str) -> tuple[str, int] | None:
    """Which products, and how many, give a sparse Jacobian; None where its pattern is not known."""
    arrays = all(hasattr(a, "shape") for a in args)
    J = jacobian(f, *args, wrt=wrt) if arrays else None
    if J is None or J.pattern is None:
        return None
    masks = [int(mask) for mask in J.pattern]
    n = math.prod(J.in_shape)
    if sum(mask.bit_count() for mask in masks) * 2 > len(masks) * n:
        return None
    rows, columns = entries(masks)
    forward = int(colour(rows, columns, n).max(initial=0)) + 1
    reverse = int(colour(columns, rows, math.prod(J.out_shape)).max(initial=0)) + 1
    return ("JVPs", forward) if forward <= reverse else ("VJPs", reverse)


def grad_auto(f: Callable[..., Any], wrt: int | str = 0) -> Callable[..., Any]:
    """A function that gives the whole Jacobian of f in one argument, as `jax.jacobian`, by the cheapest mode.

    Args:    wrt: the argument, by place or name.
    Returns: a function of f's arguments: out.shape + in.shape; the gradient where f is a scalar.
    Raises:  DeriveError and JacobianError, as `best_order` and `jacobian` do.
    """

    def derivative(*args: Any) -> Any:
        mode = best_order(f, *args, wrt=wrt).mode
        J = jacobian(f, *args, wrt=wrt)
        if mode == "coloured":
            return sparse_jacobian(f, *args, wrt=wrt).materialize().astype(J.dtype).reshape(J.shape)
        size = math.prod(J.in_shape if mode == "forward" else J.out_shape)
        product = J.columns if mode == "forward" else J.rows
        found = jnp.asarray(product(jnp.eye(size)))
        return (found.T if mode == "forward" else found).reshape(J.shape)

    derivative.__name__ = f"derivative_of_{getattr(f, '__name__', 'f')}"
    return derivative

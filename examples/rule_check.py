"""Every rule that a function applies, held against autodiff at the very arrays that reach it.

    value      y = f(x)
    vjp        x̄ = Jᵀ g            for a random cotangent g
    jvp        ẏ = J ẋ             for a random tangent ẋ
    adjoint    ⟨g, ẏ⟩ = ⟨x̄, ẋ⟩     one map of the rule against the other

The truth of the first three is the rule's primal in float64, differentiated by JAX. Errors are relative to the
largest entry of the truth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex

import vjpkit

Function = Callable[..., Any]
Leaves = Sequence[Any]


@dataclass(frozen=True)
class Row:
    """One application of a rule: its name, its shapes, and four relative errors."""

    rule: str
    shapes: str
    value: float
    vjp: float
    jvp: float
    adjoint: float
    bound: float

    @property
    def holds(self) -> bool:
        return all(error <= self.bound for error in (self.value, self.vjp, self.jvp, self.adjoint))  # never for a nan


def check(f: Function, *args: Any, seed: int = 0) -> list[Row]:
    """One row for each rule in the jaxpr of `f` at `args`, also inside jit; one in another's primal comes after it."""
    # the mount under which a jaxpr names its rules, and products that no accelerator shortens to TensorFloat-32
    with vjpkit.mount("primitive"), jax.default_matmul_precision("float32"):
        rng = np.random.default_rng(seed)
        return [_hold(*found, rng) for found in _applications(jax.make_jaxpr(f)(*args), jax.tree.leaves(args))]


def table(rows: Sequence[Row]) -> str:
    """The rows, to be read."""
    lines = [("rule", "shapes", "value", "vjp", "jvp", "adjoint", "bound", "")]
    for row in rows:
        errors = (row.value, row.vjp, row.jvp, row.adjoint, row.bound)
        lines.append((row.rule, row.shapes, *(f"{e:.1e}" for e in errors), "holds" if row.holds else "WRONG"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _applications(closed: Any, leaves: Leaves) -> Iterator[tuple[Any, Leaves]]:
    """Each equation that applies a rule, with the arrays that reach it: the jaxpr, asked for these in place of y."""
    ops = {rule.primitives.op for rule in vjpkit.registry.values()}
    jaxpr = closed.jaxpr
    found = [eqn for eqn in jaxpr.eqns if eqn.primitive in ops or eqn.primitive.name == "jit"]
    inputs = jaxpr.replace(
        outvars=[v for eqn in found for v in eqn.invars], debug_info=jaxpr.debug_info._replace(result_paths=None)
    )
    values = iter(jax.jit(jex.jaxpr_as_fun(closed.replace(jaxpr=inputs)))(*leaves) if found else ())
    for eqn in found:
        x = [np.asarray(next(values)) for _ in eqn.invars]
        if eqn.primitive in ops:
            yield eqn, x
        yield from _applications(eqn.params["jaxpr"], x)


def _hold(eqn: Any, x: Leaves, rng: np.random.Generator) -> Row:
    rule = functools.partial(eqn.primitive.bind, **eqn.params)

    def primal(*x: Any) -> Leaves:
        return jax.tree.leaves(eqn.params["function"](*x))

    outputs = jax.eval_shape(rule, *x)
    x_dot, g = _random(rng, x), _random(rng, outputs)

    y, y_dot, x_bar = _derivatives(rule, x, x_dot, g)
    with jax.enable_x64(True):
        truth = _derivatives(primal, _wide(x), _wide(x_dot), _wide(g))
    gap = _pairing(_wide(g), y_dot) - _pairing(x_bar, _wide(x_dot))
    return Row(
        rule=eqn.primitive.name,
        shapes=f"{' '.join(map(_shape, x))} → {' '.join(map(_shape, outputs))}",
        value=_error(y, truth[0]),
        vjp=_error(x_bar, truth[2]),
        jvp=_error(y_dot, truth[1]),
        adjoint=abs(gap) / (_norm(_wide(g)) * _norm(y_dot) or 1.0),
        bound=max((_bound(v.dtype) for v in outputs if _is_float(v)), default=0.0),
    )


def _derivatives(f: Function, x: Leaves, x_dot: Leaves, g: Leaves) -> tuple[Leaves, Leaves, Leaves]:
    """y, ẏ and x̄ of a function of leaves, read in float64."""

    @jax.jit
    def all_three(x: Leaves, x_dot: Leaves, g: Leaves) -> tuple[Leaves, Leaves, Leaves]:
        return *jax.jvp(f, tuple(x), tuple(x_dot)), jax.vjp(f, *x)[1](g)

    y, y_dot, x_bar = all_three(x, x_dot, g)
    return _wide(y), _wide(y_dot), _wide(x_bar)


def _bound(dtype: Any) -> float:
    """Sums of some hundred products in float32, and three terms rounded to `dtype` and added."""
    return float(16 * jnp.finfo(jnp.float32).eps + 4 * jnp.finfo(dtype).eps)


def _random(rng: np.random.Generator, like: Leaves) -> Leaves:
    """Standard normal entries; nothing (float0) for what has no tangent."""
    return [
        rng.standard_normal(v.shape).astype(v.dtype) if _is_float(v) else np.zeros(v.shape, jax.dtypes.float0)
        for v in like
    ]


def _wide(leaves: Leaves) -> Leaves:
    return [np.asarray(v, np.float64) if _is_float(v) else v for v in leaves]


def _is_float(v: Any) -> bool:
    return bool(jnp.issubdtype(v.dtype, jnp.floating))


def _error(ours: Leaves, truth: Leaves) -> float:
    """The worst entry of all leaves: max |ours − truth| / max |truth|."""
    errors = [
        np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1.0)
        for a, b in zip(ours, truth, strict=True)
        if _is_float(b)
    ]
    return float(np.max(errors, initial=0))


def _pairing(g: Leaves, y: Leaves) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(g, y, strict=True) if _is_float(b)))


def _norm(y: Leaves) -> float:
    return _pairing(y, y) ** 0.5


def _shape(v: Any) -> str:
    return f"[{','.join(map(str, v.shape))}]"

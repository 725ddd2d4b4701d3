"""The derivative of a function in the form in which a hand writes it: every elementwise slope is one factor.

Autodiff of `jax.nn.gelu(z)` is a dozen equations; a person writes g ⊙ σ′(z). A *region* is a chain of elementwise
operations from one array z to one array a = σ(z). In `with_slopes` each region's derivative is an input of the
program of its own, so that a mistake about it (left out, taken at another point, the value in its place) is another
value of that input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vjpkit.check.arithmetic import ELEMENTWISE
from vjpkit.check.diagnosis.lines import scoped
from vjpkit.check.diagnosis.programs import Equation, Program, trace

_LINEAR = {"add", "add_any", "sub", "neg", "convert_element_type", "copy", "real", "imag"}
_SCALED = {"mul": 2, "div": 1}  # linear where the other operand is constant


@dataclass(frozen=True)
class Region:
    """a = σ(z), elementwise; `program` maps (constants…, p) to (σ(p), σ′(p))."""

    z: int
    a: int
    name: str
    constants: tuple[int, ...]
    program: Program
    origin: Any = None  # the same for all steps of a loop

    def at(self, env: Sequence[Any], p: Any) -> tuple[Any, Any]:
        """σ and σ′ at another point."""
        values = self.program.run([*(env[v] for v in self.constants), p])
        return tuple(values[v] for v in self.program.outputs)

    def in_terms_of_output(self, env: Sequence[Any], p: Any) -> Any:
        """The slope written as a parabola of the output, as 1 − a² or a (1 − a), evaluated at p; None if it is none."""
        a, slope = np.ravel(env[self.a]), np.ravel(self.at(env, env[self.z])[1])
        if a.size < 6 or np.iscomplexobj(a) or not (np.isfinite(a).all() and np.isfinite(slope).all()):
            return None
        knots = a[np.argsort(a)[[0, a.size // 2, -1]]]  # a parabola through three of the points, if through all
        if min(np.diff(knots)) < 1e-6:
            return None
        through = np.linalg.solve(np.vander(knots), slope[[int(np.argmin(abs(a - k))) for k in knots]])
        good = np.allclose(np.polyval(through, a), slope, rtol=0, atol=1e-9 * max(float(np.abs(slope).max()), 1e-300))
        return np.polyval(through, p) if good else None


def regions(program: Program, env: Sequence[Any], active: set[int], said: dict[int, str]) -> list[Region]:
    """The nonlinear elementwise regions of a forward program, the largest ones."""
    moving = _moving(program, active)
    base: dict[int, int] = {}
    bent: set[int] = set()
    for eqn in program.equations:
        sources = {base.get(v, v) for v in eqn.inputs if v in moving}
        whole = eqn.name in ELEMENTWISE and len(eqn.outputs) == 1 and eqn.outputs[0] in moving
        if not whole or len(sources) != 1:
            continue
        (z,), (a,) = sources, eqn.outputs
        if np.shape(env[a]) == np.shape(env[z]):
            base[a] = z
            if not _is_linear(eqn, moving) or any(v in bent and base.get(v) == z for v in eqn.inputs):
                bent.add(a)
    ends = [a for a in base if a in bent and _floats_alike(env[a], env[base[a]]) and _leaves(program, a, base)]
    return [_region(program, env, base[a], a, base, moving, said) for a in ends]


def _floats_alike(a: Any, b: Any) -> bool:
    return bool(np.issubdtype(a.dtype, np.inexact) and a.dtype == b.dtype)


def _moving(program: Program, active: set[int]) -> set[int]:
    moving = set(active)
    for eqn in program.equations:
        if eqn.name != "stop_gradient" and not moving.isdisjoint(eqn.inputs):
            moving.update(eqn.outputs)
    return moving


def _is_linear(eqn: Equation, moving: set[int]) -> bool:
    if eqn.name in _LINEAR:
        return True
    n = sum(v in moving for v in eqn.inputs)
    return (eqn.name in _SCALED and n == 1 and eqn.inputs[0] in moving) or (eqn.name == "mul" and n == 1)


def _leaves(program: Program, a: int, base: dict[int, int]) -> bool:
    """Whether a value is read outside of its own region, or is an output."""
    users = [program.equations[k] for k in program.users.get(a, ())]
    return a in program.outputs or any(base.get(u.outputs[0]) != base[a] for u in users)


def _region(
    program: Program, env: Sequence[Any], z: int, a: int, base: dict[int, int], moving: set[int], said: dict[int, str]
) -> Region:
    needed, inside = {a}, []
    for eqn in reversed(program.equations):
        if needed & set(eqn.outputs) and base.get(eqn.outputs[0]) == z:
            inside.append(eqn)
            needed |= set(eqn.inputs)
    inside = inside[::-1]
    made = {v for eqn in inside for v in eqn.outputs}
    constants = tuple(sorted({v for eqn in inside for v in eqn.inputs} - made - {z}))

    def value(*inputs: Any) -> Any:
        values = dict(zip((*constants, z), inputs, strict=True))
        return replay(inside, values)[a]

    def both(*inputs: Any) -> list[Any]:
        *fixed, p = inputs
        return list(jax.jvp(lambda p: value(*fixed, p), (p,), (jnp.ones_like(p),)))

    at = [env[v] for v in (*constants, z)]
    curved = [eqn.name for eqn in inside if not _is_linear(eqn, moving)]
    name = f"{_prime(curved[0])}({said[z]})" if len(curved) == 1 else f"∂({said[a]})/∂({said[z]})"
    return Region(z, a, name, constants, trace(both, at, len(at)), inside[-1].origin)


def _prime(primitive: str) -> str:
    return {"logistic": "sigmoid", "max": "relu", "integer_pow": "power"}.get(primitive, primitive) + "′"


def replay(equations: Sequence[Equation], values: dict[int, Any]) -> dict[int, Any]:
    """Equations evaluated by JAX, from and into a dictionary of values."""
    for eqn in equations:
        out = eqn.primitive.bind(*(jnp_like(values[v]) for v in eqn.inputs), **eqn.params)
        values.update(zip(eqn.outputs, out if eqn.primitive.multiple_results else [out], strict=True))
    return values


def jnp_like(value: Any) -> Any:
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def with_slopes(program: Program, found: Sequence[Region]) -> Any:
    """The program's function of (inputs…, slopes…), whose derivative through each region is the slope handed in."""
    n = program.n_inputs
    ends = {r.a: i for i, r in enumerate(found)}

    def function(*inputs: Any) -> list[Any]:
        values: dict[int, Any] = {**program.constants, **dict(enumerate(inputs[:n]))}
        for k, eqn in enumerate(program.equations):
            with scoped(k):
                replay([eqn], values)
                for v in eqn.outputs:
                    if v in ends:
                        z, slope = values[found[ends[v]].z], inputs[n + ends[v]]
                        values[v] = jax.lax.stop_gradient(values[v]) + slope * (z - jax.lax.stop_gradient(z))
        return [values[v] for v in program.outputs]

    return function

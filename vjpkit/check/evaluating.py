"""A traced program evaluated in NumPy, equation by equation: one that runs a few times need not be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vjpkit.check.arithmetic import bind, opaque
from vjpkit.check.jaxprs import called, scan_sizes

MOST = 150_000  # equations, of loops those of each step; to compile a program takes less than to evaluate more
_STEPS = 16  # of a while loop, which a program does not tell


class TooLong(Exception):
    """More equations than it pays to evaluate one by one."""


def length(closed: Any) -> int:
    """How many equations are evaluated in a call."""
    total = 0
    for eqn in closed.jaxpr.eqns:
        body = called(eqn)
        if body is not None:
            total += length(body)
        elif eqn.primitive.name == "scan":
            total += eqn.params["length"] * length(eqn.params["jaxpr"])
        elif eqn.primitive.name == "while":
            total += _STEPS * length(eqn.params["body_jaxpr"])
        elif eqn.primitive.name == "cond":
            total += max(map(length, eqn.params["branches"]))
        else:
            total += 1
    return total


class Evaluation:
    """One evaluation of a closed jaxpr. A subclass may compute something else where an `operation` stands.

    Raises:  TooLong, and whatever an equation raises that cannot be evaluated by itself.
    """

    def __init__(self) -> None:
        self._left = iter(range(MOST))

    def __call__(self, closed: Any, inputs: Sequence[Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            return self.run(closed, inputs)

    def operation(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        """What an equation without a jaxpr of its own gives."""
        return list(map(_typed, bind(eqn.primitive, eqn.params, inputs), eqn.outvars))

    def run(self, closed: Any, inputs: Sequence[Any]) -> list[Any]:
        jaxpr = closed.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, map(_array, closed.consts), strict=True))
        values.update(zip(jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> Any:
            return np.asarray(atom.val, atom.aval.dtype) if hasattr(atom, "val") else values[atom]

        for eqn in jaxpr.eqns:
            values.update(zip(eqn.outvars, self._equation(eqn, [read(a) for a in eqn.invars]), strict=True))
        return [read(a) for a in jaxpr.outvars]

    def _equation(self, eqn: Any, inputs: list[Any]) -> Sequence[Any]:
        body = called(eqn)
        if body is not None:
            return self.run(body, inputs)
        match eqn.primitive.name:
            case "scan":
                return self.scan(eqn, inputs)
            case "while":
                return self.loop(eqn, inputs)
            case "cond":
                return self.branch(eqn, inputs)
        if next(self._left, None) is None:
            raise TooLong
        return self.operation(eqn, inputs)

    def scan(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        p, body = eqn.params, eqn.params["jaxpr"]
        n_consts, n_carry = scan_sizes(p)
        consts, carry, xs = inputs[:n_consts], inputs[n_consts : n_consts + n_carry], inputs[n_consts + n_carry :]
        ys = [np.empty(v.aval.shape, v.aval.dtype) for v in eqn.outvars[n_carry:]]
        for t in range(p["length"])[:: -1 if p["reverse"] else 1]:
            out = self.run(body, [*consts, *carry, *(x[t] for x in xs)])
            carry = out[:n_carry]
            for y, step in zip(ys, out[n_carry:], strict=True):
                y[t] = step
        return [*carry, *ys]

    def loop(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        p = eqn.params
        n, m = p["cond_nconsts"], p["body_nconsts"]
        state = inputs[n + m :]
        while self.run(p["cond_jaxpr"], [*inputs[:n], *state])[0]:
            state = self.run(p["body_jaxpr"], [*inputs[n : n + m], *state])
        return state

    def branch(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        branches = eqn.params["branches"]
        return self.run(branches[int(np.clip(inputs[0], 0, len(branches) - 1))], inputs[1:])


def _array(a: Any) -> Any:
    return a if opaque(a) else np.asarray(a)


def _typed(answer: Any, variable: Any) -> Any:
    """What an equation answers, in the type that it was traced to have."""
    aval = variable.aval
    if opaque(answer):
        return answer
    if np.shape(answer) != aval.shape:
        raise TypeError(f"evaluated to {np.shape(answer)}, traced as {aval.shape}")
    return np.asarray(answer, aval.dtype)

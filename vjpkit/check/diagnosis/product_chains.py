"""An answer that is a product of matrices: its factors in every order, transposed or not."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.factors import fitted
from vjpkit.check.diagnosis.programs import Equation
from vjpkit.check.diagnosis.spelling import turned
from vjpkit.check.diagnosis.whole_answers import Changed
from vjpkit.check.diagnosis.workings import RIGHT, Workings

LONGEST = 5  # factors
Chain = tuple[tuple[int, bool], ...]  # variables, each transposed or not


def product_chains(w: Workings, k: int) -> Iterator[Changed]:
    """Other products of the right answer's factors that are parallel to what was got."""
    if w.asked.kind != "vjp" or np.ndim(w.want[k][0]) != 2:
        return
    program, probes = w.sloped.program, w.of_arm(k)
    made = {v: eqn for eqn in program.equations for v in eqn.outputs}
    right = _chain(made, w.sloped.base[0], program.outputs[k], False)
    if not 2 <= len(right) <= LONGEST or w.got[k][0].shape != w.want[k][0].shape:
        return
    first, seen = w.sloped.base[probes[0]], {right}
    sign = fitted([w.want[k][0]], [_product(first, right)])[0]
    for order in itertools.permutations(range(len(right))):
        for flips in itertools.product((False, True), repeat=len(right)):
            other = tuple((right[i][0], right[i][1] != flip) for i, flip in zip(order, flips, strict=True))
            if other in seen or not _is_parallel(first, other, w.got[k][0]):
                continue
            seen.add(other)
            answers = [sign * _product(w.sloped.base[i], other) for i in probes]
            said, belongs = (_said(w, chain) for chain in (other, right))
            moved, flipped = order != tuple(range(len(right))), [v for (v, _), f in zip(right, flips, strict=True) if f]
            for rank, cause in enumerate(_causes(moved, flipped)):
                cost = 1.1 + 0.4 * moved + 0.3 * len(flipped) + 0.1 * rank
                yield Changed(cause, f"{said} stands where {belongs} belongs", belongs, cost, answers)


def _causes(moved: bool, flipped: list[int]) -> tuple[str, ...]:
    """What it is called when factors have changed places, or some variables are transposed that should not be."""
    if moved:
        return ("mixed_layout", "wrong_order") if flipped else ("wrong_order",)
    return ("mixed_layout", "transposed_operand") if len(set(flipped)) > 1 else ("transposed_operand",)


def _chain(made: dict[int, Equation], values: Sequence[Any], v: int, flipped: bool) -> Chain:
    """The factors of a value, from the left; a value that is no product is its own."""
    eqn = made.get(v)
    parts: list[Chain] = []
    if eqn is not None and eqn.name == "dot_general" and all(np.ndim(values[u]) == 2 for u in eqn.inputs):
        (left, right), _ = eqn.params["dimension_numbers"]
        if len(left) == 1:
            turns = (left[0] == 0, right[0] == 1)
            parts = [_chain(made, values, u, turn != flipped) for u, turn in zip(eqn.inputs, turns, strict=True)]
    elif eqn is not None and eqn.name == "transpose" and np.ndim(values[v]) == 2:
        parts = [_chain(made, values, eqn.inputs[0], not flipped)]
    elif eqn is not None and eqn.name == "neg":
        parts = [_chain(made, values, eqn.inputs[0], flipped)]
    return tuple(itertools.chain(*(parts[::-1] if flipped else parts))) if parts else ((v, flipped),)


def _matrices(values: Sequence[Any], chain: Chain) -> list[Any]:
    return [values[v].T if flipped else values[v] for v, flipped in chain]


def _product(values: Sequence[Any], chain: Chain) -> Any:
    return functools.reduce(np.matmul, _matrices(values, chain))


def _is_parallel(values: Sequence[Any], chain: Chain, got: Any) -> bool:
    """Whether a product has the shape of what was got and, applied to one vector, is a multiple of that."""
    matrices = _matrices(values, chain)
    shapes = [a.shape for a in matrices]
    if (shapes[0][0], shapes[-1][1]) != got.shape or any(a[1] != b[0] for a, b in itertools.pairwise(shapes)):
        return False
    x = y = np.cos(np.arange(got.shape[1]))
    for a in reversed(matrices):
        y = a @ y
    return fitted([got @ x], [y])[1] < 100 * RIGHT


def _said(w: Workings, chain: Chain) -> str:
    n = w.sloped.program.n_point
    names = []
    for v, flipped in chain:
        given = n <= v < w.sloped.program.n_inputs
        name = w.vector_names[v - n] if given else w.pool.named(w.sloped.base[0][v])
        names.append(turned(name) if flipped else name)
    return " @ ".join(names)

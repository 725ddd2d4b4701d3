"""What the values of a traced function are called: the names of its source where there are any, else short formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.programs import Equation, Program

LONGEST = 40
_INFIX = {"add": "+", "add_any": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
_TRANSPARENT = {"broadcast_in_dim", "convert_element_type", "reshape", "squeeze", "copy", "expand_dims"}
_WORDS = {
    "logistic": "sigmoid",
    "integer_pow": "power",
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "dot_general": "product",
    "select_n": "where",
    "neg": "-",
}


def spelled(program: Program, names: list[str], values: Sequence[Any]) -> dict[int, str]:
    """A name for every variable of a program whose inputs have `names`, and whose variables have such values."""
    said = dict(enumerate(names))
    for v, constant in program.constants.items():
        said[v] = (
            f"{float(constant):.6g}"
            if getattr(constant, "shape", None) == () and constant.dtype.kind in "fiu"
            else "a constant"
        )
    last = {eqn.line: eqn for eqn in program.equations if eqn.line is not None}
    for eqn in program.equations:
        target = eqn.line.target if eqn.line is not None and last[eqn.line] is eqn else ""
        text = target or _formula(eqn, [said.get(v, "…") for v in eqn.inputs], [np.ndim(values[v]) for v in eqn.inputs])
        if len(text) > LONGEST:
            text = _word(eqn) + (f" on line {eqn.line.number}" if eqn.line is not None else "")
        said.update(dict.fromkeys(eqn.outputs, text))
    return said


def _word(eqn: Equation) -> str:
    return _WORDS.get(eqn.name, eqn.name)


def _formula(eqn: Equation, of: list[str], ranks: list[int]) -> str:
    if eqn.name in _TRANSPARENT:
        return of[0]
    if eqn.name in _INFIX and len(of) == 2:
        return f" {_INFIX[eqn.name]} ".join(_bracketed(text) for text in of)
    if eqn.name == "integer_pow":
        return f"{_bracketed(of[0])}**{eqn.params['y']}"
    if eqn.name == "transpose":
        return turned(of[0])
    if eqn.name == "neg":
        return f"-{_bracketed(of[0])}"
    if eqn.name == "dot_general":
        axes, batch = eqn.params["dimension_numbers"]
        if any(batch) or max(ranks) > 2 or any(len(a) != 1 for a in axes):
            return f"product of {of[0]} and {of[1]}"
        at = (ranks[0] - 1, 0)  # the axes that @ sums over
        a, b = (_bracketed(t) if axis == (k,) else turned(t) for t, axis, k in zip(of, axes, at, strict=True))
        return f"{a} @ {b}"
    return f"{_word(eqn)}({', '.join(of)})"


def turned(text: str) -> str:
    """The transpose; of what is the transpose of a name or a bracket, that."""
    inner = text.removesuffix(".T")
    simple = inner.isidentifier() or (inner.startswith("(") and ")" not in inner[1:-1])
    return inner if inner != text and simple else f"{_bracketed(text)}.T"


def _bracketed(text: str) -> str:
    whole = text.startswith("(") and ")" not in text[1:-1]
    return f"({text})" if " " in text and not whole else text

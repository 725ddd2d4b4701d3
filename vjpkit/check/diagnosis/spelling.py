"""What the values of a traced function are called: the names of its source where there are any, else short formulas."""

from __future__ import annotations

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


def spelled(program: Program, names: list[str]) -> dict[int, str]:
    """A name for every variable of a program whose inputs have `names`."""
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
        text = target or _formula(eqn, [said.get(v, "…") for v in eqn.inputs])
        if len(text) > LONGEST:
            text = _word(eqn) + (f" on line {eqn.line.number}" if eqn.line is not None else "")
        said.update(dict.fromkeys(eqn.outputs, text))
    return said


def _word(eqn: Equation) -> str:
    return _WORDS.get(eqn.name, eqn.name)


def _formula(eqn: Equation, of: list[str]) -> str:
    if eqn.name in _TRANSPARENT:
        return of[0]
    if eqn.name in _INFIX and len(of) == 2:
        return f" {_INFIX[eqn.name]} ".join(_bracketed(text) for text in of)
    if eqn.name == "integer_pow":
        return f"{_bracketed(of[0])}**{eqn.params['y']}"
    if eqn.name == "transpose":
        return f"{_bracketed(of[0])}.T"
    if eqn.name == "neg":
        return f"-{_bracketed(of[0])}"
    if eqn.name == "dot_general":
        (_, cy), batch = eqn.params["dimension_numbers"]
        plain = not any(batch) and cy == (0,)
        return f"{_bracketed(of[0])} @ {_bracketed(of[1])}" if plain else f"product of {of[0]} and {of[1]}"
    return f"{_word(eqn)}({', '.join(of)})"


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text and not text.startswith("(") else text

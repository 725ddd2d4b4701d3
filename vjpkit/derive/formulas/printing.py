"""Lines, definitions and conventions, in both scripts."""

from __future__ import annotations

from collections.abc import Iterator

from vjpkit.derive.derivation import Line
from vjpkit.derive.formulas.differential import Moves
from vjpkit.derive.formulas.forward import Forward
from vjpkit.derive.formulas.layouts import Matrices
from vjpkit.derive.formulas.naming import Naming
from vjpkit.derive.formulas.notations import Notation, Right
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scripts import SCRIPTS, Text
from vjpkit.derive.program import Value

MATRICES = {  # that a notation has by itself
    " K_": "K_… takes vec(X) to the vec of X with its axes in that order",
    " R": "R takes vec(x) to the vec of x in the other shape",
    "E_": "E_ii is 1 at i, i and 0 elsewhere",
    "mat(": "mat(A) is A as a matrix of the axes that stay by those that are summed",
}


def convention(notation: Notation, lines: list[Line]) -> str:
    """The convention, and what the matrices are that the lines name."""
    used = [words for sign, words in MATRICES.items() if any(sign in line.text for line in lines)]
    return "; ".join([notation.told, *(used if isinstance(notation, Matrices) else [])])


def pen(naming: Naming, script: Text, product: str = "") -> Pen:
    sign = script.dot if product == "dot" else script.times
    return Pen(script, naming.symbols, naming.bars, naming.cost, sign)


def line_of(naming: Naming, notation: Notation, v: Value, right: Right) -> Line:
    """A line in both scripts."""
    written = {name: _written(pen(naming, s, notation.product), notation, v, right) for name, s in SCRIPTS.items()}
    return Line(naming.key(v), written["text"], written["latex"])


def _written(p: Pen, notation: Notation, v: Value, right: Right) -> str:
    left = notation.left(v, p)
    if isinstance(right, Moves):
        return "\n".join([*_steps(p, right), f"{left} = {right.write(p).code}"])
    shapes = notation.shapes(right, p)
    gap = "    " if p.script.name == "text" else r" \qquad "
    return f"{left} = {right.write(p).code}" + (f"{gap}{shapes}" if shapes else "")


def _steps(p: Pen, right: Moves) -> Iterator[str]:
    """dC = ⟨…⟩, then a line for each move, with its name."""
    cost = p.script.differential(p.script.symbol(p.cost))
    gap = "    " if p.script.name == "text" else r" \qquad "
    before = ""
    for step in right.steps:
        pairs, move = step.write(p), step.move(p)
        if pairs != before:  # a sum over an axis of length 1 changes nothing that is written
            start = " " * len(cost) if before and p.script.name == "text" else cost
            yield f"{start} = {pairs}" + (f"{gap}{move}" if move else "")
        before = pairs


def definitions(naming: Naming, forward: Forward) -> list[Line]:
    """The function itself."""
    both = [[f"{a} = {b}" for a, b in forward.lines(pen(naming, s))] for s in SCRIPTS.values()]
    return [Line(*each) for each in zip(map(naming.key, forward.order), *both, strict=True)]


def wheres(naming: Naming, forward: Forward) -> list[Line]:
    """What the formulas name beside values: functions and their slopes, selections, masks, the cost."""
    found: list[Line] = []
    pens = [pen(naming, s) for s in SCRIPTS.values()]
    for f in forward.functions():
        told = [" = ".join(t) for p in pens if (t := p.definitions(f)) is not None]
        if told:
            found.append(Line(f.name, *told))
    for v, words, about in forward.constants():
        found.append(Line(v.name, *(_told(p, v, words, about, forward) for p in pens)))
    for v, words in (*forward.arrays(), *forward.opaque()):
        found.append(Line(v.name, *(f"{p.value(v).code}: {p.script.quoted(words)}" for p in pens)))
    out = forward.reading.out
    if out.shape:
        told = [f"{p.script.symbol(p.cost)} = {p.script.inner(p.bar(out).code, p.value(out).code)}" for p in pens]
        found.append(Line("C", *told))
    return found


def _told(p: Pen, v: Value, words: str, about: list[Value], forward: Forward) -> str:
    parts = words.split("{}")
    out = p.script.quoted(parts[0])
    for part, value in zip(parts[1:], about, strict=True):
        out += f"{forward.value(value, p).code}{p.script.quoted(part)}"
    return f"{p.value(v).code}: {out}"

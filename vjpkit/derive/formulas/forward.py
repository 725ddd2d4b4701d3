"""What the named values are: the function itself, one definition a line, and what else the formulas name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax.numpy as jnp

from vjpkit.derive.contractions import subscripts
from vjpkit.derive.formulas.arrays import Node, Numbers
from vjpkit.derive.formulas.graph import Graph, mentioned
from vjpkit.derive.formulas.maps import Hadamard
from vjpkit.derive.formulas.moves import contracted, forward
from vjpkit.derive.formulas.pen import Pen
from vjpkit.derive.formulas.scalars import Function, functions
from vjpkit.derive.formulas.scripts import POWER, TIMES, Piece, bracketed
from vjpkit.derive.formulas.selections import MOVES
from vjpkit.derive.formulas.structural import STRUCTURAL
from vjpkit.derive.program import Equation, Value
from vjpkit.derive.source import place


@dataclass(frozen=True)
class Inline(Node):
    """A value that has a name, or is written out."""

    value: Value
    forward: Forward

    def write(self, pen: Pen) -> Piece:
        return self.forward.value(self.value, pen)

    def numbers(self, at: Numbers) -> object:
        raise TypeError("definitions are written, not computed")


class Forward:
    """Definitions of the values that a derivation names."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reading = graph.reading
        inputs = set(self.reading.program.inputs)
        named = [v for v in graph.named if v not in inputs and v not in self.reading.made and v.constant is None]
        self.order = sorted(named, key=lambda v: graph.position.get(v, 0))

    def lines(self, pen: Pen) -> Iterator[tuple[str, str]]:
        """Name and definition of each, in the order in which they are computed."""
        for v in self.order:
            yield pen.value(v).code, self.definition(v, pen).code

    def value(self, v: Value, pen: Pen) -> Piece:
        if v in self.graph.named or v in self.reading.program.inputs:
            return pen.value(v)
        if v.constant is not None:
            return pen.value(v) if v in pen.symbols else Piece(pen.script.quoted("constant"))
        return self.definition(v, pen)

    def definition(self, v: Value, pen: Pen) -> Piece:
        made = self.reading.expr.get(v)
        if made is not None:
            return pen.expression(made, pen.whole(self.reading.space(v), lambda u: self.value(u, pen)), True)
        eqn = self.reading.maker[v]
        if eqn.op == "dot_general":
            return self._contraction(eqn, pen)
        if eqn.op == "iota":
            axis = eqn.params["dimension"]
            return Piece(
                pen.script.quoted(("row", "column")[axis] if len(v.shape) == 2 else f"index {axis}"), TIMES, "words"
            )
        written = [self.value(x, pen) for x in eqn.inputs if x.constant is None or x in pen.symbols]
        if eqn.op in ("reduce_sum", "reduce_max", "reduce_min"):
            return self._reduction(eqn, written[0], pen)
        floating = [x for x in eqn.inputs if jnp.issubdtype(x.dtype, jnp.floating) and x.constant is None]
        if (
            eqn.op in MOVES | {"cumsum"}
            and (v in self.graph.readers or v is self.reading.out)
            and all(x in self.reading.moving for x in floating)
        ):
            return self._moved(v, pen)
        shape = ["×".join(self.reading.space(v).dims)] if eqn.op == "reshape" else []
        return Piece(pen.script.call(eqn.op, [w.code for w in written] + [pen.script.quoted(s) for s in shape]))

    def _moved(self, v: Value, pen: Pen) -> Piece:
        """What moves entries, by its matrices."""
        terms = []
        for source, maps in self.graph.sources(v):
            node: Node = Inline(self.reading.space(source), source, self)
            for m in maps:
                node = forward(m, node)
            terms.append(node.write(pen))
        return pen.sum(terms) if len(terms) > 1 else terms[0]

    def _reduction(self, eqn: Equation, x: Piece, pen: Pen) -> Piece:
        space = self.reading.space(eqn.inputs[0])
        axes = eqn.params["axes"]
        over = ",".join(space.dims[a] if not space.dims[a].isdigit() else f"axis {a}" for a in axes)
        whole = len(axes) == len(space.shape)
        if eqn.op == "reduce_sum":
            letters = "" if whole else over if "axis" not in over else pen.script.quoted(f"({over})")
            sign = pen.script.total(letters, bracketed(x, POWER if x.kind == "/" else TIMES, x.kind))
            return Piece(sign.replace("Σ_ ", "Σ ").replace("_{} ", " "), TIMES, "Σ")
        name = "max" if eqn.op == "reduce_max" else "min"
        return Piece(pen.script.call(name, [x.code, *([] if whole else [pen.script.quoted(f"over {over}")])]))

    def _contraction(self, eqn: Equation, pen: Pen) -> Piece:
        fa, fb, out = subscripts(eqn)
        (a, b), (y,) = eqn.inputs, eqn.outputs
        space = self.reading.space
        first, second = Inline(space(a), a, self), Inline(space(b), b, self)
        node = contracted(first, fa, second, fb, out, space(b), space(y), False)
        return node.write(pen)

    # ------------------------------------------------------------------------------------------------ where

    def arrays(self) -> Iterator[tuple[Value, str]]:
        """Arrays that the function has by itself."""
        for v in self.graph.named:
            if v.constant is not None:
                yield v, f"{'×'.join(map(str, v.shape))}, of the function itself"

    def functions(self) -> list[Function]:
        """The functions that keep their names, with their slopes."""
        found: dict[str, Function] = {}
        slopes = [m.slope for line in self.graph.lines for t in line.terms for m in t.maps if isinstance(m, Hadamard)]
        shown = [self.reading.expr[v] for v in self.order if v in self.reading.expr]
        todo = [f for e in (*slopes, *shown) for f in functions(e)]
        while todo:
            f = todo.pop(0)
            if f.name not in found:
                found[f.name] = f
                todo += functions(f.body) if f.body is not None else []
        return sorted(found.values(), key=lambda f: (f.name.rstrip("′"), f.name))

    def constants(self) -> Iterator[tuple[Value, str, list[Value]]]:
        """The arrays that only the formulas have, in words with {} for the values that they are about."""
        seen = {v for line in self.graph.lines for t in line.terms for m in t.maps for v in mentioned(m)}
        for v, made in self.reading.made.items():
            if v in seen:
                yield v, made.told, list(made.about)

    def opaque(self) -> Iterator[tuple[Value, str]]:
        """Named values that nothing here can write out: the operation and its line."""
        for v in self.order:
            eqn = self.reading.maker.get(v)
            if v not in self.reading.expr and eqn is not None and eqn.op not in WRITTEN:
                yield v, f"{eqn.op}{place(eqn.where)}"


WRITTEN = {*STRUCTURAL, "iota"}

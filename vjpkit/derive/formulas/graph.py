"""The lines of a derivation: for each value with a name its cotangent, from those of the values that read it.

A value without a name has no line: the map into it and the map out of it are one path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vjpkit.derive.formulas.maps import Contract, Hadamard, Map, simplified
from vjpkit.derive.formulas.reading import Reading
from vjpkit.derive.formulas.scalars import Leaf, leaves
from vjpkit.derive.program import Value


@dataclass
class Term:
    """dy = L_K … L_1 dx: the maps on one way from a value to one that has a cotangent already, L_1 first."""

    source: Value
    maps: list[Map]


@dataclass
class Line:
    """The cotangent of a value is the sum of the terms' adjoints, each applied to the cotangent of its source."""

    target: Value
    terms: list[Term]


class Graph:
    """Which values have names, and the lines, from the output back to the arguments."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.readers: dict[Value, list[tuple[Value, list[Map]]]] = {}
        self.position = dict.fromkeys(reading.program.inputs, -1)
        self.position |= {v: k for k, e in enumerate(reading.steps) for v in e.outputs}
        self._visit()
        self.mentioned = self._mentioned()
        named = {v for v in self.readers if v.name or len(self.readers[v]) > 1}
        self.named = named | self.mentioned | {reading.out, *reading.wrt}
        self._name_what_is_spread()
        self.lines = list(self._lines())

    def _visit(self) -> None:
        """Every value between the arguments and the output, with those that read it."""
        todo, seen = [self.reading.out], {self.reading.out}
        while todo:
            v = todo.pop()
            for edge in self.reading.edges(v):
                self.readers.setdefault(edge.source, []).append((v, edge.maps))
                if edge.source not in seen:
                    seen.add(edge.source)
                    todo.append(edge.source)

    def sources(self, v: Value) -> Iterator[tuple[Value, list[Map]]]:
        """What a value reads, with the maps."""
        for source, each in self.readers.items():
            yield from ((source, maps) for reader, maps in each if reader is v)

    def _name_what_is_spread(self) -> None:
        """Where a definition reads a value along more axes than it has, that value has its own definition."""
        todo = [v for v in self.named if v in self.reading.expr]
        while todo:
            v = todo.pop()
            for leaf in leaves(self.reading.expr[v]):
                u, spread = leaf.value, len([a for a in leaf.axes if a is not None]) < len(v.shape)
                while isinstance(view := self.reading.expr.get(u), Leaf):  # of a value that is held fixed
                    u = view.value
                if u not in self.named and u in self.reading.maker and u not in self.readers:
                    self.named |= {u} if spread else set()
                    todo += [u] if u in self.reading.expr else []

    def _mentioned(self) -> set[Value]:
        """The values that formulas read."""
        return {v for each in self.readers.values() for _, maps in each for m in maps for v in mentioned(m)}

    def _lines(self) -> Iterator[Line]:
        lines = [Line(v, list(self._terms(v))) for v in self.readers if v in self.named]
        yield from sorted(lines, key=self._order, reverse=True)

    def _order(self, line: Line) -> tuple[float, float]:
        """Arguments as soon as all that read them are known, other values as they were computed."""
        own = self.position[line.target]
        if own >= 0:
            return own, 0
        first = min(self.position[t.source] for t in line.terms)
        return first - 0.5, -self.reading.program.inputs.index(line.target)

    def _terms(self, v: Value) -> Iterator[Term]:
        for reader, maps in self.readers[v]:
            path = list(maps)
            while reader not in self.named:
                ((following, after),) = self.readers[reader]
                path, reader = path + after, following
            yield Term(reader, simplified(path))


def mentioned(m: Map) -> Iterator[Value]:
    """The values that a map reads."""
    if isinstance(m, Contract):
        yield m.a
    if isinstance(m, Hadamard):
        yield from (leaf.value for leaf in leaves(m.slope) if isinstance(leaf, Leaf))

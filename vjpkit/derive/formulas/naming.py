"""Symbols for the values of a derivation: the caller's, the source's own, else letters."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.formulas.graph import Graph
from vjpkit.derive.formulas.scripts import Symbol, symbol
from vjpkit.derive.program import Value

LETTERS = {"dot_general": "z", "reduce_sum": "s", "reduce_max": "m", "exp": "e", "gather": "e", "stop_gradient": "m"}


class Naming:
    """A name for every value, all different, and the symbol it is written with."""

    def __init__(self, graph: Graph, names: Mapping[str, Any] | None) -> None:
        self.graph = graph
        self.keys: dict[str, Value] = {}
        self.given = dict(names or {})
        reading = graph.reading
        for v in reading.program.inputs:
            self._take(v, _short(v.name))
            self.keys.setdefault(v.name, v)
        dims = set(reading.dims.names.values()) | set(reading.dims.lengths.values())
        rest = sorted(graph.named - set(self.keys.values()), key=lambda v: graph.position.get(v, 0))
        for v in rest:
            self._take(v, v.name or self._letter(v), () if v.name else dims)
        self.bars: dict[Value, Symbol] = {}
        if reading.out.shape:
            self.bars[reading.out] = symbol(str(self.given.pop("g", "g")))
        self.symbols = {v: symbol(key) for key, v in self.keys.items() if "[" not in key}
        cost = symbol(str(self.given.pop("C", "C"))) if reading.out.shape else None
        for key, wanted in self.given.items():
            known = key if key in self.keys else key.removesuffix("_bar")
            if known not in self.keys:
                raise DeriveError(f"names: no value {key!r}; there are {', '.join(self.keys)}")
            (self.symbols if known == key else self.bars)[self.keys[known]] = symbol(str(wanted))
        self.cost = cost or self.symbols[reading.out]

    def key(self, v: Value) -> str:
        """The name by which a caller means a value."""
        return next(key for key, value in self.keys.items() if value is v)

    def _letter(self, v: Value) -> str:
        reading = self.graph.reading
        if v is reading.out:
            return "y" if v.shape else "C"
        eqn = reading.maker.get(v)
        if v in reading.means:
            return "μ"
        return LETTERS.get(eqn.op if eqn else "", "u")

    def _take(self, v: Value, wish: str, dims: Collection[str] = ()) -> None:
        """The name, with a number where it is taken; a letter that nobody asked for is no dimension's either."""
        name, k = wish, 0
        while name in self.keys or name in dims:
            k += 1
            name = f"{wish}{k}"
        self.keys[name] = v
        v.name = v.name or name


def _short(name: str) -> str:
    """`params[0][w]` is w0."""
    words = re.findall(r"\w+", name)
    return name if len(words) < 2 else "".join([*words[-1:], *(w for w in words[:-1] if w.isdigit())])

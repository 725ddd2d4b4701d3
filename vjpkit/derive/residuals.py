"""What the forward pass keeps: the fewest bytes from which the linear maps get all that they read.

A value may be kept, or computed again from others by operations that cost little (elementwise ones, movements).
The cheapest choice is a minimal cut between what is at hand and what is read, each value weighing its bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vjpkit.derive.program import Equation, Value

CHEAP = {
    *("add", "add_any", "sub", "mul", "neg", "abs", "sign", "max", "min", "square", "integer_pow", "select_n", "not"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "convert_element_type", "broadcast_in_dim", "reshape"),
    *("transpose", "squeeze", "expand_dims", "slice", "iota", "clamp", "is_finite", "div", "rev", "one_minus_square"),
}
SCARCE = 10**15  # more than any array has bytes


def residuals(primal: Sequence[Equation], read: Sequence[Value], args: Sequence[Value]) -> list[Value]:
    """The values to keep, in the order in which they come to be."""
    maker = {v: eqn for eqn in primal for v in eqn.outputs}
    free = _free(primal)
    graph: dict[object, dict[object, int]] = {}

    def edge(a: object, b: object, capacity: int) -> None:
        graph.setdefault(a, {})[b] = capacity
        graph.setdefault(b, {}).setdefault(a, 0)

    stack, seen = [v for v in read if v.constant is None], set[Value]()
    for v in stack:
        edge(("out", v), "sink", SCARCE)
    while stack:
        v = stack.pop()
        if v in seen or v in free:
            continue
        seen.add(v)
        edge(("in", v), ("out", v), _weight(v, v in args))
        eqn = maker.get(v)
        if eqn is None or eqn.op not in CHEAP:
            edge("source", ("in", v), SCARCE)
            continue
        for u in eqn.inputs:
            if u.constant is None and u not in free:
                edge(("out", u), ("in", v), SCARCE)
                stack.append(u)
    reached = _cut(graph)
    kept = {v for v in seen if ("in", v) in reached and ("out", v) not in reached}
    order = [*args, *(v for eqn in primal for v in eqn.outputs)]
    return [v for v in order if v in kept]


def recomputed(primal: Sequence[Equation], read: Sequence[Value], kept: Sequence[Value]) -> list[Equation]:
    """The equations by which the values that are read come from those that are kept."""
    needed, out = set(read) - set(kept), []
    for eqn in reversed(primal):
        if any(v in needed for v in eqn.outputs):
            out.append(eqn)
            needed |= set(eqn.inputs) - set(kept)
    return out[::-1]


def _free(primal: Sequence[Equation]) -> set[Value]:
    """The values that depend on no argument: computed wherever they are read."""
    found: set[Value] = set()
    for eqn in primal:
        if all(v.constant is not None or v in found for v in eqn.inputs) and not eqn.op.startswith("random"):
            found.update(eqn.outputs)
    return found


def _weight(v: Value, is_argument: bool) -> int:
    """Bytes, in hundredths; between equals an argument, which is there already, is preferred."""
    itemsize = getattr(v.dtype, "itemsize", 8)
    return max(1, 100 * v.size * itemsize + (0 if is_argument else 3))


def _cut(graph: dict[object, dict[object, int]]) -> set[object]:
    """What the source still reaches when no more flows: Edmonds and Karp."""
    if "source" not in graph or "sink" not in graph:
        return set()
    while True:
        parent: dict[object, object] = {"source": None}
        queue = deque(["source"])  # type: deque[object]
        while queue and "sink" not in parent:
            a = queue.popleft()
            for b, capacity in graph[a].items():
                if capacity > 0 and b not in parent:
                    parent[b] = a
                    queue.append(b)
        if "sink" not in parent:
            return set(parent)
        path: list[tuple[object, object]] = []
        end: object = "sink"
        while parent[end] is not None:
            path.append((parent[end], end))
            end = parent[end]
        flow = min(graph[a][b] for a, b in path)
        for a, b in path:
            graph[a][b] -= flow
            graph[b][a] += flow

"""A function explained: its stages, what each keeps and costs, and in which order its derivative is cheapest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.check.arguments import drawn, specified
from vjpkit.derive.brackets import Factor, left_to_right, optimum, right_to_left
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.given import named, on_leaves
from vjpkit.derive.program import Value, dependent
from vjpkit.derive.source import leaf_names, parameters, source_names
from vjpkit.derive.stages import Stage, stages


@dataclass(frozen=True)
class Order:
    """One way to the whole derivative: its name, its FLOPs, the most numbers that one matrix has on the way."""

    name: str
    flops: int
    largest: int
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; printed as text, as Markdown, LaTeX or HTML by the methods of these names, and plotted.

    Attributes: stages, one `Stage` each; path, the local Jacobians that lead from the argument to the output: a
    stage, and which of its inputs; orders, one `Order` each, the cheapest first; recommended, the first of them;
    counted, FLOPs of the value, of fwd (the value and what the derivative reads of it), of one JVP and one VJP;
    xla, XLA's own of the value, of value and JVP together, of value and VJP together.
    """

    name: str
    wrt: str
    of: tuple[int, ...]
    out: tuple[int, ...]
    stages: list[Stage]
    path: list[tuple[Stage, int]]
    orders: list[Order]
    counted: dict[str, int]
    xla: dict[str, int]

    @property
    def recommended(self) -> Order:
        return self.orders[0]

    @property
    def kept_bytes(self) -> int:
        """Of all residuals, each once where stages share it by name."""
        return sum(s.kept_bytes for s in self.stages)

    def __str__(self) -> str:
        from vjpkit.derive.rendering import text

        return text(self)

    def markdown(self) -> str:
        from vjpkit.derive.rendering import markdown

        return markdown(self)

    def latex(self) -> str:
        from vjpkit.derive.rendering import latex

        return latex(self)

    def html(self) -> str:
        from vjpkit.derive.rendering import html

        return html(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """A matplotlib figure: the local Jacobians to scale, their patterns, and what each order costs.

        Args:    path: a file to write it to, of any kind that matplotlib writes.
        Raises:  DeriveError without matplotlib, or for a file of a kind that it cannot write.
        """
        from vjpkit.derive.picture import figure

        return figure(self, path)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        return self.latex()

    def _repr_html_(self) -> str:
        return self.html()


def explain(f: Callable[..., Any], *args: Any, wrt: int | str | None = None, xla: bool = True) -> Explanation:
    """Explain a function's derivative: stages, structure, residuals, costs, and the order that is cheapest.

    Args:    f: any JAX function, or a rule.  args: arrays, trees of them, draws, or shapes in words ("b i").
             wrt: the argument in which the whole derivative is counted, by place or name; the first that has a
             float if left out.  Of several outputs the first that is a float is explained.
             xla: compile value, JVP and VJP for XLA's own count.
    Returns: an `Explanation`; print it.
    Raises:  DeriveError where f is no function, fails at args, or has no float to differentiate.
    """
    name = named("explain", f, args)
    values = jax.tree.map(jnp.asarray, drawn(specified(args), 0, jnp.float32))
    params = parameters(f, len(args))
    if wrt is None:
        wrt = next((k for k, v in enumerate(values) if any(map(_float, jax.tree.leaves(v)))), 0)
    place = _place(name, params, wrt)
    leaves, tree = jax.tree.flatten(values)
    names = [n for param, value in zip(params, values, strict=True) for n in leaf_names(param, value)]
    flat = _flat(f, tree, name, leaves)
    program, found = stages(flat, leaves, names, source_names(f))
    start = sum(len(jax.tree.leaves(v)) for v in values[:place])
    inner = [k for k in range(start, start + len(jax.tree.leaves(values[place]))) if _float(leaves[k])]
    if not inner:
        raise DeriveError(f"explain: argument {params[place]} of {name} has no float; wrt names another")
    x, y = [program.inputs[k] for k in inner], program.outputs[0]
    counted = {
        "value": sum(s.value_flops for s in found),
        "fwd": sum(s.fwd_flops for s in found),
        "jvp": sum(s.jvp_flops for s in found),
        "vjp": sum(s.vjp_flops for s in found),
    }
    path = _path(found, x, y)
    orders = sorted(_orders(path, x, y), key=lambda o: o.flops)
    measured = _xla(flat, leaves) if xla else {}
    of = x[0].shape if len(x) == 1 else (sum(v.size for v in x),)
    return Explanation(name, params[place], of, y.shape, found, path, orders, counted, measured)


# ---------------------------------------------------------------------------------------------- reading


def _flat(f: Callable[..., Any], tree: Any, name: str, leaves: Sequence[Any]) -> Callable[..., list[Any]]:
    every, out = on_leaves("explain", f, tree, leaves)
    first = next((k for k, y in enumerate(out) if _float(y)), None)
    if first is None:
        raise DeriveError(f"explain: {name} returns {out[0].dtype if out else 'nothing'}, which has no derivative")
    return lambda *values: [every(*values)[first]]


def _float(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def _place(name: str, params: Sequence[str], wrt: int | str) -> int:
    if isinstance(wrt, str) and wrt in params:
        return list(params).index(wrt)
    if isinstance(wrt, int) and -len(params) <= wrt < len(params):
        return wrt % len(params)
    raise DeriveError(f"explain: {name} has no argument {wrt!r} among {', '.join(params)}")


def _xla(flat: Callable[..., Any], leaves: Sequence[Any]) -> dict[str, int]:
    """XLA's FLOPs of the value, and of it with a JVP and with a VJP."""
    moving = [k for k, x in enumerate(leaves) if _float(x)]

    def value(*moved: Any) -> Any:
        return flat(*(dict(enumerate(leaves)) | dict(zip(moving, moved, strict=True))).values())[0]

    def with_vjp(*moved: Any) -> Any:
        y, back = jax.vjp(value, *moved)
        return y, back(y)

    given = [leaves[k] for k in moving]
    programs: dict[str, Callable[..., Any]] = {
        "value": value,
        "value + jvp": lambda *a: jax.jvp(value, a[: len(given)], a[len(given) :]),
        "value + vjp": with_vjp,
    }
    found = {}
    for name, program in programs.items():
        # before fusion, which computes twice what is cheaper so, and differs from version to version
        cost = jax.jit(program).lower(*given, *(given if name == "value + jvp" else ())).cost_analysis()
        found[name] = int(sum((cost or {}).get(counted, 0) for counted in ("flops", "transcendentals")))
    return found


# ---------------------------------------------------------------------------------------------- ordering


def _orders(path: Sequence[tuple[Stage, int]], x: Sequence[Value], y: Value) -> list[Order]:
    """What the whole Jacobian costs, by each way to it."""
    n, m = sum(v.size for v in x), y.size
    jvp, vjp = sum(s.jvps[k] for s, k in path), sum(s.vjps[k] for s, k in path)
    orders = [
        Order("JVPs, one input at a time", n * jvp, n, f"{n} of them"),
        Order("VJPs, one output at a time", m * vjp, n if m == 1 else m * n, f"{m} of them"),
    ]
    chain, names = _chain(path, x, y)
    if len(chain) > 1:
        whole = optimum(chain, names)
        orders += [
            _order("dense Jacobians, forward", right_to_left(chain, structured=False)),
            _order("dense Jacobians, reverse", left_to_right(chain, structured=False)),
            _order("structured Jacobians, forward", right_to_left(chain)),
            _order("structured Jacobians, reverse", left_to_right(chain)),
            Order("optimal brackets", whole.flops, whole.largest, whole.text),
        ]
    return orders


def _order(name: str, b: Any) -> Order:
    return Order(name, b.flops, b.largest)


def _path(found: Sequence[Stage], x: Sequence[Value], y: Value) -> list[tuple[Stage, int]]:
    """The stages, each with an input of it, through which y depends on x."""
    reached = dependent([e for s in found for e in s.equations], x)
    needed, on_path = {y}, []
    for s in reversed(found):
        if s.output in needed and any(v in reached for v in s.inputs):
            on_path.append(s)
            needed |= set(s.inputs)
    through = {s.output for s in on_path} | set(x)
    return [(s, k) for s in reversed(on_path) for k, v in enumerate(s.inputs) if v in through]


def _chain(path: Sequence[tuple[Stage, int]], x: Sequence[Value], y: Value) -> tuple[list[Factor], list[str]]:
    """The factors J_K … J_1, where each stage reads the one before it, once; else none, for the graph branches."""
    ends = [*x, *(s.output for s, _ in path)]
    chained = len(x) == 1 and all(s.inputs[k] is before for (s, k), before in zip(path, ends, strict=False))
    if not chained or ends[-1] is not y:
        return [], []
    factors = [s.kinds[k].factor for s, k in path][::-1]
    names = [s.output.name or f"J{k}" for k, (s, _) in enumerate(path, 1)][::-1]
    fits = all(a.n == b.m for a, b in itertools.pairwise(factors))
    return (factors, names) if fits else ([], [])

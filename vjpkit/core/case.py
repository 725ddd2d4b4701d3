"""A case: a rule with arguments to hold it against the truth at. Data, and nothing that checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core.draw import Draw
from vjpkit.core.rule import Rule


@dataclass(frozen=True)
class Special:
    """A point where something may go wrong: a kink, a tie, an infinity. Run in both modes.

    `value` is the output there and `cotangents(g)` the tuple of cotangents; None means that the primal and
    its autodiff are right there.
    """

    args: tuple[Any, ...]
    why: str
    value: Any = None
    cotangents: Callable[[Any], tuple[Any, ...]] | None = None
    static: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A rule, the arguments to draw for it, the points that are special, and the value by other means.

    Args:    args: draws, arrays, numbers, None, or pytrees of them.
             static: the static options.
             reference: NumPy or SciPy's function of the value, of float64 arguments, with the static options.
             tol: multiplies the bound that the check derives from eps; another than 1 needs a `reason`.
    """

    rule: Rule
    args: tuple[Any, ...]
    static: Mapping[str, Any] = field(default_factory=dict)
    special: tuple[Special, ...] = ()
    reference: Callable[..., Any] | None = None
    tol: float = 1.0
    reason: str = ""

    def __post_init__(self) -> None:
        if self.tol != 1.0 and not self.reason:
            raise ValueError(f"case of {self.rule.name}: a tolerance of {self.tol} times the bound needs a reason")

    def draw(self, seed: int = 0, dtype: Any = jnp.float32) -> tuple[Any, ...]:
        """Arguments of this case in `dtype`, the same for the same seed."""
        leaves, tree = jax.tree.flatten(self.args, is_leaf=lambda a: isinstance(a, Draw))
        drawn = [a.sample((seed, i), dtype) if isinstance(a, Draw) else a for i, a in enumerate(leaves)]
        return jax.tree.unflatten(tree, drawn)

    def __str__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.static.items())
        shapes = " ".join(str(list(jnp.shape(a))) for a in jax.tree.leaves(self.draw()))
        return f"{self.rule.name} {shapes}{' ' + options if options else ''}"


def fullest(cases: Sequence[Case]) -> list[int]:
    """The places of each rule's case with the most arguments, the first of several."""
    best: dict[Rule, int] = {}
    for i, case in enumerate(cases):
        j = best.setdefault(case.rule, i)
        if len(jax.tree.leaves(case.args)) > len(jax.tree.leaves(cases[j].args)):
            best[case.rule] = i
    return list(best.values())

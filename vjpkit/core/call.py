"""A rule at one call structure: the function that an op's equation carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jax import tree_util as tu

from vjpkit.core.answers import check_output, spec, split_fwd
from vjpkit.core.carried import Function, Leaves
from vjpkit.core.fwd import Fwd

if TYPE_CHECKING:
    from vjpkit.core.rule import Rule


@dataclass(frozen=True, repr=False)
class Call(Function):
    """One rule with its argument structure and static options fixed: a function from leaves to the output."""

    rule: Rule
    in_tree: tu.PyTreeDef
    static: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def primitive(self) -> Any:
        return self.rule.primitives.op

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.static)})"

    def __call__(self, *leaves: Any) -> Any:
        return self.rule.evaluate(*self.arguments(leaves), **dict(self.static))

    def arguments(self, leaves: Leaves) -> tuple[Any, ...]:
        return tu.tree_unflatten(self.in_tree, leaves)

    def fwd(self, leaves: Leaves) -> tuple[Any, Any]:
        """The output and the residuals, by the rule's fwd, the output held against the primal's."""
        out, res = split_fwd(self.name, self.rule.fwd(*self.arguments(leaves), **dict(self.static)))
        trace = self.program.trace(*leaves)
        check_output(f"{self.name}.fwd", out, trace.out_tree, tuple(map(spec, trace.jaxpr.out_avals)))
        return out, res

    def jvp(self, primals: Leaves, dots: Leaves, perturbed: tuple[bool, ...]) -> tuple[Leaves, Leaves]:
        return Fwd.of(self, primals).linearize(primals, dots, perturbed)[:2]

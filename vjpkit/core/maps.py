"""The derivative of a rule at a point: one linear map that knows both of its readings, J ẋ and Jᵀ g."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import tree_util as tu

from vjpkit.core.answers import Spec, cotangent_leaves, has_tangent, tangent_leaves
from vjpkit.core.carried import Map
from vjpkit.core.zeros import without_zeros

if TYPE_CHECKING:
    from vjpkit.core.call import Call


@tu.register_static
@dataclass(frozen=True, repr=False)
class LinearMap(Map):
    """ẋ ↦ ẏ by the rule's jvp or, `transposed`, g ↦ x̄ by its vjp; vectors are the leaves that have a tangent.

    Only the `perturbed` arguments' tangents come in, and only their cotangents go out.
    """

    call: Call
    res_tree: tu.PyTreeDef
    perturbed: tuple[bool, ...]
    in_specs: tuple[Spec, ...]
    out_tree: tu.PyTreeDef
    out_specs: tuple[Spec, ...]
    transposed: bool = False

    @property
    def primitive(self) -> Any:
        ours = self.call.rule.primitives
        return ours.vjp if self.transposed else ours.jvp

    @property
    def n_res(self) -> int:
        return self.res_tree.num_leaves

    @property
    def name(self) -> str:
        return f"{self.call.rule.name}_{'vjp' if self.transposed else 'jvp'}"

    @property
    def T(self) -> LinearMap:
        return dataclasses.replace(self, transposed=not self.transposed)

    def __call__(self, *operands: Any) -> list[Any]:
        if self.call.rule.recompute:
            operands = jax.lax.optimization_barrier(operands)
        res, vectors = tu.tree_unflatten(self.res_tree, operands[: self.n_res]), operands[self.n_res :]
        return self._vjp(res, vectors) if self.transposed else self._jvp(res, vectors)

    def _jvp(self, res: Any, dots: tuple[Any, ...]) -> list[Any]:
        rule = self.call.rule
        if rule.jvp is None:
            spaces = [s for s in self.out_specs if has_tangent(s)]
            return list(jax.linear_transpose(lambda *g: self._vjp(res, g), *spaces)(list(dots)))
        kept = tu.tree_leaves(res)
        spaces = [s for s in self.in_specs if has_tangent(s)]
        moves = [p for s, p in zip(self.in_specs, self.perturbed, strict=True) if has_tangent(s)]
        dot = iter(dots)
        every_dot = [next(dot) if m else jnp.zeros(s.shape, s.dtype) for s, m in zip(spaces, moves, strict=True)]
        if all(moves):
            return self._whole_jvp(*kept, *every_dot)
        return without_zeros(self._whole_jvp, [False] * len(kept) + [not m for m in moves])(*kept, *every_dot)

    def _whole_jvp(self, *operands: Any) -> list[Any]:
        """The rule's jvp of residuals and the tangents of all arguments that have one."""
        rule, dot = self.call.rule, iter(operands[self.n_res :])
        res = tu.tree_unflatten(self.res_tree, operands[: self.n_res])
        dots = self.call.arguments([next(dot) if has_tangent(s) else None for s in self.in_specs])
        assert rule.jvp is not None
        y_dot = rule.jvp(res, *dots, **dict(self.call.static))
        answer = tangent_leaves(f"{rule.name}.jvp", y_dot, self.out_tree, self.out_specs)
        return [y for y in answer if y is not None]

    def _vjp(self, res: Any, cotangents: tuple[Any, ...]) -> list[Any]:
        rule = self.call.rule
        if rule.vjp is None:
            spaces = [s for s, p in zip(self.in_specs, self.perturbed, strict=True) if p]
            return list(jax.linear_transpose(lambda *dots: self._jvp(res, dots), *spaces)(list(cotangents)))
        bar = iter(cotangents)
        g = tu.tree_unflatten(self.out_tree, [next(bar) if has_tangent(s) else None for s in self.out_specs])
        answer = cotangent_leaves(
            f"{rule.name}.vjp",
            rule.argument_names(len(self.call.in_tree.children())),
            rule.vjp(res, g, **dict(self.call.static)),
            self.call.in_tree,
            self.in_specs,
        )
        return [x for x, p in zip(answer, self.perturbed, strict=True) if p]

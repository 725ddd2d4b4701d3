"""A rule's fwd, and the linear map that it leads to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax import tree_util as tu

from vjpkit.core.answers import has_tangent, spec
from vjpkit.core.carried import Function, Leaves, named
from vjpkit.core.maps import LinearMap
from vjpkit.core.primitives import bind_function, bind_map, jaxpr_as_fun, jaxpr_variables

if TYPE_CHECKING:
    from vjpkit.core.call import Call


@dataclass(frozen=True, repr=False)
class Fwd(Function):
    """A call's fwd as a program that answers the output and those residuals that are neither input nor output.

    Where the rule is opaque it is also a function of its own, one equation: then the rule, not autodiff through
    fwd, gives the tangents of the output and, as they are wired to inputs and outputs, of the other residuals.
    The rule so holds at every order even where fwd is a loop or a callback.
    """

    call: Call
    jaxpr: Any  # from leaves to the output's leaves and the residuals
    out_tree: tu.PyTreeDef
    res_tree: tu.PyTreeDef
    new: tuple[int, ...]  # the places in the jaxpr's answer of residuals that fwd computes
    wires: tuple[tuple[str, int], ...]  # where each residual is found: "in", "out" or "new", and its place there

    @classmethod
    def of(cls, call: Call, primals: Leaves) -> Fwd:
        """Trace fwd, once per signature; a residual that is an input, an output or another one is known as such."""
        trace = _traced(call).trace(*primals)
        out_tree, res_tree = trace.out_tree.children()
        ins, outs = jaxpr_variables(trace.jaxpr)
        n_out = out_tree.num_leaves
        new: list[int] = []
        wires: list[tuple[str, int]] = []
        for k, v in enumerate(outs[n_out:], n_out):
            if v in ins:
                wires.append(("in", ins.index(v)))
            elif v in outs[:n_out]:
                wires.append(("out", outs.index(v)))
            else:
                first = outs.index(v, n_out)
                if first == k:
                    new.append(k)
                wires.append(("new", new.index(first)))
        return cls(call, trace.jaxpr, out_tree, res_tree, tuple(new), tuple(wires))

    @property
    def n_out(self) -> int:
        return self.out_tree.num_leaves

    @property
    def name(self) -> str:
        return f"{self.call.name}_fwd"

    @property
    def primitive(self) -> Any:
        return self.call.rule.primitives.fwd

    def __call__(self, *leaves: Any) -> list[Any]:
        answer = jaxpr_as_fun(self.jaxpr)(*leaves)
        return [*answer[: self.n_out], *(answer[i] for i in self.new)]

    def linearize(self, primals: Leaves, dots: Leaves, perturbed: tuple[bool, ...]) -> tuple[Leaves, Leaves, Leaves]:
        """The output, its tangent ẏ = J ẋ as an equation of the linear map, and the new residuals."""
        if self.call.rule.opaque:
            answer = bind_function(self, primals, self.program.trace(*primals).jaxpr)
        else:
            answer = self.program(*primals)
        out, new = answer[: self.n_out], answer[self.n_out :]
        found = {"in": primals, "out": out, "new": new}
        res = [found[where][i] for where, i in self.wires]
        specs = tuple(map(spec, out))
        linear = LinearMap(self.call, self.res_tree, perturbed, tuple(map(spec, primals)), self.out_tree, specs)
        dots = bind_map(linear, res, dots, [y for y, s in zip(out, specs, strict=True) if has_tangent(s)])
        return out, dots, new

    def jvp(self, primals: Leaves, dots: Leaves, perturbed: tuple[bool, ...]) -> tuple[Leaves, Leaves]:
        """The output's tangent is the rule's; that of a new residual comes by autodiff through fwd."""
        out, out_dots, new = self.linearize(primals, dots, perturbed)
        if not any(map(has_tangent, new)):
            return [*out, *new], out_dots
        moving = [i for i, p in enumerate(perturbed) if p]

        def residuals(*values: Any) -> list[Any]:
            at = dict(enumerate(primals)) | dict(zip(moving, values, strict=True))
            return [r for r in self(*at.values())[self.n_out :] if has_tangent(r)]

        _, new_dots = jax.jvp(residuals, tuple(primals[i] for i in moving), tuple(dots))
        return [*out, *new], [*out_dots, *new_dots]


@functools.lru_cache(maxsize=4096)
def _traced(call: Call) -> Any:
    """A call's checked fwd, jitted for the sake of its trace."""
    return jax.jit(named(lambda *leaves: call.fwd(leaves), f"{call.name}_fwd"))

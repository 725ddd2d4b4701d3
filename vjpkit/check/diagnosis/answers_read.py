"""A candidate's answer read: one array for each differentiable leaf, or for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.question import Asked


class Misread(Exception):
    """The answer has the wrong structure; the text says how. `arm` is the argument where that is one."""

    def __init__(self, text: str, arm: int | None = None) -> None:
        super().__init__(text)
        self.arm = arm


def read_answer(asked: Asked, raw: Any) -> list[Any]:
    """The arrays, in order; raises Misread."""
    return _cotangents(asked, raw) if asked.kind == "vjp" else _tangents(asked, raw)


def _cotangents(asked: Asked, raw: Any) -> list[Any]:
    args = asked.rebuilt([asked.leaves[i] for i in asked.arrays])
    wanted = sorted({a.position for a in asked.arms})
    parts = _parts(raw, len(args), wanted)
    out: list[Any] = []
    for k, arm in enumerate(asked.arms):
        if sum(a.position == arm.position for a in asked.arms[:k]):
            continue
        mine = [j for j, a in enumerate(asked.arms) if a.position == arm.position]
        leaves = jax.tree.leaves(parts[arm.position])
        if parts[arm.position] is None or not leaves:
            raise Misread(f"no cotangent for {arm}: None where a {_kind(asked, k)} belongs", k)
        if len(leaves) != len(mine):
            every = [
                i for i, leaf in enumerate(jax.tree.leaves(args[arm.position])) if np.asarray(leaf).dtype.kind in "fcV"
            ]
            if len(leaves) == len(jax.tree.leaves(args[arm.position])):
                leaves = [leaves[i] for i in every]
            else:
                raise Misread(f"{len(leaves)} arrays for {arm}, which has {len(mine)} differentiable leaves", k)
        out += leaves
    return out


def _parts(raw: Any, n: int, wanted: list[int]) -> dict[int, Any]:
    if isinstance(raw, list | tuple) and not hasattr(raw, "_fields"):
        if len(raw) == n:
            return dict(enumerate(raw))
        if len(raw) == len(wanted):
            return dict(zip(wanted, raw, strict=True))
        if len(wanted) > 1 or len(raw) == 0:
            raise Misread(f"{len(raw)} cotangents for {n} arguments")
    if len(wanted) == 1:
        return {wanted[0]: raw}
    raise Misread(f"one {type(raw).__name__} where a tuple of {n} cotangents belongs, one for each argument")


def _tangents(asked: Asked, raw: Any) -> list[Any]:
    leaves = jax.tree.leaves(raw)
    if len(leaves) == len(asked.spoken):
        return leaves
    if len(leaves) == len(asked.outs):
        return [leaves[i] for i in asked.spoken]
    raise Misread(f"{len(leaves)} arrays for an output of {len(asked.spoken)} differentiable leaves")


def _kind(asked: Asked, k: int) -> str:
    a = asked.point[asked.active[k]]
    return f"{a.dtype}{list(a.shape)}"

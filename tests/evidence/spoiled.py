"""Wrong rules made of right ones: every mutation that applies to a rule at a case, and the rule that has it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.evidence.mutations import KINDS, Mutation, output_mutations, places, respelled
from vjpkit.core import Case, Rule

Fn = Callable[..., Any]
SLIPS = ("flip a sign", "off by 1e-3")  # of a residual: the maps read it, so more would say no more


class Subject:
    """A rule at a case in float64: its value, its residuals, and a vector for each of its maps."""

    def __init__(self, case: Case) -> None:
        self.rule = case.rule
        self.args, self.static = in_float64(case.rule, case.draw(0, jnp.float64), case.static)
        self.out, self.res = jax.eval_shape(lambda *args: self.rule.fwd(*args, **self.static), *self.args)
        self.g = vectors(self.out, 1)
        self.dots = vectors(self.args, 2)
        self.batch = max((np.size(a) for a in jax.tree.leaves(self.args)), default=2)

    def inputs(self, part: str) -> tuple[Any, ...]:
        return {"fwd": self.args, "jvp": (self.res, *self.dots), "vjp": (self.res, self.g)}[part]

    def mutations(self, most: int) -> Iterator[Mutation]:
        """Every kind in every map, at no more than `most` places each, spread evenly."""
        for part in ("fwd", "jvp", "vjp"):
            if getattr(self.rule, part) is None:
                continue
            for kind in KINDS:
                n = len(list(self.spoiled(part, kind)))
                for place in sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))} if n else ()):
                    yield Mutation(part, kind, place)

    def mutant(self, mutation: Mutation) -> Rule:
        """The rule with this one thing wrong."""
        wrong = copy.copy(self.rule)
        vars(wrong).update(list(self.spoiled(mutation.part, mutation.kind))[mutation.place])
        return wrong

    def spoiled(self, part: str, kind: str) -> Iterator[dict[str, Fn]]:
        """The functions to put into the rule, place by place."""
        f = getattr(self.rule, part)
        for k in range(places(f, kind, *self.inputs(part), **self.static)):
            yield {part: respelled(f, kind, k)}
        yield from ({part: changed} for changed in self._answers(part, kind, f))
        if part != "fwd":
            yield from ({part: changed} for changed in self._vectors(part, kind, f))
            yield from self._residuals(part, kind, f)

    def _answers(self, part: str, kind: str, f: Fn) -> Iterator[Fn]:
        """One array of the answer changed."""
        change = output_mutations(self.batch).get(kind)
        if change is None:
            return
        answer = jax.eval_shape(lambda *args: f(*args, **self.static), *self.inputs(part))
        values = len(jax.tree.leaves(answer[0])) if part == "fwd" else np.inf
        for i, leaf in enumerate(jax.tree.leaves(answer)):
            applies = is_float(leaf) and jax.eval_shape(change, leaf) is not None
            if applies and (i < values or kind in SLIPS):
                yield _after(f, i, change)

    def _vectors(self, part: str, kind: str, f: Fn) -> Iterator[Fn]:
        """What the map is linear in, not used, or used without its sign."""
        change = {"ignore g": jnp.ones_like, "|g|": jnp.abs}.get(kind)
        for i, leaf in enumerate(jax.tree.leaves(self.inputs(part)[1:])):
            if change and is_float(leaf):
                yield _before(f, i, change)

    def _residuals(self, part: str, kind: str, f: Fn) -> Iterator[dict[str, Fn]]:
        """A residual for another: for one beside it, for an argument, or for the output."""
        res, sources = jax.tree.leaves(self.res), {"other residual": self.args, "slope at the output": self.out}
        if kind not in sources:
            return
        others = jax.tree.leaves(sources[kind])
        for i, leaf in enumerate(res):
            if not is_float(leaf):
                continue
            for j, other in enumerate(res):
                if kind == "other residual" and j != i and alike(leaf, other):
                    yield {part: _with_residual(f, i, lambda leaves, j=j: leaves[j])}
            for k, other in enumerate(others):
                if alike(leaf, other):
                    yield self._keeping(part, i, k, kind)

    def _keeping(self, part: str, i: int, k: int, kind: str) -> dict[str, Fn]:
        """The rule's fwd keeps one array more, which one of its maps takes for its i-th residual."""
        rule = self.rule

        def fwd(*args: Any, **static: Any) -> Any:
            out, res = rule.fwd(*args, **static)
            return out, (res, jax.tree.leaves(args if kind == "other residual" else out)[k])

        def taking(map_: Fn, part_: str) -> Fn:
            def taken(kept: Any, *vectors: Any, **static: Any) -> Any:
                res, other = kept
                g = _with_residual(map_, i, lambda leaves: other) if part_ == part else map_
                return g(res, *vectors, **static)

            return taken

        maps = {p: getattr(rule, p) for p in ("jvp", "vjp")}
        return {"fwd": fwd, **{p: taking(m, p) for p, m in maps.items() if m is not None}}


def in_float64(rule: Rule, args: Sequence[Any], static: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """All arguments, in float64, and all options, as the rule's fwd takes them."""
    every, options = rule.complete(args, static)
    return jax.tree.map(_exact, every), options


def _exact(a: Any) -> Any:
    return jnp.asarray(a, jnp.float64) if np.asarray(a).dtype.kind == "f" else jnp.asarray(a)


def is_float(a: Any) -> bool:
    return bool(jnp.issubdtype(getattr(a, "dtype", np.int32), jnp.inexact))


def alike(a: Any, b: Any) -> bool:
    return is_float(b) and a.shape == b.shape and a.dtype == b.dtype


def vectors(tree: Any, seed: int) -> Any:
    """Random arrays like a tree's, no two alike; None for what has no tangent."""
    leaves, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, [_vector(a, (seed, i)) for i, a in enumerate(leaves)])


def _vector(a: Any, seed: tuple[int, ...]) -> Any:
    dtype = jnp.result_type(a)
    if not jnp.issubdtype(dtype, jnp.inexact):
        return None
    return jnp.asarray(np.random.default_rng(seed).standard_normal(np.shape(a)), dtype)


def _after(f: Fn, i: int, change: Fn) -> Fn:
    """`f`, the i-th array of whose answer is changed."""

    def changed(*args: Any, **static: Any) -> Any:
        leaves, tree = jax.tree.flatten(f(*args, **static))
        if i >= len(leaves):  # a special point's answer may have fewer arrays
            return jax.tree.unflatten(tree, leaves)
        answer = change(leaves[i])  # None where it does not apply to an array of this shape
        leaves[i] = leaves[i] if answer is None else jnp.asarray(answer).astype(leaves[i].dtype)
        return jax.tree.unflatten(tree, leaves)

    return changed


def _before(f: Fn, i: int, change: Fn) -> Fn:
    """A map, the i-th of whose vectors is changed."""

    def changed(res: Any, *vectors: Any, **static: Any) -> Any:
        leaves, tree = jax.tree.flatten(vectors)
        leaves[i] = change(leaves[i])
        return f(res, *jax.tree.unflatten(tree, leaves), **static)

    return changed


def _with_residual(f: Fn, i: int, pick: Fn) -> Fn:
    """A map whose i-th residual is another array."""

    def changed(res: Any, *vectors: Any, **static: Any) -> Any:
        leaves, tree = jax.tree.flatten(res)
        res = jax.tree.unflatten(tree, [pick(leaves) if k == i else a for k, a in enumerate(leaves)])
        return f(res, *vectors, **static)

    return changed

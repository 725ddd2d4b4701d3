"""What a rule's functions answer, held against what they must: every message names rule, map and argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import tree_util as tu

from vjpkit.core.errors import RuleError

Spec = jax.ShapeDtypeStruct


def spec(x: Any) -> Spec:
    """Shape and dtype of an array, hashable."""
    return Spec(x.shape, x.dtype) if hasattr(x, "shape") else Spec(jnp.shape(x), jnp.result_type(x))


def has_tangent(s: Any) -> bool:
    """Whether values of this kind have a tangent: float and complex do; integers, bools and keys do not."""
    return bool(jnp.issubdtype(s.dtype, jnp.inexact))


def show(s: Spec) -> str:
    """`float32[2,3]`."""
    return f"{s.dtype}[{','.join(map(str, s.shape))}]"


def _hint(got: Spec, want: Spec) -> str:
    """What would turn the shape that came into the one that was expected."""
    lead = len(got.shape) - len(want.shape)
    if lead > 0 and got.shape[lead:] == want.shape:
        return f"; a sum over the leading axes {tuple(range(lead))} would mend the shape"
    if got.shape != want.shape and got.shape == want.shape[::-1]:
        return "; it is the transpose of that shape"
    if len(got.shape) == len(want.shape) and all(w in (1, g) for g, w in zip(got.shape, want.shape, strict=True)):
        axes = tuple(i for i, (g, w) in enumerate(zip(got.shape, want.shape, strict=True)) if g != w)
        if axes:
            return f"; a sum over axes {axes} with keepdims=True would mend the shape"
    return ""


def check_leaf(who: str, what: str, leaf: Any, want: Spec) -> Any:
    """`leaf` if it has the shape and dtype of `want`, else RuleError."""
    try:
        got = spec(leaf)
    except TypeError:
        raise RuleError(f"{who}: {what} must be an array, expected {show(want)}, got {type(leaf).__name__}") from None
    if got.shape != want.shape or got.dtype != want.dtype:
        raise RuleError(f"{who}: {what} is wrong: expected {show(want)}, got {show(got)}{_hint(got, want)}")
    return leaf


def split_fwd(name: str, answer: Any) -> tuple[Any, Any]:
    """The pair (output, residuals) that a fwd must return."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        size = f" of {len(answer)}" if isinstance(answer, tuple) else ""
        raise RuleError(f"{name}.fwd must return the pair (output, residuals), got {type(answer).__name__}{size}")
    return answer


def check_output(who: str, answer: Any, tree: tu.PyTreeDef, want: Sequence[Spec]) -> None:
    """RuleError where a fwd's output does not look like the primal's."""
    for i, (y, s) in enumerate(zip(_like_output(who, "the output", answer, tree), want, strict=True)):
        check_leaf(who, _leaf_name("the output", i, want), y, s)


def tangent_leaves(who: str, answer: Any, tree: tu.PyTreeDef, want: Sequence[Spec]) -> list[Any]:
    """The leaves of a jvp's answer, which must look like the output, `None` where that has no tangent."""
    leaves = _like_output(who, "the output's tangent", answer, tree)
    for i, (y_dot, s) in enumerate(zip(leaves, want, strict=True)):
        _check_vector(who, _leaf_name("the output's tangent", i, want), y_dot, s)
    return leaves


def _leaves_like(tree: tu.PyTreeDef, answer: Any) -> list[Any] | None:
    """The leaves of an answer that has this structure, where `None` may stand for a leaf; None for another one."""
    try:
        leaves = tree.flatten_up_to(answer)
    except (ValueError, TypeError):
        return None
    return leaves if all(leaf is None or tu.all_leaves([leaf]) for leaf in leaves) else None


def _like_output(who: str, what: str, answer: Any, tree: tu.PyTreeDef) -> list[Any]:
    leaves = _leaves_like(tree, answer)
    if leaves is None:
        got = tu.tree_structure(answer)
        raise RuleError(f"{who}: {what} must be structured like the primal's output, {tree}, got {got}")
    return leaves


def _leaf_name(what: str, i: int, all_of_them: Sequence[Spec]) -> str:
    return what if len(all_of_them) == 1 else f"{what}, leaf {i},"


def _check_vector(who: str, what: str, vector: Any, s: Spec) -> None:
    """A tangent or cotangent for a primal of kind `s`: None exactly where there is no tangent."""
    if not has_tangent(s):
        if vector is not None:
            raise RuleError(f"{who}: {what} must be None, for {s.dtype} has no tangent, got {type(vector).__name__}")
    elif vector is None:
        raise RuleError(f"{who}: {what} is None, expected {show(s)}; return zeros where the derivative is zero")
    else:
        check_leaf(who, what, vector, s)


def cotangent_leaves(
    who: str, names: Sequence[str], answer: Any, tree: tu.PyTreeDef, want: Sequence[Spec]
) -> list[Any]:
    """The leaves of a vjp's answer, one for each leaf of the arguments, `None` where there is no tangent."""
    arguments = tree.children()
    if len(arguments) == 1 and not (isinstance(answer, tuple | list) and len(answer) == 1):
        answer = (answer,)
    if not isinstance(answer, tuple | list) or len(answer) != len(arguments):
        got = f"{len(answer)}" if isinstance(answer, tuple | list) else f"one {type(answer).__name__}"
        raise RuleError(
            f"{who} must return a tuple of {len(arguments)} cotangents, one for each of ({', '.join(names)}), got {got}"
        )
    leaves: list[Any] = []
    for name, bar, argument in zip(names, answer, arguments, strict=True):
        specs = want[len(leaves) : len(leaves) + argument.num_leaves]
        leaves += _argument_leaves(who, name, bar, argument, specs)
    return leaves


def _argument_leaves(who: str, name: str, bar: Any, tree: tu.PyTreeDef, want: Sequence[Spec]) -> list[Any]:
    leaves = [None] * len(want) if bar is None else _leaves_like(tree, bar)
    if leaves is None:
        got = tu.tree_structure(bar)
        raise RuleError(f"{who}: the cotangent of {name} must be structured like {name}, {tree}, got {got}")
    paths = [tu.keystr(path) for path, _ in tu.tree_leaves_with_path(tu.tree_unflatten(tree, range(len(want))))]
    for leaf, s, path in zip(leaves, want, paths, strict=True):
        _check_vector(who, f"the cotangent of {name}{path}", leaf, s)
    return leaves

"""Pytrees of arguments seen as lists of real arrays: the one view in which every check works.

A complex leaf is two real ones. Integers, bools and keys are inputs that are not differentiated, and whatever
is no array at all is a constant of the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Point:
    """Where a function is looked at: its real leaves, its leaves without a tangent, and the dtype of the former.

    Two points are the same when they are the same object, so that answers can be remembered by point.
    """

    x: Arrays
    fixed: Arrays
    dtype: str = "float64"
    label: str = ""

    @property
    def x64(self) -> bool:
        return self.dtype == "float64"

    def moved(self, x: Sequence[Any]) -> Point:
        return Point(tuple(x), self.fixed, self.dtype, self.label)


def kind(leaf: Any) -> str:
    """ "float", "complex", "fixed" for arrays without a tangent, "constant" for what is no array or float."""
    if isinstance(leaf, float):
        return "float"
    if isinstance(leaf, complex):
        return "complex"
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        return "constant"
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        return "complex"
    return "float" if jnp.issubdtype(leaf.dtype, jnp.floating) else "fixed"


@dataclass(frozen=True)
class Layout:
    """How the arguments of one function are laid out as real leaves."""

    tree: Any
    kinds: tuple[str, ...]
    paths: tuple[str, ...]
    constants: tuple[Any, ...]
    called: tuple[str, ...]  # the arguments

    @classmethod
    def of(cls, args: Sequence[Any], names: Sequence[str]) -> Layout:
        leaves, tree = jax.tree_util.tree_flatten_with_path(tuple(args))
        kinds = tuple(kind(leaf) for _, leaf in leaves)
        paths = tuple(names[path[0].idx] + jax.tree_util.keystr(path[1:]) for path, _ in leaves)
        constants = tuple(leaf for _, leaf in leaves if kind(leaf) == "constant")
        return cls(tree, kinds, paths, constants, tuple(names))

    def like(self, other: Layout) -> bool:
        """Whether arguments laid out so are the same function's as those of another layout."""
        same = (self.tree, self.kinds) == (other.tree, other.kinds)
        return same and all(a is b or a == b for a, b in zip(self.constants, other.constants, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """What messages call the real leaves."""
        parts = {"float": ("",), "complex": (".real", ".imag")}
        return tuple(p + part for k, p in zip(self.kinds, self.paths, strict=True) for part in parts.get(k, ()))

    @property
    def fixed_names(self) -> tuple[str, ...]:
        return tuple(p for k, p in zip(self.kinds, self.paths, strict=True) if k == "fixed")

    def point(self, args: Sequence[Any], dtype: str = "float64", label: str = "") -> Point:
        """The point of these arguments, their real leaves rounded to `dtype`."""
        x: list[Any] = []
        fixed: list[Any] = []
        for leaf, k in zip(jax.tree.leaves(tuple(args)), self.kinds, strict=True):
            if k == "fixed":
                fixed.append(leaf if isinstance(leaf, jax.Array) else np.asarray(leaf))
            elif k == "float":
                x.append(np.asarray(leaf).astype(jnp.dtype(dtype)))
            elif k == "complex":
                x += [part.astype(jnp.dtype(dtype)) for part in (np.asarray(leaf).real, np.asarray(leaf).imag)]
        return Point(tuple(x), tuple(fixed), dtype, label)

    def arguments(self, x: Sequence[Any], fixed: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments again, as JAX arrays, from traced or concrete leaves."""
        reals, rest, constants = iter(map(jnp.asarray, x)), iter(map(jnp.asarray, fixed)), iter(self.constants)
        build: dict[str, Callable[[], Any]] = {
            "float": lambda: next(reals),
            "complex": lambda: jax.lax.complex(next(reals), next(reals)),
            "fixed": lambda: next(rest),
            "constant": lambda: next(constants),
        }
        return jax.tree.unflatten(self.tree, [build[k]() for k in self.kinds])

    def flat(self, f: Callable[..., Any]) -> Callable[[Arrays, Arrays], Arrays]:
        """`f` as a function from real leaves, and leaves without a tangent, to the real leaves of its output."""
        return lambda x, fixed: real_leaves(f(*self.arguments(x, fixed)))


def real_leaves(out: Any) -> Arrays:
    """The real leaves of an output; integers and bools, which have no tangent, are left out."""
    leaves: list[Any] = []
    for leaf in jax.tree.leaves(out):
        if kind(leaf) == "complex" or jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            leaves += [jnp.real(leaf), jnp.imag(leaf)]
        elif jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            leaves.append(jnp.asarray(leaf))
    return tuple(leaves)


def reals(tree: Any) -> list[np.ndarray]:
    """The leaves of an output or of cotangents that a person wrote down, as real float64 arrays."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    parts = [(a.real, a.imag) if np.iscomplexobj(a) else (a,) for a in leaves]
    return [np.asarray(p, np.float64) for pair in parts for p in pair]


def output_names(out: Any) -> tuple[str, ...]:
    """What messages call the real leaves of an output."""
    names: list[str] = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(out):
        name = "y" + jax.tree_util.keystr(path)
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            names += [f"{name}.real", f"{name}.imag"]
        elif jnp.issubdtype(leaf.dtype, jnp.floating):
            names.append(name)
    return tuple(names)


def function_name(f: Any) -> str:
    """What a rule, a function or another callable is called."""
    return str(getattr(f, "name", None) or getattr(f, "__name__", None) or type(f).__name__)


def argument_names(f: Callable[..., Any], count: int, skip: int = 0) -> list[str]:
    """What the signature of `f` calls its first `count` arguments."""
    try:
        parameters = list(inspect.signature(f).parameters.values())[skip:]
    except (TypeError, ValueError):
        return [f"args[{i}]" for i in range(count)]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    return names + [f"{rest}[{i}]" for i in range(count - len(names))]

"""Arguments and outputs that are trees of arrays, as Python: how a leaf is reached, how the tree is built again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from vjpkit.derive.errors import DeriveError
from vjpkit.derive.program import Value


@dataclass
class Tree:
    """A pytree's leaves, the paths to them, and an example of its structure."""

    example: Any
    leaves: list[Value]
    paths: list[str]
    keys: list[str]

    @classmethod
    def of(cls, what: str, example: Any, leaves: Sequence[Value]) -> Tree:
        """The tree; DeriveError for a node that is neither dict, list, tuple nor None."""
        _refuse_others(what, example)
        flat = jax.tree_util.tree_flatten_with_path(example)[0]
        keys = [next((str(k.key) for k in reversed(path) if hasattr(k, "key")), "") for path, _ in flat]
        return cls(example, list(leaves), [jax.tree_util.keystr(path) for path, _ in flat], keys)

    @property
    def several(self) -> bool:
        """Whether it is more than one leaf on its own."""
        return self.paths != [""]

    @property
    def bare_tuple(self) -> bool:
        return isinstance(self.example, tuple)

    def wishes(self, param: str) -> list[str]:
        """What to call each leaf."""
        if not self.several:
            return [param]
        return [key if key.isidentifier() else f"{param}_{k}" for k, key in enumerate(self.keys)]

    def code(self, leaves: Sequence[str]) -> str:
        """The tree of these texts; a tuple at the top without parentheses."""
        built = _code(self.example, iter(leaves))
        return built[1:-1] if isinstance(self.example, tuple) and len(self.example) > 1 else built


def _code(node: Any, leaves: Iterator[str]) -> str:
    if node is None:
        return "None"
    if isinstance(node, dict):
        built = {k: _code(node[k], leaves) for k in sorted(node)}
        return "{" + ", ".join(f"{k!r}: {built[k]}" for k in node) + "}"
    if isinstance(node, list):
        return f"[{', '.join(_code(n, leaves) for n in node)}]"
    if isinstance(node, tuple):
        return f"({', '.join(_code(n, leaves) for n in node)}{',' if len(node) == 1 else ''})"
    return next(leaves)


def _refuse_others(what: str, node: Any) -> None:
    if type(node) in (dict, list, tuple):
        for n in node.values() if isinstance(node, dict) else node:
            _refuse_others(what, n)
    elif node is not None and not hasattr(node, "dtype"):
        raise DeriveError(f"{what} holds a {type(node).__name__}; a written rule takes dicts, lists, tuples and arrays")

"""What a caller of `derive` asks for: the function on a flat list of arrays, their names, those to differentiate in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.check.arguments import drawn, is_shape, specified
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.given import named, on_leaves
from vjpkit.derive.source import leaf_names, parameters


class Asked:
    """A function, its arguments in double precision, and which of their arrays are meant.

    Raises:  DeriveError for what is no function, has no arguments, fails at them, or has not one array of floats
             as its output; for arguments that do not exist, or hold no floats.
    """

    def __init__(self, f: Any, args: Sequence[Any], wrt: Any) -> None:
        self.name = named("derive", f, args)
        self.source = f.func if isinstance(f, functools.partial) else f
        self.args = args
        values = jax.tree.map(_double, drawn(specified(args), 0, jnp.float64))
        self.leaves, tree = jax.tree.flatten(values)
        self.params = parameters(f, len(args))
        self.leaf_names = [leaf_names(p, v) for p, v in zip(self.params, values, strict=True)]
        self.names = [n for each in self.leaf_names for n in each]
        self.flat = self._flat(f, tree)
        self.chosen = list(dict.fromkeys(n for w in _several(wrt) for n in self._meant(w)))
        for name in self.chosen:
            leaf = self.leaves[self.names.index(name)]
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise DeriveError(f"derive: argument {name} of {self.name} is {leaf.dtype}, which has no derivative")

    def _flat(self, f: Callable[..., Any], tree: Any) -> Callable[..., list[Any]]:
        every, out = on_leaves("derive", f, tree, self.leaves)
        if len(out) != 1 or not jnp.issubdtype(out[0].dtype, jnp.floating):
            kinds = ", ".join(str(y.dtype) for y in out) or "nothing"
            raise DeriveError(f"derive: {self.name} returns {kinds}; formulas are for one array of floats")
        return every

    def _meant(self, w: Any) -> list[str]:
        """The names of the arrays that one entry of wrt stands for."""
        if isinstance(w, str) and w in self.names:
            return [w]
        if isinstance(w, str) and w in self.params:
            return self.leaf_names[self.params.index(w)]
        if isinstance(w, int) and not isinstance(w, bool) and -len(self.params) <= w < len(self.params):
            return self.leaf_names[w]
        raise DeriveError(f"derive: {self.name} has no argument {w!r} among {', '.join(self.params)}")

    def dims(self, given: Any) -> dict[str, Any]:
        """The names of dimensions: the caller's, and those of shapes in words."""
        words = {
            names[0]: [None if word.isdigit() else word for word in _words(a)]
            for a, names in zip(self.args, self.leaf_names, strict=True)
            if isinstance(a, str) and is_shape(a)
        }
        own = dict(given or {})
        return {k: v for k, v in words.items() if k not in own and any(v)} | own


def _several(wrt: Any) -> list[Any]:
    return [wrt] if isinstance(wrt, int | str) else list(wrt)


def _double(x: Any) -> Any:
    """Floats in double precision, the rest as it is."""
    x = jnp.asarray(x)
    return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _words(spec: str) -> list[str]:
    """The axes of a shape in words, without the kind and the bound of integers."""
    body = spec.partition("<")[0].split()
    return body[1:] if body[:1] in (["int"], ["bool"]) else body

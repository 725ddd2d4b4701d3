"""How a call is read: by the primal's signature, into arrays and static options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core.errors import RuleError

_KEYWORD_ONLY, _POSITIONAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL


class Signature:
    """A primal's parameters, divided into arguments (arrays, pytrees) and static options (hashable)."""

    def __init__(self, primal: Callable[..., Any], static: tuple[str, ...]) -> None:
        self.name, self.static = primal.__name__, static
        self.whole = inspect.signature(primal)
        parameters = self.whole.parameters.values()
        for unknown in set(static) - set(self.whole.parameters):
            raise RuleError(f"{self.name}: static option {unknown!r} is not a parameter of {self.name}{self.whole}")
        for p in parameters:
            if p.kind is inspect.Parameter.VAR_KEYWORD:
                raise RuleError(f"{self.name}: a rule cannot take **{p.name}; name its options and declare them static")
            if p.kind is _KEYWORD_ONLY and p.name not in static:
                raise RuleError(
                    f"{self.name}: keyword-only parameter {p.name!r} is not declared static; "
                    f"write static=({p.name!r},), or make it positional if it is an array"
                )
        self.arguments = tuple(p.name for p in parameters if p.name not in static)
        self._simple = not static and all(p.kind is not _POSITIONAL for p in parameters)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments in order and the static options as sorted (name, value) pairs, defaults filled in."""
        if self._simple and not kwargs and len(args) == len(self.arguments):
            return args, ()
        try:
            bound = self.whole.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.whole}: {error}") from None
        bound.apply_defaults()
        options = tuple((name, self._hashable(name, bound.arguments[name])) for name in sorted(self.static))
        values: list[Any] = []
        for name in self.arguments:
            several = self.whole.parameters[name].kind is _POSITIONAL
            values.extend(bound.arguments[name] if several else (bound.arguments[name],))
        return tuple(values), options

    def complete(self, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """All arguments and options as a rule's fwd takes them, from the first arguments and some of the options."""
        left_out = (self.whole.parameters[name] for name in self.arguments[len(args) :])
        rest = tuple(p.default for p in left_out if p.kind is not _POSITIONAL)
        return (*args, *rest), {name: self.whole.parameters[name].default for name in self.static} | dict(options)

    def argument_name(self, position: int) -> str:
        """The name of the argument at `position`, as messages call it."""
        if position < len(self.arguments) and self.whole.parameters[self.arguments[position]].kind is not _POSITIONAL:
            return self.arguments[position]
        return f"{self.arguments[-1]}[{position - len(self.arguments) + 1}]"

    def _hashable(self, name: str, value: Any) -> Any:
        try:
            hash(value)
        except TypeError:
            hint = (
                "an array cannot be static" if isinstance(value, jax.Array) else "a tuple in place of a list would do"
            )
            raise TypeError(
                f"{self.name}: static option {name!r} must be hashable, got {type(value).__name__}; {hint}"
            ) from None
        return value

    def array(self, path: tuple[Any, ...], leaf: Any) -> Any:
        """`leaf` as an array, Python scalars weakly typed; TypeError naming the argument for anything else."""
        if isinstance(leaf, jax.Array):
            return leaf
        try:
            return jnp.asarray(leaf)
        except TypeError:
            where = self.argument_name(path[0].idx) + jax.tree_util.keystr(path[1:])
            raise TypeError(
                f"{self.name}: argument {where} must be an array or a number, got {type(leaf).__name__} {leaf!r}; "
                f"an option that is no array is declared with static=(...)"
            ) from None


def options_by_keyword(f: Callable[..., Any], static: tuple[str, ...]) -> Callable[..., Any]:
    """`f` taking its arguments by position and its static options by keyword, wherever those stand in its signature."""
    names = [p.name for p in inspect.signature(f).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    options_last = all(n in static for n in names[next((i for i, n in enumerate(names) if n in static), len(names)) :])
    if options_last:
        return f

    @functools.wraps(f)
    def spread(*args: Any, **options: Any) -> Any:
        argument = iter(args)
        by_position = [options.pop(n) if n in static else next(argument) for n in names]
        return f(*by_position, *argument, **options)

    return spread

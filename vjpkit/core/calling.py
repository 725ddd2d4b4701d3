"""Calling a function whose options stand anywhere among its arguments, as in softmax(x, axis, where)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any


def with_options(f: Callable[..., Any], options: Mapping[str, Any], names: Collection[str]) -> Callable[..., Any]:
    """`f` as a function of its arguments alone, the options set.

    Args:    names: what is an option of `f`, whether set here or left at its default.
    """
    if not options and not names:
        return f
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return lambda *args: f(*args, **options)
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    first = [options[p.name] for p in positional if p.name in options]
    named = [p.name for p in positional if p.name not in options and p.name not in names]

    def called(*args: Any) -> Any:
        if several:  # as in einsum(subscripts, *operands)
            rest = {name: value for name, value in options.items() if name not in {p.name for p in positional}}
            return f(*first, *args, **rest)
        values = dict(zip(named, args, strict=False)) | dict(options)
        ahead = [values.pop(p.name) for p in positional if p.kind is p.POSITIONAL_ONLY]
        return f(*ahead, *args[len(named) :], **values)

    return called

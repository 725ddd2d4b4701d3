"""What `vjpkit explain`, `vjpkit derive` and `vjpkit write-rule` print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from vjpkit.derive.deriving import derive
from vjpkit.derive.errors import DeriveError
from vjpkit.derive.explaining import explain
from vjpkit.derive.writing import write_rule


def answer(asked: argparse.Namespace, f: Callable[..., Any], args: Sequence[Any]) -> str:
    """The text that answers a command; a plot is written on the way, where one is asked for.

    Raises:  DeriveError, as the functions do.
    """
    if asked.command == "write-rule":
        return write_rule(f, *args)
    found: Any
    if asked.command == "derive":
        wrt = [int(w) if w.lstrip("-").isdigit() else w for w in asked.wrt]
        found = derive(f, *args, wrt=wrt, style=asked.style)
    else:
        found = explain(f, *args)
        if asked.plot:
            found.plot(asked.plot)
    if asked.format == "text":
        return f"{found}\n"
    if not hasattr(found, asked.format):
        raise DeriveError(f"{asked.command}: no format {asked.format}; there are text, markdown and latex")
    return f"{getattr(found, asked.format)()}\n"

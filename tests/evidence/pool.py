"""Work spread over the cores, with a progress bar where someone looks."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import track

CALLS = 4  # of a process, which then gives its memory back: compiled programs stay in it


def in_parallel(f: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """`[f(*args) for args in calls]`, in processes of their own."""
    workers = min(os.cpu_count() or 1, len(calls))
    if workers < 2:
        return [f(*args) for args in calls]
    console = Console(stderr=True)
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=CALLS) as pool:
        done = pool.imap(_Call(f), calls)
        if console.is_terminal:
            done = track(done, total=len(calls), console=console, transient=True)
        return [_told(i, len(calls), result) for i, result in enumerate(done)]


class _Call:
    """What is sent to a process: a function at the top level of a module."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f

    def __call__(self, args: tuple[Any, ...]) -> Any:
        return self.f(*args)


def _told(i: int, n: int, result: Any) -> Any:
    """Where nobody looks, a line now and then."""
    if not sys.stderr.isatty() and (i + 1) % 10 == 0:
        print(f"{i + 1} of {n}", file=sys.stderr, flush=True)
    return result

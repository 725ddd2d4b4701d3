"""All the library's cases checked, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import jax

from vjpkit.catalogue import CASES
from vjpkit.check import CHECKS, check_case
from vjpkit.core.case import fullest
from vjpkit.core.registry import named

ONCE = ("second order", "transformations", "precision", "residuals")  # checks that one case of a rule goes through


def prepare() -> None:
    """For a process that only checks: float64 is there, and XLA does not optimise what eager calls run once."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)


def places(names: Sequence[str]) -> list[int]:
    """The places, among the library's cases, of those of the rules that are named; of all where none is.

    Raises:  LookupError where there is no such rule.
    """
    wanted = named(names, (case.rule for case in CASES))
    return [i for i, case in enumerate(CASES) if wanted(case.rule)]


def reports_of(places: Sequence[int], options: dict[str, Any], jobs: int) -> list[Any]:
    """A report for each case, made in several processes where there are more than a few."""
    asked = _asked(places, options)
    if jobs == 1 or len(places) < 8:
        return [_report(*each) for each in _progress(list(zip(places, asked, strict=True)), len(places))]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(_progress(pool.map(_report, places, asked), len(places)))


def _asked(places: Sequence[int], options: dict[str, Any]) -> list[dict[str, Any]]:
    """The options for each case: unless the caller says what to check, a rule's fullest case goes through everything.

    Its other cases have the same equations at other shapes and options: what costs most and depends least on those
    is left out.
    """
    whole = places if options["thorough"] or "checks" in options else fullest(CASES)
    fewer = options | {"checks": tuple(name for name in CHECKS if name not in ONCE)}
    return [options if place in whole else fewer for place in places]


def _report(place: int, options: dict[str, Any]) -> Any:
    """What a process does: a case holds functions and cannot be sent to it, its place can."""
    prepare()
    return check_case(CASES[place], **options)


def _progress(items: Iterable[Any], total: int) -> Iterator[Any]:
    """The items, with a progress bar on standard error where rich is installed and someone looks."""
    track: Any
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        yield from items
    else:
        console = Console(stderr=True)
        yield from track(
            items,
            description="checking",
            total=total,
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

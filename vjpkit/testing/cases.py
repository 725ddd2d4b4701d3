"""A list of cases as a parametrized test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vjpkit.core import Case


def cases(listed: Iterable[Case]) -> Callable[[Callable[..., Any]], Any]:
    """Run the test below once for each case, in its argument `case`, under the case's own name.

    Raises:  ValueError for an empty list, which would make a test that cannot fail; TypeError for what is no Case.
    """
    import pytest

    listed = list(listed)
    if not listed:
        raise ValueError("cases: expected at least one case, got an empty list")
    for k, case in enumerate(listed):
        if not isinstance(case, Case):
            raise TypeError(f"cases: item {k}: expected a vjpkit.core.Case, got {type(case).__name__} {case!r}")
    return pytest.mark.parametrize("case", listed, ids=str)

"""The function of jax.nn or optax that a rule replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from vjpkit.core import Rule

HOUSES = {"vjpkit.nn.": jax.nn, "vjpkit.losses.": optax.losses}


def mirrored(rule: Rule) -> Callable[..., Any] | None:
    """The function of the same name in the library that the rule's package mirrors, if there is one."""
    for package, house in HOUSES.items():
        if rule.path.startswith(package):
            return getattr(house, rule.name, None)
    return None

"""Who is measured: the function, autodiff of its primal, the checkpoint policies, and whoever the caller names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from vjpkit.core import Rule, inline
from vjpkit.core.calling import with_options

Function = Callable[..., Any]

POLICIES = {
    "checkpoint": None,
    "checkpoint dots_saveable": jax.checkpoint_policies.dots_saveable,
    "checkpoint nothing_saveable": jax.checkpoint_policies.nothing_saveable,
}


def contestants(fn: Function, against: Mapping[str, Function] | None, static: Mapping[str, Any]) -> dict[str, Function]:
    """The function first, its rivals after it, by name; all take the same arguments.

    A rule's rivals are autodiff of its primal, rules inside it taken out, and `jax.checkpoint` of that with each
    policy. Another function has the rivals that it is given.
    """
    name = getattr(fn, "__name__", type(fn).__name__)
    options = {*static, *(fn.static if isinstance(fn, Rule) else ())}
    found: dict[str, Function] = {name: with_options(fn, static, options)}
    if isinstance(fn, Rule):
        plain = inline(with_options(fn.primal, static, options))
        found["autodiff"] = plain
        found |= {label: jax.checkpoint(plain, policy=policy) for label, policy in POLICIES.items()}
    found |= {label: with_options(rival, static, options) for label, rival in (against or {}).items()}
    if len(found) == 1:
        raise ValueError(f"bench: {name} is no rule, so it needs rivals; pass against={{'name': function}}")
    return found

"""The functions under each mount: as rules, with planted maps, as stock functions, as plain primals."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.core import Rule

from . import functions, kinds

JVP_FACTOR, VJP_FACTOR = 2, 3

RULES: dict[str, Callable[[], Rule]] = {
    name: make
    for module in (functions, kinds)
    for name, make in vars(module).items()
    if getattr(make, "__module__", None) == module.__name__ and not name.startswith("_")
}

REFERENCES: dict[str, Callable[..., Any]] = {"newton": jnp.sqrt, "nest": lambda x: jnp.tanh(x) ** 2}


def plant(r: Rule, jvp: float = JVP_FACTOR, vjp: float = VJP_FACTOR) -> Rule:
    """The rule made inconsistent on purpose: its maps scaled by distinguishable factors, its primal untouched."""
    return r.defrule(fwd=r.fwd, jvp=_times(jvp, r.jvp), vjp=_times(vjp, r.vjp), opaque=r.opaque)


def _times(k: float, map_: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if map_ is None:
        return None
    return lambda *args, **static: jax.tree.map(lambda v: k * v, map_(*args, **static))


def _opaque(r: Rule) -> Rule:
    return r.defrule(fwd=r.fwd, jvp=r.jvp, vjp=r.vjp, opaque=True)


def _stock_jvp(r: Rule) -> Callable[..., Any]:
    """The rule's fwd and jvp as stock `jax.custom_jvp` mounts them: for the proof that provenance can fail."""

    def function(*args):
        return r.primal(*args)

    mounted = jax.custom_jvp(function)

    @mounted.defjvp
    def _(primals, tangents):
        y, res = r.fwd(*primals)
        return y, r.jvp(res, *tangents)

    return mounted


_MOUNTS: dict[str, Callable[[Rule], Any]] = {
    "rule": lambda r: r,
    "opaque": _opaque,
    "stock": lambda r: r.custom_vjp,
    "planted rule": plant,
    "planted opaque": lambda r: plant(_opaque(r)),
    "planted stock": lambda r: plant(r).custom_vjp,
    "planted custom_jvp": lambda r: _stock_jvp(plant(r)),
    "primal": lambda r: REFERENCES.get(r.name, r.primal),
}


@cache
def subjects(mount: str) -> SimpleNamespace:
    """All functions under one mount, as attributes."""
    return SimpleNamespace(**{name: _MOUNTS[mount](make()) for name, make in RULES.items()})

"""Which mount is in force: the two modes of `mount.py`, or stock `jax.custom_vjp`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import jax

MOUNTS = ("primitive", "custom_vjp")


def _known(name: str, where: str) -> str:
    if name not in MOUNTS:
        raise ValueError(f"{where}: expected one of {', '.join(map(repr, MOUNTS))}, got {name!r}")
    return name


_in_force = _known(os.environ.get("VJPKIT_MOUNT", "primitive"), "VJPKIT_MOUNT")


def current() -> str:
    """The mount in force."""
    return _in_force


@contextlib.contextmanager
def mount(name: str) -> Iterator[None]:
    """Mount every rule that is called inside on `name`: "primitive" (both modes) or "custom_vjp" (stock JAX).

    Process-wide, like JAX's own caches: these are cleared at both ends, for a function that was jitted
    under one mount must not answer under the other. The environment variable VJPKIT_MOUNT sets the mount
    of a whole process at no such cost.

    Raises:  ValueError for another name.
    """
    global _in_force
    before, _in_force = _in_force, _known(name, "mount")
    try:
        if before != name:
            jax.clear_caches()
        yield
    finally:
        _in_force = before
        if before != name:
            jax.clear_caches()

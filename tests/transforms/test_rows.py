"""The rows themselves, and the devices that they need."""

from __future__ import annotations

import jax

from .rows import ROWS


def test_there_are_eight_devices() -> None:
    assert len(jax.devices()) >= 8, "set jax_num_cpu_devices, or XLA_FLAGS, before the first use of a device"


def test_rows_have_names_of_their_own() -> None:
    names = [(row.group, row.name) for row in ROWS]
    assert len(set(names)) == len(names)

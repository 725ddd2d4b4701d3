"""Eight simulated devices and float64 for this folder, and the table of its rows at the end of the run."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import jax
import pytest

from .table import write

if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    # Too late where a module that was imported before has used a device: `test_there_are_eight_devices` then fails.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Truth is float64; the setting is taken back after each test."""
    with jax.enable_x64(True):
        yield


_compiled = itertools.count(1)


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """Values do not depend on XLA's optimisations; thousands of small programs are compiled, and dropped in time."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    if next(_compiled) % 200 == 0:
        jax.clear_caches()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    write(terminalreporter)

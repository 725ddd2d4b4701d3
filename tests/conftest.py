"""Truth is float64, eight devices are simulated, and XLA compiles a program once for all tests and processes."""

import gc
import itertools
import os
import shutil
from pathlib import Path

import jax
import pytest

PROGRAMS = Path(__file__).parents[1] / ".pytest_cache" / "programs"
LARGEST = 2**30  # bytes

SETTINGS = {
    "jax_enable_x64": True,
    "jax_num_cpu_devices": 8,
    "jax_compilation_cache_dir": str(PROGRAMS),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
for name, value in SETTINGS.items():
    jax.config.update(name, value)
    if "cache" in name:  # for the processes that tests start
        os.environ[name.upper()] = str(value)

gc.freeze()  # what is imported stays; a trace makes so many small objects that Python looks for garbage all the time
gc.set_threshold(200_000, 20, 100)

_finished = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Programs are found again by a hash of them, of JAX's version and its settings; old ones are let go of here."""
    is_worker = hasattr(config, "workerinput")
    if not is_worker and sum(f.stat().st_size for f in PROGRAMS.glob("*")) > LARGEST:
        shutil.rmtree(PROGRAMS)


def pytest_runtest_teardown() -> None:
    """XLA maps each compiled program into memory, and a process may have 65,530 maps: past them it crashes."""
    if next(_finished) % 100 == 0:
        jax.clear_caches()

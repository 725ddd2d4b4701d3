"""Truth is float64, eight devices are simulated, before any test touches JAX, and programs are let go of in time."""

import itertools

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)

_finished = itertools.count(1)


def pytest_runtest_teardown() -> None:
    """XLA maps each compiled program into memory, and a process may have 65,530 maps: past them it crashes."""
    if next(_finished) % 100 == 0:
        jax.clear_caches()

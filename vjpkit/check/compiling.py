"""Compiled for running a few times: XLA's expensive passes left out, which costs a quarter of the time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

_CHOICES: tuple[dict[str, Any], ...] = (
    {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
    {"xla_backend_optimization_level": 0},
)


@functools.cache
def quick_options() -> dict[str, Any]:
    """The first choice of options that this XLA knows; none of them elsewhere than on the CPU."""
    if jax.default_backend() != "cpu":
        return {}
    for options in _CHOICES:
        try:
            jax.jit(lambda x: x + 1, compiler_options=options)(0.0)
        except Exception:
            continue
        return options
    return {}


def jit(f: Callable[..., Any]) -> Any:
    """`jax.jit(f)`, quick to compile."""
    return jax.jit(f, compiler_options=quick_options())

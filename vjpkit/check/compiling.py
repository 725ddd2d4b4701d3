"""Compiled for running a few times: XLA's expensive passes left out, and in another thread than the one that traces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

_COMPILER = ThreadPoolExecutor(1, "compiler")  # XLA lets go of the interpreter: the next program is traced meanwhile

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


class Program:
    """A function of arrays, quick to compile, once for each signature; `ahead` begins that and does not wait for it."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._jitted = jit(f)
        self._begun: dict[Any, Future[Any]] = {}

    def ahead(self, *inputs: Any) -> Future[Any]:
        """The program for inputs such as these: traced now, in this thread, which raises what the function raises."""
        signature = _signature(inputs)
        if signature not in self._begun:
            self._begun[signature] = _COMPILER.submit(self._jitted.lower(*inputs).compile)
        return self._begun[signature]

    def __call__(self, *inputs: Any) -> Any:
        return self.ahead(*inputs).result()(*inputs)


def _signature(inputs: Any) -> Any:
    leaves, tree = jax.tree.flatten(inputs)
    return tree, tuple((np.shape(a), a.dtype) for a in leaves)

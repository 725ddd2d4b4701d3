"""Programs that run a few times: compiled without XLA's expensive passes while the next is traced, or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp

from vjpkit.check.evaluating import MOST, Evaluation, length

_COMPILER = ThreadPoolExecutor(1, "compiler")  # XLA lets go of the interpreter: the next program is traced meanwhile

_CHOICES: tuple[dict[str, Any], ...] = (
    {
        "xla_backend_optimization_level": 0,
        "xla_cpu_use_fusion_emitters": False,
        "xla_cpu_parallel_codegen_split_count": 1,
    },
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
        self._traced: dict[Any, tuple[Any, int]] = {}
        self._begun: dict[Any, Future[Any]] = {}

    def traced(self, *inputs: Any) -> Any:
        """The program for inputs such as these, traced now, which raises what the function raises."""
        return self._measured(inputs)[0]

    def length(self, *inputs: Any) -> int:
        """How many equations it has."""
        return self._measured(inputs)[1]

    def _measured(self, inputs: Any) -> tuple[Any, int]:
        signature = _signature(inputs)
        if signature not in self._traced:
            traced = self._jitted.trace(*inputs)
            self._traced[signature] = traced, length(traced.jaxpr)
        return self._traced[signature]

    def ahead(self, *inputs: Any) -> None:
        """Begin to compile, for a call that is to come."""
        self._compiled(inputs)

    def __call__(self, *inputs: Any) -> Any:
        return self._compiled(inputs).result()(*inputs)

    def _compiled(self, inputs: Any) -> Future[Any]:
        signature = _signature(inputs)
        if signature not in self._begun:  # lowered in this thread, for JAX's settings are the thread's
            self._begun[signature] = _COMPILER.submit(self.traced(*inputs).lower().compile)
        return self._begun[signature]


class Evaluated(Program):
    """A program that NumPy evaluates where the arguments are float64 and `calls` of it cost less than to compile it.

    Its numbers say nothing of what XLA gives; `compiled=True` asks for that, once, and `settle` from then on.
    """

    def __init__(self, f: Callable[..., Any], calls: int) -> None:
        super().__init__(f)
        self._calls = calls

    def ahead(self, *inputs: Any) -> None:
        if not self._short(inputs):
            super().ahead(*inputs)

    def __call__(self, *inputs: Any, compiled: bool = False) -> Any:
        if not compiled and self._short(inputs):
            traced = self.traced(*inputs)
            with suppress(Exception):  # whatever an equation raises that stands alone
                answers = Evaluation()(traced.jaxpr, jax.tree.leaves(inputs))
                return jax.tree.unflatten(jax.tree.structure(traced.out_info), answers)
        return super().__call__(*inputs)

    def settle(self, *inputs: Any) -> bool:
        """XLA shall give the numbers for such inputs; whether NumPy gave them before."""
        changes = self._short(inputs)
        super().ahead(*inputs)
        return changes

    def _short(self, inputs: Any) -> bool:
        return _signature(inputs) not in self._begun and worthwhile((self,), self._calls, inputs)


def worthwhile(programs: Sequence[Program], calls: int, inputs: Any) -> bool:
    """Whether NumPy evaluates so many calls of programs sooner than XLA compiles them: in float64, of short ones."""
    floats = [a.dtype for a in jax.tree.leaves(inputs) if jnp.issubdtype(a.dtype, jnp.inexact)]
    return all(jnp.finfo(d).bits == 64 for d in floats) and calls * sum(p.length(*inputs) for p in programs) < MOST


def _signature(inputs: Any) -> Any:
    leaves, tree = jax.tree.flatten(inputs)
    return tree, tuple((a.shape, a.dtype) for a in leaves)

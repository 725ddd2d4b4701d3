"""What one compiled program costs: its time, and what XLA says of its memory and arithmetic."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from vjpkit.bench.settings import differentiable


@dataclass(frozen=True)
class Cost:
    """The costs of one program. Times in seconds, sizes in bytes; None where the backend does not tell.

    FLOPs count the body of a loop once, whatever its number of steps: so does XLA.
    """

    seconds: float
    spread: float  # the interquartile range of the times, over their median
    compile_seconds: float
    temp_bytes: int | None
    argument_bytes: int | None
    output_bytes: int | None
    flops: float | None


@dataclass(frozen=True)
class Program:
    """A function with its arguments, compiled."""

    run: Callable[[], Any]
    compile_seconds: float
    compiled: Any

    @classmethod
    def of(cls, f: Callable[..., Any], args: tuple[Any, ...]) -> Program:
        lowered = jax.jit(f).lower(*args)
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds = time.perf_counter() - start
        return cls(lambda: jax.block_until_ready(compiled(*args)), seconds, compiled)

    def cost(self, seconds: list[float]) -> Cost:
        memory = self.compiled.memory_analysis()
        counts = self.compiled.cost_analysis() or {}
        median, spread = _median_and_spread(seconds)
        return Cost(
            seconds=median,
            spread=spread,
            compile_seconds=self.compile_seconds,
            temp_bytes=getattr(memory, "temp_size_in_bytes", None),
            argument_bytes=getattr(memory, "argument_size_in_bytes", None),
            output_bytes=getattr(memory, "output_size_in_bytes", None),
            flops=counts.get("flops"),
        )


@dataclass(frozen=True)
class Foreign:
    """A program of another framework: of its costs only the time is known."""

    run: Callable[[], Any]

    def cost(self, seconds: list[float]) -> Cost:
        median, spread = _median_and_spread(seconds)
        return Cost(median, spread, math.nan, None, None, None, None)


def _median_and_spread(seconds: list[float]) -> tuple[float, float]:
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [0.0, 0.0, 0.0]
    median = statistics.median(seconds)
    return median, (quartiles[2] - quartiles[0]) / median


def interleaved(programs: Mapping[str, Program | Foreign], rounds: int, least: float = 2e-3) -> dict[str, list[float]]:
    """Seconds per run of each program, `rounds` times in turn, each time long enough to be told from the clock's noise.

    Args:    least: the seconds that one timing lasts at least; a short program runs several times in it.
    """
    repeats = {}
    for name, program in programs.items():
        program.run()
        start = time.perf_counter()
        program.run()
        repeats[name] = max(1, int(least / max(time.perf_counter() - start, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    gc.collect()
    gc.disable()
    try:
        for k in range(rounds):
            order = list(programs) if k % 2 == 0 else list(programs)[::-1]
            for name in order:
                start = time.perf_counter()
                for _ in range(repeats[name]):
                    programs[name].run()
                seconds[name].append((time.perf_counter() - start) / repeats[name])
    finally:
        gc.enable()
    return seconds


def residual_bytes(f: Callable[..., Any], args: tuple[Any, ...]) -> int:
    """Bytes that reverse mode keeps between its two passes, an array that is kept twice counted once.

    Args:    args: arrays, or their specs: nothing is run.
    """

    def kept(*args: Any) -> Any:
        (moving, fixed), join = differentiable(args)
        return jax.vjp(lambda *m: f(*join(m, fixed)), *moving)[1]

    outputs = jax.make_jaxpr(kept)(*args).jaxpr.outvars
    return sum(aval.size * aval.dtype.itemsize for aval in {id(v): v.aval for v in outputs}.values())

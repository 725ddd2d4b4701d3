"""A rule beside its rivals: time, memory, arithmetic and residuals, measured in one process as ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from vjpkit.bench.comparison import Comparison as Comparison
from vjpkit.bench.comparison import Row as Row
from vjpkit.bench.comparison import device_line
from vjpkit.bench.contestants import contestants
from vjpkit.bench.measure import Cost as Cost
from vjpkit.bench.measure import Foreign, Program, interleaved, residual_bytes
from vjpkit.bench.settings import MODES, SETTINGS


def bench(
    fn: Callable[..., Any],
    *args: Any,
    against: Mapping[str, Callable[..., Any]] | None = None,
    static: Mapping[str, Any] | None = None,
    settings: Sequence[str] = tuple(SETTINGS),
    modes: Sequence[str] = tuple(MODES),
    rounds: int = 11,
    peers: Mapping[str, Callable[[], Any]] | None = None,
) -> Comparison:
    """Measure a function beside its rivals, interleaved in one process after warm-up.

    A rule's rivals are autodiff of its primal and `jax.checkpoint` of it with each policy; `against` adds more.

        print(vjpkit.bench(nn.gelu, x, against={"jax.nn": jax.nn.gelu}))

    Args:    fn: a rule, or any function with rivals given in `against`; args: example arguments, arrays.
             against: functions of the same arguments, by name.
             static: keyword options handed to all of them.
             settings: of "alone", "stack" (eight layers unrolled), "scan" (eight steps of `lax.scan`).
             modes: of "forward", "forward+reverse", "forward mode". A contestant without a mode is left out of it.
             rounds: how many times each program is timed; the median counts.
             peers: what runs forward and reverse in another framework, by its name; timed in the same loop, alone.
    Returns: a Comparison; `print` shows it.
    Raises:  ValueError for an unknown setting or mode, or a function that is no rule and has no rivals.
    """
    for what, asked, known in (("setting", settings, SETTINGS), ("mode", modes, MODES)):
        for unknown in set(asked) - set(known):
            raise ValueError(f"bench: unknown {what} {unknown!r}, expected one of {', '.join(known)}")
    everyone = contestants(fn, against, static or {})
    rows = []
    for setting in settings:
        for mode in modes:
            programs: dict[str, Program | Foreign] = {}
            for name, f in everyone.items():
                program = _compile(SETTINGS[setting](f), args, mode)
                if program is not None:
                    programs[name] = program
            if (setting, mode) == ("alone", "forward+reverse"):
                programs |= {name: Foreign(run) for name, run in (peers or {}).items()}
            seconds = interleaved(programs, rounds)
            rows.append(Row(setting, mode, {name: p.cost(seconds[name]) for name, p in programs.items()}))
    name = next(iter(everyone))
    kept = {rival: residual_bytes(f, args) for rival, f in everyone.items()}
    shapes = " ".join(jax.typeof(a).str_short() for a in jax.tree.leaves(args))
    return Comparison(name, shapes, tuple(rows), kept, device_line())


def _compile(f: Callable[..., Any], args: tuple[Any, ...], mode: str) -> Program | None:
    """The program, None where the function does not have this mode."""
    program, arguments = MODES[mode](f, args)
    try:
        return Program.of(program, arguments)
    except TypeError as error:
        if mode == "forward mode" and "custom_vjp" in str(error):
            return None
        raise

"""What `vjpkit bench` does: the library's workloads measured, in a table, a file and a plot, or its claims checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vjpkit.bench import bench, device_line
from vjpkit.bench import peers as torch_peers
from vjpkit.bench import plot as plotting
from vjpkit.bench.claims import ClaimError, Verdict, check_claims
from vjpkit.bench.comparison import Comparison
from vjpkit.bench.settings import MODES, SETTINGS
from vjpkit.bench.summary import MODE, Line, geometric_means, plain, table
from vjpkit.bench.workloads import Workload, workloads
from vjpkit.core.registry import named


class BenchError(ValueError):
    """The command asks for what is not there."""


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    names: Sequence[str] = ()
    settings: Sequence[str] = tuple(SETTINGS)
    modes: Sequence[str] = tuple(MODES)
    rounds: int = 11
    peers: bool = False
    json: Path | None = None
    plot: Path | None = None
    check_claims: bool = False


def run(options: Options, known: Sequence[Workload] | None = None, say: Callable[[str], Any] = print) -> bool:
    """Measure the workloads of the named rules, or check their claims; `known` stands for the library's workloads.

    Returns: whether all is well: False where a claim is not met.
    Raises:  BenchError where the options name what is not there, before anything is measured.
    """
    chosen = _chosen(options.names, workloads() if known is None else known)
    try:
        _refuse(options)
        if options.check_claims:
            return _check(chosen, options, say)
        _measure(chosen, options, say)
    except (ClaimError, plotting.PlotError, torch_peers.PeerError) as error:
        raise BenchError(str(error)) from error
    return True


def _chosen(names: Sequence[str], known: Sequence[Workload]) -> list[Workload]:
    """The workloads of the rules that are named, of all where none is."""
    try:
        wanted = named(names, (w.rule for w in known))
    except LookupError as error:
        raise BenchError(str(error)) from error
    return [w for w in known if wanted(w.rule)]


def _refuse(options: Options) -> None:
    """What would fail after the measuring fails before it."""
    if unknown := [s for s in options.settings if s not in SETTINGS]:
        raise BenchError(f"--settings: unknown setting {unknown[0]!r}, expected of {', '.join(SETTINGS)}")
    if unknown := [m for m in options.modes if m not in MODES]:
        raise BenchError(f"--modes: unknown mode {unknown[0]!r}, expected of {', '.join(MODES)}")
    if MODE not in options.modes:
        raise BenchError(f"--modes: expected {MODE} among them, which the table is made of")
    if options.rounds < 1:
        raise BenchError(f"--rounds: expected 1 or more, got {options.rounds}")
    if options.check_claims and (options.plot or options.peers):
        raise BenchError("--check-claims runs nothing, so it has no --plot and no --peers")
    if options.peers:
        torch_peers.require()
        if "alone" not in options.settings:
            raise BenchError("--peers are measured alone, so --settings must have that")
    if options.plot:
        plotting.require(options.plot)
    for file in filter(None, (options.json, options.plot)):
        if not file.parent.is_dir():
            raise BenchError(f"{file}: there is no such directory")


# ---------------------------------------------------------------------------------------------- measuring


def _measure(chosen: Sequence[Workload], options: Options, say: Callable[[str], Any]) -> None:
    say(f"{device_line()}; {options.rounds} rounds\n")
    lines, measured = [], []
    for workload in chosen:
        arguments = workload.arguments()
        peers = torch_peers.peers(workload, arguments) if options.peers else {}
        comparison = bench(
            workload.rule,
            *arguments,
            against=workload.against,
            static=workload.static,
            settings=options.settings,
            modes=options.modes,
            rounds=options.rounds,
            peers=peers,
        )
        lines.append(Line.of(workload.name, comparison, peers))
        measured.append(_record(workload, comparison, lines[-1]))
        say(f"{_entitled(comparison, workload)}\n")
        _write(options.json, {"workloads": measured, "geometric means": geometric_means(lines)}, options)
    say(table(lines))
    if options.plot:
        plotting.plot(lines, device_line(), options.plot)


def _entitled(comparison: Comparison, workload: Workload) -> str:
    """The comparison's table, under the workload's name."""
    return workload.name + str(comparison).removeprefix(comparison.name)


def _record(workload: Workload, comparison: Comparison, line: Line) -> dict[str, Any]:
    static = {name: str(value) for name, value in workload.static.items()}
    return {
        "workload": workload.name,
        "rule": workload.rule.path,
        "static": static,
        "ratios": line.ratios,
        **comparison.to_dict(),
    }


def _write(file: Path | None, content: Mapping[str, Any], options: Options) -> None:
    """All that is known so far: a sweep that is cut off leaves what it had."""
    if file:
        head = {"device": device_line(), "rounds": options.rounds, "settings": list(options.settings)}
        file.write_text(json.dumps(plain(head | dict(content)), indent=1, allow_nan=False), encoding="utf8")


# ----------------------------------------------------------------------------------------------- checking


def _check(chosen: Sequence[Workload], options: Options, say: Callable[[str], Any]) -> bool:
    say(f"{device_line()}; claims are about programs for a CPU\n")
    rules = dict.fromkeys(w.rule for w in chosen)
    verdicts = []
    for rule in rules:
        found = check_claims([rule], chosen)
        for verdict in found:
            say(_verdict_line(verdict))
        verdicts += found
    failed = sum(not v.met for v in verdicts)
    say(f"{len(verdicts) - failed} claims met, {failed} not met")
    _write(options.json, {"claims": [asdict(v) for v in verdicts]}, options)
    return not failed


def _verdict_line(verdict: Verdict) -> str:
    outcome = "met" if verdict.met else "NOT MET"
    claimed, measured = f"{verdict.claimed:g}×", f"{verdict.measured:.5g}×"
    return f"{verdict.rule:24}  {verdict.claim!s:20}  claimed {claimed:>8}  measured {measured:>8}  {outcome}"

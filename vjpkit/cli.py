"""The command `vjpkit`: list the rules, check them, measure them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 where all is well, 1 where a check fails, 2 where the command is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UsageError as error:
        print(f"vjpkit {arguments.command}: {error}", file=sys.stderr)
        return 2


class UsageError(Exception):
    """The command line names something that is not there."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vjpkit", description="Rules for JAX: list them, check them, measure them.")
    commands = parser.add_subparsers(dest="command", required=True)

    listing = commands.add_parser("list", help="every rule, by family")
    listing.add_argument("--page", type=Path, metavar="FILE", help="write the catalogue to this file, as Markdown")
    listing.add_argument("--losses", type=Path, metavar="FILE", help="write the losses beside optax's to this file")
    listing.set_defaults(run=_list)

    check = commands.add_parser("check", help="hold rules against the truth")
    check.add_argument("what", nargs="*", help="names of rules, or module:function; every rule if left out")
    check.add_argument(
        "--args", nargs="+", metavar="ARG", help="for module:function: shapes ('b i') or Python expressions"
    )
    check.add_argument("--dtypes", default=None, help="dtypes to audit, separated by commas; none: no audit")
    check.add_argument("--checks", default=None, help="checks to run, separated by commas")
    check.add_argument(
        "--thorough", action="store_true", help="more draws, more transformations, every check on each case of a rule"
    )
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to check many rules in")
    check.add_argument("--json", type=Path, metavar="FILE", help="write every report to this file")
    check.set_defaults(run=_check)

    bench = commands.add_parser("bench", help="measure rules beside autodiff, or check what they claim")
    bench.add_argument("names", nargs="*", help="names of rules; every rule if left out")
    bench.add_argument("--settings", default="alone,stack,scan", help="of alone, stack, scan, separated by commas")
    bench.add_argument(
        "--modes",
        default="forward,forward+reverse,forward mode",
        help="of forward, forward+reverse, forward mode, separated by commas",
    )
    bench.add_argument("--rounds", type=int, default=11, help="how many times each program is timed")
    bench.add_argument("--peers", action="store_true", help="also PyTorch, on the same CPU")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write every figure to this file")
    bench.add_argument("--plot", type=Path, metavar="FILE", help="write the ratios as bars to this file")
    bench.add_argument("--check-claims", action="store_true", help="compile what docstrings claim, and time nothing")
    bench.set_defaults(run=_bench)
    for name, told in (
        ("explain", "a function's stages and costs"),
        ("derive", "its derivative as formulas, in seven notations"),
        ("write-rule", "an explicit rule, as Python"),
    ):
        deriving = commands.add_parser(name, help=told)
        deriving.add_argument("function", help="module:function")
        deriving.add_argument("--args", nargs="+", required=True, metavar="ARG", help="shapes ('b i'), or expressions")
        deriving.add_argument("--format", default="text", choices=("text", "markdown", "latex", "html"))
        if name == "derive":
            for format in ("markdown", "latex"):
                deriving.add_argument(f"--{format}", dest="format", action="store_const", const=format)
            deriving.add_argument("--wrt", nargs="+", default=["0"], help="arguments, by name or place")
            deriving.add_argument("--style", help="one notation; all seven if left out")
        if name == "explain":
            deriving.add_argument("--plot", type=Path, metavar="FILE", help="draw the Jacobians and costs to this file")
        deriving.set_defaults(run=_derive)
    return parser


# -------------------------------------------------------------------------------------------------- list


def _list(arguments: argparse.Namespace) -> int:
    from vjpkit import registry
    from vjpkit.pages import losses_page, page

    if arguments.page:
        arguments.page.write_text(page(registry), encoding="utf8")
    if arguments.losses:
        arguments.losses.write_text(losses_page(), encoding="utf8")
    if arguments.page or arguments.losses:
        return 0
    width = max(map(len, registry))
    for path, rule in registry.items():
        print(f"{path:{width}}  {(rule.__doc__ or '').partition(chr(10))[0]}")
    return 0


# ------------------------------------------------------------------------------------------------- check


def _check(arguments: argparse.Namespace) -> int:
    from vjpkit.check import CHECKS, CheckError, check
    from vjpkit.sweep import places, prepare, reports_of

    prepare()
    if arguments.jobs < 1:
        raise UsageError(f"--jobs: expected 1 or more, got {arguments.jobs}")
    options: dict[str, Any] = {"thorough": arguments.thorough, "seed": arguments.seed}
    if arguments.dtypes is not None:
        options["dtypes"] = () if arguments.dtypes == "none" else tuple(arguments.dtypes.split(","))
    if arguments.checks is not None:
        options["checks"] = tuple(arguments.checks.split(","))
        if unknown := set(options["checks"]) - set(CHECKS):
            raise UsageError(f"no checks {sorted(unknown)}; there are {', '.join(CHECKS)}")

    functions = [name for name in arguments.what if ":" in name]
    rules = [name for name in arguments.what if ":" not in name]
    try:
        wanted = places(rules) if rules or not functions else []
    except LookupError as error:
        raise UsageError(str(error)) from error
    reports = []
    try:
        for name in functions:
            if not arguments.args:
                raise UsageError(f"{name} needs --args, one for each argument, such as 'b i' or 'normal(3, 5)'")
            reports.append(check(_function(name), *map(_argument, arguments.args), **options))
        reports += reports_of(wanted, options, arguments.jobs)
    except CheckError as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        arguments.json.write_text(json.dumps([r.to_dict() for r in reports], indent=1, default=str))
    return _verdict(reports, len(functions))


def _verdict(reports: list[Any], whole: int) -> int:
    """A line for each report; the first `whole`, and those that fail, in full."""
    width = max(len(r.name) for r in reports)
    for report in reports:
        passed = sum(result.verdict == "pass" for result in report.results)
        outcome = "pass" if report.ok else "FAIL"
        print(
            f"{report.name:{width}}  {outcome}  {passed}/{len(report.results)}  {sum(report.seconds.values()):5.1f} s"
        )
    failed = [r for r in reports if not r.ok]
    for k, report in enumerate(reports):
        if k < whole or not report.ok:
            print()
            print(report)
    print(f"{len(reports) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _function(name: str) -> Any:
    """What `package.module:function` names."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name}: {error}") from error
    return found


def _argument(text: str) -> Any:
    """A shape in words as it is, anything else as a Python expression of arrays and draws."""
    import jax.numpy as jnp

    from vjpkit.check.arguments import is_shape
    from vjpkit.core import draw

    if is_shape(text):
        return text
    names = {"jax": jax, "jnp": jnp, **vars(draw)}
    try:
        return eval(text, names)
    except Exception as error:
        raise UsageError(f"--args {text!r}: neither a shape such as 'b i' nor an expression: {error}") from error


# ------------------------------------------------------------------------------------------------ derive


def _derive(arguments: argparse.Namespace) -> int:
    from vjpkit.derive import DeriveError
    from vjpkit.derive.command import answer

    function, args = _function(arguments.function), [_argument(a) for a in arguments.args]
    try:
        print(answer(arguments, function, args), end="")
    except DeriveError as error:
        raise UsageError(str(error)) from error
    return 0


# ------------------------------------------------------------------------------------------------- bench


def _bench(arguments: argparse.Namespace) -> int:
    from vjpkit.bench.command import BenchError, Options, run

    options = Options(
        names=arguments.names,
        settings=tuple(arguments.settings.split(",")),
        modes=tuple(arguments.modes.split(",")),
        rounds=arguments.rounds,
        peers=arguments.peers,
        json=arguments.json,
        plot=arguments.plot,
        check_claims=arguments.check_claims,
    )
    try:
        return 0 if run(options) else 1
    except BenchError as error:
        raise UsageError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())

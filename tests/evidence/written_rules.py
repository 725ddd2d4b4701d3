"""Which functions get a rule from `write_rule`, written, run and checked; and of those that do not, why.

python -m tests.evidence.written_rules [NAME ...] [--page docs/derive/written_rules.md]
"""

from __future__ import annotations

import argparse
import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from tests.evidence.functions import functions
from tests.evidence.layers import layers
from tests.evidence.tables import markdown
from vjpkit.catalogue import CASES
from vjpkit.core.case import fullest
from vjpkit.derive import DeriveError, explain, write_rule

FAMILIES = ("jax.nn", "optax.losses")
EXAMPLES = ("dense", "perceptron", "layer_norm", "attention", "cross_entropy", "recurrent", "embedding")


class Written(NamedTuple):
    """One function, and what came of it: the source, or why there is none."""

    family: str
    name: str
    source: str
    why: str
    seconds: float


def subjects() -> Iterator[tuple[str, str, Callable[..., str], tuple[Any, ...]]]:
    """Family, name, what writes the rule, and arguments: the primals of this library's rules first."""
    for place in fullest(CASES):
        case = CASES[place]
        yield "vjpkit", case.rule.name, functools.partial(write_rule, case.rule, **case.static), case.args
    for f in functions():
        if f.family in FAMILIES:
            yield f.family, f.name, functools.partial(write_rule, f.fn), f.args
    for fn, args in layers():
        yield "layers by hand", fn.__name__, functools.partial(write_rule, fn), args


def written(family: str, name: str, write: Callable[..., str], args: tuple[Any, ...]) -> Written:
    """What `write_rule` makes of a function; an error of a kind that it does not announce is one too."""
    start = time.perf_counter()
    try:
        source, why = write(*args), ""
    except Exception as error:
        told = "" if isinstance(error, DeriveError) else f"{type(error).__name__}: "
        source, why = "", told + " ".join(str(error).split())[:160]
    return Written(family, name, source, why, time.perf_counter() - start)


def page(rows: list[Written]) -> str:
    """Counts by family, then one line a function."""
    families = list(dict.fromkeys(r.family for r in rows))
    counts = [["functions of", "rules written and checked", "of"]]
    for family in families:
        own = [r for r in rows if r.family == family]
        counts.append([family, str(sum(bool(r.source) for r in own)), str(len(own))])
    table = [["family", "function", "lines", "keeps", "not written, because"]]
    for r in rows:
        lines = [line for line in r.source.splitlines() if line.strip()]
        table.append([r.family, f"`{r.name}`", str(len(lines) or ""), kept(r.source), r.why.replace("|", "\\|")])
    head = "# Rules that are written by `write_rule`\n\nMade by `python -m tests.evidence.written_rules`.\n"
    return "\n".join([head, markdown(counts), "", markdown(table)]) + "\n"


def kept(source: str) -> str:
    """The names of the residuals, from the line that unpacks them."""
    line = next((s.strip() for s in source.splitlines() if s.endswith("= res")), "")
    return line.removesuffix(" = res").strip("(),")


def examples() -> str:
    """Functions beside the rules that are written for them, and an explanation."""
    blocks = ["# What `write_rule` writes\n\nMade by `python -m tests.evidence.written_rules --examples`.\n"]
    rows = {fn.__name__: (fn, args) for fn, args in layers()}
    for name in EXAMPLES:
        fn, args = rows[name]
        blocks.append(f"## {name}\n\n```python\n{inspect.getsource(fn)}```\n\nbecomes\n")
        blocks.append(f"```python\n{write_rule(fn, *args)}```\n")
    fn, args = rows["perceptron"]
    blocks.append(f"## What `explain` says of perceptron\n\n```text\n{explain(fn, *args)}\n```\n")
    return "\n".join(blocks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--examples", type=Path)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if arguments.examples:
        arguments.examples.write_text(examples(), encoding="utf8")
        return 0
    rows = []
    for subject in subjects():
        if not arguments.names or subject[1] in arguments.names:
            rows.append(written(*subject))
            r = rows[-1]
            print(f"{r.family:15} {r.name:40} {r.seconds:5.1f} s  {r.why or 'written'}", file=sys.stderr, flush=True)
            if arguments.names:
                print(r.source)
    if arguments.page:
        arguments.page.write_text(page(rows), encoding="utf8")
    else:
        print(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

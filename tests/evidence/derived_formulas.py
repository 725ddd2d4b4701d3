"""Every composition in all seven notations of `derive`, on distinct primes and on square shapes, against `jax.vjp`.

python -m tests.evidence.derived_formulas [NAME ...] [--page docs/derive/formulas.md]
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.evidence.compositions import COMPOSITIONS, Composition, network
from tests.evidence.tables import markdown
from vjpkit.derive import Derivation, derive

SYMBOLS = {
    key: symbol
    for l, u in zip("123", "¹²³", strict=True)
    for key, symbol in (
        (f"w{l}", f"W{u}"),
        (f"b{l}", f"b{u}"),
        (f"z{l}", f"z{u}"),
        (f"a{l}", f"a{u}"),
        (f"z{l}_bar", f"δ{u}"),
    )
}
SHAPES = ("n0", "n1 n0", "n1", "n2 n1", "n2", "n3 n2", "n3", "n3")
LOWER = """In one column every axis of the arguments has a prime length of its own, in the other all have the same one.
The figures are the largest difference of all seven notations from `jax.vjp`, of random cotangents, relative to the
derivative's largest entry."""


def derived(c: Composition, square: bool) -> tuple[Derivation, float]:
    """A composition's derivation, and how far its formulas are from `jax.vjp`, as this module finds it."""
    args = c.arguments(square)
    d = derive(c.f, *args, wrt=c.wrt, dims=c.dims)
    g, truth = cotangents(c, args)
    found = ((formula.gradient(name, g), true) for formula in d for name, true in truth.items())
    return d, max((float(abs(a - b).max() / (abs(b).max() or 1)) for a, b in found), default=np.inf)


def cotangents(c: Composition, args: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    """A random cotangent of the output, 1 of a scalar, and what autodiff makes of it, by the arguments' names."""
    names = list(inspect.signature(c.f).parameters)
    with jax.enable_x64(True):

        def moved(*values: Any) -> Any:
            return c.f(*(dict(enumerate(args)) | dict(zip(c.wrt, values, strict=True))).values())

        given = [jnp.asarray(args[k], jnp.float64) for k in c.wrt]
        shape = jax.eval_shape(moved, *given).shape
        g = np.random.default_rng(11).standard_normal(shape) if shape else np.ones(())
        bars = jax.jit(lambda given, g: jax.vjp(moved, *given)[1](g))(given, jnp.asarray(g))
    return g, {names[k]: np.asarray(bar) for k, bar in zip(c.wrt, bars, strict=True)}


def page(rows: list[tuple[Composition, Derivation, float, Derivation, float]]) -> str:
    """A network in all notations, as text and as LaTeX; the table; and each composition with its vjp."""
    three = derive(network, *SHAPES, wrt=("x", *(f"{a}{l}" for l in "123" for a in "wb")), names=SYMBOLS)
    head = "# Derivatives as formulas, by `derive`\n\nMade by `python -m tests.evidence.derived_formulas`."
    blocks = [
        head,
        "## Three layers and half the mean squared error\n\n```python\n" + inspect.getsource(network) + "```",
        f"```text\n{three}\n```",
        "The same in LaTeX:",
        three.markdown(),
        f"## {len(rows)} compositions\n\n{LOWER}",
    ]
    table = [["composition", "notations", "lines", "primes", "square"]]
    for c, d, prime, e, square in rows:
        both = f"{len(d.styles)} and {len(e.styles)}" if d.styles != e.styles else str(len(d.styles))
        table.append([f"`{c.name}`", both, str(len(d["vjp"].lines)), f"{prime:.0e}", f"{square:.0e}"])
    blocks.append(markdown(table))
    for c, d, *_ in rows:
        defined = [*map(str, d.forward), *(["where", *(f"    {w}" for w in d.where)] if d.where else [])]
        body = "\n".join([*defined, "", d["vjp"].text()])
        blocks.append(f"### {c.name}\n\n```python\n{inspect.getsource(c.f)}```\n\n```text\n{body}\n```")
    return "\n\n".join(blocks) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    rows = []
    for c in COMPOSITIONS:
        if not arguments.names or c.name in arguments.names:
            rows.append((c, *derived(c, False), *derived(c, True)))
            print(f"{c.name:28} {len(rows[-1][1].styles)}  {rows[-1][2]:.0e}  {rows[-1][4]:.0e}", file=sys.stderr)
            if arguments.names:
                print(rows[-1][1], end="\n\n")
    if arguments.page:
        arguments.page.write_text(page(rows), encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

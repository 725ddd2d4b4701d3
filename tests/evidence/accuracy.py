"""Gradients at low precision beside the float64 truth: each rule's own error and that of autodiff of its primal.

    python -m tests.evidence.accuracy [rules] [--write]

At arguments of scale 1e-3, 1 and 1e3 (what a case draws from a normal distribution is multiplied) and at the special
points whose cotangents the case states. The truth is float64 autodiff of the primal at the same, already rounded
numbers, or what the case states.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.evidence.pool import in_parallel
from tests.evidence.tables import markdown
from tests.rules.truth import Problem, call, derivatives, error, largest, truth
from vjpkit.catalogue import CASES
from vjpkit.core import Case, Special
from vjpkit.core.registry import named

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
DTYPES = ("float32", "bfloat16")
SCALES = (1e-3, 1.0, 1e3)
SEEDS = 11
SPECIAL = "special points"
COLUMNS = (*(f"{s:g}" for s in SCALES), SPECIAL)
ALIKE = 2.0  # two right ways of rounding differ: each may be off by as much as the other, and by one eps


class Found(NamedTuple):
    rule: str
    dtype: str
    where: str
    ours: float  # the error of the worst cotangent, in eps of its largest entry
    autodiff: float

    @property
    def worse(self) -> bool:
        return self.ours > ALIKE * self.autodiff + 1


def of_case(i: int) -> list[Found]:
    """Every comparison of one case: what a worker does."""
    jax.config.update("jax_enable_x64", True)
    case = CASES[i]
    return [found for dtype in DTYPES for found in (*drawn(case, dtype), *special(case, dtype))]


def drawn(case: Case, dtype: str) -> Iterator[Found]:
    """At drawn arguments, of each scale."""
    for scale in SCALES:
        errors = []
        for seed in range(SEEDS):
            p = _scaled(case, dtype, scale, seed)
            g = p.cotangent(seed)
            want = truth(p, ("bars",), p.direction(1), p.direction(2), g)["bars"]
            errors.append(_errors(p, g, want))
        ours, autodiff = map(np.median, zip(*errors, strict=True))
        yield Found(case.rule.name, dtype, f"{scale:g}", float(ours), float(autodiff))


def _scaled(case: Case, dtype: str, scale: float, seed: int) -> Problem:
    """The case's problem with its numbers multiplied, where they have both signs: others are shares, or variances."""
    p = Problem.of(case, jnp.dtype(dtype), seed)
    return p.at([a * jnp.asarray(scale, a.dtype) if _signed(a) else a for a in p.leaves])


def _signed(a: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(a), jnp.floating) and bool(jnp.min(a, initial=0) < 0)


def special(case: Case, dtype: str) -> Iterator[Found]:
    """At the points that this dtype can hold, of those that state their cotangents."""
    errors = []
    for point in case.special:
        p = _at(case, point, dtype)
        if point.cotangents is not None and p is not None:
            g = p.cotangent()
            stated = point.cotangents(_structured(p, np.asarray(g, np.float64)))
            want = [bar for bar in jax.tree.leaves(stated, is_leaf=lambda a: a is None) if bar is not None]
            if len(want) == len(p.x) and all(np.max(np.abs(w), initial=0) < jnp.finfo(dtype).max for w in want):
                errors.append(_errors(p, g, want))
    if errors:
        ours, autodiff = map(max, zip(*errors, strict=True))
        yield Found(case.rule.name, dtype, SPECIAL, ours, autodiff)


def _at(case: Case, point: Special, dtype: str) -> Problem | None:
    """The problem there, None where rounding would move the point."""
    leaves, tree = jax.tree.flatten(point.args)
    low = [jnp.asarray(a, dtype) if np.issubdtype(np.asarray(a).dtype, np.floating) else a for a in leaves]
    if any(not np.array_equal(np.asarray(a, np.float64), b) for a, b in zip(low, leaves, strict=True) if a is not b):
        return None
    return Problem(case.rule, jax.tree.unflatten(tree, low), {**case.static, **point.static})


def _structured(p: Problem, g: np.ndarray) -> Any:
    """The cotangent, which is one array here, as the output is structured."""
    out = jax.eval_shape(lambda *x: call(p.rule, p, x), *p.x)
    leaves, tree = jax.tree.flatten(out)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    if len(leaves) == 1:
        return g
    parts = zip(np.split(g, ends), leaves, strict=True)
    return jax.tree.unflatten(tree, [part.reshape(leaf.shape) for part, leaf in parts])


def _errors(p: Problem, g: Any, want: Sequence[Any]) -> tuple[float, float]:
    """Ours and autodiff's: the worst over the cotangents."""
    eps = float(jnp.finfo(g.dtype).eps)
    u, v = p.direction(1), p.direction(2)
    both = [derivatives(p, by, ("bars",), u, v, g)["bars"] for by in ("ours", "plain")]
    ours, autodiff = (max(_in_eps(b, w, eps) for b, w in zip(bars, want, strict=True)) for bars in both)
    return ours, autodiff


def _in_eps(bar: Any, want: Any, eps: float) -> float:
    """The error where the dtype can hold the truth; one that is smaller than its smallest normal number is none."""
    want = np.broadcast_to(np.asarray(want, np.float64), np.shape(bar))
    tiny, most = float(jnp.finfo(bar.dtype).tiny), float(jnp.finfo(bar.dtype).max)
    known = np.abs(want) < most
    got = np.asarray(bar, np.float64)
    return error(got[known], want[known], max(largest(want[known]), tiny / eps)) / eps


def table(found: Sequence[Found]) -> list[list[str]]:
    """Rule × dtype and place: our error, and after the stroke autodiff's, in eps of the cotangent's largest entry."""
    rows = [["rule", *(f"{dtype}, {column}" for dtype in DTYPES for column in COLUMNS)]]
    for name in dict.fromkeys(f.rule for f in found):
        rows.append([name, *(_cell(found, name, dtype, column) for dtype in DTYPES for column in COLUMNS)])
    return rows


def _cell(found: Sequence[Found], name: str, dtype: str, column: str) -> str:
    own = [f for f in found if (f.rule, f.dtype, f.where) == (name, dtype, column)]
    return f"{_figure(max(f.ours for f in own))} / {_figure(max(f.autodiff for f in own))}" if own else ""


def _figure(eps: float) -> str:
    return "NaN" if eps == np.inf else f"{eps:.1f}" if eps < 100 else f"{eps:.0e}" if eps < 1e6 else "> 1e6"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.accuracy", description=__doc__)
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)

    wanted = named(arguments.rules, (case.rule for case in CASES))
    cases = [(i,) for i, case in enumerate(CASES) if wanted(case.rule)]
    found = [f for part in in_parallel(of_case, cases) for f in part]
    worse = [f for f in found if f.worse]
    print(markdown(table(found)))
    for f in worse:
        print(f"WORSE: {f.rule}, {f.dtype}, {f.where}: {_figure(f.ours)} eps, autodiff {_figure(f.autodiff)}")
    print(summary := _summary(found, worse))
    if arguments.write:
        PAGE.write_text(_page(summary, found))
    return 1 if worse else 0


def _summary(found: Sequence[Found], worse: Sequence[Found]) -> str:
    better = sum(f.autodiff > ALIKE * f.ours + 1 for f in found)
    return (
        f"{len(found)} comparisons of {len({f.rule for f in found})} rules: the rule is more accurate in {better}, "
        f"alike in {len(found) - better - len(worse)}, less accurate in {len(worse)}"
    )


def _page(summary: str, found: Sequence[Found]) -> str:
    return f"""# Accuracy

Made by `python -m tests.evidence.accuracy --write`. The largest error among all cotangents, in eps of the dtype and
of that cotangent's largest entry: the rule's, and after the stroke that of autodiff of its primal. The truth is
float64 autodiff of the primal at the same numbers, or what the case states. Arguments drawn at scale 1, at a
thousandth and at a thousand times that, the median of {SEEDS} draws, of a rule's worst case; and the worst
of the special points that the dtype can hold. Alike: neither is more than twice the other and 1 eps.

{summary}.

{markdown(table(found))}
"""


if __name__ == "__main__":
    sys.exit(main())

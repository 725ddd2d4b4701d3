"""The checker beside two others on the same bugs and the same right functions, in one run.

    python -m tests.evidence.scoreboard [--mutants RULE ...] [--families FAMILY ...] [--write]

`jax.test_util.check_grads` in float64 and in float32, to second order, in the modes that the function has, of its
float arguments; where torch is installed, `torch.autograd.gradcheck` and `gradgradcheck`, and gradcheck's fast mode,
of the same function wrapped as a `torch.autograd.Function`. All with their defaults.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from tests.check.test_bank import BUGS, RIGHT
from tests.evidence.faults import FAULTS
from tests.evidence.functions import FAMILIES, functions
from tests.evidence.mutants import chosen, is_equivalent
from tests.evidence.pool import in_parallel
from tests.evidence.spoiled import Subject
from tests.evidence.tables import markdown
from vjpkit.catalogue import CASES
from vjpkit.check import check
from vjpkit.check.arguments import drawn, specified
from vjpkit.core.calling import with_options

PAGE = Path(__file__).parents[2] / "docs" / "checker" / "scoreboard.md"
RULES = ("dense", "gelu", "softmax", "l2_loss")
PARTS = 72  # that the items are dealt out in: programs stay in a process
Fn = Callable[..., Any]
SEEDED, MUTANTS, CORRECT, OTHERS = "seeded bugs", "mechanical mutants", "correct rules", "correct functions"


class Item(NamedTuple):
    """A function with its arguments, and whether it is right."""

    group: str
    name: str
    fn: Fn
    args: tuple[Any, ...]
    left_out: Callable[[], bool] = lambda: False  # asked by the one part that has the item to score

    @property
    def right(self) -> bool:
        return self.group in (CORRECT, OTHERS)


def items(rules: Sequence[str], families: Sequence[str] = FAMILIES) -> Iterator[Item]:
    """The same for every checker."""
    yield from (Item(SEEDED, bug.what, bug.fn, bug.args) for bug in BUGS)
    yield from (Item(CORRECT, name, fn, args) for name, (fn, args) in RIGHT.items())
    right = (f for f in functions() if f.family in families and f.name not in FAULTS and not f.without)
    yield from (Item(OTHERS, f.name, f.fn, f.args) for f in right)
    for i in chosen(rules, every=False):
        case = CASES[i]
        subject = Subject(case)
        for mutation in subject.mutations(1):
            mutant = subject.mutant(mutation)
            fn = with_options(mutant, case.static, {*case.static, *mutant.static})
            name = f"{case.rule.name}: {mutation.part}, {mutation.kind}"
            yield Item(MUTANTS, name, fn, case.args, functools.partial(is_equivalent, case, mutant))


# -------------------------------------------------------------------------------------------- the checkers


def vjpkit_check(item: Item) -> bool:
    return check(item.fn, *item.args).ok


def jax_check_grads(item: Item, dtype: Any) -> bool:
    """Of the float leaves alone: an integer argument is an error to check_grads."""
    floats, of_floats = only_floats(item.fn, drawn(specified(item.args), 0, dtype), dtype)
    try:
        jax.jvp(of_floats, floats, floats)
        modes = ("fwd", "rev")
    except TypeError:  # a jax.custom_vjp function
        modes = ("rev",)
    try:
        check_grads(of_floats, floats, order=2, modes=modes)
    except AssertionError:
        return False
    return True


def torch_gradcheck(item: Item, fast_mode: bool) -> bool:
    """Compiled, unless it is a seeded bug: some of them remember, which compilation would hide."""
    import torch
    from torch.autograd.gradcheck import GradcheckError

    floats, of_floats = only_floats(item.fn, drawn(specified(item.args), 0, jnp.float64), jnp.float64)
    compiled = (lambda f: f) if item.group == SEEDED else jax.jit
    function = torch_function(lambda *x: jax.tree.leaves(of_floats(*x)), len(floats), compiled)
    inputs = [torch.tensor(np.asarray(a), requires_grad=True) for a in floats]
    try:
        torch.autograd.gradcheck(function, inputs, fast_mode=fast_mode)
        torch.autograd.gradgradcheck(function, inputs, fast_mode=fast_mode)
    except GradcheckError:
        return False
    return True


def torch_function(fn: Fn, n: int, compiled: Callable[[Fn], Fn]) -> Fn:
    """A function of n float64 arrays for torch, whose derivatives, of every order, are those that JAX takes of it."""
    import torch

    def arrays(tensors: Any) -> list[Any]:
        return [jnp.asarray(t.detach().numpy()) for t in tensors]

    def tensors(values: Any) -> tuple[Any, ...]:
        return tuple(torch.tensor(np.asarray(v)) for v in values)

    answers = compiled(lambda *x: tuple(fn(*x)))

    @functools.cache
    def pulled(m: int) -> Fn:
        return torch_function(lambda *xg: jax.vjp(answers, *xg[:n])[1](xg[n:]), n + m, compiled)

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *x: Any) -> Any:
            ctx.save_for_backward(*x)
            return tensors(answers(*arrays(x)))

        @staticmethod
        def backward(ctx: Any, *g: Any) -> Any:
            return pulled(len(g))(*ctx.saved_tensors, *g)

    def called(*x: Any) -> Any:
        out = Function.apply(*x)
        return out if len(out) > 1 else out[0]

    return called


def only_floats(fn: Fn, args: Any, dtype: Any) -> tuple[tuple[Any, ...], Fn]:
    """The float leaves of the arguments in `dtype`, and the function of them alone."""
    leaves, tree = jax.tree.flatten(tuple(args))
    at = [i for i, a in enumerate(leaves) if jnp.issubdtype(jnp.result_type(a), jnp.inexact) and not isinstance(a, str)]

    def of_floats(*x: Any) -> Any:
        full = dict(enumerate(leaves)) | dict(zip(at, x, strict=True))
        out = jax.tree.leaves(fn(*jax.tree.unflatten(tree, [full[i] for i in range(len(full))])))
        return [y for y in out if jnp.issubdtype(y.dtype, jnp.inexact)]

    return tuple(jnp.asarray(leaves[i], dtype) for i in at), of_floats


CHECKERS: dict[str, Callable[[Item], bool]] = {
    "vjpkit.check": vjpkit_check,
    "check_grads, float64": functools.partial(jax_check_grads, dtype=jnp.float64),
    "check_grads, float32": functools.partial(jax_check_grads, dtype=jnp.float32),
}
if importlib.util.find_spec("torch"):
    CHECKERS["gradcheck"] = functools.partial(torch_gradcheck, fast_mode=False)
    CHECKERS["gradcheck, fast"] = functools.partial(torch_gradcheck, fast_mode=True)


# ----------------------------------------------------------------------------------------------- the table


class Score(NamedTuple):
    group: str
    name: str
    says: tuple[str, ...]  # of each checker: "ok", "false alarm" or "error" of what is right, "caught" or "MISSED"


def score(item: Item) -> Score:
    """What every checker says of one item; an exception of another kind than a verdict is an error."""
    said = []
    for ask in CHECKERS.values():
        try:
            passed = ask(item)
        except Exception as error:
            kind = type(error).__name__
            said.append(f"error: {kind}" if item.right else f"caught, by a {kind}")
            continue
        said.append(("ok" if passed else "false alarm") if item.right else ("MISSED" if passed else "caught"))
    return Score(item.group, item.name, tuple(said))


def of_part(part: int, parts: int, *which: Sequence[str]) -> list[Score]:
    """What a worker does: every `parts`-th item."""
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    return [score(item) for i, item in enumerate(items(*which)) if i % parts == part and not item.left_out()]


def table(scores: Sequence[Score]) -> list[list[str]]:
    """For each group, of how many each checker says the right thing."""
    rows = [["", *CHECKERS]]
    for group in (SEEDED, MUTANTS, CORRECT, OTHERS):
        these = [s for s in scores if s.group == group]
        rows.append([f"{group} ({len(these)})", *(_counted([s.says[k] for s in these]) for k in range(len(CHECKERS)))])
    return rows


def _counted(said: Sequence[str]) -> str:
    words = {"caught": "caught", "MISSED": "missed", "ok": "pass", "false alarm": "false alarms", "error": "errors"}
    counts = {word: sum(s.startswith(key) for s in said) for key, word in words.items()}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.scoreboard", description=__doc__)
    parser.add_argument("--mutants", nargs="*", default=RULES, metavar="RULE", help="rules to make mutants of")
    parser.add_argument("--families", nargs="*", default=FAMILIES, metavar="FAMILY", help="of correct functions")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)

    which = (tuple(arguments.mutants), tuple(arguments.families))
    parts = in_parallel(of_part, [(k, PARTS, *which) for k in range(PARTS)])
    scores = [s for part in parts for s in part]
    details = [["", *CHECKERS], *([s.name, *s.says] for s in scores if s.group in (SEEDED, CORRECT))]
    print(markdown(table(scores)), markdown(details), sep="\n\n")
    if arguments.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(_page(*which, markdown(table(scores)), markdown(details)))
    return 0 if all(s.says[0] in ("ok", "caught") for s in scores) else 1


def _page(rules: Sequence[str], families: Sequence[str], totals: str, details: str) -> str:
    return f"""# Scoreboard

Made by `python -m tests.evidence.scoreboard --write` with jax {jax.__version__}{_torch()}: every checker with its
defaults, on the same bugs and the same correct functions, in one run. `check_grads` is asked for second order, in the
modes that the function has, of its float arguments; `gradcheck` and `gradgradcheck` see the same JAX function, wrapped
as a `torch.autograd.Function` of reverse mode, in float64: what is wrong with a jvp alone is out of their sight.
An error is an exception that is no verdict; of a bug it counts as caught.

{totals}

The mutants are those of {", ".join(rules)} (`tests/evidence/mutants.py`), without the equivalent ones; the correct
functions are those of {", ".join(families)} (`tests/evidence/functions.py`), without those that have
[genuine faults](false_alarms.md).

{details}
"""


def _torch() -> str:
    if "gradcheck" not in CHECKERS:
        return ""
    import torch

    return f" and torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())

"""Wrong formulas as people published them, and what `vjpkit.diagnose` says of each.

    python -m tests.diagnosis.gallery [--write]

The formulas are those of five posts about the derivation of backpropagation (three are one thread); each is asked
where it runs (square shapes), and where it does not (no two sizes alike). Then the same mistakes in other clothes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.diagnosis.drawing import drawn
from tests.diagnosis.varied import VARIED
from vjpkit.check.diagnosis import Diagnosis, diagnose

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis" / "gallery.md"
Fn = Callable[..., Any]


@dataclass(frozen=True)
class Exhibit:
    """A formula, what it should be, and the causes of which one must be named; `says` must stand in the text."""

    title: str
    formula: str
    right: str
    f: Any
    candidate: Fn
    args: tuple[Any, ...]
    causes: tuple[str, ...]
    argument: str = ""
    says: str = ""

    def diagnose(self) -> Diagnosis:
        return diagnose(self.f, self.candidate, *self.args)


def slope(z: Any) -> Any:
    return 1 - jnp.tanh(z) ** 2


# ------------------------------------------------------------- one layer: z = W σ(z₀), the step from δ⁺ to δ


def step(z: Any, w: Any) -> Any:
    a = jnp.tanh(z)
    return w @ a


def delta_only(formula: Fn) -> Fn:
    """A formula for the cotangent of z, the cotangent of w being right."""
    return lambda g, z, w: (formula(g, z, w), jnp.outer(g, jnp.tanh(z)))


RECTANGULAR, SQUARE = (drawn(3), drawn(5, 3)), (drawn(4), drawn(4, 4))

LAYER = [
    (
        "δ = δ⁺ · w · σ′(z), as columns",
        "δ⁺ · w · σ′(z)",
        lambda g, z, w: g[:, None] @ w @ slope(z)[:, None],
        ("transposed_operand", "shape", "wrong_order", "dense_for_diagonal"),
        RECTANGULAR,
    ),
    (
        "δ = δ⁺ · w · σ′(z), one-dimensional: a number",
        "δ⁺ · w · σ′(z)",
        lambda g, z, w: g @ w @ slope(z),
        ("dense_for_diagonal", "shape"),
        RECTANGULAR,
    ),
    (
        "δ = (w δ⁺) ⊙ σ′(z), without the transpose",
        "(w δ⁺) ⊙ σ′(z)",
        lambda g, z, w: (w @ g) * slope(z),
        ("transposed_operand",),
        SQUARE,
    ),
    (
        "the same, no two sizes alike",
        "(w δ⁺) ⊙ σ′(z)",
        lambda g, z, w: (w @ g) * slope(z),
        ("transposed_operand",),
        RECTANGULAR,
    ),
    (
        "σ′(w) for σ′(z): it broadcasts",
        "σ′(w) ⊙ wᵀ δ⁺",
        lambda g, z, w: slope(w) * (w.T @ g),
        ("slope_at_wrong_point", "wrong_operand"),
        RECTANGULAR,
    ),
    ("σ′ ⊙ wᵀ δ⁺ without brackets", "s * w.T @ g", lambda g, z, w: slope(z) * w.T @ g, ("wrong_order",), SQUARE),
    ("the same, no two sizes alike", "s * w.T @ g", lambda g, z, w: slope(z) * w.T @ g, ("wrong_order",), RECTANGULAR),
    ("f for f′", "f(z) ⊙ wᵀ δ⁺", lambda g, z, w: jnp.tanh(z) * (w.T @ g), ("value_for_slope",), RECTANGULAR),
]


# -------------------------------------------------------------------- two layers, the weights of the wrong one


def two_layers(z: Any, w1: Any, w2: Any) -> Any:
    a = jnp.tanh(z)
    h = jnp.tanh(w1 @ a)
    return w2 @ h


def two_backwards(second: Fn) -> Fn:
    def formula(g: Any, z: Any, w1: Any, w2: Any) -> Any:
        a = jnp.tanh(z)
        h = jnp.tanh(w1 @ a)
        d = (second(w1, w2).T @ g) * (1 - h**2)
        return (w1.T @ d) * slope(z), jnp.outer(d, a), jnp.outer(g, h)

    return formula


THREE = (drawn(4), drawn(4, 4), drawn(5, 4)[:4] + 1)


# ---------------------------------------------------------------- the linear network Z = W X in a batch of columns


def product(w: Any, x: Any) -> Any:
    return w @ x


def linear_chain(x: Any, w1: Any, w2: Any, w3: Any) -> Any:
    return w3 @ (w2 @ (w1 @ x))


def layout_mixed(g: Any, x: Any, w1: Any, w2: Any, w3: Any) -> Any:
    """The recursion of the post: each step's result is in the other layout."""
    d = ((g.T @ w3).T @ w2).T
    return (d.T @ w1).T, x @ d.T, (g.T @ w3).T @ (w1 @ x).T, g @ (w2 @ w1 @ x).T


def printed_target(g: Any, x: Any, w1: Any, w2: Any, w3: Any) -> Any:
    return w1.T @ w2.T @ w3.T @ g, (w3.T @ w2.T) @ x.T, w3.T @ g @ (w1 @ x).T, g @ (w2 @ w1 @ x).T


FOUR = (drawn(4, 4), drawn(4, 4) + 1, drawn(4, 4) * 2, drawn(4, 4) - 1)


# ------------------------------------------------------------------------------- the output layer with its loss


def loss(w: Any, a: Any, b: Any, y: Any) -> Any:
    z = w @ a + b
    out = jnp.tanh(z)
    return 0.5 * jnp.mean((out - y) ** 2)


def output_layer(w_bar: Fn) -> Fn:
    """A formula for the cotangent of w; the others right."""

    def formula(g: Any, w: Any, a: Any, b: Any, y: Any) -> Any:
        z = w @ a + b
        d = g * (jnp.tanh(z) - y) * slope(z) / y.size
        return w_bar(g, w, a, b, y), w.T @ d, d, -g * (jnp.tanh(z) - y) / y.size

    return formula


def delta(g: Any, w: Any, a: Any, b: Any, y: Any) -> Any:
    z = w @ a + b
    return g * (jnp.tanh(z) - y) * slope(z) / y.size


OUT = (drawn(4, 3), drawn(3), drawn(4), drawn(4) * 2)
OUT_SQUARE = (drawn(4, 4), drawn(4), drawn(4) + 0.5, drawn(4) * 2)

LOSS = [
    (
        "a − y without 1/N",
        "diag(f′)(a − y) aᵀ",
        lambda g, w, a, b, y: y.size * jnp.outer(delta(g, w, a, b, y), a),
        ("sum_for_mean",),
        OUT,
    ),
    (
        "δ (a_out)ᵀ for δ (a_in)ᵀ",
        "δ_i a⁽ˡ⁾_j",
        lambda g, w, a, b, y: jnp.outer(delta(g, w, a, b, y), jnp.tanh(w @ a + b)),
        ("wrong_operand",),
        OUT_SQUARE,
    ),
    (
        "the same, no two sizes alike",
        "δ_i a⁽ˡ⁾_j",
        lambda g, w, a, b, y: jnp.outer(delta(g, w, a, b, y), jnp.tanh(w @ a + b)),
        ("wrong_operand",),
        OUT,
    ),
    (
        "diag(f′) on the wrong side",
        "(a − y) aᵀ diag(f′)",
        lambda g, w, a, b, y: jnp.outer(g * (jnp.tanh(w @ a + b) - y) / y.size, a) * slope(w @ a + b),
        ("wrong_order",),
        OUT_SQUARE,
    ),
    (
        "numerator layout, the factors not reversed",
        "diag(f′) a (a − y)ᵀ",
        lambda g, w, a, b, y: slope(w @ a + b)[:, None] * jnp.outer(a, g * (jnp.tanh(w @ a + b) - y) / y.size),
        ("wrong_operand", "transposed_result", "wrong_order", "mixed_layout"),
        OUT_SQUARE,
    ),
    (
        "the same, no two sizes alike",
        "diag(f′) a (a − y)ᵀ",
        lambda g, w, a, b, y: (
            jnp.diag(slope(w @ a + b)) @ a[:, None] @ (g * (jnp.tanh(w @ a + b) - y) / y.size)[None, :]
        ),
        ("wrong_order", "shape"),
        OUT,
    ),
    (
        "the column a last: a number",
        "δ · a",
        lambda g, w, a, b, y: delta(g, w, a, b, y) @ a,
        ("wrong_order", "shape"),
        OUT_SQUARE,
    ),
    (
        "f′ left out",
        "(a − y) aᵀ",
        lambda g, w, a, b, y: jnp.outer(g * (jnp.tanh(w @ a + b) - y) / y.size, a),
        ("missing_slope",),
        OUT,
    ),
]


def exhibits() -> list[Exhibit]:
    right = "(wᵀ δ⁺) ⊙ σ′(z)"
    layer = [
        Exhibit(title, formula, right, step, delta_only(c), args, causes, "z")
        for title, formula, c, causes, args in LAYER
    ]
    outputs = [
        Exhibit(title, formula, "δ aᵀ, δ = f′ ⊙ (a − y)/N", loss, output_layer(c), args, causes, "w")
        for title, formula, c, causes, args in LOSS
    ]
    w, x = drawn(5, 3), drawn(3, 7)
    return [
        *layer,
        Exhibit(
            "the weights of the layer below",
            "w¹ᵀ δ for w²ᵀ δ",
            right,
            two_layers,
            two_backwards(lambda w1, w2: w1),
            THREE,
            ("wrong_operand",),
            "z",
            "w1",
        ),
        Exhibit(
            "dW = X (dZ)ᵀ",
            "X Gᵀ, Gᵀ W",
            "G Xᵀ, Wᵀ G",
            product,
            lambda g, w, x: (x @ g.T, g.T @ w),
            (w, x),
            ("transposed_result",),
            "w",
        ),
        Exhibit(
            "the recursion of mixed layouts",
            "X(((Gᵀ W₃)ᵀ W₂)ᵀ)ᵀ",
            "W₂ᵀ W₃ᵀ G Xᵀ",
            linear_chain,
            layout_mixed,
            FOUR,
            ("transposed_operand", "mixed_layout"),
            "w1",
        ),
        Exhibit(
            "the printed target: order, and no G",
            "W₃ᵀ W₂ᵀ Xᵀ",
            "W₂ᵀ W₃ᵀ G Xᵀ",
            linear_chain,
            printed_target,
            FOUR,
            ("ignores_cotangent",),
            "w1",
        ),
        Exhibit(
            "J xᵀ: the point for the cotangent",
            "Jᵀ x",
            "Jᵀ g",
            product,
            lambda g, w, x: (x @ x.T, w.T @ x),
            (drawn(4, 4), drawn(4, 4) + 1),
            ("ignores_cotangent",),
            "w",
        ),
        *outputs,
        *(
            Exhibit(title, formula, "", f, c, args, causes, argument)
            for title, formula, f, c, args, causes, argument in VARIED
        ),
    ]


def named(e: Exhibit, d: Diagnosis) -> bool:
    """Whether a cause that names the exhibit's mistake is among the first two findings about its argument."""
    if not e.argument:  # several arguments: every one of the causes
        return {*e.causes} <= {f.cause for f in d.findings}
    own = [f for f in d.findings if f.argument in (e.argument, "")]
    parts = own[0].part if own else 1
    return bool({f.cause for f in own[: max(2, parts)]} & {*e.causes}) and e.says in str(d)


def page(shown: Sequence[tuple[Exhibit, Diagnosis]]) -> str:
    parts = [
        "# Wrong formulas, and what is said of them\n",
        "Made by `python -m tests.diagnosis.gallery --write`. Formulas of five posts about the derivation of",
        "backpropagation, then the same mistakes with other names, shapes and functions.\n",
    ]
    for e, d in shown:
        parts += [
            f"## {e.title}\n",
            f"Asked: {e.formula}." + (f" Right: {e.right}." if e.right else "") + "\n",
            "```text",
            str(d),
            "```\n",
        ]
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis.gallery", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    write = parser.parse_args(argv).write
    shown = [(e, e.diagnose()) for e in exhibits()]
    missed = [(e, d) for e, d in shown if not named(e, d)]
    for e, d in missed:
        print(f"not named: {e.title} {np.shape(e.args[0])}: {e.causes}\n{d}\n")
    print(f"{len(shown) - len(missed)} of {len(shown)} named; {sum(d.seconds for _, d in shown):.0f} s")
    if write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(shown))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

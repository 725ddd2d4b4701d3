"""Every formula and claim of the five documents, with what is true of it and the test that says so.

    python -m tests.seeds.rows [--write]

Writes docs/derive/claims.md, one line for each of 77, and docs/derive/errata.md, one for each of 24 slips.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "derive"
VERDICTS = ("right", "slip", "wrong", "ambiguous", "claim", "question")


@dataclass(frozen=True)
class Row:
    """A formula or claim: what is said, of what kind it is, what is true, and the tests, or why there is none."""

    id: str
    said: str
    verdict: str
    true: str
    tests: tuple[str, ...] = ()
    no_test: str = ""


@dataclass(frozen=True)
class Erratum:
    """A slip: what is printed, what is right, and the row whose tests show it."""

    number: int
    document: str
    printed: str
    right: str
    rows: tuple[str, ...]


FILES = {"A": "test_thread", "B": "test_vectorised", "C": "test_layouts"}


def read(text: str) -> tuple[Row, ...]:
    """Rows of three lines: `id  verdict: what is said`, what is true, and its tests' names or `- why there is none`."""
    lines = [line.strip() for line in text.splitlines()]
    found = []
    for head, true, tests in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        id, _, rest = head.partition("  ")
        verdict, _, said = rest.partition(": ")
        if tests.startswith("- "):
            found.append(Row(id, said, verdict, true, no_test=tests[2:]))
        else:
            named = tuple(f"{FILES[id[0]]}::test_{name}" for name in tests.split())
            found.append(Row(id, said, verdict, true, named))
    return tuple(found)


ROWS = read((Path(__file__).parent / "rows.txt").read_text(encoding="utf8"))

THREAD_NAME, VECTORISED_NAME, LAYOUTS_NAME = "CrossValidated 478781", "CrossValidated 606295", "Two layouts"
ERRATA = (
    Erratum(1, THREAD_NAME, "B = w^l", "B = w^{l+1}", ("A6",)),
    Erratum(2, THREAD_NAME, "w^{l+1}a^l + b^l", "b^{l+1}", ("A6",)),
    Erratum(3, THREAD_NAME, "∂/∂a^l w^{l+1}a^l + b^l", "∂/∂a^l (w^{l+1}a^l + b^{l+1})", ("A6",)),
    Erratum(4, THREAD_NAME, "∂σ(z)/∂z = σ′(z)", "diag(σ′(z))", ("A7",)),
    Erratum(5, THREAD_NAME, "δ, a column, in front of w", "δᵀ, a row", ("A8",)),
    Erratum(6, THREAD_NAME, "VJP_B(g) = w_lᵀ g", "w_{l+1}ᵀ g", ("A22",)),
    Erratum(7, THREAD_NAME, "σ′(w_l)", "σ′(z^l)", ("A26",)),
    Erratum(8, THREAD_NAME, "g(x) ∘ J", "g ∘ Df(x)", ("A18",)),
    Erratum(9, THREAD_NAME, "C is the cost, and the third factor", "two letters", ("A5",)),
    Erratum(10, THREAD_NAME, "σ′ ⊙ wᵀ δ", "σ′ ⊙ (wᵀ δ), once it is code", ("A27",)),
    Erratum(11, VECTORISED_NAME, "d_1/dx", "df_1/dx", ("B2",)),
    Erratum(12, VECTORISED_NAME, "J_f · x", "J_f v, v a tangent", ("B2", "B3")),
    Erratum(13, VECTORISED_NAME, "J_fᵀ · x", "J_fᵀ g, g a cotangent of the outputs", ("B6",)),
    Erratum(14, VECTORISED_NAME, "f: ℝⁿ → ℝ, after f: ℝᵐ → ℝⁿ", "f: ℝᵐ → ℝ", ("B4",)),
    Erratum(15, VECTORISED_NAME, "df_1/df_x", "df_1/dx", ("B8",)),
    Erratum(16, VECTORISED_NAME, "(df/dx = df/df_{n−1} …)ᵀ", "((df_n/df_{n−1}) …)ᵀ", ("B7", "B8")),
    Erratum(17, VECTORISED_NAME, "X(((dL/dZᵀ W_n)ᵀ W_{n−1})ᵀ …)ᵀ", "X Gᵀ W_n W_{n−1} … W_2", ("B16", "B17")),
    Erratum(18, VECTORISED_NAME, "(W_nᵀ W_{n−1}ᵀ … W_2ᵀ) Xᵀ", "W_2ᵀ … W_nᵀ G Xᵀ", ("B19",)),
    Erratum(19, LAYOUTS_NAME, "l ∈ [0, L], and again under min", "l ∈ {1, …, L}", ("C1",)),
    Erratum(20, LAYOUTS_NAME, "∂C/∂a_i = a_i − y_i", "(a_i − y_i)/N_L", ("C3",)),
    Erratum(21, LAYOUTS_NAME, "∂C/∂W^{L−1}_ij = (Σ_i …) …_jk", "∂C/∂W^{L−1}_jk", ("C6",)),
    Erratum(22, LAYOUTS_NAME, "Σ_k ∂C/∂a_k f(z_k) W^l_ki", "f′(z_k) W^{l+1}_ki", ("C7", "C15")),
    Erratum(23, LAYOUTS_NAME, "δ^l_i a^l_j", "δ^l_i a^{l−1}_j", ("C10",)),
    Erratum(
        24,
        LAYOUTS_NAME,
        "a second order in each layout; diag(f′) a (a − y)ᵀ",
        "one order in each; a (a − y)ᵀ diag(f′)/N_L",
        ("C14", "C16", "C17"),
    ),
)


def shown_by(erratum: Erratum) -> tuple[str, ...]:
    """The tests of the rows that it belongs to, each once."""
    found = {row.id: row.tests for row in ROWS}
    return tuple(dict.fromkeys(test for id in erratum.rows for test in found[id]))


HEAD = "Made by `python -m tests.seeds.rows --write`, of tests/seeds/rows.txt."
DOCUMENTS = """- A: [CrossValidated 478781](https://stats.stackexchange.com/q/478781), question and answer:
  `why_transpose.py`, `hadamard_or_matrix_product.py`, `matrix_calculus_or_vjp.py`
- B: [CrossValidated 606295](https://stats.stackexchange.com/q/606295): `vectorised_backpropagation.py`
- C: a question on the two layouts of matrix calculus in backpropagation: `order_of_factors.py`
"""


def claims() -> str:
    """docs/derive/claims.md."""
    lines = [
        "# What five documents say of backpropagation, line by line\n",
        f"{HEAD} The scripts are in examples/seeds.\n",
        DOCUMENTS,
        "| | said | it is | true is | test, in tests/seeds |\n|---|---|---|---|---|",
    ]
    for row in ROWS:
        tests = "<br>".join(f"`{t}`" for t in row.tests) or f"none: {row.no_test}"
        lines.append(_line(row.id, row.said, row.verdict, row.true, tests))
    return "\n".join(lines) + "\n"


def errata() -> str:
    """docs/derive/errata.md."""
    lines = [
        "# Errata of five documents about backpropagation\n",
        f"{HEAD} The letters are the documents'; [claims.md](claims.md) has every row.\n",
        DOCUMENTS,
        "| | document | printed | right | row | test, in tests/seeds |\n|---|---|---|---|---|---|",
    ]
    for e in ERRATA:
        tests = "<br>".join(f"`{t}`" for t in shown_by(e))
        lines.append(_line(str(e.number), e.document, e.printed, e.right, ", ".join(e.rows), tests))
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


PAGES = {"claims.md": claims, "errata.md": errata}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.seeds.rows", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {', '.join(PAGES)}")
    write = parser.parse_args(argv).write
    for name, page in PAGES.items():
        if write:
            (DOCS / name).write_text(page(), encoding="utf8")
        else:
            print(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())

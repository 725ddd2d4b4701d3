"""Explanations as text, Markdown, LaTeX and HTML: tables whose rows fit, formulas that compile, markup that closes."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.derive.test_explain import BLOCK, NETWORK, block, k, network
from vjpkit.derive import explain
from vjpkit.derive.explaining import Explanation


def greek(σ: Any, W_1: Any) -> Any:
    δ = W_1 @ σ
    return 1 - δ * (δ > 0) @ σ.T


@pytest.fixture(scope="module", params=["network", "block", "greek"])
def e(request: Any) -> Explanation:
    f, args = {"network": (network, NETWORK), "block": (block, BLOCK), "greek": (greek, (k(3, 5), k(7, 3)))}[
        request.param
    ]
    return explain(f, *args, xla=False)


def test_text_is_aligned(e: Explanation) -> None:
    stages, orders, _ = str(e).split("\n\n")
    lines = stages.splitlines()[1:]
    at = lines[0].index("structure")
    told = [kind.structure for s in e.stages for kind in s.kinds]
    assert [line[at:].split("  ")[0].strip() for line in lines[1:]] == told
    assert len(orders.splitlines()) == len(e.orders) + 1


def test_markdown_has_as_many_cells_in_every_row(e: Explanation) -> None:
    assert e._repr_markdown_() == e.markdown()
    tables = [block.splitlines() for block in e.markdown().split("\n\n") if block.startswith("|")]
    assert [len(t) - 2 for t in tables] == [sum(len(s.inputs) for s in e.stages), len(e.orders)]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table}) == 1


def test_latex_has_as_many_cells_in_every_row_and_its_formulas_compile(e: Explanation) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext").MathTextParser("path")
    latex = e._repr_latex_()
    assert latex == e.latex()
    assert latex.isascii()
    for columns, body in re.findall(r"\\begin\{tabular\}\{(l+)\}\n(.*?)\n\\end\{tabular\}", latex, re.S):
        rows = [row for row in body.splitlines() if row != r"\hline"]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
        assert all(row.endswith(r" \\") for row in rows)
    bare = re.sub(r"(?<!\\)\$.*?(?<!\\)\$", "", latex)
    assert not re.search(r"(?<!\\)[_^#%$]|[<>|]", bare)
    for formula in set(re.findall(r"(?<!\\)\$.*?(?<!\\)\$", latex)):
        mathtext.parse(formula)


def test_html_is_well_formed(e: Explanation) -> None:
    assert e._repr_html_() == e.html()
    tree = ElementTree.fromstring(f"<div>{e.html()}</div>")
    stages, orders = tree.findall("table")
    assert len({len(row) for row in stages}) == len({len(row) for row in orders}) == 1
    assert [row[0].text for row in orders][1:] == [o.name for o in e.orders]

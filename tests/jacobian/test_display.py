"""What notebooks show of operators and Jacobians: LaTeX that compiles, HTML that is well formed, true facts."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vjpkit
from tests.jacobian.test_operators import OBLONG, SIX, k
from vjpkit.jacobian import Diagonal, Identity, Kronecker


def with_underscore(x: jax.Array) -> jax.Array:
    return jnp.tanh(x)


SHOWN: list[Any] = [
    *SIX,
    *OBLONG,
    Kronecker(Identity(2), Diagonal(k(3))),
    vjpkit.jacobian(with_underscore, k(2, 3)),
    vjpkit.jacobian(jax.nn.softmax, k(2, 3)),
    vjpkit.jacobian(lambda x: x @ k(3, 7), k(2, 3)),
    vjpkit.jacobian(lambda x: x.sum() ** 2, k(2, 3)),
]


@pytest.mark.parametrize("shown", SHOWN, ids=repr)
def test_latex_compiles(shown: Any) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    latex = shown._repr_latex_()
    assert latex.startswith("$")
    assert latex.isascii()
    mathtext.MathTextParser("path").parse(latex)
    assert shown._repr_markdown_().startswith(latex)


@pytest.mark.parametrize("shown", SHOWN, ids=repr)
def test_html_is_well_formed_and_has_the_numbers(shown: Any) -> None:
    tree = ElementTree.fromstring(f"<div>{shown._repr_html_()}</div>")
    facts, *numbers = tree.findall("table")
    told = {row[0].text: row[1].text for row in facts}
    assert told == shown.facts()
    assert told["structure"] == str(getattr(shown, "structure", None) or shown.kind)
    assert bool(numbers) == (np.prod(shown.shape) <= 64)
    for table in numbers:
        entries = [[0.0 if cell.text == "·" else float(cell.text or "") for cell in row] for row in table]
        matrix = shown.materialize(vec="C") if hasattr(shown, "in_shape") else shown.materialize()
        np.testing.assert_allclose(entries, matrix, rtol=0.01)


def test_nothing_large_is_written() -> None:
    J = vjpkit.jacobian(jnp.tanh, k(300, 500))
    assert "diagonal" in J._repr_html_()
    assert "_matrix" not in vars(J)

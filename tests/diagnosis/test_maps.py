"""The map of an error: entries of the argument by entries of the output, the explained ones outlined."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.diagnosis.drawing import drawn
from vjpkit import diagnose
from vjpkit.check import CheckError
from vjpkit.check.diagnosis.heat import outline
from vjpkit.check.diagnosis.maps import error_maps

X = drawn(2, 3)


def of_diagonal(g: Any, x: Any) -> Any:
    p = jax.nn.softmax(x)
    return g * p * (1 - p)


def test_the_entries_that_the_diagonal_lacks_are_explained() -> None:
    (m,) = error_maps(diagnose(jax.nn.softmax, of_diagonal, X))
    jacobian = np.asarray(jax.jacobian(jax.nn.softmax)(X)).reshape(6, 6)
    off = jacobian.T - np.diag(np.diag(jacobian))
    np.testing.assert_allclose(m.error, np.abs(off), atol=1e-6)
    assert m.causes == ("diagonal_only",)
    np.testing.assert_array_equal(m.explained, off != 0)
    rows = str(m).splitlines()
    assert rows[0] == "x [2, 3] by output [2, 3]: diagonal_only"
    assert [row.count("[") for row in rows[1:]] == [1, 2, 1, 1, 2, 1]


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_rows_are_entries_of_the_argument_and_columns_those_of_the_output(kind: str) -> None:
    w = drawn(3, 2)
    candidates = {"vjp": lambda g, x, y: (-(w @ g), g), "jvp": lambda dots, x, y: dots[1] - dots[0] @ w}
    said = diagnose(lambda x, y: x @ w + y, candidates[kind], drawn(3), drawn(2), kind=kind)
    (m,) = error_maps(said)
    assert m.name == "x"
    np.testing.assert_allclose(m.error, 2 * np.abs(w), rtol=1e-6)
    assert m.explained.all()


def test_what_nothing_explains_has_no_outline() -> None:
    wild, other = drawn(3, 2).T, drawn(2, 2)
    said = diagnose(lambda x: jnp.tanh(x), lambda g, x: other @ (wild * g), X, seconds=1)
    assert said.causes == ["unexplained"]
    assert "unexplained" in said.map()
    assert "[" not in "".join(said.map().splitlines()[1:])


def test_a_large_one_is_shown_at_a_random_vector() -> None:
    x = drawn(11, 5)
    said = diagnose(lambda x: jnp.sin(x), lambda g, x: -g * jnp.cos(x), x)
    assert error_maps(said) == []
    assert said.map().splitlines()[0] == "x [11, 5], at a random vector"


def test_the_outline_goes_round_the_explained_entries() -> None:
    inside = np.zeros((3, 4), bool)
    inside[0, :2] = inside[2, 3] = True
    segments = outline(inside)
    assert len(segments) == 6 + 4
    assert ((-0.5, -0.5), (-0.5, 0.5)) in segments
    assert ((0.5, -0.5), (0.5, 0.5)) not in segments


def test_the_picture_has_a_panel_for_each_wrong_argument(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    said = diagnose(jax.nn.softmax, of_diagonal, X)
    figure = said.picture(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 0
    (panel, bar) = figure.axes
    assert "diagonal_only" in panel.get_title()
    assert len(panel.collections[0].get_segments()) == len(outline(error_maps(said)[0].explained))
    assert bar.get_ylabel() == "|error|"


def test_without_matplotlib_there_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    said = diagnose(jax.nn.softmax, of_diagonal, X)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(CheckError, match=r"picture needs matplotlib.*map\(\)"):
        said.picture()


def test_no_array_as_large_as_the_jacobian_is_formed() -> None:
    """Its 4,000² entries take 122 MiB: neither the search, nor an edit of the source, nor the report makes them."""
    x = np.random.default_rng(0).standard_normal(4000)
    tracemalloc.start()
    try:
        said = diagnose(lambda x: jnp.cumsum(jnp.sin(x)), lambda g, x: np.roll(g, 1) * np.cos(3 * x) + x * g[::-1], x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said.causes == ["unexplained"]
    assert peak < 64 * 2**20

"""The picture of an explanation: sides to scale, patterns that hold, texts that do not meet, and what it refuses."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from tests.derive.test_explain import BLOCK, NETWORK, block, k, network
from vjpkit.derive import DeriveError, Explanation, explain

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg

from vjpkit.derive.picture import label, pattern


def panels(figure: Any) -> list[list[Any]]:
    return [part.get_axes() for part in figure.subfigs]


def texts(figure: Any) -> list[Any]:
    """Those that are drawn: of axes that are shown, and of titles."""
    parts = [a for axes in panels(figure) for a in axes]
    loose = [t for a in parts for t in a.texts]
    labels = [t for a in parts if a.axison for t in (a.title, a.xaxis.label, *a.get_yticklabels())]
    return [t for t in [*loose, *labels, *(p._suptitle for p in figure.subfigs)] if t is not None and t.get_text()]


@pytest.fixture(scope="module", params=["network", "transformer block"])
def plotted(request: Any) -> tuple[Explanation, Any]:
    f, args = (network, NETWORK) if request.param == "network" else (block, BLOCK)
    e = explain(f, *args, xla=False)
    figure = e.plot()
    FigureCanvasAgg(figure).draw()
    return e, figure


def test_what_is_drawn(plotted: tuple[Explanation, Any]) -> None:
    e, figure = plotted
    ribbon, patterns, costs = panels(figure)
    told = [t.get_text() for t in ribbon[0].texts]
    for stage, i in e.path:
        assert label((stage, i)) in told
        assert f"{stage.output.size} × {stage.inputs[i].size}\n{stage.kinds[i].structure}" in told
    assert len([a for a in patterns if a.axison]) == len(e.path)
    (bars,) = costs
    assert [bar.get_width() for bar in bars.patches] == [o.flops for o in e.orders]
    assert bars.get_xscale() == "log"


def test_no_text_meets_another_or_leaves_the_picture(plotted: tuple[Explanation, Any]) -> None:
    _, figure = plotted
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts(figure)]
    width, height = figure.get_size_inches() * figure.dpi
    for told, box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width, told
        assert 0 <= box.y0 <= box.y1 <= height, told
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0, (one, two)


def test_a_name_given_anew_has_a_prime() -> None:
    def twice(x: jax.Array) -> jax.Array:
        x = jnp.sin(x)
        y = jnp.cos(x)
        return y

    assert [label(f) for f in explain(twice, k(3), xla=False).path] == ["∂x′/∂x", "∂y/∂x"]


def test_sides_are_to_scale() -> None:
    """Linear where that shows all, else logarithmic, and it says which."""
    for shape, ratio, scale in (((3, 7, 5), 7 / 3, "to scale"), ((2, 784, 3), 784 / 2, "logarithmic")):
        n, d, m = shape
        figure = explain(lambda x, w: x @ w, k(n, d), k(d, m), xla=False).plot()
        frame = panels(figure)[0][0].patches[0]
        drawn = frame.get_width() / frame.get_height()
        assert (drawn == pytest.approx(d / m)) == (scale == "to scale"), ratio
        assert scale in figure.subfigs[0]._suptitle.get_text()


def test_nothing_large_is_formed() -> None:
    e = explain(jnp.tanh, jax.ShapeDtypeStruct((2000, 3000), jnp.float32), xla=False)
    assert pattern(e.path[0]) is None
    assert len(panels(e.plot())) == 2


def test_a_function_that_does_nothing_has_costs_alone() -> None:
    assert len(panels(explain(lambda x: x, k(3), xla=False).plot())) == 1


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    e = explain(jnp.tanh, k(3), xla=False)
    with pytest.raises(DeriveError, match="of no kind that can be written, expected one of "):
        e.plot(tmp_path / "tanh.nothing")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DeriveError, match=r"plot needs matplotlib: pip install 'vjpkit\[bench\]'"):
        e.plot()

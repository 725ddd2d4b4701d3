"""An answer of the wrong shape: which sum, mean, transpose or reshape makes it the right one, by value."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.explanations import Explanation
from vjpkit.check.diagnosis.factors import fitted
from vjpkit.check.diagnosis.workings import RIGHT, Workings

Repair = tuple[str, str, str, float, Any]  # cause, detail, fix, cost, array ↦ array


def misshapen(w: Workings, k: int) -> list[Explanation]:
    """What mends the shape and the values; failing that, what is to be said about the shape alone."""
    got, want = w.got[k], w.want[k]
    shape, right, name = np.shape(got[0]), np.shape(want[0]), w.asked.arms[k]
    found = []
    for cause, detail, fix, cost, f in repairs(shape, right, name):
        try:
            mended = [f(a) for a in got]
        except ValueError:
            continue
        if mended[0].shape != right:
            continue
        c, off = fitted(want, mended)
        if off <= 10 * RIGHT and c:
            text = f"shape {list(shape)} where {list(right)} belongs: {detail}"
            parts = [(cause, text, fix)]
            if abs(c - 1) > 1e-7:
                parts.append(
                    ("sign" if abs(c + 1) < 1e-7 else "scale", f"scaled by {1 / c:.6g}", f"multiply by {c:.6g}")
                )
            found.append(Explanation(tuple(parts), cost + len(parts) - 1, 0.0))
    found.sort(key=lambda e: e.cost)
    if found:
        return found[:2]
    return [
        Explanation(
            (("shape", f"{list(shape)} where {list(right)} belongs", f"an answer shaped like {name}"),), 5.0, 1.0
        )
    ]


def repairs(shape: tuple[int, ...], right: tuple[int, ...], name: str) -> Iterator[Repair]:
    """Operations that turn one shape into another."""
    n = len(shape)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(n), r) for r in range(1, n + 1)):
        said = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
        left = tuple(m for i, m in enumerate(shape) if i not in axes)
        if left == right or int(np.prod(left)) == int(np.prod(right)):
            yield (
                "missing_sum",
                f"the sum over {said} is missing",
                f"{name}_bar.sum({axes if len(axes) > 1 else axes[0]})",
                0,
                lambda a, x=axes: a.sum(x).reshape(right),
            )
            yield (
                "missing_sum",
                f"a mean over {said} is missing",
                f"{name}_bar.mean({axes if len(axes) > 1 else axes[0]})",
                1,
                lambda a, x=axes: a.mean(x).reshape(right),
            )
            yield (
                "shape",
                f"it repeats the right answer along {said}",
                f"take one entry along {said}",
                2,
                lambda a, x=axes: np.moveaxis(a, x, range(len(x)))[(0,) * len(x)].reshape(right),
            )
            if len(left) > 1 and len(left) == len(right):
                for order in itertools.permutations(range(len(left))):
                    yield (
                        "missing_sum",
                        f"the sum over {said}, and a transpose, are missing",
                        "sum, then transpose",
                        1.5,
                        lambda a, x=axes, o=order: a.sum(x).transpose(o),
                    )
    if n == len(right):
        for order in itertools.permutations(range(n)):
            if order != tuple(range(n)):
                yield (
                    "transposed_result",
                    "it is transposed",
                    f"{name}_bar.T" if n == 2 else f"transpose by {order}",
                    0,
                    lambda a, o=order: np.transpose(a, o),
                )
    if n >= 2 and shape[-1] == shape[-2] and shape[:-1] == right:
        yield (
            "dense_for_diagonal",
            "its diagonal is the right answer",
            "multiply entry by entry",
            0.5,
            lambda a: np.diagonal(a, axis1=-2, axis2=-1),
        )
    if (n == 2 and (shape[0],) == right) or (n == 2 and (shape[1],) == right):
        yield (
            "dense_for_diagonal",
            "its diagonal is the right answer",
            "multiply entry by entry",
            0.5,
            lambda a: np.diagonal(a),
        )
    if int(np.prod(shape)) == int(np.prod(right)):
        yield (
            "shape",
            "its entries are right, laid out in another shape",
            f"{name}_bar.reshape({right})",
            0.5,
            lambda a: a.reshape(right),
        )
    if n < len(right):
        yield (
            "shape",
            "it is right but for axes along which it must be repeated",
            "broadcast it",
            1,
            lambda a: np.broadcast_to(a, right),
        )
        expanded = tuple(range(n, len(right)))
        yield (
            "shape",
            "it is right but for axes along which it must be repeated",
            "broadcast it",
            1,
            lambda a: np.broadcast_to(np.expand_dims(a, expanded), right),
        )

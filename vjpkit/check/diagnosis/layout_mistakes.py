"""Where entries lie: a slice that starts elsewhere, zeros on the wrong side, axes in another order at a reshape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Found
from vjpkit.check.diagnosis.programs import Edit, Equation

SHIFT = 3  # entries by which a slice may be off


def shifted(eqn: Equation, shape: tuple[int, ...]) -> Iterator[Found]:
    """A slice that starts elsewhere."""
    starts, ends = tuple(eqn.params["start_indices"]), tuple(eqn.params["limit_indices"])
    for axis in range(len(shape)):
        for by in range(max(-starts[axis], -SHIFT), min(shape[axis] - ends[axis], SHIFT) + 1):
            if by:
                moved = {
                    "start_indices": tuple(n + by * (i == axis) for i, n in enumerate(starts)),
                    "limit_indices": tuple(n + by * (i == axis) for i, n in enumerate(ends)),
                }
                right = starts[axis] + by
                text = f"the slice along axis {axis} starts at {starts[axis]} in place of {right}"
                yield "positions_ignored", text, f"start at {right}", 1.8, reparametrized(eqn, {**eqn.params, **moved})


def padded(eqn: Equation) -> Iterator[Found]:
    """What is laid among zeros is laid elsewhere."""
    config = tuple(eqn.params["padding_config"])
    for axis, (low, high, between) in enumerate(config):
        for by in range(max(-low, -SHIFT), min(high, SHIFT) + 1):
            if by:
                other = tuple((low + by, high - by, between) if i == axis else c for i, c in enumerate(config))
                text = f"it is laid along axis {axis} from {low + by} on, in place of {low}"
                edit = reparametrized(eqn, {**eqn.params, "padding_config": other})
                yield "positions_ignored", text, f"from {low} on", 1.8, edit


def laid_out(shape: tuple[int, ...], out: tuple[int, ...]) -> Iterator[Found]:
    """A reshape whose axes are in another order before it, or after it."""
    before = [p for p in itertools.permutations(range(len(shape))) if p != tuple(range(len(shape)))]
    after = [p for p in itertools.permutations(range(len(out))) if p != tuple(range(len(out)))]
    text = f"axes of size {{}} are laid out as {out} in the wrong order"
    for order in before if 1 not in shape else ():
        edit = partial(_reshaped, out, order, tuple(range(len(out))))
        yield "wrong_order", text.format(shape), f"transpose by {order}, then reshape", 2, edit
    for order in after if 1 not in out else ():
        edit = partial(_reshaped, out, tuple(range(len(shape))), order)
        fix = f"reshape to {tuple(out[i] for i in order)}, then transpose by {tuple(np.argsort(order).tolist())}"
        yield "wrong_order", text.format(shape), fix, 2, edit


def _reshaped(out: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...], x: list[Any]) -> list[Any]:
    turned = np.transpose(x[0], before).reshape([out[i] for i in after])
    return [np.transpose(turned, np.argsort(after))]


def reparametrized(eqn: Equation, params: dict[str, Any]) -> Edit:
    """The same operation with other options."""
    other = Equation(eqn.primitive, params, eqn.inputs, eqn.outputs, eqn.line, eqn.origin)
    return lambda x: other(x)

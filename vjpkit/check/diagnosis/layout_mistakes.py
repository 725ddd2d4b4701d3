"""Where entries lie: a slice that starts elsewhere, zeros on the wrong side, an index that is not used, a stride
that is forgotten, parts or axes in another order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Found, with_operand
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


def indexed(eqn: Equation, index: Any) -> Iterator[Found]:
    """A gather or a scatter whose index counts entries as they come, or from one."""
    for axis in range(index.ndim - 1):
        along = np.arange(index.shape[axis]).reshape([-1 if i == axis else 1 for i in range(index.ndim)])
        other = np.broadcast_to(along, index.shape).astype(index.dtype)
        text = "the index is not used: entries lie as they come"
        yield "positions_ignored", text, "put them where the index says", 1.7, with_operand(eqn, 1, _constant(other))
    for by in (1, -1):
        text = f"the index is off by {by}"
        yield "positions_ignored", text, "the index itself", 1.9, with_operand(eqn, 1, _constant(index + by))


def _constant(value: Any) -> Any:
    return lambda _: value


def undilated(eqn: Equation, x: list[Any]) -> Iterator[Found]:
    """A convolution that forgets a stride: no zeros between the entries, or copies of them in their place."""
    dims = eqn.params["dimension_numbers"]
    for i, key, said in ((0, "lhs_dilation", "input"), (1, "rhs_dilation", "kernel")):
        by = tuple(eqn.params[key])
        if all(n == 1 for n in by):
            continue
        axes = (dims.lhs_spec, dims.rhs_spec)[i][2:]
        for text, spread in (("no zeros stand", _at_the_start), ("copies stand, not zeros,", _repeated)):
            text = f"the stride is forgotten: {text} between the entries of the convolution's {said}"
            for whole in (False, True) if spread is _repeated and i == 0 else (False,):
                ends = [(low, high - (n - 1) * whole) for (low, high), n in zip(eqn.params["padding"], by, strict=True)]
                params = {**eqn.params, key: (1,) * len(by), "padding": tuple(ends)}
                edit = partial(_spread, eqn, params, i, partial(spread, axes, by, whole))
                yield "positions_ignored", text, f"{key} = {by}", 1.7, edit


def _spread(eqn: Equation, params: dict[str, Any], i: int, spread: Any, x: list[Any]) -> list[Any]:
    return reparametrized(eqn, params)([spread(a) if j == i else a for j, a in enumerate(x)])


def _at_the_start(axes: tuple[int, ...], by: tuple[int, ...], whole: bool, a: Any) -> Any:
    return np.pad(a, [(0, (by[axes.index(k)] - 1) * (n - 1) if k in axes else 0) for k, n in enumerate(a.shape)])


def _repeated(axes: tuple[int, ...], by: tuple[int, ...], whole: bool, a: Any) -> Any:
    for k, n in zip(axes, by, strict=True):
        a = np.repeat(a, n, k)
        a = a if whole else np.delete(a, np.s_[a.shape[k] - n + 1 :], k)
    return a


def put_together(eqn: Equation, x: list[Any]) -> Iterator[Found]:
    """Parts of one size, put together in another order."""
    if len({a.shape for a in x}) == 1 and 2 <= len(x) <= 4:
        for order in itertools.permutations(range(len(x))):
            if order != tuple(range(len(x))):
                text = f"the parts are put together in the wrong order along axis {eqn.params['dimension']}"
                yield "wrong_order", text, f"in the order {order}", 1.6, partial(_in_order, eqn, order)


def _in_order(eqn: Equation, order: tuple[int, ...], x: list[Any]) -> list[Any]:
    return eqn([x[i] for i in order])


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

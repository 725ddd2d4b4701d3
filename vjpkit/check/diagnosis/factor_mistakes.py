"""Factors: one left out, one too many, one in place of another, one transposed.

Read forwards (an edit of the right derivative) an edit is the mistake; read backwards (of the candidate) it mends one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Mistake, at_steps, at_steps_by_place, confused, where
from vjpkit.check.diagnosis.pool import NAMELESS, Value
from vjpkit.check.diagnosis.programs import Edit, Equation
from vjpkit.check.diagnosis.workings import Derived, Workings

_PRODUCTS = {"mul", "div", "dot_general"}


def factor_mistakes(w: Workings, d: Derived, mends: bool) -> Iterator[Mistake]:
    """Of every product of something linear with a factor: the factor dropped, squared, replaced, transposed."""
    for k, eqn in enumerate(d.program.equations):
        if eqn.name not in _PRODUCTS or d.program.steps(k)[0] != k:
            continue
        linear = [v in d.program.linear for v in eqn.inputs]
        if sum(linear) != 1 or _is_number(d.base[0][eqn.inputs[linear.index(False)]]):
            continue
        i = linear.index(False)
        factor = d.base[0][eqn.inputs[i]]
        name, known = w.pool.named(factor), w.pool.find(factor)
        slope = known is not None and known.role == "slope"
        at = where(d, k)
        if eqn.name != "dot_general":
            missing, extra = ("missing_slope", "extra_slope") if slope else ("missing_factor", "extra_factor")
            drop, twice = (extra, missing) if mends else (missing, extra)
            yield _of(
                d,
                k,
                drop,
                _dropped(name, mends, at),
                f"{'drop' if mends else 'multiply by'} {name}",
                1.5,
                mends,
                _keep(1 - i),
            )
            yield _of(
                d,
                k,
                twice,
                f"{name} stands there {'once' if mends else 'twice'} {at}",
                f"multiply by {name}",
                3,
                mends,
                _again(eqn, i),
            )
            yield _of(
                d,
                k,
                "extra_factor",
                f"a product and a quotient by {name} are confused {at}",
                f"try the other of × {name} and / {name}",
                3,
                mends,
                _inverted(eqn, i),
            )
        else:
            for j in (0, 1):
                v = d.base[0][eqn.inputs[j]]
                if v.ndim >= 2:
                    said = name if j == i else "the product's other operand"
                    yield _of(
                        d,
                        k,
                        "transposed_operand",
                        f"{said} is transposed {at}",
                        f"{said}.T in place of {said}",
                        1.2,
                        mends,
                        _turned(eqn, j),
                    )
            yield _of(
                d,
                k,
                "wrong_order",
                f"the operands of the product are swapped {at}",
                "the other order",
                2.5,
                mends,
                _swapped(eqn),
            )
        yield from _replaced(w, d, k, i, known, name, mends)


def _replaced(
    w: Workings, d: Derived, k: int, i: int, known: Value | None, name: str, mends: bool
) -> Iterator[Mistake]:
    eqn = d.program.equations[k]
    if known is None and name == NAMELESS:
        return
    shape = d.base[0][eqn.inputs[i]].shape
    for v in w.pool.values:
        if v is known or len(v.shape) != len(shape) or (eqn.name != "dot_general" and v.shape != shape):
            continue
        turns = (False, True) if eqn.name == "dot_general" and v.shape != shape and len(shape) == 2 else (False,)
        for turn in turns:
            right, wrong = (v, known) if mends else (known, v)
            wrong_name, right_name = (name, v.name) if mends else (v.name, name)
            cause = confused(right, wrong, False, w.outputs)
            yield Mistake(
                cause,
                f"{wrong_name} stands where {right_name} belongs {where(d, k)}".strip(),
                f"{right_name} in place of {wrong_name}",
                2.0 if v.role in ("argument", "output") or v.name in w.outputs else 2.5,
                d,
                edits=at_steps_by_place(d, k, partial(_with, eqn, i, v, turn)),
                mends=mends,
                origin=k,
            )


def extra_factors(w: Workings, d: Derived, mends: bool) -> Iterator[Mistake]:
    """Every linear value multiplied, or divided, by a value that has no business there; mended: that is missing."""
    seen: set[bytes] = set()
    for k, eqn in enumerate(d.program.equations):
        v = eqn.outputs[0]
        if len(eqn.outputs) != 1 or v not in d.program.linear or d.program.steps(k)[0] != k:
            continue
        here = d.base[0][v]
        key = np.sort(np.abs(np.ravel(here))).tobytes()
        if key in seen or here.dtype.kind not in "fc":  # a reshape or a transpose of what was tried
            continue
        seen.add(key)
        for name, role, at in w.pool.fitting(here.shape):
            for power, word, cost in ((1, "× ", 2.5), (-1, "/ ", 3.5)):
                adds = (power == 1) != mends
                cause = ("extra_" if adds else "missing_") + ("slope" if role == "slope" else "factor")
                detail = f"{word if not mends else ''}{name} {'too many' if adds else 'is missing'} {where(d, k)}"
                yield Mistake(
                    cause, detail.strip(), f"{'drop' if adds else 'multiply by'} {name}", cost, d,
                    edits=at_steps_by_place(d, k, partial(_times, eqn, at, power)),
                    mends=mends, origin=k,
                )  # fmt: skip


def _of(d: Derived, k: int, cause: str, detail: str, fix: str, cost: float, mends: bool, edit: Edit) -> Mistake:
    return Mistake(cause, detail.strip(), fix, cost, d, edits=at_steps(d, k, edit), mends=mends, origin=k)


def _dropped(name: str, mends: bool, at: str) -> str:
    return f"the factor {name} does not belong there {at}" if mends else f"the factor {name} is left out {at}"


def _is_number(a: Any) -> bool:
    return bool(np.size(a) == 1 or np.ptp(np.real(a)) == 0)


def _keep(i: int) -> Edit:
    return lambda x: [np.broadcast_to(x[i], np.broadcast_shapes(x[0].shape, x[1].shape))]


def _again(eqn: Equation, i: int) -> Edit:
    return lambda x: eqn([eqn(x)[0], x[1]]) if eqn.name == "div" else [eqn(x)[0] * x[i]]


def _inverted(eqn: Equation, i: int) -> Edit:
    return lambda x: [x[1 - i] / x[i] if eqn.name == "mul" else x[1 - i] * x[i]]


def _turned(eqn: Equation, j: int) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        x = list(x)
        turned = np.swapaxes(x[j], -1, -2)
        x[j] = turned if turned.shape == x[j].shape else turned.reshape(x[j].shape)
        return eqn(x)

    return edit


def _swapped(eqn: Equation) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        shape = eqn(x)[0].shape
        other = eqn([x[1], x[0]])[0]
        return [other if other.shape == shape else np.resize(other, shape)]

    return edit


def _with(eqn: Equation, i: int, v: Value, turn: bool, place: int) -> Edit:
    value = v.at[place].T if turn else v.at[place]
    return lambda x: eqn([value if j == i else a for j, a in enumerate(x)])


def _times(eqn: Equation, at: tuple[Any, ...], power: int, place: int) -> Edit:
    return lambda x: [eqn(x)[0] * at[place] ** float(power)]

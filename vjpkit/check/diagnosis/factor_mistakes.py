"""Factors: one left out, one too many, one in place of another, one transposed.

Read forwards (an edit of the right derivative) an edit is the mistake; read backwards (of the candidate) it mends one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.derived import real
from vjpkit.check.diagnosis.mistakes import Edits, Found, Mistake, at, at_by_place, confused, where, with_operand
from vjpkit.check.diagnosis.pool import NAMELESS, Value
from vjpkit.check.diagnosis.programs import Edit, Equation
from vjpkit.check.diagnosis.workings import Derived, Workings

_PRODUCTS = {"mul", "div", "dot_general"}
_RELAID = {"reshape", "transpose", "squeeze", "expand_dims", "copy", "convert_element_type", "neg"}
_GATHERING = {"reduce_sum", "dot_general", "cumsum", "add", "sub", "add_any"}  # a factor after it is not one before it
Replaced = tuple[str, str, str, float, Edits, Any]  # what belongs there, what stands there, cause, cost, edits, value


def factor_mistakes(w: Workings, d: Derived, mends: bool) -> Iterator[Mistake]:
    """Of every product of something linear with a factor: the factor dropped, squared, replaced, transposed."""
    for k, steps in d.program.sites():
        eqn = d.program.equations[k]
        linear = [v in d.program.linear for v in eqn.inputs]
        if eqn.name not in _PRODUCTS or sum(linear) != 1:
            continue
        i = linear.index(False)
        if all(_is_number(d, d.program.equations[step].inputs[i]) for step in steps):
            continue
        factor = d.base[0][eqn.inputs[i]]
        known = w.pool.find(factor)
        name = known.name if known is not None else w.pool.named(factor)
        if name == NAMELESS and eqn.inputs[i] not in d.program.varying:
            name = "the mask"
        spot = where(d, k, steps)
        slope = known is not None and known.role == "slope"
        of_kind = _products if eqn.name == "dot_general" else _multiples
        for cause, detail, fix, cost, edit in of_kind(eqn, [d.base[0][v] for v in eqn.inputs], i, name, slope, mends):
            yield Mistake(
                cause, f"{detail} {spot}".strip(), fix, cost, d,
                edits=at(steps, edit), mends=mends, origin=k, kind=(detail.replace(name, ""), len(steps) > 1),
            )  # fmt: skip
        yield from _replaced(w, d, k, steps, i, known, name, mends)


def _multiples(eqn: Equation, x: list[Any], i: int, name: str, slope: bool, mends: bool) -> Iterator[Found]:
    """What may happen to a factor that multiplies entry by entry."""
    missing, extra = ("missing_slope", "extra_slope") if slope else ("missing_factor", "extra_factor")
    if mends:
        yield extra, f"the factor {name} does not belong there", f"drop {name}", 1.5, _keep(1 - i)
        yield missing, f"{name} stands there once", f"multiply by {name}", 3, _again(eqn, i)
    else:
        yield missing, f"the factor {name} is left out", f"multiply by {name}", 1.5, _keep(1 - i)
        yield extra, f"{name} stands there twice", f"multiply by {name}", 3, _again(eqn, i)
    confused_ = f"a product and a quotient by {name} are confused"
    yield "extra_factor", confused_, f"try the other of × {name} and / {name}", 3, _inverted(eqn, i)
    if len(np.unique(x[i][x[i] != 0])) == 2 and np.any(x[i] == 0):
        yield (
            "scale",
            f"1 stands for every weight of {name} that is not 0",
            f"the weights of {name}",
            1.8,
            with_operand(eqn, i, lambda a: (a != 0).astype(a.dtype)),
        )
    if x[i].ndim >= 2 and x[i].shape[-1] == x[i].shape[-2]:
        turn = f"{name}.T in place of {name}"
        yield "transposed_operand", f"{name} is transposed", turn, 1.5, _turned(eqn, i)


def _products(eqn: Equation, x: list[Any], i: int, name: str, slope: bool, mends: bool) -> Iterator[Found]:
    """What may happen to a factor of a matrix product."""
    for j in (0, 1):
        if x[j].ndim >= 2:
            said = name if j == i else "the product's other operand"
            turn = f"{said}.T in place of {said}"
            yield "transposed_operand", f"{said} is transposed", turn, 1.2, _turned(eqn, j)
    yield "wrong_order", "the operands of the product are swapped", "the other order", 2.5, _swapped(eqn)
    if x[i].ndim >= 2 and x[i].shape[-1] == x[i].shape[-2] and x[1 - i].size == eqn(x)[0].size:
        other = _untouched(eqn, 1 - i)
        if mends:
            yield "extra_factor", f"the factor {name} does not belong there", f"drop {name}", 1.6, other
            yield "missing_factor", f"{name} stands there once", f"multiply by {name} again", 3, _again_by(eqn, i)
        else:
            yield "missing_factor", f"the factor {name} is left out", f"multiply by {name}", 1.6, other
            yield "extra_factor", f"{name} stands there twice", f"multiply by {name} once", 3, _again_by(eqn, i)


def _replaced(
    w: Workings, d: Derived, k: int, steps: tuple[int, ...], i: int, known: Value | None, name: str, mends: bool
) -> Iterator[Mistake]:
    eqn = d.program.equations[k]
    if known is None and (eqn.inputs[i] not in d.program.varying or (name == NAMELESS and len(steps) == 1)):
        return  # it would say no more than that something else stands there
    here = d.base[0][eqn.inputs[i]]
    for right_name, wrong_name, cause, cost, edits, other in (
        *_by_values(w, d, eqn, steps, i, known, name, mends),
        *_by_series(w, d, eqn, steps, i, name, mends),
    ):
        yield Mistake(
            cause,
            f"{wrong_name} stands where {right_name} belongs {where(d, k, steps)}".strip(),
            f"{right_name} in place of {wrong_name}",
            cost,
            d,
            edits=edits,
            mends=mends,
            origin=k,
            stands=(other, here) if mends else (here, other),
        )


def _by_values(
    w: Workings, d: Derived, eqn: Equation, steps: tuple[int, ...], i: int, known: Value | None, name: str, mends: bool
) -> Iterator[Replaced]:
    """One value in the factor's place, at every step the same."""
    shape = d.base[0][eqn.inputs[i]].shape
    for v in w.pool.values if eqn.name == "dot_general" else w.pool.of_shape(shape):
        if (known is not None and v.name == known.name) or len(v.shape) != len(shape):
            continue
        turns = (False, True) if eqn.name == "dot_general" and v.shape != shape and len(shape) == 2 else (False,)
        for turn in turns:
            right, wrong = (v, known) if mends else (known, v)
            cause = confused(w, right, wrong, False)
            cost = 2.0 if v.role in ("argument", "output") or v.name in w.outputs else 2.5
            edits = at_by_place(steps, partial(_with, eqn, i, v, turn))
            yield *((v.name, name) if mends else (name, v.name)), cause, cost, edits, v.at[0]


def _by_series(
    w: Workings, d: Derived, eqn: Equation, steps: tuple[int, ...], i: int, name: str, mends: bool
) -> Iterator[Replaced]:
    """At every step of a loop a value of that step in the factor's place."""
    if len(steps) < 2:
        return
    factors = [d.base[0][d.program.equations[k].inputs[i]] for k in steps]
    for s in w.series:
        if abs(len(s.at[0]) - len(steps)) > 1 or np.shape(s.at[0][0]) != factors[0].shape:
            continue
        own = sum(any(np.array_equal(a, b) for b in s.at[0]) for a in factors) >= len(steps) - 1
        for order, shift in itertools.product((1, -1), (0, 1, -1)):
            edits, cost = partial(_each_with, d, steps, i, s.at, order, shift), 2.2 + 0.1 * abs(shift)
            if own:
                yield "that of this step", f"{s.name} of another step", "positions_ignored", cost, edits, s.at[0][0]
            right, wrong = (s.name, name) if mends else (name, s.name)
            yield right, wrong, "wrong_operand", cost + 0.1 * own, edits, s.at[0][0]


def extra_factors(w: Workings, d: Derived, mends: bool, within: bool = False) -> Iterator[Mistake]:
    """Every linear value multiplied, or divided, by a value that has no business there; mended: that is missing.

    `within`: every value of a coefficient.
    """
    for arguments, (k, steps, v, at_use) in itertools.product((True, False), list(_multipliable(d, within))):
        eqn = d.program.equations[k]
        for name, role, values in w.pool.fitting(d.base[0][v].shape):
            for power, cost in ((1, 2.5), (-1, 3.5)) if (role == "argument") == arguments else ():
                adds = (power == 1) != mends
                kind = "slope" if role == "slope" else "factor"
                cause, text, fix = f"missing_{kind}", f"{name} is missing", f"multiply by {name}"
                if adds and (kind == "slope" or w.multiplies(values[0])):
                    cause, text, fix = f"extra_{kind}", f"{name} is one factor too many", f"drop {name}"
                elif adds:
                    text, fix = f"the division by {name} is missing", f"divide by {name}"
                times = partial(_times, eqn, eqn.inputs.index(v) if at_use else None, values, power)
                yield Mistake(
                    cause, f"{text} {where(d, k, steps)}".strip(), fix, cost + 0.1 * at_use, d,
                    edits=at_by_place(steps, times), mends=mends, origin=k,
                )  # fmt: skip


def _multipliable(d: Derived, within: bool) -> Iterator[tuple[int, tuple[int, ...], int, bool]]:
    """Values where they are computed, by equation; linear ones that are used more than once, where they are used."""
    program = d.program
    for k, steps in program.sites():
        eqn = program.equations[k]
        again = eqn.name in _RELAID and eqn.inputs[0] >= program.n_inputs and len(program.users[eqn.inputs[0]]) == 1
        for v in eqn.outputs if len(eqn.outputs) == 1 and not again else ():
            a = d.base[0][v]
            if real(a) and (v in program.linear) != within and (not within or (v in program.varying and a.size > 1)):
                yield k, steps, v, False
        for v in dict.fromkeys(eqn.inputs) if not within and eqn.name in _GATHERING else ():
            if v in program.linear and (v < program.n_inputs or len(program.users[v]) > 1):
                yield k, steps, v, True


def _is_number(d: Derived, v: int) -> bool:
    """Whether a factor is a constant of one value, as in 2 x."""
    a = d.base[0][v]
    return v not in d.program.varying and bool(np.size(a) == 1 or np.ptp(np.real(a)) == 0)


def _keep(i: int) -> Edit:
    return lambda x: [np.broadcast_to(x[i], np.broadcast_shapes(x[0].shape, x[1].shape))]


def _again(eqn: Equation, i: int) -> Edit:
    return lambda x: eqn([eqn(x)[0], x[1]]) if eqn.name == "div" else [eqn(x)[0] * x[i]]


def _untouched(eqn: Equation, i: int) -> Edit:
    return lambda x: [x[i].reshape(eqn(x)[0].shape)]


def _again_by(eqn: Equation, i: int) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        once = eqn(x)[0]
        return eqn([once.reshape(a.shape) if j != i else a for j, a in enumerate(x)])

    return edit


def _inverted(eqn: Equation, i: int) -> Edit:
    return lambda x: [x[1 - i] / x[i] if eqn.name == "mul" else x[1 - i] * x[i]]


def _turned(eqn: Equation, j: int) -> Edit:
    return with_operand(eqn, j, lambda a: np.swapaxes(a, -1, -2).reshape(a.shape))


def _swapped(eqn: Equation) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        shape = eqn(x)[0].shape
        other = eqn([x[1], x[0]])[0]
        return [other if other.shape == shape else np.resize(other, shape)]

    return edit


def _with(eqn: Equation, i: int, v: Value, turn: bool, place: int) -> Edit:
    return _instead(eqn, i, v.at[place].T if turn else v.at[place])


def _instead(eqn: Equation, i: int, value: Any) -> Edit:
    return with_operand(eqn, i, lambda _: value)


def _each_with(
    d: Derived, steps: tuple[int, ...], i: int, series: Sequence[Sequence[Any]], order: int, shift: int, place: int
) -> dict[int, Edit]:
    """At each step the series' value of that step, or of one beside it; beyond its ends, zero."""
    values, eqns = series[place][::order], d.program.equations
    none = np.zeros_like(values[0])
    chosen = [values[n] if 0 <= n < len(values) else none for n in range(shift, shift + len(steps))]
    return {k: _instead(eqns[k], i, v) for k, v in zip(steps, chosen, strict=True)}


def _times(eqn: Equation, i: int | None, at: tuple[Any, ...], power: int, place: int) -> Edit:
    factor = at[place] ** float(power)
    return (lambda x: [eqn(x)[0] * factor]) if i is None else with_operand(eqn, i, lambda a: a * factor)

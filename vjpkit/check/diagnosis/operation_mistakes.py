"""Operations: another axis, no sum, a mask or an index left out, an order not turned round, a sign, a term too many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.layout_mistakes import (
    indexed,
    laid_out,
    padded,
    put_together,
    reparametrized,
    shifted,
    undilated,
)
from vjpkit.check.diagnosis.mistakes import Found, Mistake, at, where, with_operand
from vjpkit.check.diagnosis.programs import Edit, Equation
from vjpkit.check.diagnosis.sum_mistakes import summed
from vjpkit.check.diagnosis.workings import Derived

EVERYWHERE = ("wrong_axis", "missing_sum", "wrong_order", "transposed_operand")  # made at several places at once


def operation_mistakes(d: Derived, mends: bool) -> Iterator[Mistake]:
    """What the operations on linear values, and in the candidate on all values, could be mistaken for."""
    for k, steps in d.program.sites():
        eqn = d.program.equations[k]
        if len(eqn.outputs) != 1:
            continue
        linear = [v in d.program.linear for v in eqn.inputs]
        if not any(linear) and not mends:
            continue
        x = [d.base[0][v] for v in eqn.inputs]
        for cause, detail, fix, cost, edit in (
            *_moved(eqn, x, mends),
            *summed(eqn, x, mends),
            *_terms(eqn, linear, mends),
        ):
            said = f"{detail} {where(d, k, steps)}".strip()
            if mends and cause == "wrong_axis" and _multiplies(d, eqn):
                yield Mistake("wrong_order", f"it multiplies from the wrong side: {said}", "from the other side",
                    cost - 0.1, d, edits=at(steps, edit), mends=mends, origin=k)  # fmt: skip
            yield Mistake(cause, said, fix, cost, d, edits=at(steps, edit), mends=mends, origin=k,
                kind=(detail,) if cause in EVERYWHERE else ())  # fmt: skip


def _multiplies(d: Derived, eqn: Equation) -> bool:
    """Whether it is a vector beside a matrix, as in diag(s) W or W diag(s)."""
    users = [d.program.equations[j].name for j in d.program.users.get(eqn.outputs[0], ())]
    return eqn.name == "broadcast_in_dim" and len(eqn.params["shape"]) == 2 and users == ["mul"]


def untransposed(d: Derived) -> Iterator[Mistake]:
    """A value of the candidate that was transposed and laid out in its old shape again: before that it was right."""
    made = {eqn.outputs[0]: eqn for eqn in d.program.equations if eqn.name in ("transpose", "reshape", "copy")}
    for v in made:
        u, turned = v, False
        while u in made:
            turned |= made[u].name == "transpose"
            u = made[u].inputs[0]
        if turned and np.shape(d.base[0][u]) == np.shape(d.base[0][v]):
            cause = "transposed_result" if v in d.program.outputs else "transposed_operand"
            yield Mistake(cause, "a transpose too many", "drop the transpose", 1.4, d, alias={v: u}, mends=True)


def _moved(eqn: Equation, x: list[Any], mends: bool) -> Iterator[Found]:
    """Transposes, flips, scatters, masks."""
    shape = eqn(x)[0].shape
    if eqn.name == "transpose" and (x[0].shape == shape):
        cause = "transposed_operand"
        yield (
            cause,
            "a transpose " + ("too many" if mends else "is left out"),
            "drop the transpose" if mends else "transpose",
            1.5,
            lambda v: [v[0]],
        )
    elif eqn.name == "transpose" and not mends:
        fix = "transpose before the entries are laid out in another shape"
        yield "wrong_order", "a reshape stands where a transpose belongs", fix, 1.8, lambda v: [v[0].reshape(shape)]
    elif eqn.name == "rev":
        yield (
            "flipped",
            "a reversal " + ("too many" if mends else "is left out"),
            "reverse the order",
            1.5,
            lambda v: [v[0]],
        )
    elif eqn.name in ("cumsum", "cumprod", "cumlogsumexp", "cummax"):
        other = {**eqn.params, "reverse": not eqn.params["reverse"]}
        yield (
            "flipped",
            f"the {eqn.name} runs the wrong way",
            "run it from the other end",
            1.0,
            reparametrized(eqn, other),
        )
        yield "missing_sum", f"the {eqn.name} is left out", f"{eqn.name}", 2, lambda v: [v[0]]
    elif eqn.name in ("gather", "scatter-add") and not mends:
        yield from indexed(eqn, x[1])
        if eqn.name == "scatter-add":
            yield _overwritten(eqn, jax.lax.scatter_p)
    elif eqn.name == "scatter" and mends:
        yield _overwritten(eqn, jax.lax.scatter_add_p)
    elif eqn.name == "select_n" and len(x) == 3:
        yield (
            "positions_ignored",
            "the two sides of a selection are swapped",
            "swap them",
            1.5,
            lambda v: eqn([v[0], v[2], v[1]]),
        )
        for i in (1, 2):
            yield (
                "positions_ignored",
                "a mask " + ("too many" if mends else "is ignored"),
                "select with the mask",
                2,
                _pick(i, shape),
            )
    elif eqn.name == "conv_general_dilated":
        dims = eqn.params["dimension_numbers"]
        for i, (said, (first, second, *space)) in enumerate((("input", dims.lhs_spec), ("kernel", dims.rhs_spec))):
            for n in range(1, len(space) + 1):
                for axes in itertools.combinations(space, n):
                    text = f"the convolution's {said} is not flipped, or flipped too often, along axes {axes}"
                    yield "flipped", text, "flip it", 2 - 0.2 * n, with_operand(eqn, i, partial(np.flip, axis=axes))
            if x[i].shape[first] == x[i].shape[second]:
                text = f"the channels of the convolution's {said} are swapped"
                swap = partial(np.swapaxes, axis1=first, axis2=second)
                yield "transposed_operand", text, "swap them", 1.8, with_operand(eqn, i, swap)
        if not mends:
            yield from undilated(eqn, x)
    elif eqn.name == "concatenate" and mends:
        yield from put_together(eqn, x)
    elif eqn.name == "fft" and "RFFT" not in str(eqn.params["fft_type"]):
        yield "conjugate", "the transform runs the other way", "the other of fft and ifft", 2, _other_transform(eqn)
    elif eqn.name == "slice" and mends:
        yield from shifted(eqn, x[0].shape)
    elif eqn.name == "pad" and not mends and x[0].ndim <= 3:
        yield from padded(eqn)
    elif eqn.name == "reshape" and x[0].ndim <= 4 and len(shape) <= 4:
        yield from laid_out(x[0].shape, shape)
    elif mends and eqn.name == "abs":
        yield "nonlinear_in_cotangent", "|g| stands where g belongs", "drop the absolute value", 1, lambda v: [v[0]]
    elif mends and eqn.name == "conj":
        yield "conjugate", "a conjugate too many", "drop the conjugate", 1.5, lambda v: [v[0]]


def _terms(eqn: Equation, linear: list[bool], mends: bool) -> Iterator[Found]:
    """Sums of two: a sign, a term dropped or too many. In the right derivative these are found as paths."""
    if not mends:
        yield from _paths_of_a_sum(eqn, linear)
        return
    if eqn.name in ("add", "add_any", "sub"):
        plus = eqn.name != "sub"
        yield (
            "term_sign",
            f"a {'plus' if plus else 'minus'} where a {'minus' if plus else 'plus'} belongs",
            "the other sign",
            1.5,
            lambda v: [v[0] - v[1] if plus else v[0] + v[1]],
        )
        yield (
            "term_sign",
            "the first term has the wrong sign",
            "the other sign",
            2,
            lambda v: [v[1] - v[0] if plus else -v[0] - v[1]],
        )
        if not plus:
            yield "term_sign", "a difference the wrong way round", "swap its terms", 2, lambda v: [v[1] - v[0]]
        for i in (0, 1):
            sign = -1 if i == 1 and not plus else 1
            yield (
                "counted_twice",
                "a term too many",
                "drop it",
                2.5,
                partial(_one, eqn, i, sign),
            )
    elif eqn.name == "neg":
        yield "term_sign", "a minus too many", "drop the minus", 1.5, lambda v: [v[0]]
    elif eqn.name == "div" and not linear[0]:
        yield "wrong_order", "numerator and denominator are swapped", "the reciprocal", 2.5, lambda v: [v[1] / v[0]]
    elif eqn.name == "mul" and not any(linear):
        for i in (0, 1):
            yield "extra_factor", "a factor too many in a coefficient", "drop it", 2.5, _pick(i, None)
    elif eqn.name == "integer_pow" and not any(linear):
        for y in {1, 2, 3, -1, -2} - {eqn.params["y"]}:
            yield (
                "wrong_operand",
                f"the power {eqn.params['y']} in place of {y}",
                f"the power {y}",
                2.5,
                partial(_power, float(y)),
            )


def _overwritten(eqn: Equation, other: Any) -> Found:
    text = "equal indices overwrite each other"
    return "overwritten_for_accumulated", text, "add: x_bar.at[i].add(g)", 1, _with_primitive(eqn, other)


def _with_primitive(eqn: Equation, primitive: Any) -> Edit:
    params = (
        {**eqn.params, "update_jaxpr": None, "update_consts": ()}
        if primitive is jax.lax.scatter_p
        else dict(eqn.params)
    )
    return lambda x: [np.asarray(primitive.bind(*x, **params))]


def _one(eqn: Equation, i: int, sign: int, x: list[Any]) -> list[Any]:
    return [np.broadcast_to(sign * x[i], eqn(x)[0].shape)]


def _power(y: float, x: list[Any]) -> list[Any]:
    return [x[0] ** y]


def _paths_of_a_sum(eqn: Equation, linear: list[bool]) -> Iterator[Found]:
    """Where two paths meet: one of them left out, counted twice, or with the wrong sign."""
    if eqn.name not in ("add", "add_any") or not all(linear):
        return
    for i in (0, 1):
        yield "dropped_path", "one of two paths that meet is left out", "add both", 1.9, _pick(i, None)
        yield (
            "counted_twice",
            "one of two paths that meet counts twice",
            "add each once",
            2.1,
            partial(_weighted, i, 2.0),
        )
        yield (
            "term_sign",
            "one of two paths that meet has the wrong sign",
            "the other sign",
            1.9,
            partial(_weighted, i, -1.0),
        )


def _weighted(i: int, c: float, x: list[Any]) -> list[Any]:
    return [c * x[i] + x[1 - i]]


def _pick(i: int, shape: tuple[int, ...] | None) -> Edit:
    return lambda x: [np.broadcast_to(x[i], shape if shape is not None else np.broadcast_shapes(*(v.shape for v in x)))]


def _other_transform(eqn: Equation) -> Edit:
    def edit(x: list[Any]) -> list[Any]:
        axes = tuple(range(-len(eqn.params["fft_lengths"]), 0))
        forwards = str(eqn.params["fft_type"]).endswith(".FFT") or str(eqn.params["fft_type"]) == "FFT"
        return [(np.fft.ifftn if forwards else np.fft.fftn)(x[0], axes=axes)]

    return edit

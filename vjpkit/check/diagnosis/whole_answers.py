"""What may have happened to a whole answer: transposed, flipped, swapped with another's, a part of it left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.workings import Workings

LARGEST_DIAGONAL = 256


@dataclass(frozen=True)
class Changed:
    """A wrong answer for an arm: one array for each probe of the arm."""

    cause: str
    detail: str
    fix: str
    cost: float
    answers: list[Any]


def whole_answers(w: Workings, k: int) -> Iterator[Changed]:
    """Every way in which the right answer of an arm, as a whole, could have become another."""
    want, name, shape = w.want[k], w.asked.arms[k], np.shape(w.want[k][0])

    def each(f: Callable[[Any], Any]) -> list[Any]:
        return [f(a) for a in want]

    yield Changed("scale", "", "", 0, want)
    yield from _moved(name, shape, each)
    yield from _put_together(shape, each)
    yield from _parts(shape, each)
    if np.iscomplexobj(want[0]):
        yield Changed("conjugate", "the complex conjugate of the right answer", "conj(…)", 0.5, each(np.conj))
        yield Changed("real_part", "the real part alone", "keep the imaginary part", 0.5, each(lambda a: a.real + 0j))
        yield from _adjoint(w, k)
    yield from _of_others(w, k)
    yield from _summed(shape, each)
    yield from _diagonal(w, k)
    yield from _other_mode(w, k)
    yield from _masked(w, k)


def _moved(name: str, shape: tuple[int, ...], each: Any) -> Iterator[Changed]:
    if len(shape) < 1:
        return
    for order in itertools.permutations(range(len(shape))):
        if len(shape) > 4 or order == tuple(range(len(shape))):
            continue
        what = (
            f"the transpose of the right {name}_bar"
            if len(shape) == 2
            else f"the right one with its axes in the order {order}"
        )
        fix = "transpose it" if len(shape) == 2 else f"transpose it by {tuple(np.argsort(order).tolist())}"
        turned = each(lambda a, order=order: np.transpose(a, order))
        yield Changed("transposed_result", what, fix, 0.5, turned)
        if turned[0].shape != shape:
            yield Changed(
                "transposed_result",
                f"{what}, its entries laid out in the old shape",
                fix,
                1,
                each(lambda a, order=order: np.transpose(a, order).reshape(shape)),
            )
    for n in range(1, min(len(shape), 3) + 1):
        for axes in itertools.combinations(range(len(shape)), n):
            text = f"reversed along axis {', '.join(map(str, axes))}"
            yield Changed("flipped", text, "reverse it", 0.5 + n / 4, each(lambda a, axes=axes: np.flip(a, axes)))
    for axis in range(len(shape)):
        for by in (1, -1):
            yield Changed(
                "positions_ignored",
                f"shifted by {by} along axis {axis}",
                "shift it back",
                1.5,
                each(lambda a, axis=axis, by=by: np.roll(a, by, axis)),
            )


def _put_together(shape: tuple[int, ...], each: Any) -> Iterator[Changed]:
    """Its parts of one size in another order, as of what was split."""
    for axis, n in enumerate(shape):
        for parts in (2, 3, 4):
            for by in range(1, parts) if n % parts == 0 and n > parts else ():
                text = f"its {parts} parts along axis {axis} begin with the wrong one"
                turned = each(lambda a, axis=axis, by=by * n // parts: np.roll(a, by, axis))
                yield Changed("wrong_order", text, "put them together in the right order", 1.5, turned)


def _parts(shape: tuple[int, ...], each: Any) -> Iterator[Changed]:
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return

    def t(a: Any) -> Any:
        return np.swapaxes(a, -1, -2)

    eye = np.eye(shape[-1])
    yield Changed("symmetrised", "(X + Xᵀ)/2 of the right answer X", "X itself", 0.7, each(lambda a: (a + t(a)) / 2))
    yield Changed(
        "symmetrised", "X + Xᵀ − diag(X) of the right answer X", "X itself", 0.7, each(lambda a: a + t(a) - eye * a)
    )
    yield Changed("symmetrised", "(X − Xᵀ)/2 of the right answer X", "X itself", 1, each(lambda a: (a - t(a)) / 2))
    for word, f in (("lower", np.tril), ("upper", np.triu)):
        yield Changed("triangle_only", f"the {word} triangle alone", "keep the other triangle", 0.7, each(f))
        yield Changed(
            "triangle_only",
            f"the {word} triangle without its diagonal",
            "keep the rest",
            0.8,
            each(lambda a, f=f: f(a, -1 if f is np.tril else 1)),
        )
        yield Changed(
            "triangle_only",
            f"the {word} triangle of X + Xᵀ − diag(X)",
            "keep the other triangle",
            0.9,
            each(lambda a, f=f: f(a + t(a) - eye * a)),
        )
        yield Changed(
            "triangle_only",
            f"the {word} triangle with its diagonal halved",
            "keep the rest",
            1,
            each(lambda a, f=f: f(a) - eye * a / 2),
        )
    yield Changed(
        "diagonal_only",
        "the diagonal of the right answer alone",
        "keep the other entries",
        0.7,
        each(lambda a: eye * a),
    )
    yield Changed("symmetrised", "without its diagonal", "keep the diagonal", 1, each(lambda a: a - eye * a))


def _of_others(w: Workings, k: int) -> Iterator[Changed]:
    for j, other in enumerate(w.asked.arms):
        if j != k and w.asked.kind == "vjp":
            text = f"the answer that belongs to {other}"
            yield Changed("swapped_arguments", text, f"the order {', '.join(w.asked.arms)}", 0.6, w.want[j])
            if np.ndim(w.want[j][0]) == 2:
                yield Changed(
                    "swapped_arguments",
                    f"the transpose of {text}",
                    "the order of the arguments",
                    1,
                    [a.T for a in w.want[j]],
                )
    for j in range(len(w.probes[0].vectors)):
        vectors = [w.probes[i].vectors[j] for i in w.of_arm(k)]
        if w.asked.kind == "vjp":
            what = "g" if len(w.probes[0].vectors) == 1 else f"the cotangent of output {j}"
            yield Changed(
                "missing_factor", f"{what} itself, no derivative applied", "apply the derivative to it", 2.5, vectors
            )
    yield from _unheard(w, k)


def _adjoint(w: Workings, k: int) -> Iterator[Changed]:
    """With the cotangent conjugated: Jᴴ g, the adjoint of an inner product with a conjugate, and Jᵀ conj(g)."""
    n = w.truth.program.n_point
    with_conjugate = [
        w.asked.select(
            k,
            w.truth.program.again(
                w.truth.base[i],
                {},
                {n + j: np.conj(v) for j, v in enumerate(w.probes[i].vectors) if np.iscomplexobj(v)},
            ),
        )
        for i in w.of_arm(k)
    ]
    adjoint = [np.conj(a) for a in with_conjugate]
    yield Changed(
        "conjugate", "Jᴴ g, the adjoint, in place of Jᵀ g", "the pairing Σ g·y has no conjugate", 0.5, adjoint
    )
    yield Changed("conjugate", "g is conjugated", "no conjugate of g", 0.6, with_conjugate)


def _unheard(w: Workings, k: int) -> Iterator[Changed]:
    """The answer where the cotangent of one of several outputs is left out, or has the wrong sign."""
    several = len(w.probes[0].vectors) > 1 and w.asked.kind == "vjp"
    for j in range(len(w.probes[0].vectors) if several else 0):
        variable = w.truth.program.n_point + j
        for cause, c, text in (("ignores_output", 0.0, "is not used"), ("term_sign", -1.0, "has the wrong sign")):
            answers = [
                w.truth.program.again(w.truth.base[i], {}, {variable: c * w.probes[i].vectors[j]})[k]
                for i in w.of_arm(k)
            ]
            if any(np.any(a) for a in answers):
                yield Changed(cause, f"the cotangent of output {j} {text}", f"add the part of g[{j}]", 0.8, answers)


def _summed(shape: tuple[int, ...], each: Any) -> Iterator[Changed]:
    for n in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), n) if len(shape) <= 4 else ():
            if all(shape[i] == 1 for i in axes):
                continue
            said = ", ".join(map(str, axes))
            yield Changed(
                "wrong_axis",
                f"summed over axis {said}, which the answer keeps",
                f"no sum over axis {said}",
                1.2,
                each(lambda a, axes=axes: np.broadcast_to(a.sum(axes, keepdims=True), shape)),
            )
            yield Changed(
                "wrong_axis",
                f"its mean over axis {said} is subtracted",
                "do not subtract it",
                1.6,
                each(lambda a, axes=axes: a - a.mean(axes, keepdims=True)),
            )


def _diagonal(w: Workings, k: int) -> Iterator[Changed]:
    """diag(J) ⊙ g where the Jacobian of output by argument is square."""
    asked, position = w.asked, w.asked.active[k]
    size, shape = np.size(asked.point[position]), np.shape(asked.point[position])
    outs = [asked.outs[i].shape for i in asked.spoken]
    if outs != [shape] or not 1 < size <= LARGEST_DIAGONAL or np.iscomplexobj(asked.point[position]):
        return
    if not _entry_by_entry(w, k):
        return
    diagonals = []
    for place in range(len(w.places)):
        diagonal = np.empty(size)
        for n in range(size):
            tangents = [np.zeros_like(asked.point[a]) for a in asked.active]
            tangents[k].flat[n] = 1
            diagonal[n] = w.forward_mode(place, tangents)[0].flat[n]
        diagonals.append(diagonal.reshape(shape))
    answers = [diagonals[w.probes[i].place] * w.probes[i].vectors[0 if asked.kind == "vjp" else k] for i in w.of_arm(k)]
    yield Changed(
        "diagonal_only",
        "the diagonal of the Jacobian alone, applied entry by entry",
        "add what the other entries contribute",
        1,
        answers,
    )


def _entry_by_entry(w: Workings, k: int) -> bool:
    """Whether an answer is the vector times the same array, for two vectors at one place."""
    (a, b), got = w.of_arm(k)[:2], w.got[k]
    if w.probes[a].place != w.probes[b].place:
        return True
    with np.errstate(all="ignore"):
        x, y = (v / w.probes[i].vectors[0 if w.asked.kind == "vjp" else k] for v, i in zip(got, (a, b), strict=False))
    return x.shape == y.shape and bool(np.allclose(x, y, 1e-6))


def _other_mode(w: Workings, k: int) -> Iterator[Changed]:
    """J g in place of Jᵀ g, or the other way round, where the shapes allow it."""
    asked, shape = w.asked, np.shape(w.asked.point[w.asked.active[k]])
    outs, got = [asked.outs[i].shape for i in asked.spoken], np.shape(w.got[k][0])
    if len(outs) != 1 or not shape or len({int(np.prod(s)) for s in (outs[0], shape, got)}) != 1:
        return
    answers = []
    for i in w.of_arm(k):
        vector = w.probes[i].vectors[0 if asked.kind == "vjp" else k]
        vectors = (
            [np.zeros_like(asked.point[a]) for a in asked.active] if asked.kind == "vjp" else [vector.reshape(outs[0])]
        )
        if asked.kind == "vjp":
            vectors[k] = vector.reshape(shape)
        out = w.other_mode(w.probes[i].place, vectors)
        answers.append(np.asarray(out[0] if asked.kind == "vjp" else out[k]).reshape(got))
    what = "J g, the JVP, in place of Jᵀ g" if asked.kind == "vjp" else "Jᵀ ẋ, the VJP, in place of J ẋ"
    yield Changed("jvp_for_vjp", what, "transpose every linear step, in the opposite order", 1.6, answers)


def _masked(w: Workings, k: int) -> Iterator[Changed]:
    """The right answer but for entries that are zero, the same ones for all vectors."""
    kept = [a != 0 for a in w.got[k]]
    lost = (
        sum(int((~m & (t != 0)).sum()) for m, t in zip(kept, w.want[k], strict=True))
        if kept[0].shape == np.shape(w.want[k][0])
        else 0
    )
    if not lost or sum(int(m.sum()) for m in kept) < 3:
        return
    first = ~kept[0] & (w.want[k][0] != 0)
    where = ", ".join(str(tuple(int(n) for n in i)) for i in np.argwhere(first)[:4])
    answers = [np.where(m, t, 0) for m, t in zip(kept, w.want[k], strict=True)]
    detail = f"{int(first.sum())} of {first.size} entries are zero that are not, at {where}"
    yield Changed("positions_ignored", detail, "add what reaches these entries too", 1.3, answers)

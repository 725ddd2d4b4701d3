"""What is done wrong with a slope σ′(z): left out, applied twice, taken elsewhere, the value written in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from vjpkit.check.diagnosis.mistakes import Mistake
from vjpkit.check.diagnosis.pool import Value
from vjpkit.check.diagnosis.programs import SINGLY
from vjpkit.check.diagnosis.slopes import Region
from vjpkit.check.diagnosis.workings import Workings

Variant = tuple[str, str, str, float, Callable[[int], Any]]

_SLOPES: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: 0.25 * (1 - np.tanh(z / 2) ** 2),
    "relu": lambda z: (z > 0).astype(float),
    "sin": np.cos,
    "exp": np.exp,
    "log": lambda z: 1 / z,
    "square": lambda z: 2 * z,
}


def slope_mistakes(w: Workings, others: bool) -> Iterator[Mistake]:
    """Each slope of the sloped program set to something else; that of a loop's body at every step.

    `others`: to a value of another function or at another point, of which there are many.
    """
    loops: dict[Any, list[int]] = {}
    for variable, i in w.sloped.slopes.items():
        loops.setdefault((w.regions[i].origin, np.shape(w.slopes[i][0])), []).append(variable)
    for variables in loops.values():
        chosen = [variables] + ([[v] for v in variables] if 1 < len(variables) <= SINGLY else [])
        for steps in chosen:
            variants_of = _others if others else _variants
            each = (variants_of(w, w.regions[w.sloped.slopes[v]], w.sloped.slopes[v]) for v in steps)
            columns = zip(*each, strict=False)  # the names of two steps may leave out different variants
            step = (
                f" at step {variables.index(steps[0]) + 1} of {len(variables)}" if len(steps) < len(variables) else ""
            )
            for variants in columns:
                (cause, detail, fix, cost, _), values = variants[0], [v[-1] for v in variants]
                given = _setting(steps, values)
                right = w.slopes[w.sloped.slopes[steps[0]]][0]
                try:
                    stands = (right, values[0](0))
                except Exception:
                    continue
                kind = (fix[:8], len(steps) > 1) if cost <= 1.5 else ()
                yield Mistake(
                    cause, detail + step, fix, cost, w.sloped, given=given, origin=steps[0], stands=stands, kind=kind
                )


def _setting(variables: list[int], values: list[Callable[[int], Any]]) -> Callable[[int], dict[int, Any]]:
    def given(place: int) -> dict[int, Any]:
        slopes = [at(place) for at in values]
        if not all(a is not None and np.isfinite(a).all() for a in slopes):
            raise ValueError("not defined there")
        return dict(zip(variables, slopes, strict=True))

    return given


def _variants(w: Workings, r: Region, i: int) -> Iterator[Variant]:
    slope, z, a = r.name, w.said[r.z], w.said[r.a]
    right = w.slopes[i]
    times = f"multiply by {slope}"

    def env(place: int) -> Any:
        return w.forward[place]

    through = f"what reaches {z} through {a} is left out"
    yield "dropped_path", through, f"add it: {slope} is not 0", 0.9, lambda p: np.zeros_like(right[p])
    yield "missing_slope", f"the factor {slope} is left out", times, 1, lambda p: np.ones_like(right[p])
    yield "extra_slope", f"the factor {slope} stands there twice", "multiply by it once", 2, lambda p: right[p] ** 2
    yield "value_for_slope", f"{a} stands where {slope} belongs", times, 1, lambda p: env(p)[r.a]
    at_output = f"{slope} is evaluated at {a} in place of {z}"
    yield "slope_at_output", at_output, f"evaluate it at {z}", 1, lambda p: r.at(env(p), env(p)[r.a])[1]
    form = f"{slope} is written as for the output {a}, but evaluated at {z}"
    yield "slope_at_wrong_point", form, f"put {a} into it", 1.5, lambda p: r.in_terms_of_output(env(p), env(p)[r.z])
    twice = f"{slope} is written as for the output, but evaluated at {slope} itself"
    yield "slope_at_wrong_point", twice, f"put {a} into it", 3, lambda p: r.in_terms_of_output(env(p), right[p])
    yield "extra_factor", f"divided by {slope} in place of multiplied", times, 2.5, lambda p: 1 / right[p]
    yield "extra_factor", f"{a} multiplies {slope} too", times, 2.5, lambda p: right[p] * env(p)[r.a]
    yield "extra_factor", f"{z} multiplies {slope} too", times, 2.5, lambda p: right[p] * env(p)[r.z]
    yield "wrong_operand", f"{z} stands where {slope} belongs", times, 2, lambda p: env(p)[r.z]
    yield "sign", f"|{slope}| stands where {slope} belongs", times, 2.5, lambda p: np.abs(right[p])


def _others(w: Workings, r: Region, i: int) -> Iterator[Variant]:
    slope, z, a, right = r.name, w.said[r.z], w.said[r.a], w.slopes[i]
    times = f"multiply by {slope}"

    def env(place: int) -> Any:
        return w.forward[place]

    def applied(f: Callable[[Any], Any], v: int, place: int) -> Any:
        return f(env(place)[v])

    def elsewhere(v: Value, place: int) -> Any:
        return r.at(env(place), v.at[place])[1]

    def in_form(v: Value, place: int) -> Any:
        return r.in_terms_of_output(env(place), v.at[place])

    for name, other in _SLOPES.items():
        text = f"the slope of {name} stands where {slope} belongs"
        yield "wrong_operand", text, times, 2.5, partial(applied, other, r.z)
        yield "slope_at_wrong_point", f"{text}, at {a}", times, 4, partial(applied, other, r.a)
    for v in w.pool.values:
        if v.name in (z, slope) or v.shape != np.shape(right[0]):
            continue
        if v.name != a and v.role != "slope":
            text = f"{slope} is evaluated at {v.name} in place of {z}"
            yield "slope_at_wrong_point", text, f"evaluate it at {z}", 2, partial(elsewhere, v)
            yield (
                "slope_at_wrong_point",
                f"{text}, and as for the output",
                f"evaluate it at {z}",
                4,
                partial(in_form, v),
            )
        if v.shape == np.shape(right[0]) and v.name != a:
            cause = "slope_at_wrong_point" if v.role == "slope" else "wrong_operand"
            yield cause, f"{v.name} stands where {slope} belongs", times, 3, v.at.__getitem__

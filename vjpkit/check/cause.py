"""A first guess at what is wrong, from the two arrays alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vjpkit.check.tolerance import Comparison

_FACTORS = {
    -1.0: "a sign is flipped",
    2.0: "a factor ½ is missing",
    0.5: "a factor 2 is missing",
    -2.0: "a sign is flipped, and a factor ½ is missing",
    -0.5: "a sign is flipped, and a factor 2 is missing",
}


def guess(c: Comparison, shapes: Sequence[tuple[int, ...]]) -> tuple[str, str]:
    """The likely cause and what to try; empty where the numbers suggest nothing."""
    got, want, wrong = c.got, c.want, c.wrong
    if not np.isfinite(got[wrong]).all():
        return (
            "the formula divides by zero, or multiplies infinity by zero, here",
            "its limit, or a guarded denominator",
        )
    if not np.isfinite(want).all():
        return "", ""
    if not got.any():
        return (
            "the derivative is zero everywhere: it is lost on the way",
            "a stop_gradient, an integer cast, or a term left out",
        )
    if _close(got, want) and not _few(wrong):
        off = float(np.linalg.norm(got - want) / np.linalg.norm(want))
        return f"off by {off:.1g} of the right answer: one of the two is an approximation", ""
    if (want < 0).any() and np.array_equal(got, np.abs(got)) and _close(got, np.abs(want)):
        return "the absolute value of the right answer", "the cotangent enters the formula as |g|"
    factor = _factor(got, want)
    if factor is not None and abs(factor - 1) > 1e-6:
        return f"the right answer times {factor:.6g}" + _named(factor, shapes), f"divide by {factor:.6g}"
    if got.ndim >= 2 and got.shape[-1] == got.shape[-2] and _close(got.swapaxes(-1, -2), want):
        return "the transpose of the right answer", "swap its last two axes"
    if _few(wrong):
        zero = " and zero there" if not got[wrong].any() else ""
        return (
            f"the rule is right but for {int(wrong.sum())} of {wrong.size} entries{zero}",
            "an index, a mask, or an edge of the array",
        )
    if got.ndim and _close(got - want, np.broadcast_to((got - want).mean(), got.shape)):
        return "the right answer plus a constant", "a mean or a sum that is not subtracted"
    return "", ""


def _few(wrong: np.ndarray) -> bool:
    """Whether most entries are right."""
    return bool(4 * wrong.sum() <= wrong.size)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b))


def _factor(got: np.ndarray, want: np.ndarray) -> float | None:
    """c with got = c · want, where there is one."""
    size = float(np.sum(want * want))
    c = float(np.sum(got * want)) / size if size else 0.0
    return c if c and got.size > 1 and _close(got, c * want) else None


def _named(factor: float, shapes: Sequence[tuple[int, ...]]) -> str:
    for known, words in _FACTORS.items():
        if abs(factor / known - 1) < 1e-6:
            return f": {words}"
    for n in sorted({n for shape in shapes for n in shape if n > 1} | {int(np.prod(s)) for s in shapes if s}):
        for value, words in (
            (n, f"a sum over {n} entries where the mean belongs"),
            (1 / n, f"a mean over {n} entries where the sum belongs"),
        ):
            if abs(abs(factor) / value - 1) < 1e-6:
                return f": {words}"
    return ""

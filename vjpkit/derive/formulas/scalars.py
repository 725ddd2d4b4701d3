"""Scalar expressions in the entries of arrays: what an elementwise operation computes, and its slope.

An expression stands in a frame, the axes of the array that it fills. A `Leaf` is the entry of a value: its axes
follow axes of the frame, None is an axis of length 1 that follows none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from vjpkit.derive.program import Value


@dataclass(frozen=True)
class Num:
    value: Fraction | float


@dataclass(frozen=True)
class Size:
    """The length of a named dimension."""

    symbol: str
    n: int


@dataclass(frozen=True)
class Leaf:
    value: Value
    axes: tuple[int | None, ...]


@dataclass(frozen=True)
class Add:
    terms: tuple[Expr, ...]


@dataclass(frozen=True)
class Mul:
    factors: tuple[Expr, ...]


@dataclass(frozen=True)
class Pow:
    base: Expr
    exponent: Expr


@dataclass(eq=False)
class Function:
    """A function of scalars: its name, its value, its partials; `body` and `slope` say what it is, in the variable T.

    `prime` of an activation is the function that its slope is.
    """

    name: str
    compute: Callable[..., Any]
    partials: Callable[..., tuple[Expr, ...]]
    body: Expr | None = None
    prime: Function | None = None


@dataclass(frozen=True)
class Apply:
    function: Function
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Test:
    """1 where `a sign b` holds, else 0; of a single boolean, itself."""

    sign: str
    a: Expr
    b: Expr


@dataclass(frozen=True)
class Where:
    test: Expr
    yes: Expr
    no: Expr


SIGNS: dict[str, Callable[..., Any]] = {
    ">": np.greater,
    "<": np.less,
    "≥": np.greater_equal,
    "≤": np.less_equal,
    "=": np.equal,
    "≠": np.not_equal,
}
OPPOSITE = {">": "≤", "≤": ">", "<": "≥", "≥": "<", "=": "≠", "≠": "="}
Expr = Num | Size | Leaf | Add | Mul | Pow | Apply | Test | Where
ZERO, ONE = Num(Fraction(0)), Num(Fraction(1))
T = Leaf(Value((), np.float64, "t"), ())  # the variable of a function's own formula


# ---------------------------------------------------------------------------------------------- building


def num(value: Any) -> Num:
    """A number; exact where it is a short fraction."""
    value = float(value)
    if abs(value) < 1e15:
        exact = Fraction(value).limit_denominator(64)
        return Num(exact if abs(float(exact) - value) <= 1e-14 * abs(value) else value)
    return Num(value)


def add(*terms: Expr) -> Expr:
    """The sum, like terms taken together."""
    count: dict[Expr, Fraction | float] = {}
    for term in _flat(terms, Add, lambda e: e.terms):
        coefficient, rest = split(term)
        count[rest] = count.get(rest, Fraction(0)) + coefficient
    kept = [mul(Num(c), rest) for rest, c in count.items() if c != 0]
    return ZERO if not kept else kept[0] if len(kept) == 1 else Add(tuple(kept))


def mul(*factors: Expr) -> Expr:
    """The product, numbers first, powers of one base taken together."""
    coefficient: Fraction | float = Fraction(1)
    powers: dict[Expr, Expr] = {}
    for factor in _flat(factors, Mul, lambda e: e.factors):
        if isinstance(factor, Num):
            coefficient = coefficient * factor.value
            continue
        base, exponent = (factor.base, factor.exponent) if isinstance(factor, Pow) else (factor, ONE)
        powers[base] = add(powers[base], exponent) if base in powers else exponent
    if coefficient == 0:
        return ZERO
    kept = [power(base, exponent) for base, exponent in powers.items() if exponent != ZERO]
    if coefficient != 1 and len(kept) == 1 and isinstance(kept[0], Add) and coefficient == -1:
        return add(*(mul(Num(coefficient), term) for term in kept[0].terms))
    kept = kept if coefficient == 1 else [Num(coefficient), *kept]
    return ONE if not kept else kept[0] if len(kept) == 1 else Mul(tuple(kept))


def power(base: Expr, exponent: Expr) -> Expr:
    """base ** exponent."""
    if exponent == ONE or base == ONE:
        return base
    if exponent == ZERO:
        return ONE
    if isinstance(base, Num) and isinstance(exponent, Num) and exponent.value == -1 and base.value != 0:
        return Num(1 / base.value)
    if isinstance(base, Num) and isinstance(exponent, Num):
        return num(float(base.value) ** float(exponent.value))
    if isinstance(base, Mul) and exponent == Num(Fraction(-1)):
        return mul(*(power(f, exponent) for f in base.factors))
    if isinstance(base, Pow) and exponent == Num(Fraction(-1)) and isinstance(base.exponent, Num):
        return power(base.base, Num(-base.exponent.value))
    return Pow(base, exponent)


def over(a: Expr, b: Expr) -> Expr:
    return mul(a, power(b, Num(Fraction(-1))))


def minus(a: Expr) -> Expr:
    return mul(Num(Fraction(-1)), a)


def test(sign: str, a: Expr, b: Expr) -> Expr:
    """1 where a sign b, else 0; of equal sides known, for no number here is NaN."""
    if a == b:
        return ONE if sign in "=≥≤" else ZERO
    if isinstance(a, Num) and isinstance(b, Num):
        return ONE if SIGNS[sign](float(a.value), float(b.value)) else ZERO
    return Test(sign, a, b)


def where(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """yes where the condition is 1, else no."""
    if yes == no or condition == ONE:
        return yes
    if yes == ONE and no == ZERO and isinstance(condition, Test):
        return condition
    return no if condition == ZERO else Where(condition, yes, no)


def negated(condition: Expr) -> Expr:
    """1 where a condition is 0."""
    if isinstance(condition, Test):
        return Test(OPPOSITE[condition.sign], condition.a, condition.b)
    return add(ONE, minus(condition))


def split(term: Expr) -> tuple[Fraction | float, Expr]:
    """The number in front, and the rest."""
    if isinstance(term, Num):
        return term.value, ONE
    if isinstance(term, Mul) and isinstance(term.factors[0], Num):
        rest = term.factors[1:]
        return term.factors[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return Fraction(1), term


def _flat(parts: Iterable[Expr], kind: type, of: Callable[[Any], Iterable[Expr]]) -> Iterator[Expr]:
    for part in parts:
        if isinstance(part, kind):
            yield from of(part)
        else:
            yield part


# ---------------------------------------------------------------------------------------------- reading


def children(e: Expr) -> tuple[Expr, ...]:
    match e:
        case Add(parts) | Mul(parts) | Apply(_, parts):
            return parts
        case Pow(a, b) | Test(_, a, b):
            return a, b
        case Where(a, b, c):
            return a, b, c
    return ()


def rebuilt(e: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with its parts changed."""
    match e:
        case Add(parts):
            return add(*map(change, parts))
        case Mul(parts):
            return mul(*map(change, parts))
        case Pow(a, b):
            return power(change(a), change(b))
        case Apply(f, parts):
            return Apply(f, tuple(map(change, parts)))
        case Test(sign, a, b):
            return test(sign, change(a), change(b))
        case Where(a, b, c):
            return where(change(a), change(b), change(c))
    return e


def replaced(e: Expr, parts: dict[Expr, Expr]) -> Expr:
    """The expression with some of its parts in place of others."""
    return parts[e] if e in parts else rebuilt(e, lambda part: replaced(part, parts))


def leaves(e: Expr) -> Iterator[Leaf]:
    """The entries that it reads, each once."""
    return iter(dict.fromkeys(_leaves(e)))


def _leaves(e: Expr) -> Iterator[Leaf]:
    if isinstance(e, Leaf):
        yield e
    for part in children(e):
        yield from _leaves(part)


def functions(e: Expr) -> Iterator[Function]:
    if isinstance(e, Apply):
        yield e.function
    for part in children(e):
        yield from functions(part)


def reframed(e: Expr, axis: Callable[[int], int | None]) -> Expr:
    """The expression in another frame; `axis` is where each axis of this one went, None where it is gone."""
    if isinstance(e, Leaf):
        return Leaf(e.value, tuple(None if a is None else axis(a) for a in e.axes))
    return rebuilt(e, lambda part: reframed(part, axis))

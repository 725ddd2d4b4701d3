"""Scalar expressions differentiated, and computed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from vjpkit.derive.formulas.scalars import (
    ONE,
    SIGNS,
    ZERO,
    Add,
    Apply,
    Expr,
    Function,
    Leaf,
    Mul,
    Num,
    Pow,
    Size,
    Test,
    Where,
    add,
    mul,
    negated,
    power,
    where,
)

LOG = Function("log", np.log, lambda t: (power(t, Num(Fraction(-1))),))


def partial(e: Expr, x: Leaf) -> Expr:
    """∂e/∂x."""
    match e:
        case Leaf():
            return ONE if e == x else ZERO
        case Add(terms):
            return add(*(partial(t, x) for t in terms))
        case Mul(factors):
            each = ((k, partial(f, x)) for k, f in enumerate(factors))
            return add(*(mul(d, *factors[:k], *factors[k + 1 :]) for k, d in each if d != ZERO))
        case Pow(base, exponent):
            inner, outer = partial(base, x), partial(exponent, x)
            first = mul(exponent, power(base, add(exponent, Num(Fraction(-1)))), inner) if inner != ZERO else ZERO
            return first if outer == ZERO else add(first, mul(e, Apply(LOG, (base,)), outer))
        case Apply(f, args):
            inner_each = [partial(a, x) for a in args]
            if all(d == ZERO for d in inner_each):
                return ZERO
            return add(*(mul(p, d) for p, d in zip(f.partials(*args), inner_each, strict=True) if d != ZERO))
        case Where(condition, yes, no):
            a, b = partial(yes, x), partial(no, x)
            if {a, b} == {ZERO, ONE}:
                return condition if a == ONE else negated(condition)
            return where(condition, a, b)
    return ZERO


def computed(e: Expr, read: Callable[[Leaf], Any]) -> Any:
    """The number, or the array, with the leaves read."""
    match e:
        case Num(value):
            return float(value)
        case Size(_, n):
            return float(n)
        case Leaf():
            return np.asarray(read(e), float)
        case Add(terms):
            return sum(computed(t, read) for t in terms)
        case Mul(factors):
            out: Any = 1.0
            for f in factors:
                out = out * computed(f, read)
            return out
        case Pow(base, exponent):
            return np.power(computed(base, read), computed(exponent, read))
        case Apply(f, args):
            return f.compute(*(computed(a, read) for a in args))
        case Test(sign, a, b):
            return SIGNS[sign](computed(a, read), computed(b, read)).astype(float)
        case Where(condition, yes, no):
            return np.where(computed(condition, read) != 0, computed(yes, read), computed(no, read))
    raise TypeError(e)

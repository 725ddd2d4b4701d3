"""Elementwise operations of JAX as scalar expressions, and the derivatives of those that are no arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from vjpkit.derive.formulas.calculus import LOG, computed, partial
from vjpkit.derive.formulas.scalars import (
    ONE,
    ZERO,
    Apply,
    Expr,
    Function,
    Num,
    T,
    add,
    minus,
    mul,
    negated,
    num,
    over,
    power,
    replaced,
    test,
    where,
)

HALF, TWO = Num(Fraction(1, 2)), Num(Fraction(2))


def activation(
    name: str, body: Expr | None, slope: Callable[[Function], Expr], compute: Callable[[Any], Any] | None = None
) -> Function:
    """A function that keeps its name, and so does its slope; both written in the variable T."""
    value = compute or (lambda t: computed(body, lambda leaf: t))  # type: ignore[arg-type]
    f = Function(name, value, lambda t: (Apply(f.prime, (t,)),), body)  # type: ignore[arg-type]
    told = slope(f)
    f.prime = Function(
        f"{name}′",
        lambda t: computed(told, lambda leaf: t) + np.zeros_like(t),
        lambda t: (replaced(partial(told, T), {T: t}),),
        told,
    )
    return f


def defined(name: str, body: Expr) -> Function:
    """A function that the source calls, by what it computes."""
    return SLOPES[name](body) if name in SLOPES else activation(name, body, lambda f: partial(body, T))


def _plain(name: str, compute: Callable[[Any], Any], slope: Callable[[Expr], Expr]) -> Function:
    """A function whose slope is written out."""
    return Function(name, compute, lambda t: (slope(t),))


def apply(f: Function) -> Callable[..., Expr]:
    return lambda *args: Apply(f, args)


EXP: Function = _plain("exp", np.exp, lambda t: Apply(EXP, (t,)))
SIN: Function = _plain("sin", np.sin, lambda t: Apply(COS, (t,)))
COS: Function = _plain("cos", np.cos, lambda t: minus(Apply(SIN, (t,))))
SINH: Function = _plain("sinh", np.sinh, lambda t: Apply(COSH, (t,)))
COSH: Function = _plain("cosh", np.cosh, lambda t: Apply(SINH, (t,)))
TAN = _plain("tan", np.tan, lambda t: power(Apply(COS, (t,)), Num(Fraction(-2))))
ATAN = _plain("arctan", np.arctan, lambda t: over(ONE, add(ONE, power(t, TWO))))
SIGN = _plain("sign", np.sign, lambda t: ZERO)
ABS = _plain("abs", np.abs, lambda t: Apply(SIGN, (t,)))
ERF = _plain(
    "erf",
    np.vectorize(math.erf, otypes=[float]),
    lambda t: mul(num(2 / math.sqrt(math.pi)), Apply(EXP, (minus(power(t, TWO)),))),
)
TANH = activation("tanh", None, lambda f: add(ONE, minus(power(Apply(f, (T,)), TWO))), np.tanh)
SIGMA = activation(
    "σ",
    over(ONE, add(ONE, Apply(EXP, (minus(T),)))),
    lambda f: mul(Apply(f, (T,)), add(ONE, minus(Apply(f, (T,))))),
    lambda t: 0.5 + 0.5 * np.tanh(0.5 * t),
)
SOFTPLUS = activation(
    "softplus",
    Apply(LOG, (add(ONE, Apply(EXP, (T,))),)),
    lambda f: Apply(SIGMA, (T,)),
    lambda t: np.logaddexp(t, 0.0),
)
SLOPES: dict[str, Callable[[Expr], Function]] = {  # those whose program is not how one writes them
    "relu": lambda body: activation("relu", body, lambda f: test(">", T, ZERO)),
    "sigmoid": lambda body: SIGMA,
    "softplus": lambda body: SOFTPLUS,
    "tanh": lambda body: TANH,
}


LIMIT = 1e300  # what stands for infinity where programs keep it out


def maximum(a: Expr, b: Expr) -> Expr:
    """The larger; of equal ones each gets half the cotangent, as in JAX."""
    return _infinite(a, b, -math.inf) or Apply(MAX, (a, b))


def minimum(a: Expr, b: Expr) -> Expr:
    """The smaller."""
    return _infinite(a, b, math.inf) or Apply(MIN, (a, b))


def _infinite(a: Expr, b: Expr, neutral: float) -> Expr | None:
    pairs: list[tuple[Expr, Expr]] = [(a, b), (b, a)]
    for e, other in pairs:
        if isinstance(e, Num) and float(e.value) * math.copysign(1, neutral) > LIMIT:
            return other
    return None


def _halves(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    tie = mul(HALF, test("=", a, b))
    return add(test(">", a, b), tie), add(test(">", b, a), tie)


MAX = Function("max", np.maximum, _halves)
MIN = Function("min", np.minimum, lambda a, b: _halves(b, a))
ATAN2 = Function(
    "arctan2",
    np.arctan2,
    lambda a, b: (
        over(b, add(power(a, TWO), power(b, TWO))),
        minus(over(a, add(power(a, TWO), power(b, TWO)))),
    ),
)


def absolute(a: Expr) -> Expr:
    """|a|; a itself where it is an exponential."""
    return a if isinstance(a, Apply) and a.function is EXP else Apply(ABS, (a,))


def clamp(low: Expr, x: Expr, high: Expr) -> Expr:
    return minimum(maximum(x, low), high)


COMPARED = {"gt": ">", "lt": "<", "ge": "≥", "le": "≤", "eq": "=", "ne": "≠"}
ELEMENTWISE: dict[str, Callable[..., Expr]] = {
    "add": add,
    "add_any": add,
    "sub": lambda a, b: add(a, minus(b)),
    "mul": mul,
    "div": over,
    "neg": minus,
    "pow": power,
    "square": lambda a: power(a, TWO),
    "sqrt": lambda a: power(a, HALF),
    "rsqrt": lambda a: power(a, Num(Fraction(-1, 2))),
    "cbrt": lambda a: power(a, Num(Fraction(1, 3))),
    "log1p": lambda a: Apply(LOG, (add(ONE, a),)),
    "expm1": lambda a: add(Apply(EXP, (a,)), Num(Fraction(-1))),
    "exp2": lambda a: power(TWO, a),
    "max": maximum,
    "min": minimum,
    "clamp": clamp,
    "select_n": lambda condition, no, yes: where(condition, yes, no),
    "abs": absolute,
    "atan2": apply(ATAN2),
    "not": negated,
    "and": mul,
    "or": lambda a, b: add(a, b, minus(mul(a, b))),
    "logistic": apply(SIGMA),
    "tanh": apply(TANH),
    **{name: (lambda a, b, sign=sign: test(sign, a, b)) for name, sign in COMPARED.items()},
    **{f.name: apply(f) for f in (EXP, LOG, SIN, COS, SINH, COSH, TAN, SIGN, ERF)},
    "atan": apply(ATAN),
    **dict.fromkeys(("convert_element_type", "copy", "copy_p", "stop_gradient", "reduce_precision"), lambda a: a),
    "optimization_barrier": lambda a: a,
}


def elementwise(op: str, params: dict[str, Any], operands: list[Expr]) -> Expr | None:
    """What an elementwise operation computes, None where it is not one of those that are covered."""
    if op == "integer_pow":
        return power(operands[0], num(params["y"]))
    return ELEMENTWISE[op](*operands) if op in ELEMENTWISE else None

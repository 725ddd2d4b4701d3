"""Products, quotients and sums as one writes them: constants in front, gathered; a − b for a + −b.

Each rule takes an equation, and the equations that made its operands, and gives others with the same result:

    (c a) (d b) = (c d) (a b)      (c a) / (d b) = (c / d) (a / b)      (d / x) a = d (a / x)
    a + −c b = a − c b             x + x = 2 x                          r / x = r³ where r = 1 / √x
    Σ c a = c Σ a, and so for what only moves or repeats

where c and d are constants, −1 among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vjpkit.derive.program import Equation, Value, equations_of

Makers = Mapping[Value, Equation]
Shorter = list[Equation] | None


class Multiple(NamedTuple):
    """c · x."""

    c: Any
    x: Value


def shortened(eqn: Equation, makers: Makers) -> Shorter:
    """Equations with the same result, by one of the rules; None where none applies."""
    if eqn.op not in RULES or not jnp.issubdtype(eqn.outputs[0].dtype, jnp.inexact):
        return None
    return RULES[eqn.op](eqn, makers)


def _product(eqn: Equation, makers: Makers) -> Shorter:
    if _known_multiple(eqn):
        return _multiple_again(eqn, makers)
    for a, b in (eqn.inputs, eqn.inputs[::-1]):
        if (d := _over(a, makers)) is not None:
            return _made(eqn, lambda x, y, d=d: _times(d, x / y), b, makers[a].inputs[1])
    first, second = (_multiple(v, makers) for v in eqn.inputs)
    c = first.c * second.c
    return None if first.c == second.c == 1 else _made(eqn, lambda x, y: _times(c, x * y), first.x, second.x)


def _multiple_again(eqn: Equation, makers: Makers) -> Shorter:
    c, x = _known_multiple(eqn) or Multiple(1, eqn.inputs[0])
    inner = _multiple(x, makers)
    if inner.c != 1:
        return _made(eqn, lambda x: _times(c * inner.c, x), inner.x)
    if (d := _over(x, makers)) is not None:
        return _made(eqn, lambda x: c * d / x, makers[x].inputs[1])
    return None


def _quotient(eqn: Equation, makers: Makers) -> Shorter:
    a, b = eqn.inputs
    if a in makers and makers[a].op == "rsqrt" and makers[a].inputs[0] is b:
        return _made(eqn, lambda r: jax.lax.integer_pow(r, 3), a)
    above, below = _multiple(a, makers), _multiple(b, makers)
    if above.c == below.c == 1 or a.number is not None:
        return None
    return _made(eqn, lambda x, y: _times(above.c / below.c, x / y), above.x, below.x)


def _sum(eqn: Equation, makers: Makers) -> Shorter:
    a, b = eqn.inputs
    if a is b and eqn.op != "sub":
        return _made(eqn, lambda x: 2 * x, a)
    first, second = _multiple(a, makers), _multiple(b, makers)
    if _is_negative(second.c):
        plus = eqn.op == "sub"
        return _made(eqn, lambda x, y: x + _times(-second.c, y) if plus else x - _times(-second.c, y), a, second.x)
    if _is_negative(first.c) and eqn.op != "sub":
        return _made(eqn, lambda x, y: y - _times(-first.c, x), first.x, b)
    return None


def _of_a_multiple(eqn: Equation, makers: Makers) -> Shorter:
    a = _multiple(eqn.inputs[0], makers)
    return None if a.c == 1 or a.x.shape == () else _made(eqn, lambda x: _times(a.c, eqn.apply(x)[0]), a.x)


RULES: dict[str, Callable[[Equation, Makers], Shorter]] = {
    "mul": _product,
    "neg": _multiple_again,
    "div": _quotient,
    **dict.fromkeys(("add", "add_any", "sub"), _sum),
    **dict.fromkeys(("reduce_sum", "broadcast_in_dim", "reshape", "squeeze", "transpose"), _of_a_multiple),
}


# ---------------------------------------------------------------------------------------------- multiples


def _known_multiple(eqn: Equation) -> Multiple | None:
    """c · x, for a product with a constant, and for a negative."""
    if eqn.op == "neg":
        return Multiple(-1, eqn.inputs[0])
    if eqn.op != "mul" or (eqn.inputs[0].number is None) == (eqn.inputs[1].number is None):
        return None
    a, b = eqn.inputs
    return Multiple(a.number, b) if b.number is None else Multiple(b.number, a)


def _multiple(v: Value, makers: Makers) -> Multiple:
    return (_known_multiple(makers[v]) if v in makers else None) or Multiple(1, v)


def _over(v: Value, makers: Makers) -> Any:
    """d of v = d / x, else None."""
    return makers[v].inputs[0].number if v in makers and makers[v].op == "div" else None


def _is_negative(c: Any) -> bool:
    return not isinstance(c, complex) and c < 0


def _times(c: Any, x: Any) -> Any:
    return x if c == 1 else -x if c == -1 else c * x


def _made(eqn: Equation, operation: Callable[..., Any], *inputs: Value) -> list[Equation]:
    """The equations of an operation, with the result of the one in whose place they stand."""
    made, result = equations_of(operation, *inputs)
    if result in inputs:
        made = [Equation(jax.lax.copy_p, {}, [result], eqn.outputs)]
    made[-1].outputs = eqn.outputs
    for e in made:
        e.where = eqn.where
    return made

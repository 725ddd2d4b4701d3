"""A pen writes expressions in one script, with the symbols that values have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from vjpkit.derive.formulas.maps import Space
from vjpkit.derive.formulas.scalars import (
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
    leaves,
    minus,
    split,
)
from vjpkit.derive.formulas.scripts import ATOM, PLUS, POWER, TIMES, Piece, Symbol, Text, bracketed, greek, number
from vjpkit.derive.program import Value

Leafs = Callable[[Leaf], Piece]
SIGNS = {"≥": r"\geq", "≤": r"\leq", "≠": r"\neq"}


@dataclass
class Pen:
    """Writes values, cotangents and scalar expressions."""

    script: Text
    symbols: Mapping[Value, Symbol]
    bars: Mapping[Value, Symbol]  # of the cotangents that are not their value's letter with a bar
    cost: Symbol
    product: str = ""  # the sign of a product of matrices

    def value(self, v: Value, letters: str = "") -> Piece:
        return Piece(self.script.symbol(self.symbols[v], letters))

    def bar(self, v: Value, letters: str = "") -> Piece:
        if v in self.bars:
            return Piece(self.script.symbol(self.bars[v], letters))
        return Piece(self.script.symbol(self.symbols[v], letters, bar=True))

    def partial(self, v: Value, vec: bool = False) -> Piece:
        """∂C/∂v."""
        by = self.script.symbol(self.symbols[v])
        by = self.script.call("vec", [by]) if vec else by
        return Piece(self.script.partial(self.script.symbol(self.cost), by), POWER)

    # ------------------------------------------------------------------------------------------ expressions

    def expression(self, e: Expr, leaf: Leafs, entrywise: bool) -> Piece:
        """A scalar expression; `entrywise`: of whole arrays, so that products have a sign."""
        s = self.script

        def write(part: Expr) -> Piece:
            return self.expression(part, leaf, entrywise)

        match e:
            case Num(value):
                return number(value, s)
            case Size(symbol):
                return Piece(s.size(symbol))
            case Leaf():
                return leaf(e)
            case Add(terms):
                return self.sum([write(t) for t in terms])
            case Mul(factors):
                return self._product(factors, write, entrywise)
            case Pow(base, Num(exponent)) if exponent < 0:
                return s.fraction(Piece("1"), write(_inverse(base, exponent)))
            case Pow(base, exponent):
                if exponent == Num(Fraction(1, 2)):
                    return Piece(s.root(write(base)))
                raised = isinstance(base, Leaf) and self.symbols.get(base.value, Symbol("")).above  # W² is no square
                inner = s.brackets(write(base).code) if raised else bracketed(write(base), ATOM)
                return Piece(s.power(inner, write(exponent)), POWER)
            case Apply(f, args):
                if f.name == "abs":
                    return Piece(f"|{write(args[0]).code}|")
                return Piece(s.call(greek(f.name), [write(a).code for a in args]))
            case Test(sign, a, b):
                sign = SIGNS.get(sign, sign) if s.name == "latex" else sign
                return Piece(s.test(f"{write(a).code} {sign} {write(b).code}"))
            case Where(test, yes, no):
                condition = write(test).code
                condition = condition[1:-1] if isinstance(test, Test) else condition
                return Piece(s.call("where", [condition, write(yes).code, write(no).code]))
        raise TypeError(e)

    def sum(self, terms: list[Piece]) -> Piece:
        """a + b − c, a term without a minus first where there is one."""
        first = next((t for t in terms if not t.code.startswith(("−", "-"))), terms[0])
        out = first.code
        for t in (t for t in terms if t is not first):
            negative = t.code.startswith(("−", "-"))
            out += self.script.minus + t.code[1:].lstrip() if negative else " + " + t.code
        return Piece(out, PLUS)

    def _product(self, factors: tuple[Expr, ...], write: Callable[[Expr], Piece], entrywise: bool) -> Piece:
        """Factors, those with a negative power below a line; a number in front."""
        s = self.script
        coefficient = factors[0].value if isinstance(factors[0], Num) else Fraction(1)
        rest = factors[1:] if isinstance(factors[0], Num) else factors
        above = [f for f in rest if not _below(f)]
        below = [
            _inverse(f.base, f.exponent.value)
            for f in rest
            if isinstance(f, Pow) and isinstance(f.exponent, Num) and _below(f)
        ]
        sign = ""
        if coefficient < 0:
            turned = next((k for k, f in enumerate(above) if isinstance(f, Add) and _differs(f)), None)
            coefficient, sign = -coefficient, s.minus.strip() if turned is None else ""
            if turned is not None:  # −(a − b) is b − a
                above[turned] = add(*map(minus, above[turned].terms))  # type: ignore[union-attr]
        if isinstance(coefficient, Fraction):
            above = ([Num(Fraction(coefficient.numerator))] if coefficient.numerator != 1 else []) + above
            below = ([Num(Fraction(coefficient.denominator))] if coefficient.denominator != 1 else []) + below
        else:
            above = [Num(coefficient), *above]
        top = self._row(above, write, entrywise) if above else Piece("1")
        made = s.fraction(top, self._row(below, write, entrywise)) if below else top
        return Piece(sign + bracketed(made, TIMES, made.kind), PLUS if sign else made.level, made.kind)

    def _row(self, factors: list[Expr], write: Callable[[Expr], Piece], entrywise: bool) -> Piece:
        """Numbers, then arrays."""
        if len(factors) == 1:
            return write(factors[0])
        if not entrywise:
            return Piece(self.script.times.join(bracketed(write(f), TIMES) for f in factors), TIMES)
        single = [f for f in factors if not _array(f)]
        many = [f for f in factors if _array(f)]
        sign = self.script.hadamard if len(many) > 1 else ""
        body = sign.join(bracketed(write(f), POWER if len(many) > 1 or single else TIMES) for f in many)
        parts = [*(bracketed(write(f), POWER) for f in single), *([body] if many else [])]
        return Piece(self.script.times.join(parts), TIMES, sign.strip())

    def multiple(self, c: Piece, body: Piece) -> Piece:
        """A number times something: its sign in front, a fraction in brackets, nothing for 1."""
        sign = c.code[0] if c.level == PLUS and c.code[0] in "-−" else ""
        size = c.code[len(sign) :]
        if size == "1":
            written = bracketed(body, TIMES, body.kind)
        else:
            size = f"({size})" if "/" in size or (c.level == PLUS and not sign) else size
            written = f"{size}{self.script.times}{bracketed(body, TIMES if body.kind != '⊙' else POWER, body.kind)}"
        return Piece(sign + written, PLUS if sign else TIMES, body.kind)

    # --------------------------------------------------------------------------------------------- readings

    def whole(self, frame: Space, value: Callable[[Value], Piece] | None = None) -> Leafs:
        """Leaves as arrays, spread over the frame where they have fewer axes."""
        rank, value = len(frame.shape), value or self.value

        def leaf(x: Leaf) -> Piece:
            written = value(x.value)
            axes = [a for a in x.axes if a is not None]
            wide = [a for a in range(rank) if frame.shape[a] != 1]
            if not axes or axes == list(range(rank)) or (rank > 2 and axes == wide):
                return written
            if rank == 2 and axes == [1, 0]:
                return Piece(self.script.turned(bracketed(written, ATOM)))
            if rank == 2 and frame.shape[1 - axes[0]] == 1:
                return written if axes == [0] else Piece(self.script.turned(bracketed(written, ATOM)))
            if rank == 2:
                ones = self.script.ones(self.script.size(frame.dims[1 - axes[0]]))
                a, b = (bracketed(written, ATOM), ones) if axes == [0] else (ones, bracketed(written, ATOM))
                return Piece(f"{a}{self.script.times}{self.script.turned(b)}", TIMES, "matrix")
            marks = ",".join(":" if a in axes else "·" for a in range(rank))
            return Piece(self.script.indexed(bracketed(written, ATOM), f"[{marks}]"))

        return leaf

    def definitions(self, f: Function) -> tuple[str, str] | None:
        """A function's name with its variable, and what it is; None where the name says it."""
        if f.body is None:
            return None
        variable = Symbol("t")
        leaf: Leafs = lambda x: Piece(self.script.symbol(variable))  # noqa: E731
        return self.script.call(greek(f.name), [self.script.symbol(variable)]), self.expression(
            f.body, leaf, False
        ).code


def _below(f: Expr) -> bool:
    return isinstance(f, Pow) and isinstance(f.exponent, Num) and f.exponent.value < 0


def _inverse(base: Expr, exponent: Fraction | float) -> Expr:
    return base if exponent == -1 else Pow(base, Num(-exponent))


def _differs(e: Add) -> bool:
    return any(split(t)[0] < 0 for t in e.terms)


def _array(e: Expr) -> bool:
    return any(a is not None for leaf in leaves(e) for a in leaf.axes)

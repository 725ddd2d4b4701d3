"""How formulas are written: as text in the characters of mathematics, and as LaTeX."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

UP, DOWN = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
FROM_UP, FROM_DOWN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"), str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
NAMES = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi
omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"""
GREEK = dict(zip(NAMES.split(), "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", strict=True))
TO_TEX = {letter: rf"\{name}" for name, letter in GREEK.items()} | {"ℓ": r"\ell", "∂": r"\partial"}
PLUS, TIMES, POWER, ATOM = range(4)  # how tightly a piece binds


class Piece(NamedTuple):
    """What is written so far; `kind` of a product is its sign."""

    code: str
    level: int = ATOM
    kind: str = ""


class Symbol(NamedTuple):
    """A letter or a word, with what stands below and above it."""

    base: str
    below: str = ""
    above: str = ""


def symbol(name: str) -> Symbol:
    """A name as it is written: `w1` is w₁, `delta` is δ, `W²` is as it stands."""
    base, below, above = re.fullmatch(r"(.*?)_?([0-9]*|[₀-₉]+)([⁰¹²³⁴-⁹]*)", name, re.S).groups()  # type: ignore[union-attr]
    return Symbol(GREEK.get(base, base), below.translate(FROM_DOWN), above.translate(FROM_UP)) if base else Symbol(name)


def greek(name: str) -> str:
    """`sigma′` is σ′."""
    bare = name.rstrip("′")
    return GREEK.get(bare, bare) + name[len(bare) :]


class Text:
    """Formulas in Unicode."""

    name = "text"
    hadamard, times, dot, kron, minus, cross, infinity = " ⊙ ", " ", " · ", " ⊗ ", " − ", "×", "∞"

    def symbol(self, s: Symbol, letters: str = "", bar: bool = False) -> str:
        base = s.base
        if bar:
            above = base + "\u0304" if len(base) == 1 else "".join(f"{c}\u0305" for c in base)
            base = unicodedata.normalize("NFC", above)
        written = base + s.below.translate(DOWN) + s.above.translate(UP)
        return f"{written}_{letters}" if letters else written

    def indexed(self, written: str, letters: str) -> str:
        return f"{written}_{letters}" if letters else written

    def word(self, word: str) -> str:
        return word

    def turned(self, written: str) -> str:
        return f"{written}ᵀ"

    def power(self, base: str, exponent: Piece) -> str:
        plain = exponent.code.replace("−", "-")
        return (
            f"{base}{plain.translate(UP)}" if re.fullmatch(r"-?\d+", plain) else f"{base}^{bracketed(exponent, ATOM)}"
        )

    def root(self, inner: Piece) -> str:
        return f"√{bracketed(inner, ATOM)}"

    def fraction(self, a: Piece, b: Piece) -> Piece:
        above = a.code if a.level == TIMES and not a.kind else bracketed(a, POWER)
        return Piece(f"{above}/{bracketed(b, POWER)}", TIMES, "/")

    def call(self, function: str, args: Sequence[str]) -> str:
        return f"{self.word(function)}({', '.join(args)})"

    def partial(self, of: str, by: str) -> str:
        return f"∂{of}/∂{by}"

    def total(self, letters: str, body: str) -> str:
        return f"Σ_{letters} {body}"

    def differential(self, written: str) -> str:
        return f"d{written}"

    def inner(self, a: str, b: str) -> str:
        return f"⟨{a}, {b}⟩"

    def ones(self, size: str) -> str:
        return f"1_{size}"

    def eye(self, size: str) -> str:
        return f"I_{size}"

    def test(self, inside: str) -> str:
        return f"[{inside}]"

    def size(self, dim: str) -> str:
        """A dimension's name or length; of several together, the product."""
        parts = dim.split("·")
        written = [self.symbol(symbol(part)) if not part.isdigit() else part for part in parts]
        letters = all(len(part) == 1 and not part.isdigit() for part in parts)
        return ("" if letters else self.dot.replace(" · ", "·")).join(written)

    def quoted(self, words: str) -> str:
        return words

    def brackets(self, code: str) -> str:
        return f"({code})"


class Tex(Text):
    """The same in LaTeX, of which matplotlib's mathtext knows every command that is used."""

    name = "latex"
    hadamard, times, dot, kron, minus, cross = r" \odot ", r" \, ", r" \cdot ", r" \otimes ", " - ", r" \times "
    infinity = r"\infty"

    def symbol(self, s: Symbol, letters: str = "", bar: bool = False) -> str:
        base = self.word(s.base)
        if bar:
            base = rf"\bar{{{base}}}" if len(s.base) == 1 else rf"\overline{{{base}}}"
        below = ",".join(filter(None, (s.below, self.letters(letters))))
        return base + (f"_{{{below}}}" if below else "") + (f"^{{{s.above}}}" if s.above else "")

    def letters(self, letters: str) -> str:
        return letters.replace("÷", r" \div ").replace("mod", r" \,\mathrm{mod}\, ").replace("·", r" \cdot ")

    def indexed(self, written: str, letters: str) -> str:
        base = f"{{{written}}}" if "_" in written else written
        return f"{base}_{{{self.letters(letters)}}}" if letters else written

    def word(self, word: str) -> str:
        primes = len(word) - len(word.rstrip("′"))
        word = word.rstrip("′")
        if len(word) == 1:
            written = TO_TEX.get(word, word)
        else:
            written = rf"\mathrm{{{''.join(TEX_SPECIAL.get(c, c) for c in word)}}}"
        return written + "'" * primes

    def turned(self, written: str) -> str:
        return f"{{{written}}}^{{\\top}}" if "^" in written or "_" in written else f"{written}^{{\\top}}"

    def power(self, base: str, exponent: Piece) -> str:
        return f"{{{base}}}^{{{exponent.code}}}"

    def root(self, inner: Piece) -> str:
        return rf"\sqrt{{{inner.code}}}"

    def fraction(self, a: Piece, b: Piece) -> Piece:
        return Piece(rf"\frac{{{a.code}}}{{{b.code}}}", POWER)

    def partial(self, of: str, by: str) -> str:
        return rf"\frac{{\partial {of}}}{{\partial {by}}}"

    def total(self, letters: str, body: str) -> str:
        return rf"\sum_{{{letters}}} {body}"

    def differential(self, written: str) -> str:
        return rf"\mathrm{{d}}{written}"

    def inner(self, a: str, b: str) -> str:
        return rf"\langle {a},\; {b} \rangle"

    def ones(self, size: str) -> str:
        return rf"\mathbf{{1}}_{{{size}}}"

    def eye(self, size: str) -> str:
        return f"I_{{{size}}}"

    def quoted(self, words: str) -> str:
        return rf"\mathrm{{{''.join(TEX_SPECIAL.get(c, c) for c in words).replace(' ', chr(92) + ' ')}}}"


TEX_SPECIAL = {
    **{c: f"\\{c}" for c in "_%&#$"},
    "ᵀ": r"}^{\top}\mathrm{",
    "·": r"}\cdot\mathrm{",
    "⊙": r"}\odot\mathrm{",
    "⊗": r"}\otimes\mathrm{",
    "→": r"}\to\mathrm{",
    "Σ": r"}\Sigma\mathrm{",
    "[": "[",
    "×": r"}\times\mathrm{",
}
SCRIPTS: dict[str, Text] = {"text": Text(), "latex": Tex()}


def bracketed(piece: Piece, level: int, kind: str = "") -> str:
    """The piece, in brackets where it binds less, or is another kind of product, than its place asks for."""
    loose = piece.level < level or (piece.level == level == TIMES and piece.kind != kind)
    return f"({piece.code})" if loose else piece.code


def number(value: Fraction | float, script: Text) -> Piece:
    """A number: exact fractions, roots of whole numbers, else as many digits as it has."""
    if isinstance(value, Fraction):
        sign, n, d = (
            ("−" if value < 0 and script.name == "text" else "-" if value < 0 else ""),
            *abs(value).as_integer_ratio(),
        )
        if d == 1:
            return Piece(f"{sign}{n}", ATOM if value >= 0 else PLUS)
        body = script.fraction(Piece(str(n)), Piece(str(d)))
        return Piece(sign + body.code, body.level if value >= 0 else PLUS, body.kind)
    if value != value or abs(value) == float("inf"):
        return Piece(("-" if value < 0 else "") + script.infinity)
    if value > 0 and (whole := _whole(value**2)):
        return Piece(script.root(Piece(whole)))
    if value > 0 and (whole := _whole(value**-2)):
        return script.fraction(Piece("1"), Piece(script.root(Piece(whole))))
    if value > 0 and (whole := _whole(value**2 * math.pi)):
        return Piece(script.root(script.fraction(Piece(whole), Piece(script.word("π")))))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return Piece(mantissa, ATOM if value >= 0 else PLUS)
    ten = script.power("10", Piece(str(int(exponent))))
    return Piece(ten if mantissa in ("1", "1.0") else f"{mantissa}{script.dot}{ten}", TIMES)


def _whole(x: float) -> str:
    """The whole number that it is to rounding, nothing for another."""
    n = round(x) if x < 10_000 else 0
    return str(n) if n > 1 and abs(x - n) < 1e-12 * n else ""

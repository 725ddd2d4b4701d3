"""What `derive` hands over: a derivation, with a formula for each notation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vjpkit.derive.errors import DeriveError


@dataclass
class Line:
    """One line: the cotangent, or the derivative, in `target`, or the definition of it."""

    target: str
    text: str
    latex: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Formula:
    """A derivative in one notation.

    Attributes: style; convention, in words; lines, one for each cotangent in the order in which they are computed;
    error, the largest relative difference from `jax.vjp`, at the arguments and at random ones.
    """

    style: str
    convention: str
    lines: list[Line]
    error: float
    wrt: tuple[str, ...]
    _compute: Callable[[str, Any, bool], Any] = field(repr=False)

    def value(self, wrt: str | None = None, g: Any = None) -> Any:
        """The formula computed at the arguments, in its own layout: numerator layout gives rows, vec a long row.

        Args:    wrt: an argument, or a value with a line; the first argument if left out.
                 g: the cotangent of an array output; ones if left out.
        Raises:  DeriveError for a value without a line, and for a cotangent of another shape than the output's.
        """
        return self._compute(self.wrt[0] if wrt is None else wrt, g, False)

    def gradient(self, wrt: str | None = None, g: Any = None) -> Any:
        """The same numbers in the shape of the argument, as `jax.grad` gives them."""
        return self._compute(self.wrt[0] if wrt is None else wrt, g, True)

    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def latex(self) -> str:
        return aligned(row for line in self.lines for row in line.latex.split("\n"))

    def __str__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


@dataclass
class Derivation:
    """What `derive` found: `d[style]` is a `Formula`; printed as text, and as Markdown or LaTeX by these methods.

    Attributes: forward, the function, one definition a line; where, what else the formulas name; left_out, the
    notations that are not shown, each with its reason.
    """

    name: str
    forward: list[Line]
    where: list[Line]
    formulas: dict[str, Formula]
    left_out: dict[str, str]

    @property
    def styles(self) -> tuple[str, ...]:
        return tuple(self.formulas)

    def __getitem__(self, style: str) -> Formula:
        if style in self.formulas:
            return self.formulas[style]
        if style in self.left_out:
            raise DeriveError(f"derive: {self.name} has no {style} formula: {self.left_out[style]}")
        raise DeriveError(f"derive: no style {style!r} here; there are {', '.join(self.styles)}")

    def __iter__(self) -> Iterator[Formula]:
        return iter(self.formulas.values())

    def __str__(self) -> str:
        blocks = [self.name, *(f"    {line}" for line in self.forward)]
        if self.where:
            blocks += ["where", *(f"    {line}" for line in self.where)]
        for formula in self:
            blocks += ["", f"{formula.style}: {formula.convention}"]
            blocks += [f"    {row}" for line in formula.lines for row in line.text.split("\n")]
        blocks += ["", *self._absent()] if self.left_out else []
        return "\n".join(blocks)

    def markdown(self) -> str:
        blocks = [f"**{self.name}**", *self._definitions()]
        for formula in self:
            blocks += [f"**{formula.style}**: {formula.convention}", formula._repr_latex_()]
        return "\n\n".join([*blocks, *self._absent()])

    def latex(self, style: str | None = None) -> str:
        """One notation as an `aligned` environment; all of them, with the definitions, as a piece of a document."""
        if style is not None:
            return self[style].latex()
        blocks = self._definitions()
        for formula in self:
            blocks += [rf"\paragraph{{{formula.style}}}", f"\\[\n{formula.latex()}\n\\]"]
        return "\n\n".join(b.replace("$$\n", "\\[\n", 1).replace("\n$$", "\n\\]") for b in blocks)

    def _definitions(self) -> list[str]:
        blocks = [f"$$\n{aligned(line.latex for line in self.forward)}\n$$"] if self.forward else []
        return [*blocks, "where", f"$$\n{aligned(line.latex for line in self.where)}\n$$"] if self.where else blocks

    def _absent(self) -> list[str]:
        return [f"{style} is left out: {reason}" for style, reason in self.left_out.items()]

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        return "\n\n".join([*self._definitions(), *(f._repr_latex_() for f in self)])


def aligned(rows: Iterator[str]) -> str:
    """Rows of mathematics under each other at their equals signs."""
    body = " \\\\\n".join(row.replace(" = ", " &= ", 1) for row in rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

"""Layouts as values: a derivative says which layout it is in, and does not mix with another.

numerator      out.shape + in.shape       Df; a chain reads as it is composed, D_3 D_2 D_1
denominator    in.shape + out.shape       its transpose; the chain is reversed, D_1ᵀ D_2ᵀ D_3ᵀ
argument       in.shape                   of a scalar function alone: what `jax.grad` gives
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from vjpkit.jacobian.errors import LayoutError

Layout = str
LAYOUTS = ("numerator", "denominator", "argument")
SYNONYMS = {"jacobian": "numerator", "gradient": "denominator", "dattorro": "denominator", "arg": "argument"}


def layout_named(name: Any) -> Layout:
    """The layout of that name; LayoutError where there is none."""
    found = SYNONYMS.get(name, name)
    if found not in LAYOUTS:
        raise LayoutError(f"layout: expected one of {', '.join(LAYOUTS)}, got {name!r}")
    return found


@dataclass(frozen=True)
class Derivative:
    """Numbers of a derivative ∂out/∂in, with their layout and the step that made them.

    Args:    value: an array laid out as `layout` says; for a scalar `out`, the numerator layout of a matrix
             argument is its transpose, as the books have it.
             out, of: the shapes of what is differentiated, and of that in which it is.
    """

    value: Any
    layout: Layout
    out: tuple[int, ...]
    of: tuple[int, ...]
    step: str = "a derivative"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", layout_named(self.layout))
        if self.layout == "argument" and self.out != ():
            raise LayoutError(f"{self.step}: the argument's layout is for scalar functions, this one gives {self.out}")
        if jnp.shape(self.value) != self.shape:
            raise LayoutError(
                f"{self.step}: the {self.layout} layout of ∂{list(self.out)}/∂{list(self.of)} is {list(self.shape)}, "
                f"the value is {list(jnp.shape(self.value))}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that this layout asks for."""
        if self.layout == "numerator":
            return self.out + (self.of[::-1] if self.out == () else self.of)
        return self.of + self.out

    def to(self, layout: Layout) -> Derivative:
        """The same derivative in another layout."""
        layout = layout_named(layout)
        if layout == self.layout:
            return self
        value = self.value
        if "numerator" in (layout, self.layout):  # the other two differ by name alone
            value = value.T if self.out == () else _swap(value, len(value.shape) - self._behind)
        return Derivative(value, layout, self.out, self.of, f"{self.step}, turned to {layout}")

    @property
    def _behind(self) -> int:
        """How many axes stand behind: those of the argument in the numerator layout, else those of the output."""
        return len(self.of) if self.layout == "numerator" else len(self.out)

    def __matmul__(self, other: Any) -> Derivative:
        """The chain rule: numerator, ∂y/∂z @ ∂z/∂x; denominator, ∂z/∂x @ ∂y/∂z."""
        if not isinstance(other, Derivative):
            return NotImplemented
        if other.layout != self.layout:
            raise LayoutError(
                f"mixed layouts: {self.step} is in {self.layout} layout, {other.step} in {other.layout} layout; "
                f"turn one of them with .to({self.layout!r}) or .to({other.layout!r})"
            )
        if self.layout == "argument":
            raise LayoutError(f"{self.step} and {other.step} are gradients of scalars: there is no product of the two")
        outer, inner = (self, other) if self.layout == "numerator" else (other, self)
        if outer.of != inner.out:
            raise LayoutError(
                f"{outer.step} is in {list(outer.of)}, {inner.step} gives {list(inner.out)}: no chain; in "
                f"{self.layout} layout the {'outer' if self.layout == 'numerator' else 'inner'} derivative stands left"
            )
        step = f"({self.step}) @ ({other.step})"
        a, b = outer.to("denominator").value, inner.to("denominator").value
        value = jnp.tensordot(b, a, len(inner.out))
        return Derivative(value, "denominator", outer.out, inner.of, step).to(self.layout)

    def feed(self, formula: Callable[[Any], Any], expects: Layout, step: str) -> Any:
        """Hand the numbers to a formula that was written for a layout; LayoutError where that is another."""
        if layout_named(expects) != self.layout and not {expects, self.layout} <= {"denominator", "argument"}:
            raise LayoutError(f"result of {self.step} is {self.layout}, {step} expects {expects}")
        return formula(self.value)


def _swap(value: Any, first: int) -> Any:
    """The first axes behind the others."""
    axes = range(value.ndim)
    return jnp.transpose(value, (*axes[first:], *axes[:first]))


def numerator(value: Any, out: tuple[int, ...], of: tuple[int, ...], step: str = "a derivative") -> Derivative:
    """A derivative in numerator layout."""
    return Derivative(value, "numerator", out, of, step)


def denominator(value: Any, out: tuple[int, ...], of: tuple[int, ...], step: str = "a derivative") -> Derivative:
    """A derivative in denominator layout."""
    return Derivative(value, "denominator", out, of, step)

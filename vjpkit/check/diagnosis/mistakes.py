"""A mistake as an edit of a program: of the right derivative, to make it wrong, or of the candidate, to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vjpkit.check.diagnosis.pool import Value
from vjpkit.check.diagnosis.programs import Edit
from vjpkit.check.diagnosis.workings import Derived, Workings

Edits = Callable[[int], Mapping[int, Edit]]  # place ↦ equation ↦ what it computes instead
Given = Callable[[int], Mapping[int, Any]]  # place ↦ variable ↦ its value instead


def nothing(place: int) -> Mapping[int, Any]:
    return {}


@dataclass(frozen=True)
class Mistake:
    """`mends`: the edit is of the candidate's program, and undoes the mistake. `cost`: how far-fetched it is."""

    cause: str
    detail: str
    fix: str
    cost: float
    of: Derived
    edits: Edits = nothing
    given: Given = nothing
    alias: Mapping[int, int] = field(default_factory=dict)  # variable ↦ the variable whose value it takes
    by_probe: Mapping[int, Callable[[list[Any]], list[Any]]] = field(default_factory=dict)  # of all values
    mends: bool = False
    origin: int = -1

    def together(self, other: Mistake) -> Mistake:
        """Both at once."""
        return replace(
            self,
            edits=lambda place: {**self.edits(place), **other.edits(place)},
            given=lambda place: {**self.given(place), **other.given(place)},
            alias={**self.alias, **other.alias},
            by_probe={**self.by_probe, **other.by_probe},
        )

    def predict(self, w: Workings, probe: int) -> list[Any]:
        """The answers of the edited program."""
        place, base = w.probes[probe].place, self.of.base[probe]
        given = {**self.given(place), **{v: base[u] for v, u in self.alias.items()}}
        edits = {**self.edits(place), **{k: _fixed(f(base)) for k, f in self.by_probe.items()}}
        return self.of.program.again(base, edits, given)


def _fixed(out: list[Any]) -> Edit:
    return lambda _: out


def at_steps(derived: Derived, k: int, edit: Edit) -> Edits:
    """The edit at an equation, at every step of its scan."""
    edits = dict.fromkeys(derived.program.steps(k), edit)
    return lambda place: edits


def at_steps_by_place(derived: Derived, k: int, edit: Callable[[int], Edit]) -> Edits:
    """The same, of an edit that needs values of the place."""
    steps = derived.program.steps(k)
    return lambda place: dict.fromkeys(steps, edit(place))


def confused(right: Value | None, wrong: Value | None, in_slope: bool, outputs: set[str]) -> str:
    """The cause that is one value read in place of another."""
    role_right = right.role if right else "value"
    role_wrong = wrong.role if wrong else "value"
    if role_right == "slope" and role_wrong != "slope":
        return "value_for_slope" if wrong is not None and wrong.name in outputs else "wrong_operand"
    if role_right == "slope":
        return "slope_at_wrong_point"
    if in_slope:
        is_output = wrong is not None and (role_wrong == "output" or wrong.name in outputs)
        return "slope_at_output" if is_output else "slope_at_wrong_point"
    return "wrong_operand"


def where(derived: Derived, k: int) -> str:
    """Which operation of the source an equation belongs to."""
    line = derived.program.equations[k].line
    return f"at {line}" if line is not None else ""

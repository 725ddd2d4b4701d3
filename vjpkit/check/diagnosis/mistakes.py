"""A mistake as an edit of a program: of the right derivative, to make it wrong, or of the candidate, to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vjpkit.check.diagnosis.pool import Value
from vjpkit.check.diagnosis.programs import Edit, Equation
from vjpkit.check.diagnosis.workings import Derived, Workings

Edits = Callable[[int], Mapping[int, Edit]]  # place ↦ equation ↦ what it computes instead
Found = tuple[str, str, str, float, Edit]  # cause, detail, fix, cost, what an equation computes instead
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
    mends: bool = False
    origin: int = -1
    stands: tuple[Any, Any] | None = None  # where one value stands for another: the right and the wrong one
    kind: tuple[Any, ...] = ()  # the same for the same mistake at another place
    ruled_out: bool = False  # alone, it is known to explain nothing

    def together(self, other: Mistake) -> Mistake:
        """Both at once."""
        return replace(
            self,
            edits=lambda place: {**self.edits(place), **other.edits(place)},
            given=lambda place: {**self.given(place), **other.given(place)},
            alias={**self.alias, **other.alias},
            stands=None,
            ruled_out=False,
        )

    def predict(self, w: Workings, probe: int) -> list[Any]:
        """The answers of the edited program."""
        place, base = w.probes[probe].place, self.of.base[probe]
        given = {**self.given(place), **{v: base[u] for v, u in self.alias.items()}}
        return self.of.program.again(base, self.edits(place), given)


def at(steps: Iterable[int], edit: Edit) -> Edits:
    """The edit at some equations: all steps of a loop, or one."""
    edits = dict.fromkeys(steps, edit)
    return lambda place: edits


def at_by_place(steps: Iterable[int], edit: Callable[[int], Edit]) -> Edits:
    """The same, of an edit that needs values of the place."""
    return lambda place: dict.fromkeys(steps, edit(place))


def with_operand(eqn: Equation, i: int, change: Callable[[Any], Any]) -> Edit:
    """The operation with its i-th operand changed."""
    return lambda x: eqn([change(a) if j == i else a for j, a in enumerate(x)])


def confused(w: Workings, right: Value | None, wrong: Value | None, in_slope: bool) -> str:
    """The cause that is one value read in place of another; `in_slope`: a coefficient is computed from it."""
    role_right = right.role if right else "value"
    role_wrong = wrong.role if wrong else "value"
    if role_right == "slope" and role_wrong != "slope":
        return "value_for_slope" if wrong is not None and wrong.name in w.outputs else "wrong_operand"
    if role_right == "slope":
        return "slope_at_wrong_point"
    if in_slope and (right is None or right.name in w.bent):
        is_output = wrong is not None and (role_wrong == "output" or wrong.name in w.outputs)
        return "slope_at_output" if is_output else "slope_at_wrong_point"
    return "wrong_operand"


def where(derived: Derived, k: int, steps: Sequence[int] = ()) -> str:
    """Which operation of the source an equation belongs to; at which step, where it is one step of several."""
    line, every = derived.program.equations[k].line, derived.program.steps(k)
    step = f" at step {every.index(k) + 1} of {len(every)}" if len(steps) == 1 < len(every) else ""
    return (f"at {line}" if line is not None else "") + step

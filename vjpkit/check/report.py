"""What came out: a line per check and argument, findings, what was not covered, and how to see it again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vjpkit.check.errors import CheckFailed

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis

DERIVATIVE = {"structure", "value", "linearity", "adjoint", "reverse", "forward", "differences"}  # a diagnosis explains
PASS, FAIL, NOTE, SKIP = "pass", "FAIL", "note", "skip"


@dataclass(frozen=True)
class Result:
    """One check of one argument: its worst error beside the bound there, both relative to the entry."""

    check: str
    argument: str
    verdict: str
    error: float | None = None
    bound: float | None = None
    power: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Something to know: what, where, the likely cause, what to try. A failure, or a note that fails nothing."""

    check: str
    argument: str
    what: str
    where: str = ""
    cause: str = ""
    advice: str = ""
    level: str = "failure"

    @property
    def lines(self) -> list[str]:
        """At most four lines."""
        head = f"{self.check}, {self.argument}: {self.what}" if self.argument else f"{self.check}: {self.what}"
        rest = (("at", self.where), ("likely", self.cause), ("try", self.advice))
        return [head, *(f"  {word}: {text}" for word, text in rest if text)]

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Gap:
    """What a check did not cover, and why."""

    check: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.check}: {self.what}: {self.why}"


@dataclass
class Report:
    """The outcome of `check`; the names are in `vjpkit.check`'s docstring."""

    name: str
    seed: int
    reproduce: str
    dtype: str = "float64"
    reference: str = ""
    results: list[Result] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    diagnosing: Callable[[], Diagnosis] | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> list[Finding]:
        return [f for f in self.findings if f.level == "failure"]

    @property
    def notes(self) -> list[Finding]:
        return [f for f in self.findings if f.level == "note"]

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """What is wrong with the derivative, computed when it is first asked for; None where that is right."""
        if self.diagnosing is None or not DERIVATIVE & {f.check for f in self.failures}:
            return None
        said = self.diagnosing()
        return None if said.ok else said

    def __getstate__(self) -> dict[str, Any]:
        """A report goes to another process with its diagnosis, not with the functions that it is of."""
        _ = self.diagnosis
        return vars(self) | {"diagnosing": None}

    def add(self, *entries: Result | Finding | Gap) -> None:
        """Put entries where they belong, each once."""
        places: dict[type, list[Any]] = {Result: self.results, Finding: self.findings, Gap: self.gaps}
        for entry in entries:
            if entry not in places[type(entry)]:
                places[type(entry)].append(entry)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        said = dataclasses.asdict(dataclasses.replace(self, diagnosing=None))
        del said["diagnosing"]
        return {"ok": self.ok, **said, "diagnosis": self.diagnosis.to_dict() if self.diagnosis else None}

    def to_json(self) -> str:
        """Everything, as JSON; what is infinite or no number is a string there."""
        return json.dumps(_plain(self.to_dict()), indent=1)

    def raise_if_failed(self) -> Report:
        """The report itself; CheckFailed, with the failures as its text, where there are any."""
        if not self.ok:
            said = [f"diagnosis: {self.diagnosis.brief}"] if self.diagnosis else []
            head = f"{self.name}: {len(self.failures)} failed"
            raise CheckFailed("\n".join([head, *map(str, self.failures), *said, self.again]))
        return self

    @property
    def again(self) -> str:
        """The line that runs it again."""
        return f"seed {self.seed}; again: {self.reproduce}"

    def __str__(self) -> str:
        from vjpkit.check.printing import text

        return text(self)

    def __rich__(self) -> Any:
        from vjpkit.check.printing import rich_group

        return rich_group(self)

    def _repr_html_(self) -> str:
        from vjpkit.check.printing import html

        return html(self)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value

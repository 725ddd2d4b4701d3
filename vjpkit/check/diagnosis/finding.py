"""What a diagnosis says: findings, ranked, and a structural report where nothing explains the error."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.question import Asked


class Argument(str):
    """The name of an argument, or of a leaf of one, which knows its position among the arguments."""

    position: int

    def __new__(cls, name: str, position: int) -> Argument:
        self = super().__new__(cls, name)
        self.position = position
        return self

    @property
    def name(self) -> str:
        return str(self)

    def __getnewargs__(self) -> tuple[str, int]:  # type: ignore[override]
        return str(self), self.position


@dataclass(frozen=True)
class Finding:
    """One mistake, or one of several that explain the same numbers.

    argument    the name of the argument whose derivative is wrong; `.position` is its place
    cause       a name of `vjpkit.check.diagnosis.CAUSES`
    detail      the factor, axis, path, operand or point, by the names in the code
    message     one sentence
    fix         one thing to try, as a formula
    residual    the share of the error that the cause leaves unexplained: 0 explains all of it
    confirmed   it explains the error at a second random point too, and at distinct prime shapes where these can be
                drawn
    tied        other causes explain the same numbers
    part        the number of mistakes that explain the error together, of which this is one
    kind        "vjp" or "jvp"
    stage       of a chain: which one
    """

    argument: Argument
    cause: str
    detail: str = ""
    message: str = ""
    fix: str = ""
    residual: float = 1.0
    confirmed: bool = False
    tied: bool = False
    part: int = 1
    kind: str = "vjp"
    stage: int | None = None

    def __str__(self) -> str:
        notes = [
            "confirmed" if self.confirmed else "not confirmed elsewhere",
            "tied" if self.tied else "",
            f"one of {self.part} mistakes" if self.part > 1 else "",
        ]
        said = "" if self.cause in ("correct", "unexplained") else f" ({', '.join(filter(None, notes))})"
        return f"{self.cause}: {self.message}{said}" + (f"\n  try  {self.fix}" if self.fix else "")


@dataclass
class Diagnosis:
    """The answer of `diagnose`.

    findings    ranked; the first is the likeliest
    right       the arguments whose derivative is right
    notes       what else there is to know: what could not be looked at, where arguments hide something
    report      of each argument that nothing explains: where the error is, as text
    errors      of each argument: the error of the candidate at the first probe, as an array
    asked       of each argument that is wrong: what was asked, and which of its arms it is
    """

    name: str
    kind: str = "vjp"
    findings: list[Finding] = field(default_factory=list)
    right: list[Argument] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    report: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict, repr=False)
    asked: dict[str, tuple[Asked, int]] = field(default_factory=dict, repr=False)
    seconds: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """A diagnosis goes to another process without the functions that it is of."""
        return vars(self) | {"asked": {}}

    @property
    def ok(self) -> bool:
        """Whether the candidate is right."""
        return all(f.cause == "correct" for f in self.findings)

    @property
    def causes(self) -> list[str]:
        """The causes found, in order, each once."""
        return list(dict.fromkeys(f.cause for f in self.findings))

    def of(self, argument: str) -> list[Finding]:
        """The findings about one argument."""
        return [f for f in self.findings if f.argument == argument]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, as plain data."""
        findings = [
            {**dataclasses.asdict(f), "argument": {"name": f.argument.name, "position": f.argument.position}}
            for f in self.findings
        ]
        return {
            "name": self.name,
            "kind": self.kind,
            "ok": self.ok,
            "findings": findings,
            "right": [{"name": a.name, "position": a.position} for a in self.right],
            "notes": self.notes,
            "report": self.report,
            "seconds": self.seconds,
        }

    def map(self) -> str:
        """Where the errors are: entries of an argument by entries of the output, the explained ones in brackets."""
        from vjpkit.check.diagnosis.heat import text

        return text(self)

    def picture(self, path: Any = None) -> Any:
        """The maps as a matplotlib figure, the explained entries outlined; written to `path` where one is given.

        Raises:  CheckError without matplotlib.
        """
        from vjpkit.check.diagnosis.heat import figure

        return figure(self, path)

    @property
    def brief(self) -> str:
        """The likeliest cause of each argument's error, and no more."""
        first = {(f.argument, f.kind): f for f in reversed(self.findings)}
        likeliest = [f for f in self.findings if f.part > 1 or first[f.argument, f.kind] is f]
        return "\n".join(_grouped(likeliest))

    def __str__(self) -> str:
        where = ", ".join(filter(None, self._wrong()))
        head = f"{self.name}: " + ("right" if self.ok else f"wrong in {where}" if where else "wrong")
        right = [f"right: {', '.join(self.right)}"] if self.right and not self.ok else []
        reports = [f"{name}:\n{text}" for name, text in self.report.items()]
        return "\n".join([head, *_grouped(self.findings), *right, *(f"note: {n}" for n in self.notes), *reports])

    def _wrong(self) -> list[str]:
        return list(dict.fromkeys(str(f.argument) for f in self.findings if f.cause != "correct"))


def _grouped(findings: list[Finding]) -> Iterator[str]:
    """Findings as text; one that holds for several arguments is said once."""
    said: set[int] = set()
    for i, f in enumerate(findings):
        if i in said:
            continue
        same = [
            j
            for j, other in enumerate(findings)
            if dataclasses.replace(other, argument=f.argument, message="") == dataclasses.replace(f, message="")
        ]
        said.update(same)
        others = [f"`{findings[j].argument}`" for j in same if j > i and findings[j].argument != f.argument]
        yield str(f) + (f"\n  so for {', '.join(dict.fromkeys(others))}" if others else "")

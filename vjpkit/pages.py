"""The catalogue's page: every rule as its docstring tells it, family by family."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

from vjpkit.core import Rule

SHOWN = ("Wins", "Edges", "Source")
_HEADING = re.compile(r"^(Args|Returns|Rule|Wins|Edges|Raises|Source): *")


def sections(rule: Rule) -> dict[str, list[str]]:
    """The lines of the docstring under each heading, dedented; under "" the first sentence, then the formula."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in inspect.cleandoc(rule.__doc__ or "").splitlines():
        if match := _HEADING.match(line):
            heading = match[1]
            found[heading] = []
        found[heading].append(line[match.end() :] if match else line if heading == "" else line.strip())
    return {name: _trimmed(lines) for name, lines in found.items()}


def page(rules: Mapping[str, Rule]) -> str:
    """The page as Markdown."""
    families: dict[str, list[Rule]] = {}
    for path, rule in rules.items():
        families.setdefault(path.rpartition(".")[0], []).append(rule)
    lines = ["# Catalogue", "", "Made by `vjpkit list --page docs/catalogue.md` from the docstrings of the rules.", ""]
    for family, members in families.items():
        links = ", ".join(f"[{r.name}](#{r.name})" for r in members)
        lines.append(f"- `{family}`: {links}")
    for family, members in families.items():
        lines += ["", f"## {family}", *(line for rule in members for line in _entry(rule))]
    return "\n".join(lines) + "\n"


def _entry(rule: Rule) -> Iterator[str]:
    """One rule: its sentence, its call, formula and rule as they are written, and what is said under SHOWN."""
    parts = sections(rule)
    sentence, *formula = parts[""] or ["(no docstring)"]
    yield from ("", f"### {rule.name}", "", sentence, "")
    yield from ("```text", _call(rule), *formula, "", *parts.get("Rule", []), "```", "")
    for heading in SHOWN:
        if heading in parts:
            first, *rest = parts[heading]
            yield from (f"- **{heading}**: {first}", *(f"  {line}" for line in rest))


def _call(rule: Rule) -> str:
    """The rule with its parameters, their annotations left out."""
    signature = inspect.signature(rule)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    short = signature.replace(parameters=parameters, return_annotation=signature.empty)
    return f"{'.'.join(rule.path.split('.')[:2])}.{rule.name}{short}"


def _trimmed(lines: list[str]) -> list[str]:
    """Without the empty lines at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines

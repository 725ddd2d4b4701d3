"""The catalogue's page: every rule as its docstring tells it, family by family."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from vjpkit.core import Rule
from vjpkit.core.docstring import sections

SHOWN = ("Wins", "Edges", "Source")


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
    parts = sections(rule.__doc__)
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

"""The pages that the docstrings make: every rule, family by family; and our losses beside optax's."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

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


# ------------------------------------------------------------------------------------- losses beside optax's

ABSENT = {
    "ctc_loss": "not yet: it is a recurrence",
    "ctc_loss_with_forward_probs": "not yet: it is a recurrence",
    "make_fenchel_young_loss": "optax's own, given any rule for `max_fun`: its derivative is that rule's",
}


def losses_page() -> str:
    """Every function of optax.losses, ours beside it, and where they differ; then those that optax has not."""
    ours, theirs = (importlib.import_module(name) for name in ("vjpkit.losses", "optax.losses"))
    names = [name for name, f in vars(theirs).items() if inspect.isfunction(f) and not name.startswith("_")]
    more = [name for name, f in vars(ours).items() if callable(f) and name not in names]
    return "\n".join(
        [
            "# Losses",
            "",
            "Made by `vjpkit list --losses docs/losses.md` from the docstrings, with the names of the installed optax.",
            "A row without a difference is the same function, with a hand-written derivative.",
            "",
            "| optax.losses | vjpkit.losses | what it computes | where they differ |",
            "|---|---|---|---|",
            *(_loss_row(name, getattr(ours, name, None)) for name in sorted(names)),
            "",
            "## Not in optax",
            "",
            "| vjpkit.losses | what it computes |",
            "|---|---|",
            *(f"| {name} | {_sentence(getattr(ours, name))} |" for name in sorted(more)),
            "",
        ]
    )


def _loss_row(name: str, ours: Any) -> str:
    if ours is None:
        return f"| {name} | | {ABSENT[name]} | |"
    what = ours.__name__ if ours.__name__ != name else "✓"
    return f"| {name} | {what} | {_sentence(ours)} | {' '.join(_differences(ours))} |"


def _sentence(f: Any) -> str:
    return sections(f.__doc__)[""][0].replace("|", "\\|")


def _differences(f: Any) -> list[str]:
    """What the docstring says of optax under Edges and Source, but for its name there."""
    parts = sections(f.__doc__)
    edges = re.split(r"(?<=\.)\s+", " ".join(" ".join(parts.get("Edges", [])).split()))
    said = [sentence for sentence in edges if "(optax:" in sentence or "optax's gradient" in sentence]
    source = re.search(r"optax\.losses\.\w+, which (.*?)[;.]", " ".join(parts.get("Source", [])))
    if source:
        said.append(f"optax {source[1]}.")
    return [sentence.replace("|", "\\|") for sentence in said]

"""The form that every rule's docstring has, taken apart: what the page, the claims and the gate read."""

from __future__ import annotations

import inspect
import re

_HEADING = re.compile(r"^(Args|Returns|Units|Rule|Wins|Edges|Raises|Source):(?:\s+|$)")


def sections(text: str | None) -> dict[str, list[str]]:
    """The lines under each heading, dedented; under "" the first sentence, then the formula as it is indented."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in inspect.cleandoc(text or "").splitlines():
        if match := _HEADING.match(line):
            heading = match[1]
            found[heading] = []
        found[heading].append(line[match.end() :] if match else line.strip() if heading else line)
    return {name: _trimmed(lines) for name, lines in found.items()}


def _trimmed(lines: list[str]) -> list[str]:
    """Without the empty lines at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines

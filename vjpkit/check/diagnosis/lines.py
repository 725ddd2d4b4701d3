"""Where an operation stands in the user's own code, and what the value that it computes is called there."""

from __future__ import annotations

import ast
import linecache
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

_NOT_OURS = (str(Path(jax.__file__).parent), *(str(Path(__file__).parents[k]) for k in (1,)))
_MARK = "vjpkit_equation_"
_SCOPE = re.compile(_MARK + r"(\d+)")
LONGEST = 60
_CORE = str(Path(__file__).parents[2] / "core")


@dataclass(frozen=True)
class Line:
    """A line of source; its text where the file can be read."""

    file: str
    number: int

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.number).strip()

    @property
    def target(self) -> str:
        """What the line assigns to, where that is one name."""
        try:
            (statement,) = ast.parse(self.text).body
        except (SyntaxError, ValueError):
            return ""
        if not isinstance(statement, ast.Assign) or isinstance(statement.value, ast.Lambda):
            return ""
        return statement.targets[0].id if isinstance(statement.targets[0], ast.Name) else ""

    def __str__(self) -> str:
        text = self.text if len(self.text) <= LONGEST else f"{self.text[: LONGEST - 1]}…"
        return f"{Path(self.file).name}:{self.number}" + (f", `{text}`" if text else "")


def of_equation(eqn: Any) -> Line | None:
    """The innermost line of an equation's traceback that is not JAX's nor this package's."""
    traceback = getattr(eqn.source_info, "traceback", None)
    frames = getattr(traceback, "frames", ()) if traceback is not None else ()
    return next((Line(f.file_name, f.line_num) for f in frames if is_users(f.file_name)), None)


def call_site(eqn: Any) -> int:
    """The same number for equations that one call in the source has made, as at every step of a loop."""
    traceback = getattr(eqn.source_info, "traceback", None)
    frames = getattr(traceback, "raw_frames", None)
    return id(eqn) if of_equation(eqn) is None or frames is None else hash(tuple(zip(*frames(), strict=True)))


def scope_of(eqn: Any) -> str:
    """The number of the equation that this one was made from, where `scoped` has noted it."""
    found = _SCOPE.findall(str(eqn.source_info.name_stack))
    return found[-1] if found else ""


def scoped(k: int) -> Any:
    """A context in which every traced equation, and whatever autodiff makes of it, remembers a number."""
    return jax.named_scope(f"{_MARK}{k}")


def is_users(file: str) -> bool:
    """Whether a file is neither JAX's nor part of the machinery that calls the user's function."""
    return not file.startswith((*_NOT_OURS, _CORE)) and "site-packages/jax" not in file and "contextlib" not in file

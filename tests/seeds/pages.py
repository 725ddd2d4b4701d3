"""What is asked of every script: its wrong formulas are wrong and named, and its page runs and shows what it claims."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
from attempts import relative

PRINTED_ERROR = re.compile(r"error (\d\S*?e[+-]\d+|\d\S*)")


def check_mistake(mistake: Any) -> None:
    """Wrong at both kinds of sizes, and named by vjpkit.diagnose, of the argument that it is about."""
    rectangular, square = mistake.attempts()
    assert not rectangular.right
    assert not square.right
    named = mistake.named()
    assert set(mistake.causes) & {finding.cause for finding in named}, str(mistake.diagnosis())
    assert {str(finding.argument) for finding in named} <= {mistake.step.argument, ""}


def check_notations(found: Any, truth: dict[str, Any], g: Any = None) -> None:
    """All seven are there, and each has the numbers of the truth."""
    assert len(found.styles) == 7, found.left_out
    for formula in found:
        for name, gradient in truth.items():
            assert relative(np.asarray(formula.gradient(name, g)), gradient) < 1e-12, formula.style


def check_page(script: ModuleType, text: str) -> None:
    """Every wrong formula stands on it, with what is said of it; every formula that it calls right is."""
    for mistake in script.MISTAKES:
        assert mistake.written in text
        assert any(f"| {cause}:" in text for cause in mistake.causes)
    errors = [float(e.rstrip(").;,")) for e in PRINTED_ERROR.findall(text)]
    assert len(errors) >= 7  # of the notations alone
    assert max(errors) < 1e-12

"""The diagnosis of what a check was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from vjpkit.check.arguments import drawn, specified

if TYPE_CHECKING:
    from vjpkit.check.diagnosis.finding import Diagnosis
    from vjpkit.check.question import Question

SECONDS = 4.0


def diagnose_question(question: Question) -> Diagnosis:
    """Why a check failed. What it needs is loaded here: a check that passes pays nothing."""
    from vjpkit.check.diagnosis.formula import diagnosed
    from vjpkit.check.diagnosis.question import Asked
    from vjpkit.check.diagnosis.rules import diagnose_rule
    from vjpkit.check.layout import argument_names
    from vjpkit.core.calling import with_options

    args = drawn(specified(question.args), question.seed, jnp.float32)
    if question.formula is None:
        return diagnose_rule(question.fn, args, question.static, question.seed, SECONDS, question.reference)
    mode, candidate = question.formula
    f = with_options(question.reference or question.fn, question.static, question.static)
    kind = "vjp" if mode == "reverse" else "jvp"
    asked = Asked(f, candidate, kind, args, argument_names(question.fn, len(args)))
    return diagnosed(asked, question.name, question.seed, SECONDS)

"""The line of Python that runs a check again."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vjpkit.check.question import Question
from vjpkit.core.draw import Draw
from vjpkit.core.registry import registry
from vjpkit.core.rule import Rule

SHORT = 12  # entries up to which an array is written out


def line(question: Question) -> str:
    """`vjpkit.check(relu, normal(2, 3), seed=0)`."""
    fn = question.fn
    listed = isinstance(fn, Rule) and registry.get(fn.path) is fn
    call, parts = "check", [f'vjpkit.registry["{fn.path}"]' if listed else question.name]
    if question.formula is not None:
        mode, candidate = question.formula
        call = "check_vjp" if mode == "reverse" else "check_jvp"
        parts.append(getattr(candidate, "__name__", "candidate"))
    written = [_written(a) for a in question.args]
    parts += [w for w in written if w is not None] if None not in written else ["*args"]
    parts += [f"static={question.static!r}"] if question.static else []
    parts += [f"seed={question.seed}"]
    parts += ["thorough=True"] if question.thorough else []
    return f"vjpkit.{call}({', '.join(parts)})"


def _written(arg: Any) -> str | None:
    """An argument as Python; None where it is too long to be written."""
    if isinstance(arg, Draw):
        return repr(arg) if " at 0x" not in repr(arg) else None
    if isinstance(arg, str | int | float | complex | bool | None):
        return repr(arg)
    if isinstance(arg, jax.ShapeDtypeStruct):
        return f"jax.ShapeDtypeStruct({arg.shape}, {arg.dtype.name!r})"
    if (
        isinstance(arg, jax.Array | np.ndarray | np.generic)
        and not jax.dtypes.issubdtype(arg.dtype, jax.dtypes.extended)
        and arg.size <= SHORT
    ):
        return f"jnp.asarray({np.asarray(arg).tolist()!r}, {arg.dtype.name!r})"
    return None

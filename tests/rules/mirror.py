"""The function of jax.nn or optax that a rule replaces, and where it differs on purpose."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import optax

from vjpkit.core import Case, Rule

from .truth import Problem, call

HOUSES = {"vjpkit.nn.": jax.nn, "vjpkit.losses.": optax.losses}
DIFFERENT: dict[str, Callable[[Any], Any]] = {  # of the options of a case
    "triplet_margin_loss": lambda static: static.get("norm_degree", 2) % 2,  # optax: odd powers of negative numbers
    "dice_loss": lambda static: not static.get("apply_softmax", True),  # optax looks at values, which jit has not
    "multiclass_sparsemax_loss": lambda static: True,  # optax's has no derivative in float64
}
WIDER = ("multiclass_hinge_loss", "multiclass_perceptron_loss")  # optax's: one-hot labels in the default dtype


def mirrored(rule: Rule) -> Callable[..., Any] | None:
    """The function of the same name in the library that the rule's package mirrors, if there is one."""
    for package, house in HOUSES.items():
        if rule.path.startswith(package):
            return getattr(house, rule.name, None)
    return None


def alike(case: Case) -> bool:
    """Whether rule and namesake take the options of the case, and mean the same by them."""
    f, different = mirrored(case.rule), DIFFERENT.get(case.rule.name)
    if f is None or not {*case.static} <= {*inspect.signature(f).parameters}:
        return False
    return not (different and different(case.static))


def theirs(p: Problem, x: Any) -> Any:
    """The namesake's answer; it gets by keyword what it takes so alone."""
    f: Any = mirrored(p.rule)
    arguments = [name for name in inspect.signature(p.rule).parameters if name not in p.rule.static]
    named = {q.name for q in inspect.signature(f).parameters.values() if q.kind is q.KEYWORD_ONLY}
    given = dict(zip(arguments, p.args(*x), strict=False))
    by_name = {name: a for name, a in given.items() if name in named}
    if not by_name:
        return call(f, p, x)
    return f(*(a for name, a in given.items() if name not in named), **by_name, **p.static)

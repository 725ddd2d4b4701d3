"""The gate: registered is tested is documented is exported. A rule that lacks one of them does not get in."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import vjpkit
from vjpkit.catalogue import CASES
from vjpkit.core import Case, Rule, elementwise, registry
from vjpkit.core.docstring import sections
from vjpkit.core.draw import normal

ALIASES = {
    "vjpkit.nn": {"swish": "silu"},
    "vjpkit.losses": {
        "convex_kl_divergence": "generalized_kl_divergence",
        "safe_softmax_cross_entropy": "softmax_cross_entropy",
    },
}
NO_RULES = {
    "vjpkit.nn": {"clip_gradient": "clipping is not linear in g: it is the vjp of no function"},
    "vjpkit.losses": {
        "binary_dice_loss": "a call of dice_loss",
        "multiclass_generalized_dice_loss": "a call of dice_loss",
        "ranking_softmax_loss": "a call of softmax_cross_entropy",
    },
}
HEADINGS = ("Args", "Returns", "Rule", "Edges", "Source")


def gaps(rules: Mapping[str, Rule], cases: Iterable[Case], packages: Mapping[str, Any]) -> list[str]:
    """What is missing, one line for each lack; empty where nothing is."""
    tested = {case.rule for case in cases}
    found = [f"{rule.path}: has a case, is not registered" for rule in tested if rule not in rules.values()]
    for path, rule in rules.items():
        package = ".".join(path.split(".")[:2])
        found += [] if rule in tested else [f"{path}: no case in vjpkit.catalogue"]
        found += [f"{path}: docstring without {lack}" for lack in undocumented(rule, package)]
        if getattr(packages.get(package), rule.name, None) is not rule:
            found.append(f"{path}: not exported from {package}")
    for package, module in packages.items():
        for name, value in public(module).items():
            if name in NO_RULES.get(package, {}):
                found += [f"{package}.{name}: docstring without {lack}" for lack in undocumented(value, package)]
                continue
            expected = ALIASES.get(package, {}).get(name, name)
            if not isinstance(value, Rule) or value.name != expected or value not in rules.values():
                found.append(f"{package}.{name}: public, and no registered rule of that name")
    return found


def undocumented(rule: Any, package: str) -> list[str]:
    """What the docstring lacks of the form that every rule's has."""
    lines = rule.__doc__.strip().splitlines() if rule.__doc__ else []
    parts = sections(rule.__doc__)
    opening = parts[""]
    lacks = [] if lines and lines[0].endswith(".") else ["a first line that is a sentence"]
    lacks += [] if any(re.match(r"\s{4,}\S", line) for line in opening[1:]) else ["a formula, indented, before Args"]
    lacks += [f"{heading}:" for heading in HEADINGS if not "".join(parts.get(heading, [])).strip()]
    lacks += [] if re.search(r"\bkeeps\b", " ".join(parts.get("Rule", []))) else ["what the rule keeps, under Rule:"]
    if package == "vjpkit.losses" and not re.search(r"\b(nats?|units?)\b", " ".join(lines)):
        lacks.append("units")
    return lacks


def public(module: Any) -> dict[str, Any]:
    """The names that a package offers."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


def ours() -> tuple[dict[str, Rule], list[Case], dict[str, ModuleType]]:
    """Every registered rule of vjpkit, every case, and the packages that the rules are in."""
    for module in pkgutil.walk_packages(vjpkit.__path__, "vjpkit."):
        importlib.import_module(module.name)
    rules = {path: rule for path, rule in registry.items() if path.startswith("vjpkit.")}
    packages = {name: importlib.import_module(name) for name in sorted({".".join(p.split(".")[:2]) for p in rules})}
    return rules, list(CASES), packages


def test_nothing_is_missing() -> None:
    rules, cases, packages = ours()
    assert {"vjpkit.nn", "vjpkit.losses"} <= set(packages)
    missing = gaps(rules, cases, packages)
    assert not missing, "\n".join(missing)


def test_aliases_are_their_rules() -> None:
    for package, names in ALIASES.items():
        module = importlib.import_module(package)
        assert all(getattr(module, alias) is getattr(module, name) for alias, name in names.items())


def test_what_is_no_rule_is_there_and_has_a_reason() -> None:
    for package, names in NO_RULES.items():
        module = importlib.import_module(package)
        assert all(callable(getattr(module, name)) and reason for name, reason in names.items())
        assert not any(isinstance(getattr(module, name), Rule) for name in names)


def test_shapes_of_cases() -> None:
    """Arguments of different lengths, none square, every batch at least 2: what else hides transposes and sums."""
    for case in ours()[1]:
        for leaf in jax.tree.leaves(case.args, is_leaf=lambda a: hasattr(a, "sample")):
            shape = getattr(leaf, "shape", ())
            assert len(set(shape)) == len(shape), f"{case}: {shape} is square somewhere"


# ------------------------------------------------------------------------------------- the gate, tested


def planted(doc: str | None) -> Rule:
    """A rule that would pass, if its docstring does."""

    @elementwise(slope=lambda x: 2 * x)
    def square(x: jax.Array) -> jax.Array:
        return x * x

    square.path = "vjpkit.losses.planted.square"
    square.__doc__ = doc
    return square


DOCSTRING = """The square.

    y = x²

Args:    x: any shape.
Returns: the same shape, in units of x squared.
Rule:    ẏ = 2 x ẋ, x̄ = 2 x g; keeps x.
Edges:   none.
Source:  school.
"""


def state(rule: Rule, **without: bool) -> tuple[Any, Any, Any]:
    """Everything that the gate looks at, for one rule, less what is to be missing."""
    rules = {} if without.get("registration") else {rule.path: rule}
    cases = [] if without.get("case") else [Case(rule, (normal(2, 3),))]
    exported = {} if without.get("export") else {"square": rule}
    return rules, cases, {"vjpkit.losses": SimpleNamespace(**exported)}


def test_the_gate_lets_a_complete_rule_in() -> None:
    assert gaps(*state(planted(DOCSTRING))) == []


@pytest.mark.parametrize(
    ("lack", "message"),
    [("case", "no case"), ("export", "not exported"), ("registration", "is not registered")],
)
def test_the_gate_sees_what_is_missing(lack: str, message: str) -> None:
    assert any(message in gap for gap in gaps(*state(planted(DOCSTRING), **{lack: True})))


@pytest.mark.parametrize("heading", [f"{h}:" for h in HEADINGS])
def test_the_gate_sees_a_missing_heading(heading: str) -> None:
    doc = "\n".join(line for line in DOCSTRING.splitlines() if not line.startswith(heading))
    assert f"vjpkit.losses.planted.square: docstring without {heading}" in gaps(*state(planted(doc)))


@pytest.mark.parametrize(
    ("gone", "lack"),
    [
        ("; keeps x", "what the rule keeps, under Rule:"),
        ("    y = x²", "a formula, indented, before Args"),
        (", in units of x squared", "units"),
        ("The square.", "a first line that is a sentence"),
    ],
)
def test_the_gate_reads_the_docstring(gone: str, lack: str) -> None:
    assert f"vjpkit.losses.planted.square: docstring without {lack}" in gaps(
        *state(planted(DOCSTRING.replace(gone, "")))
    )


def test_the_gate_sees_a_rule_without_a_docstring() -> None:
    assert len(gaps(*state(planted(None)))) == 2 + len(HEADINGS) + 2


def test_the_gate_reads_the_docstring_of_what_is_no_rule() -> None:
    rules, cases, packages = state(planted(DOCSTRING))
    packages["vjpkit.nn"] = SimpleNamespace(clip_gradient=jnp.tanh)
    assert "vjpkit.nn.clip_gradient: docstring without Rule:" in gaps(rules, cases, packages)


def test_the_gate_sees_a_public_name_that_is_no_rule() -> None:
    rules, cases, packages = state(planted(DOCSTRING))
    packages["vjpkit.losses"].helper = jnp.tanh
    assert gaps(rules, cases, packages) == ["vjpkit.losses.helper: public, and no registered rule of that name"]

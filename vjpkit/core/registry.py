"""Every rule by name: what the checks, the bench and the docs are generated from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from vjpkit.core.errors import RegistrationError

if TYPE_CHECKING:
    from vjpkit.core.rule import Rule


class Registry(Mapping[str, "Rule"]):
    """The rules that were defined at the top level of a module, by `module.name`, in order of definition.

    `registry["relu"]` finds a rule by its bare name where only one module has it. Rules that are made
    inside a function are theirs alone and are not listed. A notebook cell may define its rule again.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def add(self, rule: Rule) -> None:
        """List `rule`; RegistrationError where its path is taken by another definition."""
        if "<locals>" in rule.path:
            return
        other = self._rules.get(rule.path)
        if other is not None and rule.__module__ != "__main__" and other.source != rule.source:
            raise RegistrationError(
                f"{rule.name}: a rule named {rule.path!r} is registered already, defined at {other.source}; "
                f"this one, at {rule.source}, needs another name"
            )
        self._rules[rule.path] = rule

    def __getitem__(self, name: str) -> Rule:
        if name in self._rules:
            return self._rules[name]
        found = [path for path in self._rules if path.rpartition(".")[2] == name]
        if len(found) == 1:
            return self._rules[found[0]]
        raise KeyError(f"several rules are named {name!r}: {', '.join(found)}" if found else f"no rule named {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"<registry of {len(self)} rules>"


registry = Registry()


def named(names: Collection[str], rules: Iterable[Rule]) -> Callable[[Rule], bool]:
    """Whether a rule is meant by one of the names, bare ones or paths; every rule is where there are no names.

    Raises:  LookupError for a name that none of `rules` has.
    """
    known = {name for rule in rules for name in (rule.name, rule.path)}
    if unknown := [name for name in names if name not in known]:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise LookupError(f"no rule named {unknown[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return lambda rule: not names or rule.name in names or rule.path in names

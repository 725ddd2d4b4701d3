"""docs/catalogue.md and docs/losses.md are what the docstrings say now; `vjpkit list --page`, `--losses` write them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import optax

import vjpkit
from vjpkit.cli import main
from vjpkit.core.docstring import sections
from vjpkit.pages import losses_page, page

DOCS = Path(__file__).parents[1] / "docs"
PAGE, LOSSES = DOCS / "catalogue.md", DOCS / "losses.md"
OURS = {path: rule for path, rule in vjpkit.registry.items() if path.startswith("vjpkit.")}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf8") == page(OURS), "run: vjpkit list --page docs/catalogue.md"


def test_every_rule_is_on_it() -> None:
    text = PAGE.read_text(encoding="utf8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == {rule.name for rule in OURS.values()}
    assert text.count("```text") == len(OURS)


def test_the_page_of_losses_is_up_to_date() -> None:
    assert LOSSES.read_text(encoding="utf8") == losses_page(), "run: vjpkit list --losses docs/losses.md"


def test_every_loss_of_optax_is_on_it() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| (\S*) ?\|", LOSSES.read_text(encoding="utf8"), re.MULTILINE))
    theirs = {name for name, f in vars(optax.losses).items() if inspect.isfunction(f)}
    assert theirs <= set(rows)
    assert {name for name in theirs if not rows[name]} == {name for name in theirs if not hasattr(vjpkit.losses, name)}


def test_a_docstring_is_taken_apart() -> None:
    parts = sections(vjpkit.nn.tanh.__doc__)
    assert parts[""][0].endswith(".")
    assert any("y = tanh" in line for line in parts[""])
    assert "keeps" in " ".join(parts["Rule"])


def test_a_rule_without_a_docstring_has_an_entry() -> None:
    @vjpkit.linear
    def twice(x):
        return 2 * x

    text = page({"mine.rules.twice": twice})
    assert "### twice\n\n(no docstring)\n\n```text\n" in text


def test_the_command_writes_it(tmp_path: Path) -> None:
    assert main(["list", "--page", str(tmp_path / "page.md"), "--losses", str(tmp_path / "losses.md")]) == 0
    assert "### layer_norm" in (tmp_path / "page.md").read_text(encoding="utf8")
    assert "| huber_loss |" in (tmp_path / "losses.md").read_text(encoding="utf8")

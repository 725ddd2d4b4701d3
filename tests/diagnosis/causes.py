"""The pages of docs/diagnosis/causes: each has an example that runs, and below it what `vjpkit.diagnose` says of it.

    python -m tests.diagnosis.causes [--write]

`--write` runs every example and puts what it says into its page. The pages are named after the causes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vjpkit.check.diagnosis import CAUSES, Diagnosis

PAGES = Path(__file__).parents[2] / "docs" / "diagnosis" / "causes"
HEADINGS = (
    "What it is",
    "Where it is met",
    "Example",
    "How it is recognised",
    "What it is confused with",
    "What to do",
)
_EXAMPLE = re.compile(r"```python\n(.*?)```", re.S)
_SAID = re.compile(r"```text\n(.*?)```", re.S)


def page(cause: str) -> str:
    return (PAGES / f"{cause}.md").read_text(encoding="utf8")


def said(text: str) -> str:
    """What a page says that its example prints."""
    found = _SAID.search(text)
    assert found is not None
    return found[1]


def run(text: str) -> Diagnosis:
    """The diagnosis of a page's example, run as the file example.py: messages quote its lines."""
    found = _EXAMPLE.search(text)
    assert found is not None
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        file = Path(folder) / "example.py"
        file.write_text(found[1], encoding="utf8")
        diagnosis = runpy.run_path(str(file))["said"]
    assert isinstance(diagnosis, Diagnosis)
    return diagnosis


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis.causes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what is said into the pages")
    write, missed = parser.parse_args(argv).write, 0
    for cause in CAUSES:
        text = page(cause)
        diagnosis = run(text)
        named = cause in {f.cause for f in diagnosis.findings[:1]}
        missed += not named
        print(f"{'' if named else 'not named: '}{cause} {diagnosis.seconds:.1f} s")
        if write:
            new = _SAID.sub(lambda _, d=diagnosis: f"```text\n{d}\n```", text, count=1)
            (PAGES / f"{cause}.md").write_text(new, encoding="utf8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The layout: floors, the one file that touches JAX's extension points, file sizes, letters, and what lies about."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vjpkit"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    "core": 0,
    **dict.fromkeys(
        ("nn", "losses", "linalg", "special", "recurrences", "implicit", "check", "jacobian", "testing"), 1
    ),
    **dict.fromkeys(("catalogue", "pages", "derive", "bench"), 2),
    "sweep": 3,
    "cli": 4,
}
ALSO = {"nn": {"special"}, "losses": {"special"}}  # beside the floors below
EXTENSION_POINTS = ("jax.interpreters", "jax.extend", "jax.experimental.jet", "jax.experimental.hijax", "jax._src")
MOUNT = PACKAGE / "core" / "primitives.py"
LINES = {"vjpkit": 300, "examples": 300, "tests": 500}  # a test's table may be long
VISIBLE = {"pyproject.toml", "README.md", "LICENSE", "vjpkit", "tests", "examples", "docs"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_file = pytest.mark.parametrize("path", FILES, ids=named)


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """The full names of all that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join((*home, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def read(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf8"))


def house(path: Path) -> str:
    """The package, or the module, that stands directly in vjpkit; empty for vjpkit/__init__.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")


def trespasses(tree: ast.AST, path: Path) -> list[str]:
    """Imports of this file that its floor does not allow."""
    here = house(path)
    out = []
    for name in imports(tree, path):
        top, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if top != "vjpkit" or there == here or there in ALSO.get(here, ()):
            continue
        if FLOORS.get(there, FLOORS["cli"]) >= FLOORS[here] and here != "cli":
            out.append(name)
    return out


@each_file
def test_floors(path: Path) -> None:
    if house(path):
        assert trespasses(read(path), path) == []


def test_every_house_has_a_floor() -> None:
    assert {house(p) for p in FILES} - {""} <= set(FLOORS)


def extension_points(tree: ast.AST, path: Path) -> list[str]:
    """What of JAX's extension points a file imports, or reaches by attributes."""
    reached = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return [
        name
        for name in (*imports(tree, path), *reached)
        if f"{name}.".startswith(tuple(f"{e}." for e in EXTENSION_POINTS))
    ]


@each_file
def test_one_file_touches_the_extension_points(path: Path) -> None:
    used = extension_points(read(path), path)
    assert used == [] or path == MOUNT
    assert not any(name.startswith("jax._src") for name in used)


@pytest.mark.parametrize("path", [p for top in LINES for p in sorted((ROOT / top).rglob("*.py"))], ids=named)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf8").splitlines()) <= LINES[path.relative_to(ROOT).parts[0]]


# ------------------------------------------------------------------------------------------------ letters

FOREIGN = re.compile(
    r"d[a-z]|d(out|in|loss|logits)|grad\w*|cts?|cot\w*|co?tangents?|[a-z]+_?(grad|ct|tangent|cotangent)|\w*(bwd|backward)\w*"
)
RULES = [p for p in FILES if (PACKAGE / house(p) / "cases.py").exists() and house(p) and p.name != "cases.py"]


def wrong_letters(tree: ast.AST) -> list[str]:
    """Where a file's rule functions leave the table of letters: res, g, *_dot in; *_dot and *_bar out."""
    out = []
    for f in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        kind = f.name.rpartition("_")[2]
        if kind not in ("fwd", "jvp", "vjp", "slope"):
            continue
        names = {n.id for n in ast.walk(f) if isinstance(n, ast.Name)} | {
            a.arg for a in ast.walk(f) if isinstance(a, ast.arg)
        }
        out += [f"{f.name}: {n} is not one of our letters" for n in sorted(names) if FOREIGN.fullmatch(n)]
        args = [a.arg for a in (*f.args.posonlyargs, *f.args.args)]
        if kind in ("jvp", "vjp") and args[:1] != ["res"]:
            out.append(f"{f.name}: the first argument is res")
        if kind == "vjp" and (args != ["res", "g"] or f.args.vararg):
            out.append(f"{f.name}: takes (res, g), options by keyword")
        if kind == "jvp":
            dots = [*args[1:], *([f.args.vararg.arg] if f.args.vararg else [])]
            out += [f"{f.name}: tangent {a} does not end in _dot" for a in dots if not re.search(r"(_|^)dots?$", a)]
        if kind == "vjp":
            out += [
                f"{f.name}: cotangent {n} does not end in _bar"
                for n in returned(f)
                if not re.search(r"(_bars?|^g)$", n)
            ]
    return out


def returned(f: ast.FunctionDef) -> list[str]:
    """The bare names among what a function returns."""
    answers = [n.value for n in ast.walk(f) if isinstance(n, ast.Return)]
    parts = [p for a in answers for p in (a.elts if isinstance(a, ast.Tuple) else [a])]
    return [p.id for p in parts if isinstance(p, ast.Name)]


@pytest.mark.parametrize("path", RULES, ids=named)
def test_letters(path: Path) -> None:
    assert wrong_letters(read(path)) == []


# ------------------------------------------------------------------------------------- what lies about


def listed() -> list[Path]:
    """The files that belong to the project: what git knows or would add; without git, what is not hidden."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        junk = {"build", "dist", "out"}
        found = (
            p for p in ROOT.rglob("*") if p.is_file() and not {*p.relative_to(ROOT).parts} & {*junk, "__pycache__"}
        )
        names = [str(p.relative_to(ROOT)) for p in found if p.relative_to(ROOT).parts[0][0] != "."]
    return [Path(n) for n in names if (ROOT / n).exists()]


def test_nothing_else_is_visible_at_the_top() -> None:
    visible = {p.parts[0] for p in listed() if not p.parts[0].startswith(".")}
    assert visible <= VISIBLE, f"move or delete {sorted(visible - VISIBLE)}"


ABSOLUTE = re.compile(r"(?<![\w./:<>~$})*\\-])/[A-Za-z_][\w-]*/[\w.]")
KNOWN = ("/usr/bin/env", "/dev/null")


def test_no_machine_is_named() -> None:
    """No absolute path, which is some machine's, in any text of the project."""
    for path in listed():
        try:
            text = (ROOT / path).read_text(encoding="utf8")
        except UnicodeDecodeError:
            continue
        for known in KNOWN:
            text = text.replace(known, "")
        found = [line for line in text.splitlines() if ABSOLUTE.search(line)]
        assert not found, f"{path}: {found}"


# ---------------------------------------------------------------------------------- these checks, tested

BAD = """
import jax.extend.core
from vjpkit.check import report
from vjpkit.nn import relu
def f_jvp(res, dx): return dx
def f_vjp(x, grad_output):
    dx = grad_output
    return dx
"""


def test_the_checks_see_what_is_wrong() -> None:
    tree = ast.parse(BAD)
    assert trespasses(tree, PACKAGE / "losses" / "x.py") == ["vjpkit.check.report", "vjpkit.nn.relu"]
    assert trespasses(tree, PACKAGE / "bench" / "x.py") == []
    assert extension_points(tree, PACKAGE / "nn" / "x.py") == ["jax.extend.core"]
    assert len(wrong_letters(tree)) == 7
    assert ABSOLUTE.search("see " + "/".join(("", "some", "where")))
    assert not ABSOLUTE.search("and/or x / y https://a.b/c/d")

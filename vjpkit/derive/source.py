"""What the source calls things: names that a function's own code gives to its results, and the lines they stand on."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vjpkit.core


def frames(traceback: Any) -> list[tuple[str, int]]:
    """Files and lines, innermost first; none where there is no traceback."""
    return [(f.file_name, f.line_num) for f in traceback.frames] if traceback is not None else []


OWN = (str(Path(jax.__path__[0])), str(Path(vjpkit.core.__path__[0]).parent))


def place(tracebacks: Iterable[Any]) -> str:
    """ " (at file:line)" for the innermost line outside JAX and this library, or nothing."""
    for traceback in tracebacks:
        for file, line in frames(traceback):
            if not file.startswith(OWN) and "importlib" not in file:
                return f" (at {Path(file).name}:{line})"
    return ""


def library_function(tracebacks: Iterable[Any]) -> str:
    """The function of a library, of jax.nn or optax say, that the source calls where this came from; or nothing."""
    for traceback in tracebacks:
        named = [(f.file_name, f.function_name) for f in traceback.frames] if traceback is not None else []
        inside = [n for file, n in named if any(f"{os.sep}{part}{os.sep}" in file for part in ("nn", "optax", "scipy"))]
        if inside:
            return inside[-1].rpartition(".")[2]
    return ""


def closed_over(f: Callable[..., Any]) -> dict[str, Any]:
    """The arrays that a function has from outside, by the names that its code gives them."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(getattr(f, "primal", f)))
    except (TypeError, ValueError):
        return {}
    outside = {**found.globals, **found.nonlocals}
    return {name: x for name, x in outside.items() if isinstance(x, jax.Array | np.ndarray)}


def source_names(f: Callable[..., Any]) -> Callable[[Any], str]:
    """For an equation of f's jaxpr, the variable that f's own code assigns on that line; empty where none is."""
    f = inspect.unwrap(getattr(f, "primal", f))
    tree = _parsed(f)
    if tree is None:
        return lambda eqn: ""
    (lines, start), file = inspect.getsourcelines(f), inspect.getsourcefile(f)
    targets: dict[int, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or isinstance(node.value, ast.Lambda) or len(node.targets) > 1:
            continue
        if node in tree.body:  # what stands around a lambda
            continue
        if isinstance(target := node.targets[0], ast.Name):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                targets[start + line - 1] = target.id

    def name(eqn: Any) -> str:
        for where, line in frames(eqn.source_info.traceback):
            if where == file and start <= line < start + len(lines):
                return targets.get(line, "")
        return ""

    return name


def returned_residuals(fwd: Callable[..., Any]) -> list[str]:
    """What a fwd that ends in `return y, (x, w)` calls the residuals it returns; "" for one that has no name."""
    tree = _parsed(inspect.unwrap(fwd))
    match tree.body if tree is not None else []:
        case [ast.FunctionDef(body=[*_, ast.Return(value=ast.Tuple(elts=[_, ast.Tuple(elts=res)]))])]:
            return [e.id if isinstance(e, ast.Name) else "" for e in res]
    return []


def _parsed(f: Callable[..., Any]) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(f)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None


def parameters(f: Callable[..., Any], count: int) -> list[str]:
    """What f calls its first arguments; x0, x1 and so on where it has no names for them."""
    try:
        known = inspect.signature(f).parameters.values()
        names = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        names = []
    return (names + [f"x{k}" for k in range(len(names), count)])[:count]


def leaf_names(param: str, value: Any) -> list[str]:
    """The leaves of an argument by their paths: the parameter's name alone where it is an array."""
    return [
        param + jax.tree_util.keystr(path).replace("'", "") for path, _ in jax.tree_util.tree_leaves_with_path(value)
    ]

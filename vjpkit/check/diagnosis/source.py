"""A candidate's source text, edited until it is right: for formulas that fail to run, or answer in another shape.

Products are tried with either operand transposed, in the other order, entry by entry or as an outer product; names
are tried one for another; sums along other axes. The edit that makes the numbers right is the fix.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy

from vjpkit.check.diagnosis.lines import is_users

_ARRAYS = "__vjpkit_numpy__"


@dataclass(frozen=True)
class Respelled:
    """The candidate with one place of its source written differently; of a function that it calls, if `helper`."""

    place: int  # the number of the node
    cause: str
    before: str
    after: str
    made: Callable[[], ast.AST]
    cost: float
    helper: str = ""


class Source:
    """The definition of a function, and of those that it calls by name, as trees that can be edited and run."""

    def __init__(self, f: Callable[..., Any], deep: bool = True) -> None:
        f = inspect.unwrap(f)
        if not is_users(f.__code__.co_filename):
            raise OSError("no source of the user's")
        self.tree = _definition(f)
        self.scope = {**f.__globals__, **inspect.getclosurevars(f).nonlocals, _ARRAYS: numpy}
        called = {n.func.id for n in ast.walk(self.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        self.helpers = dict(_helpers({n: self.scope[n] for n in called if n in self.scope})) if deep else {}

    def compiled(self, tree: ast.AST, helper: str = "") -> Callable[..., Any]:
        """The candidate with an edited tree, its own or that of a function that it calls."""
        if helper:
            return _run(self.tree, {**self.scope, helper: _run(tree, self.helpers[helper].scope)})
        return _run(tree, self.scope)

    def with_node(self, place: int, new: ast.AST, tree: ast.AST | None = None) -> ast.AST:
        """The tree with another node at that place."""
        tree = copy.deepcopy(self.tree if tree is None else tree)
        nodes = list(ast.walk(tree))
        old = nodes[place]
        for parent in nodes:
            for name, value in ast.iter_fields(parent):
                if value is old:
                    setattr(parent, name, new)
                elif isinstance(value, list):
                    setattr(parent, name, [new if item is old else item for item in value])
        return tree

    def edits(self, tree: ast.AST | None = None, names: bool = True) -> Iterator[Respelled]:
        """Every way to write one place differently."""
        for name, source in self.helpers.items() if tree is None else ():
            yield from (replace(e, helper=name) for e in source.edits(names=names))
        tree = self.tree if tree is None else tree
        nodes = list(ast.walk(tree))
        known = sorted(
            {n.arg for n in nodes if isinstance(n, ast.arg)}
            | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        )
        for place, node in enumerate(nodes):
            before = ast.unparse(node) if isinstance(node, ast.expr) else ""
            for cause, new, cost in (
                *_products(node),
                *_turns(node),
                *(_names(node, known) if names else ()),
                *_axes(node),
                *_subscripts(node),
            ):
                made = functools.partial(self.with_node, place, new, tree)
                yield Respelled(place, cause, before, ast.unparse(new), made, cost)


def mended(source: Source, right: Callable[[Callable[..., Any]], bool], seconds: float = 2.0) -> list[list[Respelled]]:
    """The edits, one or two at once, that make the function right."""
    end = time.perf_counter() + seconds

    def is_right(e: Respelled) -> bool:
        try:
            return right(source.compiled(e.made(), e.helper))
        except Exception:
            return False

    singles = sorted(source.edits(), key=lambda e: e.cost)
    found = [[e] for e in singles if time.perf_counter() < end and is_right(e)]
    if found:
        return found
    for first in singles:
        if first.cost > 2:
            break
        of = source.helpers[first.helper] if first.helper else source
        for second in of.edits(first.made(), names=False):
            if time.perf_counter() > end:
                return found
            if second.place != first.place and is_right(replace(second, helper=first.helper)):
                return [[first, second]]
    return found


def _run(tree: ast.AST, scope: dict[str, Any]) -> Callable[..., Any]:
    if isinstance(tree, ast.Lambda):
        return eval(compile(ast.fix_missing_locations(ast.Expression(tree)), "<edited>", "eval"), scope)
    scope = dict(scope)
    exec(compile(ast.fix_missing_locations(ast.Module([tree], [])), "<edited>", "exec"), scope)  # type: ignore[list-item]
    return scope[getattr(tree, "name", "")]


def _helpers(functions: dict[str, Any]) -> Iterator[tuple[str, Source]]:
    """The sources of functions of the user's own."""
    for name, f in functions.items():
        if inspect.isfunction(f):
            try:
                yield name, Source(f, deep=False)
            except (OSError, TypeError):
                continue


def _definition(f: Callable[..., Any]) -> ast.AST:
    """The tree of a def or a lambda; OSError or SyntaxError where there is no source."""
    text = textwrap.dedent(inspect.getsource(f))
    for attempt in (text, f"({text.strip().rstrip(',')})", *_cut(text)):
        try:
            tree = ast.parse(attempt)
        except SyntaxError:
            continue
        names = list(inspect.signature(f).parameters)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.Lambda)
                and [a.arg for a in node.args.args] == names[: len(node.args.args)]
                and len(node.args.args) + bool(node.args.vararg) == len(names)
            ):
                if isinstance(node, ast.FunctionDef):
                    node.decorator_list = []
                return node
    raise OSError("no source")


def _cut(text: str) -> Iterator[str]:
    """What begins at each `lambda`, ended where it parses."""
    for start in (i for i in range(len(text)) if text.startswith("lambda", i)):
        for end in range(len(text), start, -1):
            yield f"({text[start:end].strip()})"


def _t(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return node.value
    return ast.Attribute(node, "T", ast.Load())


def _is_product(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    name = _called(node)
    return name in ("dot", "matmul") and isinstance(node, ast.Call) and len(node.args) == 2


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _numpy(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(ast.Name(_ARRAYS, ast.Load()), name, ast.Load()), list(args), [])


def _products(node: ast.AST) -> Iterator[tuple[str, ast.expr, float]]:
    if _is_product(node):
        a, b = (node.left, node.right) if isinstance(node, ast.BinOp) else cast(ast.Call, node).args
        product = ast.MatMult()
        yield "transposed_operand", ast.BinOp(_t(a), product, b), 1
        yield "transposed_operand", ast.BinOp(a, product, _t(b)), 1
        yield "transposed_operand", ast.BinOp(_t(a), product, _t(b)), 1.5
        yield "wrong_order", ast.BinOp(b, product, a), 1.5
        yield "wrong_order", ast.BinOp(_t(b), product, a), 1.7
        yield "wrong_order", ast.BinOp(b, product, _t(a)), 1.7
        yield "dense_for_diagonal", ast.BinOp(a, ast.Mult(), b), 1.6
        yield "transposed_operand", ast.BinOp(_t(a), ast.Mult(), b), 2.2
        yield "wrong_order", _numpy("outer", a, b), 1.6
        yield "wrong_order", _numpy("outer", b, a), 1.7
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        a, b = node.left, node.right
        yield "diagonal_only", ast.BinOp(a, ast.MatMult(), b), 1.6
        yield "diagonal_only", ast.BinOp(_t(a), ast.MatMult(), b), 1.8
        yield "diagonal_only", ast.BinOp(a, ast.MatMult(), _t(b)), 1.8
        yield "diagonal_only", ast.BinOp(b, ast.MatMult(), a), 1.9
        yield "diagonal_only", _numpy("outer", a, b), 1.9
        yield "diagonal_only", _numpy("outer", b, a), 2
        if isinstance(a, ast.BinOp) and isinstance(
            a.op, ast.MatMult | ast.Mult
        ):  # precedence: (p * q) @ r for p * (q @ r)
            yield "wrong_order", ast.BinOp(a.left, a.op, ast.BinOp(a.right, ast.Mult(), b)), 1.8
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.MatMult)
        and isinstance(node.left, ast.BinOp)
        and isinstance(node.left.op, ast.Mult)
    ):
        yield (
            "wrong_order",
            ast.BinOp(node.left.left, ast.Mult(), ast.BinOp(node.left.right, ast.MatMult(), node.right)),
            1.2,
        )
    if _called(node) == "outer" and isinstance(node, ast.Call) and len(node.args) == 2:
        yield "wrong_order", _numpy("outer", node.args[1], node.args[0]), 1


def _turns(node: ast.AST) -> Iterator[tuple[str, ast.expr, float]]:
    if isinstance(node, ast.Attribute) and node.attr == "T" and isinstance(node.ctx, ast.Load):
        yield "transposed_operand", node.value, 1.2


def _names(node: ast.AST, known: list[str]) -> Iterator[tuple[str, ast.expr, float]]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in known:
        for other in known:
            if other != node.id:
                yield "wrong_operand", ast.Name(other, ast.Load()), 2


def _axes(node: ast.AST) -> Iterator[tuple[str, ast.expr, float]]:
    if _called(node) not in ("sum", "mean") or not isinstance(node, ast.Call):
        return
    for i, a in enumerate(node.args):
        if isinstance(a, ast.Constant | ast.UnaryOp):
            for axis in range(3):
                args = [ast.Constant(axis) if j == i else b for j, b in enumerate(node.args)]
                yield "wrong_axis", ast.Call(node.func, args, node.keywords), 1.5
    for i, key in enumerate(node.keywords):
        if key.arg == "axis":
            for axis in range(3):
                keys = [ast.keyword("axis", ast.Constant(axis)) if j == i else b for j, b in enumerate(node.keywords)]
                yield "wrong_axis", ast.Call(node.func, node.args, keys), 1.5


def _subscripts(node: ast.AST) -> Iterator[tuple[str, ast.expr, float]]:
    """One index of an einsum for another."""
    if _called(node) != "einsum" or not isinstance(node, ast.Call) or not isinstance(node.args[0], ast.Constant):
        return
    text = str(node.args[0].value)
    letters = sorted(set(filter(str.isalpha, text)))
    for i, old in enumerate(text):
        for new in letters if old.isalpha() else ():
            if new != old:
                other = ast.Constant(text[:i] + new + text[i + 1 :])
                yield "wrong_axis", ast.Call(node.func, [other, *node.args[1:]], node.keywords), 1.5


def respelled_name(text: str) -> str:
    """An expression of an edit as a person writes it."""
    return text.replace(f"{_ARRAYS}.", "jnp.")

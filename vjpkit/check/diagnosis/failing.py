"""A candidate that fails to run: which two shapes do not fit, and which transpose would make them fit."""

from __future__ import annotations

import ast
import itertools
import linecache
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vjpkit.check.diagnosis.answers_read import read_answer
from vjpkit.check.diagnosis.finding import Argument, Finding
from vjpkit.check.diagnosis.lifted import in_jax
from vjpkit.check.diagnosis.lines import is_users
from vjpkit.check.diagnosis.source import Respelled, Source, mended, respelled_name
from vjpkit.check.diagnosis.spelling import turned
from vjpkit.check.diagnosis.workings import RIGHT, Workings
from vjpkit.check.jaxprs import equations, reason

_SHAPE = re.compile(r"[\[(](\d+(?:\s*,\s*\d+)*,?)[\])]")
EVERYTHING = Argument("", -1)
ROOM = 2**22  # entries of an array that any edit may make; above that, so many times what it is given


def failure(w: Workings, error: Exception, mend: bool = True) -> list[Finding]:
    """What to say of a candidate that raised `error`; `mend`: look for an edit of its source that is right."""
    misfit = unfit(error)
    found = repaired(w) if mend else []
    if not found:
        said = misfit or reason(error)
        cause = "shape" if misfit or _SHAPE.search(str(error)) else "structure"
        return [Finding(EVERYTHING, cause, said, f"it fails to run: {said}", "", kind=w.asked.kind)]
    out = []
    for edits, arms in found:
        for e, arm in itertools.product(edits, arms or [EVERYTHING]):
            before, after = respelled_name(e.before), respelled_name(e.after)
            detail = f"`{before}` where `{after}` belongs"
            why = f"it fails to run: {misfit}; " if misfit else f"it fails to run ({reason(error)[:120]}): "
            out.append(
                Finding(
                    arm,
                    e.cause,
                    detail,
                    f"{why}{detail}",
                    after,
                    0.0,
                    len(w.places) > 1,
                    len(found) > 1,
                    len(edits),
                    w.asked.kind,
                )
            )
    return out


def repaired(w: Workings, goal: list[int] | None = None) -> list[tuple[list[Respelled], list[Argument]]]:
    """Edits of the source that make the answers of some arms (all, if none are named) right, and whose they change."""
    try:
        source = Source(w.asked.candidate)
    except (OSError, TypeError, ValueError, AttributeError):
        return []
    arms = list(range(len(w.asked.arms))) if goal is None else goal

    def right(f: Callable[..., Any]) -> bool:
        return all(_is_right(w, f, k, 0) for k in arms) and all(_is_right(w, f, k, -1) for k in arms)

    found = mended(source, right)
    costs = [sum(e.cost for e in edits) for edits in found]
    found = [edits for edits, cost in zip(found, costs, strict=True) if cost <= min(costs) + 0.3]
    return [(edits, _touched(w, source, edits)) for edits in found[:3]]


def _is_right(w: Workings, f: Callable[..., Any], k: int, which: int) -> bool:
    i = w.of_arm(k)[which]
    if _overflows(w, f, i):
        return False
    got, want = w.asked.select(k, answer_of(w, f, i)), w.want[k][which]
    return got.shape == want.shape and bool(np.linalg.norm(got - want) <= 10 * RIGHT * np.linalg.norm(want) + w.floor)


def _overflows(w: Workings, f: Callable[..., Any], probe: int) -> bool:
    """Whether an edit makes an array far larger than what it is given, as `outer(g, x)` for `g * x` does."""
    sizes = [np.size(a) for a in w.inputs(probe)]
    if max(sizes) ** 2 <= ROOM:
        return False
    p, asked = w.probes[probe], w.asked
    made = jax.make_jaxpr(lambda point, v: in_jax(f)(asked.vector(v), *asked.rebuilt(point)))
    program = made(w.places[p.place], list(p.vectors)).jaxpr
    return any(v.aval.size > max(ROOM, 4 * sum(sizes)) for eqn in equations(program) for v in eqn.outvars)


def answer_of(w: Workings, f: Callable[..., Any], probe: int) -> list[Any]:
    """The answer of another candidate, in NumPy where that will do."""
    p, asked = w.probes[probe], w.asked
    for lift in (lambda a: a, jax.numpy.asarray):
        try:
            arrays = [lift(a) for a in w.places[p.place]]
            return [
                np.asarray(a)
                for a in read_answer(asked, f(asked.vector([lift(v) for v in p.vectors]), *asked.rebuilt(arrays)))
            ]
        except Exception as error:
            last = error
    raise last


def _touched(w: Workings, source: Source, edits: list[Respelled]) -> list[Argument]:
    """The arms whose answer changes when what was edited is doubled."""
    final, helper = edits[-1].made(), edits[0].helper
    nodes = list(ast.walk(final))
    touched: list[Argument] = []
    place = edits[0].place
    node = nodes[place] if place < len(nodes) else None
    if not isinstance(node, ast.expr):
        return touched
    try:
        doubled = ast.BinOp(ast.Constant(2.0), ast.Mult(), node)
        twice = source.compiled(source.with_node(place, doubled, final), helper)
    except Exception:
        return touched
    for k, arm in enumerate(w.asked.arms):
        try:
            if not _is_right(w, twice, k, 0):
                touched.append(arm)
        except Exception:
            touched.append(arm)
    return touched


def unfit(error: Exception) -> str:
    """The operation that failed, its two operands by name with their shapes, and the transposes that fit."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        if is_users(traceback.tb_frame.f_code.co_filename):
            frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    for frame, number in reversed(frames):
        for node in _operations(frame.f_code.co_filename, number):
            left, right = _operands(node)
            values = _values((left, right), {**frame.f_globals, **frame.f_locals})
            if values is None or _value(node, {**frame.f_globals, **frame.f_locals}) is not None:
                continue
            return _misfit(ast.unparse(left), ast.unparse(right), *values, _is_matmul(node))
    shapes = _SHAPE.findall(str(error))
    return (
        f"shapes {shapes[0]} and {shapes[1]} do not fit" if len(shapes) >= 2 and "shape" in str(error).lower() else ""
    )


def _operations(file: str, number: int) -> list[ast.AST]:
    """The two-sided operations on a line, innermost first; a statement may go on over several lines."""
    for extra in range(6):
        text = "".join(linecache.getline(file, n) for n in range(number, number + extra + 1)).strip()
        for start in (
            text,
            text[text.find("lambda") :] if "lambda" in text else "",
            text.partition("=")[2].strip(),
            text.removeprefix("return").strip(),
        ):
            for end in (start, start.rstrip(",)"), start.rstrip(",)") + ")"):
                try:
                    tree = ast.parse(end)
                except SyntaxError:
                    continue
                found = [n for n in ast.walk(tree) if _operands(n) != (None, None)]
                if found:
                    return found[::-1]
    return []


def _operands(node: ast.AST) -> tuple[Any, Any]:
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if (
        isinstance(node, ast.Call)
        and len(node.args) == 2
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("dot", "matmul")
    ):
        return node.args[0], node.args[1]
    if (
        isinstance(node, ast.Call)
        and len(node.args) == 1
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "dot"
    ):
        return node.func.value, node.args[0]
    return None, None


def _is_matmul(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) or isinstance(node.op, ast.MatMult)  # type: ignore[attr-defined]


def _value(node: Any, scope: dict[str, Any]) -> Any:
    try:
        return eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<operand>", "eval"), scope)
    except Exception:
        return None


def _values(nodes: tuple[Any, Any], scope: dict[str, Any]) -> tuple[Any, Any] | None:
    values = [_value(n, scope) for n in nodes]
    return None if any(v is None or not hasattr(v, "shape") for v in values) else (values[0], values[1])


def _misfit(a: str, b: str, x: Any, y: Any, product: bool) -> str:
    operation = "a product" if product else "an entry by entry operation"
    text = f"`{a}` {list(x.shape)} and `{b}` {list(y.shape)} do not fit in {operation}"
    sign = "@" if product else "*"
    fits = []
    for p, q in ((turned(a), b), (a, turned(b)), (turned(a), turned(b)), (b, a)):
        u, v = (y, x) if (p, q) == (b, a) else (x.T if p != a else x, y.T if q != b else y)
        try:
            _ = jax.eval_shape(lambda u, v: u @ v if product else u * v, _zeros(u), _zeros(v))
            fits.append(f"`{p} {sign} {q}`")
        except Exception:
            continue
    return text + (f"; {' or '.join(fits[:2])} would" if fits else "")


def _zeros(a: Any) -> Any:
    return jax.ShapeDtypeStruct(a.shape, np.float64)

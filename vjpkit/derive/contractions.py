"""Contractions as one writes them: `w.T @ g`, `jnp.outer(delta, a)`, and `jnp.einsum` for what has no shorter form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vjpkit.derive.program import Equation, Value
from vjpkit.derive.text import TIMES, Text, binary, call

if TYPE_CHECKING:
    from vjpkit.derive.writer import Writer

LETTERS = "ijklmnopqrstuvwxyz"


def contraction(w: Writer, eqn: Equation, order: tuple[int, ...] | None = None) -> Text:
    """A dot_general, its result's axes in `order` where a transpose follows."""
    a, b = eqn.inputs
    left, right, out = subscripts(eqn)
    if order is not None:
        out = "".join(out[k] for k in order)
    wanted = eqn.params.get("preferred_element_type")
    precision = eqn.params.get("precision")
    options = {}
    if wanted is not None and (wanted != a.dtype or wanted != b.dtype):
        options["preferred_element_type"] = w.type(wanted)
    if precision is not None:
        first = precision[0] if isinstance(precision, tuple) else precision
        options["precision"] = f'"{getattr(first, "name", first)}"'.lower()
    short = None if options else _product(w, a, b, left, right, out)
    return short or call("jnp.einsum", f'"{left},{right}->{out}"', w.text(a).code, w.text(b).code, **options)


def subscripts(eqn: Equation) -> tuple[str, str, str]:
    """The letters of both operands and of the result."""
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    letters = iter(LETTERS)
    left = [""] * len(eqn.inputs[0].shape)
    right = [""] * len(eqn.inputs[1].shape)
    batch = [next(letters) for _ in lb]
    for k, (i, j) in enumerate(zip(lb, rb, strict=True)):
        left[i] = right[j] = batch[k]
    free = [next(letters) for k in range(len(left)) if k not in (*lb, *lc)]
    rest = iter(free)
    summed = [next(letters) for _ in lc]
    for k, (i, j) in enumerate(zip(lc, rc, strict=True)):
        left[i] = right[j] = summed[k]
    other = [next(letters) for k in range(len(right)) if k not in (*rb, *rc)]
    left = [c or next(rest) for c in left]
    rest = iter(other)
    right = [c or next(rest) for c in right]
    return "".join(left), "".join(right), "".join([*batch, *free, *other])


def _product(w: Writer, a: Value, b: Value, left: str, right: str, out: str) -> Text | None:
    """With @, turned where that is needed; the operands change places where the result asks for it.

    What sums over nothing, of a number and an array, is their product.
    """
    if "" in (left, right) and out in (left, right):
        return binary(w.text(a), "*", w.text(b), TIMES)
    for x, y, s, t in ((a, b, left, right), (b, a, right, left)):
        found = _matmul(w, x, y, s, t, out)
        if found is not None:
            return found
    return None


def _matmul(w: Writer, a: Value, b: Value, left: str, right: str, out: str) -> Text | None:
    summed = [c for c in left if c in right and c not in out]
    if not summed and len(left) == len(right) == 1 and out == left + right:
        return call("jnp.outer", w.text(a).code, w.text(b).code)
    if len(summed) != 1:
        return None
    (k,) = summed
    x, y = w.text(a), w.text(b)
    if len(left) == len(right) == 1:
        return binary(x, "@", y, TIMES) if out == "" else None
    if len(right) == 1 and left[-1] == k and out == left[:-1]:
        return binary(x, "@", y, TIMES)
    if len(right) == 1 and len(left) == 2 and left[0] == k and out == left[1]:
        return binary(_turned(x), "@", y, TIMES)
    if len(right) == 2 and (left[-1] == k or len(left) == 2) and len(left) > 1:
        free = left.replace(k, "")
        if out != free + right.replace(k, ""):
            return None
        return binary(x if left[-1] == k else _turned(x), "@", y if right[0] == k else _turned(y), TIMES)
    if len(left) == len(right) == len(out) > 2 and left[:-2] == right[:-2] == out[:-2]:
        i, j = left[-2:].replace(k, ""), right[-2:].replace(k, "")
        if k in left[-2:] and k in right[-2:] and out[-2:] == i + j:
            x = x if left[-1] == k else Text(f"{x.atom}.mT")
            y = y if right[-2] == k else Text(f"{y.atom}.mT")
            return binary(x, "@", y, TIMES)
    return None


def _turned(x: Text) -> Text:
    """The transpose; of a transpose the matrix itself."""
    return Text(x.code[:-2]) if x.code.endswith(".T") and x.code[:-2].isidentifier() else Text(f"{x.atom}.T")

"""An explanation as text, Markdown, LaTeX and HTML."""

from __future__ import annotations

import html as escaping
import unicodedata
from collections.abc import Iterator, Sequence

from vjpkit.derive.costs import short
from vjpkit.derive.explaining import Explanation

HEAD = ("", "stage", "in", "shape", "structure", "so the VJP is", "keeps", "JVP", "VJP")
ORDERS = ("order", "FLOPs", "largest matrix", "")


def rows(e: Explanation) -> Iterator[tuple[str, ...]]:
    """A line for each stage and each of its inputs."""
    for k, s in enumerate(e.stages, 1):
        kept = ", ".join(f"{v.name or '·'} {list(v.shape)}" for v in s.kept) or "nothing"
        for i, (v, kind) in enumerate(zip(s.inputs, s.kinds, strict=True)):
            shape = f"{_shape(v.shape)} → {_shape(s.output.shape)}"
            head = (str(k), s.name) if i == 0 else ("", "")
            tail = (kept, short(s.jvp_flops), short(s.vjp_flops)) if i == 0 else ("", "", "")
            yield (*head, v.name or v.hint, shape, kind.structure, kind.product, *tail)


def order_rows(e: Explanation) -> Iterator[tuple[str, ...]]:
    for o in e.orders:
        yield (o.name, short(o.flops), short(o.largest), o.note)


def opening(e: Explanation) -> str:
    count = "1 stage" if len(e.stages) == 1 else f"{len(e.stages)} stages"
    return f"{e.name}: {count}, ∂{_shape(e.out)}/∂{e.wrt} {_shape(e.of)}"


def closing(e: Explanation) -> Iterator[str]:
    """The recommendation, and how the counts compare with XLA's."""
    best, rest = e.recommended, e.orders[1:]
    times = rest[-1].flops / max(best.flops, 1)
    many = short(times) if times >= 1000 else f"{times:.3g}"
    beside = f", {many} times less than {rest[-1].name}" if times > 1 else ""
    yield f"Cheapest: {best.name}, {short(best.flops)} FLOPs{beside}."
    c = e.counted
    told = {"value": "value", "fwd": "with what is kept", "jvp": "one JVP", "vjp": "one VJP"}
    yield f"Counted: {', '.join(f'{told[key]} {short(n)}' for key, n in c.items())} FLOPs."
    if e.xla:
        yield f"XLA: {', '.join(f'{name} {short(n)}' for name, n in e.xla.items())} FLOPs."


def text(e: Explanation) -> str:
    parts = [opening(e), *_aligned([HEAD, *rows(e)]), "", *_aligned([ORDERS, *order_rows(e)]), "", *closing(e)]
    return "\n".join(parts)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]


def markdown(e: Explanation) -> str:
    tables = ((HEAD, rows(e)), (ORDERS, order_rows(e)))
    blocks = [f"**{opening(e)}**"]
    for head, body in tables:
        lines = [_piped(head), "|" + "---|" * len(head), *(_piped(row) for row in body)]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, "  \n".join(closing(e))])


def _piped(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def latex(e: Explanation) -> str:
    """Two tabulars; mathematics stays text, for the table's sake."""
    blocks = [_tex(opening(e))]
    for head, body in ((HEAD, rows(e)), (ORDERS, order_rows(e))):
        lines = [" & ".join(map(_tex, row)) + r" \\" for row in (head, *body)]
        lines.insert(1, r"\hline")
        blocks.append("\n".join([rf"\begin{{tabular}}{{{'l' * len(head)}}}", *lines, r"\end{tabular}"]))
    return "\n\n".join([*blocks, *map(_tex, closing(e))])


TEX = {
    **{c: f"\\{c}" for c in "&%#_{}$"},
    **{c: f"${c}$" for c in "<>|"},
    "→": r"$\to$",
    "×": r"$\times$",
    "∂": r"$\partial$",
    "ᵀ": r"$^\top$",
    "·": r"$\cdot$",
    "↦": r"$\mapsto$",
    "−": "$-$",
    "\\": r"\textbackslash{}",
    "^": r"\^{}",
    "~": r"\~{}",
}


def _tex(cell: str) -> str:
    return "".join(TEX.get(c) or _letter(c) for c in cell)


def _letter(c: str) -> str:
    """A letter of a name; Greek ones by their names."""
    kind, _, name = unicodedata.name(c, "").partition(" LETTER ")
    if kind not in ("GREEK SMALL", "GREEK CAPITAL"):
        return c
    name = {"LAMDA": "LAMBDA", "FINAL SIGMA": "VARSIGMA"}.get(name, name)
    return f"$\\{name.lower() if kind == 'GREEK SMALL' else name.capitalize()}$"


def html(e: Explanation) -> str:
    tables = []
    for head, body in ((HEAD, rows(e)), (ORDERS, order_rows(e))):
        top = "".join(f"<th>{escaping.escape(c)}</th>" for c in head)
        cells = "".join("<tr>" + "".join(f"<td>{escaping.escape(c)}</td>" for c in row) + "</tr>" for row in body)
        tables.append(f"<table><tr>{top}</tr>{cells}</table>")
    below = "".join(f"<p>{escaping.escape(line)}</p>" for line in closing(e))
    return f"<p>{escaping.escape(opening(e))}</p>{''.join(tables)}{below}"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "1"

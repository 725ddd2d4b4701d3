"""A report as a table: in rich's hands where that is installed, in plain text else."""

from __future__ import annotations

import html as escaping
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from vjpkit.check.report import FAIL, NOTE, PASS, SKIP, Report

COLUMNS = ("check", "argument", "error", "bound", "power", "verdict", "")
_COLOURS = {PASS: "green", FAIL: "bold red", NOTE: "yellow", SKIP: "dim"}


def rows(report: Report) -> Iterator[tuple[str, ...]]:
    """The cells of the table."""
    for r in report.results:
        yield r.check, r.argument, _number(r.error), _number(r.bound), _number(r.power), r.verdict, r.note


def headline(report: Report) -> str:
    """One sentence: what was checked, in what, and how it went."""
    failed = f"{len(report.failures)} failed" if report.failures else "right"
    lines = f"{sum(r.verdict == PASS for r in report.results)} of {len(report.results)} lines pass"
    cost = f"{sum(report.seconds.values()):.1f} s"
    return f"{report.name}: {failed}; {lines}; in {report.dtype}, against {report.reference}; {cost}"


def remarks(report: Report) -> Iterator[tuple[str, str]]:
    """What stands below the table, each with its kind."""
    for finding in report.failures:
        yield "failure", str(finding)
    if report.diagnosis is not None:
        yield "diagnosis", report.diagnosis.brief
    for what, notes in groupby(sorted(report.notes, key=lambda n: n.what), key=lambda n: n.what):
        yield "note", what + "".join(f"\n  {n.check}, {n.argument}: {n.where}" for n in notes)
    for warning in report.warnings:
        yield "warning", warning
    for why, gaps in groupby(sorted(report.gaps, key=lambda g: g.why), key=lambda g: g.why):
        places = [g.check if g.what == "everything" else f"{g.check} ({g.what})" for g in gaps]
        yield "not covered", f"{', '.join(places)}: {why}"
    if report.failures:
        yield "again", report.again


def text(report: Report) -> str:
    """The report in plain text."""
    table = [COLUMNS, *rows(report)]
    widths = [max(len(row[k]) for row in table) for k in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(
        [headline(report), "", *lines, "", *(f"{kind}: {remark}" for kind, remark in remarks(report))]
    ).rstrip()


def rich_group(report: Report) -> Any:
    """The report for rich."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    for row in rows(report):
        table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in row))
    style = {"failure": "red", "diagnosis": "red", "note": "yellow", "warning": "yellow"}
    below = [Text(f"{kind}: {remark}", style.get(kind, "dim")) for kind, remark in remarks(report)]
    return Group(Text(headline(report), "bold"), table, *below)


def html(report: Report) -> str:
    """The report for a notebook."""
    cells = "".join("<tr>" + "".join(f"<td>{escaping.escape(c)}</td>" for c in row) + "</tr>" for row in rows(report))
    head = "".join(f"<th>{c}</th>" for c in COLUMNS)
    below = "".join(f"<pre>{escaping.escape(f'{kind}: {remark}')}</pre>" for kind, remark in remarks(report))
    return f"<p>{escaping.escape(headline(report))}</p><table><tr>{head}</tr>{cells}</table>{below}"


def _number(x: float | None) -> str:
    return "" if x is None else "0" if x == 0 else f"{x:.1e}"

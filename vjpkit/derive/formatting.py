"""Lines that are too long, broken at their brackets, one part a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WIDTH = 110
OPEN, CLOSE = "([{", ")]}"


def formatted(lines: Sequence[str]) -> list[str]:
    """The lines, none longer than WIDTH where a bracket allows it."""
    return [part for line in lines for part in _broken(line)]


def _broken(line: str) -> Iterator[str]:
    if len(line) <= WIDTH or '"""' in line:
        yield line
        return
    start, end = _outermost(line)
    if start is None:
        body = line.lstrip()
        head, sign, tail = ("return", " ", body[7:]) if body.startswith("return ") else body.partition(" = ")
        if not tail or tail.startswith("("):
            yield line
        else:
            indent = " " * (len(line) - len(body))
            yield from _broken(f"{indent}{head}{sign}({tail})")
        return
    indent = " " * (len(line) - len(line.lstrip()))
    parts = _parts(line[start + 1 : end])
    yield line[: start + 1]
    for k, part in enumerate(parts):
        comma = "," if len(parts) > 1 or line[start + 1 : end].rstrip().endswith(",") else ""
        yield from _broken(f"{indent}    {part}{comma}") if k < len(parts) else ()
    yield f"{indent}{line[end:]}"


def _outermost(line: str) -> tuple[int, int] | tuple[None, None]:
    """The bracket that closes at the line's end (but for a colon), if what stands before it is not inside another."""
    body = line.rstrip(":")
    if body[-1] not in CLOSE:
        return None, None
    depth = 0
    for k in range(len(body) - 1, -1, -1):
        depth += (body[k] in CLOSE) - (body[k] in OPEN)
        if depth == 0:
            return (k, len(body) - 1) if k < len(body) - 2 else (None, None)
    return None, None


def _parts(text: str) -> list[str]:
    """What stands between the commas that are in no bracket."""
    parts, depth, last, quoted = [], 0, 0, False
    for k, c in enumerate(text):
        quoted ^= c == '"'
        depth += (c in OPEN) - (c in CLOSE)
        if c == "," and depth == 0 and not quoted:
            parts.append(text[last:k].strip())
            last = k + 1
    rest = text[last:].strip()
    return [*parts, rest] if rest else parts

"""Texts and tables of the report as Markdown (GitHub's flavour)."""

from __future__ import annotations

import re
from typing import Final

from magnostic.report.cells import Cell, Table

_SIGNS: Final = re.compile(r"([\\`*\[\]|<>&])")
#: Underscores that would begin or end an emphasis; those inside a word do neither.
_EDGES: Final = re.compile(r"(?<!\w)_|_(?!\w)")

#: How small letters begin that need no comma before them: an interval, a whole.
_GOES_ON: Final = ("(", "of ")


def escaped(text: object) -> str:
    """One line in which nothing is taken for markup."""
    flat = " ".join(str(text).split())
    return _EDGES.sub(r"\\_", _SIGNS.sub(r"\\\1", flat))


def table(content: Table) -> str:
    """Caption, then the table; a cell's small letters follow in the same cell."""
    words = content.text
    rule = ["---" if i < words else "---:" for i in range(len(content.header))]
    lines = [
        escaped(content.caption),
        "",
        _row([escaped(title) for title in content.header]),
        _row(rule),
        *[_row([_cell(cell) for cell in row]) for row in content.rows],
    ]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    if not cell.sub:
        return escaped(cell.main)
    between = " " if cell.sub.startswith(_GOES_ON) else ", "
    return escaped(cell.main) + between + escaped(cell.sub)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

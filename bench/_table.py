"""Rows that a bench prints, and writes for the table of ``make bench``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        name: what was measured.
        value, unit: the figure.
        target: what was aimed at, in words; empty where nothing was.
        met: whether the figure meets it; None without a target.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.met is None else ": met" if self.met else ": MISSED"
        aim = f" (target {self.target}{verdict})" if self.target else ""
        return f"{self.name}: {self.value:.4g} {self.unit}".rstrip() + aim


def finish(bench: str, rows: list[Row], json_path: Path | None) -> None:
    """Print the rows and, where a path is given, write them as JSON."""
    for row in rows:
        print(row, flush=True)
    if json_path is not None:
        record = {"bench": bench, "rows": [asdict(row) for row in rows]}
        json_path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

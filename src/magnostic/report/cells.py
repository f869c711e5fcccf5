"""A table of the report: cells to read on the page, and plain numbers for its CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from magnostic.csv_text import guarded
from magnostic.report.words import MISSING, interval, share

Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """What a cell says, and in small letters under it what qualifies that."""

    main: str
    sub: str = ""


@dataclass(frozen=True)
class Table:
    """name: stem of the CSV file. text: how many leading columns are words, not numbers.

    records: the same content as plain values, one mapping a CSV row.
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    records: Sequence[Mapping[str, Value]]
    text: int = 1

    def to_csv(self) -> str:
        """Comma-separated values with a header; an empty field where a value is undefined."""
        out = io.StringIO()
        fields = list(dict.fromkeys(key for record in self.records for key in record))
        writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
        writer.writerow({name: guarded(name) for name in fields})
        writer.writerows({k: guarded(v) for k, v in record.items()} for record in self.records)
        return out.getvalue()


def cells(values: Sequence[object]) -> list[Cell]:
    """Plain cells; None becomes a dash and whole numbers get thousands separators."""
    return [Cell(_plain(value)) for value in values]


def _plain(value: object) -> str:
    if value is None or value == "":
        return MISSING
    return f"{value:,}" if isinstance(value, int) else str(value)


def figure_cell(metric: Mapping[str, Any] | None) -> Cell:
    """A share with its interval below."""
    return Cell(MISSING) if metric is None else Cell(share(metric["estimate"]), interval(metric))


def flat(name: str, metric: Mapping[str, Any] | None) -> dict[str, Value]:
    """``name, name_low, name_high`` of a figure for CSV."""
    metric = metric or {}
    return {
        name: metric.get("estimate"),
        f"{name}_low": metric.get("low"),
        f"{name}_high": metric.get("high"),
    }

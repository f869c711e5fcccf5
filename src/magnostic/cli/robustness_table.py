"""The table that ends a robustness test: how far each shift lets figures fall."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from magnostic.cli.console import console
from magnostic.files import read_json
from magnostic.report.words import ordered, points, protocol


def print_falls(run: Path) -> None:
    """Falls of accuracy at the strongest severity, by shift and protocol, worst first."""
    found = read_json(run / "robustness.json")
    names = ordered(found["protocols"])
    strongest = found["severities"][-1]
    table = Table(
        title=f"Fall of accuracy at severity {strongest:g}, in points", box=None, pad_edge=False
    )
    table.add_column("shift", no_wrap=True)
    table.add_column("severity 1 is", overflow="fold")
    for name in names:
        table.add_column(protocol(name).title, justify="right", no_wrap=True)

    def fall(name: str, shift: str) -> dict[str, float | None]:
        metric: dict[str, float | None] = found["protocols"][name]["curves"][shift][-1]["fall"][
            "accuracy"
        ]
        return metric

    def first(shift: str) -> float:
        return -(fall(names[0], shift)["estimate"] or 0.0)

    for shift in sorted(found["shifts"], key=first):
        cells = []
        for name in names:
            metric = fall(name, shift)
            says = points(metric["estimate"])
            if metric["low"] is not None:
                says += f" ({points(metric['low'])} to {points(metric['high'])})"
            cells.append(says)
        table.add_row(shift, found["shifts"][shift]["strongest"], *cells)
    console().print(table)

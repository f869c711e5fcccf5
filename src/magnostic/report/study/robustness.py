"""Shifted photographs in a study: how far each row falls under each shift, in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from magnostic.report.cells import Cell, Table, Value, flat
from magnostic.report.robustness import GLOSSARY, order
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.say import points, points_between
from magnostic.report.style import INK, Picture, rc, save
from magnostic.report.words import MISSING, ordered, protocol

__all__ = ["GLOSSARY", "picture", "shifts_of", "table", "tested"]

#: Inches: the whole width of the page.
_WIDE: Final = 9.6
#: Points of accuracy at which the colours end.
_REACH: Final = 40.0


def picture(study: Study, task: str, folder: Path) -> Picture | None:
    """Fall of accuracy at the strongest severity: rows by shifts; None where nothing was tested."""
    entries, name = tested(study, task)
    if not entries or name is None:
        return None
    shifts = shifts_of(entries)
    values = np.full((len(entries), len(shifts)), np.nan)
    for (i, entry), (j, shift) in _cells(entries, shifts):
        at = _strongest(entry, name, shift)
        if at is not None and at["fall"]["accuracy"]["estimate"] is not None:
            values[i, j] = at["fall"]["accuracy"]["estimate"]
    with rc():
        drawn = Figure(
            figsize=(_WIDE, 1.5 + 0.3 * len(entries)), layout=ConstrainedLayoutEngine(w_pad=0.08)
        )
        FigureCanvasAgg(drawn)
        axes = drawn.subplots()
        edges = [np.arange(n + 1) - 0.5 for n in (len(shifts), len(entries))]
        axes.pcolormesh(
            *edges, values, cmap="RdBu_r", vmin=-_REACH, vmax=_REACH, edgecolors="white", lw=1
        )
        for (i, entry), (j, shift) in _cells(entries, shifts):
            at = _strongest(entry, name, shift)
            if at is None or np.isnan(values[i, j]):
                continue
            low, high = at["fall"]["accuracy"]["low"], at["fall"]["accuracy"]["high"]
            resolved = low is not None and (low > 0 or high < 0)
            axes.text(
                j, i, f"{values[i, j]:.0f}".replace("-", "−"), ha="center", va="center",
                fontsize=7.5, color="white" if abs(values[i, j]) > 0.7 * _REACH else INK,
                weight="bold" if resolved else "normal",
            )  # fmt: skip
        titles = [shifts[shift]["title"] for shift in shifts]
        axes.set_xticks(range(len(shifts)), titles, rotation=35, ha="left")
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        words = f"{TASKS.get(task, task)}, {protocol(name).title.lower()}"
        return save(
            drawn,
            folder,
            f"robustness_{task}",
            f"Fall of accuracy by shift, every row, {words}",
            f"Fall of accuracy, in points, when the test photographs are shifted with the "
            f"strongest severity that was tested, {words}. Red: it fell; blue: it rose. Bold: the "
            "interval of the fall does not hold zero.",
        )


def table(study: Study, task: str) -> Table | None:
    """The same with intervals, and the accuracy on the photographs as they are."""
    entries, name = tested(study, task)
    if not entries or name is None:
        return None
    shifts = shifts_of(entries)
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for entry in entries:
        line = [Cell(entry.label, entry.detail)]
        for shift in shifts:
            at = _strongest(entry, name, shift)
            metric = None if at is None else at["fall"]["accuracy"]
            if at is None or metric is None or metric["estimate"] is None:
                line.append(Cell(MISSING))
                continue
            line.append(Cell(points(metric["estimate"]), points_between(metric)))
            record: dict[str, Value] = {
                "key": entry.key, "label": entry.label, "settings": entry.detail,
                "protocol": name, "shift": shift, "severity": at["severity"],
            }  # fmt: skip
            records.append(record | flat("accuracy", at["accuracy"]) | flat("fall_points", metric))
        rows.append(line)
    strongest = "; ".join(
        f"{str(shifts[s]['title']).lower()}: {shifts[s]['strongest']}" for s in shifts
    )
    return Table(
        f"robustness_{task}",
        f"{TASKS.get(task, task).capitalize()}, {protocol(name).title.lower()}: fall of accuracy "
        f"under each shift, in points, with its paired interval. Severity 1 is: {strongest}.",
        ["", *[str(shifts[s]["title"]) for s in shifts]],
        rows,
        records,
    )


def tested(study: Study, task: str) -> tuple[list[Entry], str | None]:
    """Rows whose models were tested on shifted photographs, and the protocol to believe first."""
    rows = [e for e in study.of(task) if e.run is not None and e.run.robustness]
    names = [set(_found(e)["protocols"]) for e in rows]
    common = set.intersection(*names) if names else set()
    return rows, next(iter(ordered(dict.fromkeys(common))), None)


def _found(entry: Entry) -> Mapping[str, Any]:
    return (entry.run.robustness if entry.run else None) or {}


def shifts_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """What every shift of the rows is (``title, strongest``), in the order of the panels."""
    every: dict[str, Any] = {}
    for entry in entries:
        every |= _found(entry)["shifts"]
    return {name: every[name] for name in order(every)}


def _cells(
    entries: Sequence[Entry], shifts: Iterable[str]
) -> list[tuple[tuple[int, Entry], tuple[int, str]]]:
    return [(row, column) for row in enumerate(entries) for column in enumerate(shifts)]


def _strongest(entry: Entry, name: str, shift: str) -> Mapping[str, Any] | None:
    line = _found(entry)["protocols"][name]["curves"].get(shift)
    return line[-1] if line else None

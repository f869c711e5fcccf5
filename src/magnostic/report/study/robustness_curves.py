"""Curves of a study's rows on shifted photographs, side by side, and what they show in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from magnostic.report.robustness import Panel, finish, line, panels
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.robustness import shifts_of, tested
from magnostic.report.study.say import points, points_between
from magnostic.report.style import BLUE, GREEN, ORANGE, SKY, VERMILION, Picture, rc, save
from magnostic.report.words import level, plural, protocol, share

#: A row a look; more rows than that are told apart in the picture of falls alone.
_LOOKS: Final = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"), (SKY, "v"))
_WIDE: Final = 9.6
_COLUMNS: Final = 4


def picture(study: Study, task: str, folder: Path) -> Picture | None:
    """Accuracy against severity, a panel a kind of shift and a line a row; None for one row."""
    rows, name = tested(study, task)
    if name is None or not 2 <= len(rows) <= len(_LOOKS):
        return None
    shown = panels(shifts_of(rows))
    columns = min(_COLUMNS, max(2, len(shown)))
    lines = -(-len(shown) // columns)
    with rc():
        drawn = Figure(
            figsize=(_WIDE, 0.5 + 0.28 * -(-len(rows) // 2) + 1.9 * lines),
            layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
        )
        FigureCanvasAgg(drawn)
        grid = drawn.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, panel in zip(grid.ravel(), shown, strict=False):
            _panel(axes, rows, name, panel)
        for axes in grid.ravel()[len(shown) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("Accuracy")
        marks = [
            Line2D([], [], color=colour, marker=marker, ms=4, lw=1.3, label=entry.name)
            for entry, (colour, marker) in zip(rows, _LOOKS, strict=False)
        ]
        drawn.legend(handles=marks, loc="outside upper left", ncols=2)
        found = _found(rows[0], name)
        words = f"{TASKS.get(task, task)}, {protocol(name).title.lower()}"
        return save(
            drawn,
            folder,
            f"robustness_curves_{task}",
            f"Accuracy against the severity of shifts, a line a row, {words}",
            f"Shifted test photographs, {words}: {found['n_images']:,} images of "
            f"{plural(found['n_clusters'], found['cluster'])}. 0: as they are; 1: as the table "
            "says; left of 0 the opposite direction. Dashed: share of the most frequent class. "
            f"Bands: {level(_all(rows[0])['confidence'])} intervals over {found['cluster']}s.",
        )


def _panel(axes: Axes, rows: Sequence[Entry], name: str, panel: Panel) -> None:
    shade = 0.15 if len(rows) <= 3 else 0.07  # many bands on one another hide the lines
    for entry, (colour, marker) in zip(rows, _LOOKS, strict=False):
        line(axes, _found(entry, name), panel, "accuracy", colour, marker, shade)
    finish(axes, panel, _found(rows[0], name)["majority"])


def says(study: Study, task: str) -> list[str]:
    """A sentence a row: its largest fall at the strongest severity, and whether one is resolved."""
    rows, name = tested(study, task)
    if name is None or not 2 <= len(rows) <= len(_LOOKS):
        return []
    about = shifts_of(rows)
    return [_sentence(entry, _found(entry, name), about) for entry in rows]


def _sentence(entry: Entry, found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    at = {shift: line[-1] for shift, line in found["curves"].items()}
    falls = {s: a["fall"]["accuracy"] for s, a in at.items()}
    falls = {s: fall for s, fall in falls.items() if fall["estimate"] is not None}
    label = entry.name[0].upper() + entry.name[1:]
    own = share(found["own"]["accuracy"]["estimate"])
    worst = max(falls, key=lambda s: falls[s]["estimate"])
    fall = falls[worst]
    if fall["estimate"] <= 0:
        return f"{label}: accuracy {own}; no shift lets it fall."
    within = f" ({points_between(fall)})" if fall["low"] is not None else ""
    said = (
        f"{label}: accuracy {own}; it falls most under "
        f"{str(about[worst]['title']).lower()}, by {points(fall['estimate'])} points{within}."
    )
    known = [f for f in falls.values() if f["low"] is not None]
    if not known:
        return said
    seen = sum(f["low"] > 0 for f in known)
    if not seen:
        return f"{said} No interval of a fall lies above zero."
    return f"{said} Falls with an interval above zero: {seen} of {len(known)} shifts."


def _found(entry: Entry, name: str) -> Mapping[str, Any]:
    result: Mapping[str, Any] = _all(entry)["protocols"][name]
    return result


def _all(entry: Entry) -> Mapping[str, Any]:
    assert entry.run is not None
    assert entry.run.robustness is not None
    return entry.run.robustness

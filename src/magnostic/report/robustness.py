"""Shifted photographs in the report: curves of accuracy against severity, and how far it falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from magnostic.report.cells import Cell, Table, Value, flat
from magnostic.report.style import BLUE, GREEN, MUTED, RULE, WIDTH, Picture, rc, save
from magnostic.report.words import (
    METRICS,
    MISSING,
    level,
    ordered,
    plural,
    points,
    protocol,
    resampling,
    share,
)

#: Panels: the shift drawn to the left of 0, the one to the right, the title, and what both ends
#: of the horizontal axis are.
_PANELS: Final = (
    ("haematoxylin-less", "haematoxylin-more", "Haematoxylin", ("less", "more")),
    ("eosin-less", "eosin-more", "Eosin", ("less", "more")),
    ("darker", "brighter", "Brightness", ("darker", "brighter")),
    ("cooler", "warmer", "White balance", ("cooler", "warmer")),
    ("zoom-out", "zoom-in", "Zoom", ("out", "in")),
    (None, "blur", "Blur", ("", "1")),
    (None, "jpeg", "JPEG compression", ("", "1")),
    (None, "resolution", "Fewer pixels", ("", "1")),
)
_SERIES: Final = (("accuracy", BLUE, "o"), ("macro_f1", GREEN, "s"))
_COLUMNS: Final = 2
Panel = tuple[str | None, str | None, str, tuple[str, str]]

#: Terms of this section for the page's glossary.
GLOSSARY: Final = (
    (
        "Severity",
        "How strongly test photographs were shifted: 0 not at all, 1 as the table says, between "
        "them by equal factors (blur and JPEG quality: equal steps). What was shifted is the "
        "picture that the network gets, before any change of colour.",
    ),
    (
        "Fall",
        "Figure on the photographs as they are minus that on the shifted ones, in points "
        "(hundredths); its interval draws the same patients for both.",
    ),
)


def section(found: Mapping[str, Any] | None, folder: Path) -> dict[str, Any] | None:
    """What the template shows of robustness.json; None where there is none.

    Args:
        found: as ``evaluate.robustness.summarize`` gives it.
        folder: where drawings are written.
    """
    if not found:
        return None
    names = ordered(found["protocols"])
    return {
        "says": _says(found, names[0]),
        "pictures": [curves(found, name, folder) for name in names],
        "falls": falls(found, names),
    }


def curves(found: Mapping[str, Any], name: str, folder: Path) -> Picture:
    """Accuracy and macro F1 against severity, a panel for each kind of shift."""
    result = found["protocols"][name]
    shown = panels(found["shifts"])
    rows = -(-len(shown) // _COLUMNS)
    with rc():
        drawn = Figure(
            figsize=(WIDTH, 0.7 + 1.35 * rows),
            layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.05),
        )
        FigureCanvasAgg(drawn)
        grid = drawn.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
        for axes, panel in zip(grid.ravel(), shown, strict=False):
            _panel(axes, result, panel)
        for axes in grid.ravel()[len(shown) :]:
            axes.set_visible(False)
        handles = [
            grid[0, 0].plot([], [], marker, color=colour, ms=4, ls="-", lw=1.3, label=METRICS[key])[
                0
            ]
            for key, colour, marker in _SERIES
        ]
        drawn.legend(handles=handles, loc="outside upper left", ncols=2)
        words = protocol(name).title.lower()
        return save(
            drawn,
            folder,
            f"robustness_{name}",
            f"Accuracy and macro F1 against the severity of shifts, {words}",
            f"Shifted test photographs, {words}: {result['n_images']:,} images of "
            f"{plural(result['n_clusters'], result['cluster'])}. 0: as they are; 1: as the table "
            "says; left of 0 the opposite direction. Dashed: share of the most frequent class. "
            f"{resampling(found, result['cluster'])}",
        )


def panels(shifts: Mapping[str, Any]) -> list[Panel]:
    """Panels with at least one shift at hand; a shift that stands in none gets its own."""
    chosen: list[Panel] = []
    for left, right, title, ends in _PANELS:
        sides = (left if left in shifts else None, right if right in shifts else None)
        if any(sides):
            chosen.append((*sides, title, ends))
    known = {side for panel in _PANELS for side in panel[:2]}
    others = [(None, name, str(about["title"]), ("", "1")) for name, about in shifts.items()
              if name not in known]  # fmt: skip
    return [*chosen, *others]


def _panel(axes: Axes, result: Mapping[str, Any], panel: Panel) -> None:
    for key, colour, marker in _SERIES:
        line(axes, result, panel, key, colour, marker)
    finish(axes, panel, result["majority"])


def line(
    axes: Axes,
    result: Mapping[str, Any],
    panel: Panel,
    key: str,
    colour: str,
    marker: str,
    shade: float = 0.15,
) -> None:
    """One figure of a protocol against severity, with its intervals as a band.

    It starts at 0, the photographs as they are, in either direction of the panel. ``shade``: how
    opaque the band is, in (0, 1].
    """
    for name, sign in ((panel[0], -1), (panel[1], 1)):
        if name is None or name not in result["curves"]:
            continue
        drawn = [(0.0, result["own"][key])]
        drawn += [(sign * at["severity"], at[key]) for at in result["curves"][name]]
        drawn = [(x, metric) for x, metric in drawn if metric["estimate"] is not None]
        xs = [x for x, _ in drawn]
        ys = [metric["estimate"] for _, metric in drawn]
        axes.plot(xs, ys, marker, color=colour, ms=3, ls="-", lw=1.3)
        if all(metric["low"] is not None for _, metric in drawn):
            lows, highs = ([metric[end] for _, metric in drawn] for end in ("low", "high"))
            axes.fill_between(xs, lows, highs, color=colour, alpha=shade, lw=0)


def finish(axes: Axes, panel: Panel, majority: float) -> None:
    """Scales, ends and title of a panel; ``majority``: share of the most frequent class."""
    left, right, title, ends = panel
    axes.axhline(majority, color=MUTED, lw=0.9, ls="--")
    axes.axvline(0, color=RULE, lw=0.8, zorder=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(-1.06 if left else -0.06, 1.06 if right else 0.06)
    shown = [(-1, ends[0])] * bool(left) + [(0, "0")] + [(1, ends[1])] * bool(right)
    axes.set_xticks([x for x, _ in shown], [word for _, word in shown])
    axes.grid(axis="y")
    axes.set_title(title)


def falls(found: Mapping[str, Any], names: Sequence[str]) -> Table:
    """Fall of accuracy and macro F1 at the strongest severity, shift by shift."""
    strongest = found["severities"][-1]
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    header = ["Shift"]
    for name in names:
        title = f", {protocol(name).title.lower()}" if len(names) > 1 else ""
        header += [f"{METRICS[key]}{title}" for key, _, _ in _SERIES]
    for shift in order(found["shifts"]):
        about = found["shifts"][shift]
        line = [Cell(str(about["title"]), str(about["strongest"]))]
        for name in names:
            at = found["protocols"][name]["curves"][shift][-1]["fall"]
            line += [_points(at[key]) for key, _, _ in _SERIES]
        rows.append(line)
        for name in names:
            for at in found["protocols"][name]["curves"][shift]:
                record: dict[str, Value] = {
                    "shift": shift, "protocol": name, "severity": at["severity"],
                }  # fmt: skip
                for key, _, _ in _SERIES:
                    record |= flat(key, at[key]) | flat(f"{key}_fall_points", at["fall"][key])
                records.append(record)
    return Table(
        "robustness",
        f"Fall of the figures at severity {strongest:g}, in points; below each shift what severity "
        f"1 is. {level(found['confidence'])} intervals of paired differences, not corrected for "
        "their number. The CSV file holds every severity.",
        header,
        rows,
        records,
    )


def order(shifts: Mapping[str, Any]) -> list[str]:
    return [name for panel in panels(shifts) for name in (panel[1], panel[0]) if name]


def _points(metric: Mapping[str, Any]) -> Cell:
    if metric["estimate"] is None:
        return Cell(MISSING)
    within = ""
    if metric["low"] is not None:
        within = f"({points(metric['low'])} to {points(metric['high'])})"
    return Cell(points(metric["estimate"]), within)


def _says(found: Mapping[str, Any], name: str) -> list[str]:
    """Under the protocol to believe first: the worst shift, and those with no fall to be seen."""
    result = found["protocols"][name]
    strongest = found["severities"][-1]
    at = {shift: line[-1] for shift, line in result["curves"].items()}
    titles = {shift: str(found["shifts"][shift]["title"]).lower() for shift in at}
    own = result["own"]["accuracy"]["estimate"]
    worst = max(at, key=lambda shift: at[shift]["fall"]["accuracy"]["estimate"])
    metric = at[worst]["fall"]["accuracy"]
    within = _points(metric).sub
    where = f"At severity {strongest:g}, {protocol(name).adjective}"
    if metric["estimate"] <= 0:
        return [f"{where}: no shift lets the accuracy of {share(own)} fall."]
    said = [
        f"{where}: accuracy falls most under {titles[worst]}, from {share(own)} to "
        f"{share(at[worst]['accuracy']['estimate'])}, by {points(metric['estimate'])} points"
        f"{f' {within}' if within else ''}."
    ]
    if metric["low"] is None:
        return said
    seen = [s for s in order(found["shifts"]) if at[s]["fall"]["accuracy"]["low"] > 0]
    if not seen:
        return [*said, "No fall is larger than its interval: too few patients, or none there."]
    said.append(
        f"The interval of the fall lies above 0 for {len(seen)} of {len(at)} shifts: "
        f"{', '.join(titles[s] for s in seen)}."
    )
    return said

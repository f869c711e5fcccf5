"""Figures of a study: all rows by protocol, and each row's confusion matrices and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from magnostic.report.settings import TASKS
from magnostic.report.study.folder import STATUS, Entry, Study
from magnostic.report.study.paper import intervals
from magnostic.report.study.say import short
from magnostic.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RULE,
    SKY,
    VERMILION,
    Picture,
    rc,
    save,
)
from magnostic.report.words import METRICS, plural, protocol

#: Inches: the whole width of the page.
_WIDE: Final = 9.6
#: Inches of a row of the forest figure, and of its head and foot.
_PITCH, _FRAME = 0.36, 1.15
_LOOK: Final = {
    "random": (VERMILION, "D"),
    "official": (ORANGE, "^"),
    "patient": (BLUE, "o"),
    "accession": (GREEN, "s"),
    "source": (SKY, "v"),
}
_SHOWN: Final = ("accuracy", "macro_f1")
#: Letters of a label that fit left of the panels.
_LETTERS: Final = 44


def look(name: str) -> tuple[str, str]:
    """Colour and marker of a protocol."""
    return _LOOK.get(name, (MUTED, "P"))


def forest(study: Study, task: str, folder: Path) -> Picture | None:
    """Accuracy and macro F1 of all rows of a task, each protocol on a line of its own."""
    entries = study.of(task)
    names = [p for p in study.protocols if any(p in e.results() for e in entries)]
    if not names:
        return None
    n = len(entries)
    with rc():
        drawn = Figure(
            figsize=(_WIDE, _FRAME + _PITCH * n), layout=ConstrainedLayoutEngine(w_pad=0.08)
        )
        FigureCanvasAgg(drawn)
        panels = drawn.subplots(1, len(_SHOWN), sharey=True, squeeze=False)[0]
        for panel, key in zip(panels, _SHOWN, strict=True):
            _panel(panel, key, entries, names, first=key == _SHOWN[0])
        panels[0].set_yticks(range(n), [""] * n)
        panels[0].set_ylim(n - 0.5, -0.5)
        for y, entry in enumerate(entries):
            _label(panels[0], y, entry)
        marks = [
            Line2D([], [], color=look(p)[0], marker=look(p)[1], ms=5, lw=1.4, label=short(p))
            for p in names
        ]
        marks.append(Line2D([], [], color=INK, marker="x", ms=5, lw=0, label="published"))
        marks.append(
            Line2D([], [], color=MUTED, marker="|", ms=8, lw=0, label="most frequent class")
        )
        drawn.legend(handles=marks, loc="outside upper center", ncols=len(marks))
        words = TASKS.get(task, task)
        return save(
            drawn,
            folder,
            f"rows_{task}",
            f"Accuracy and macro F1 of {n} rows by protocol, {words}",
            f"{words.capitalize()}: every row under each protocol. Crosses: published accuracy "
            "and F1. Strokes: share of the most frequent class under the protocol to believe "
            f"first. {intervals(study, 'Bars')}",
        )


def _panel(
    axes: Axes, key: str, entries: Sequence[Entry], names: Sequence[str], first: bool
) -> None:
    step = min(0.24, 0.72 / len(names))
    offsets = (np.arange(len(names)) - (len(names) - 1) / 2) * step
    axes.hlines(np.arange(len(entries) - 1) + 0.5, 0, 1, color=RULE, lw=0.5)
    for y, entry in enumerate(entries):
        for offset, name in zip(offsets, names, strict=True):
            metric = entry.figure(name, key)
            if metric is None:
                continue
            colour, marker = look(name)
            if metric["low"] is not None:
                axes.plot([metric["low"], metric["high"]], [y + offset] * 2, color=colour, lw=1.3)
            axes.plot(metric["estimate"], y + offset, marker, color=colour, ms=3.8)
        values = [row.values[0 if first else 3] for row in entry.published]
        for value in dict.fromkeys(v for v in values if v is not None):
            axes.plot(value / 100, y, "x", color=INK, ms=5, mew=1.3, zorder=3, clip_on=False)
        if entry.outcome:
            word = STATUS.get(entry.status, entry.status).partition(":")[0]
            axes.text(0.01, y, word, color=MUTED, fontsize=7, va="center", style="italic")
        elif first and (result := entry.results().get(names[-1])):
            main = next((r for p in ("patient", *names) if (r := entry.results().get(p))), result)
            axes.plot([main["majority"]] * 2, [y - 0.42, y + 0.42], color=MUTED, lw=1, zorder=1)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{100 * x:.0f}" for x in np.linspace(0, 1, 6)])
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(METRICS[key])
    axes.set_xlabel("Percent")


def _label(axes: Axes, y: int, entry: Entry) -> None:
    """Name of the row, and below it what its settings are."""
    at: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right"}
    if entry.detail:
        axes.text(-0.02, y - 0.02, _cut(entry.label), va="bottom", fontsize=7.8, **at)
        axes.text(-0.02, y + 0.05, _cut(entry.detail), va="top", fontsize=6.4, color=MUTED, **at)
    else:
        axes.text(-0.02, y, _cut(entry.label), va="center", fontsize=7.8, **at)


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}…"


def row(entry: Entry, names: Sequence[str], number: int, folder: Path) -> Picture | None:
    """A row's confusion matrices side by side, and under them its losses by epoch."""
    results = {name: entry.results()[name] for name in names if name in entry.results()}
    if not results:
        return None
    histories = {name: _epochs(entry, name) for name in results}
    lines = any(histories.values())
    classes = next(iter(results.values()))["confusion"]["classes"]
    side = min(3.1, 1.3 + 0.24 * len(classes))
    heights = [side, 1.7] if lines else [side]
    with rc():
        drawn = Figure(
            figsize=(_WIDE, sum(heights) + 0.25), layout=ConstrainedLayoutEngine(w_pad=0.08)
        )
        FigureCanvasAgg(drawn)
        # Three columns at least, so that matrices of all rows have the same width.
        columns = max(3, len(results))
        grid = drawn.subplots(
            len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for column, (name, result) in enumerate(results.items()):
            _confusion(grid[0, column], protocol(name).title, result["confusion"])
            if lines:
                _losses(grid[1, column], histories[name], first=column == 0)
        if lines:
            top = max(axes.get_ylim()[1] for axes in grid[1, : len(results)])
            for axes in grid[1, : len(results)]:
                axes.set_ylim(0, top)
        for axes in grid[:, len(results) :].ravel():
            axes.set_visible(False)
        says = (
            "Rows true, columns predicted class; numbers are images, colour their share of the row."
        )
        if lines:
            says += " Below: loss by epoch, a line a model; solid blue training, dashed orange "
            says += "validation."
        return save(
            drawn,
            folder,
            f"row_{number:02d}",
            f"Confusion matrices of {entry.name}",
            says,
        )


def _epochs(entry: Entry, name: str) -> list[list[dict[str, Any]]]:
    found = [
        [line for line in child.history if "epoch" in line]
        for child in (entry.run.children if entry.run else [])
        if child.protocol == name
    ]
    return [history for history in found if history]


def _confusion(axes: Axes, title: str, found: Mapping[str, Any]) -> None:
    classes, counts = found["classes"], np.array(found["counts"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    n = len(classes)
    edges = np.arange(n + 1) - 0.5
    axes.pcolormesh(edges, edges, shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", lw=0.6)
    for i, j in np.ndindex(n, n):
        if counts[i, j]:
            axes.text(
                j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=6.5,
                color="white" if shares[i, j] > 0.65 else INK,
            )  # fmt: skip
    names = [c if len(c) <= 10 else f"{c[:9]}…" for c in classes]
    axes.set_xticks(range(n), names, fontsize=6.8)
    axes.set_yticks(range(n), names, fontsize=6.8)
    axes.set_ylim(n - 0.5, -0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{title} ({plural(int(counts.sum()), 'image')})", fontsize=8)


def _losses(axes: Axes, histories: Sequence[Sequence[Mapping[str, Any]]], first: bool) -> None:
    if not histories:
        axes.set_visible(False)
        axes.set_ylim(0, 0.1)  # not the empty panel's 1.0: the others share their scale
        return
    for key, colour, dash in (("train_loss", BLUE, "-"), ("val_loss", VERMILION, "--")):
        for history in histories:
            seen = [(h["epoch"], h[key]) for h in history if h.get(key) is not None]
            if seen:
                axes.plot(
                    *zip(*seen, strict=True), dash, color=colour, lw=1, alpha=0.8,
                    marker="o" if len(seen) == 1 else None, ms=3,
                )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("Epoch", fontsize=7.5)
    axes.tick_params(labelsize=7)
    if first:
        axes.set_ylabel("Loss (nats)", fontsize=7.5)

"""The leakage gap at a glance: a system under each protocol, and what controls reach beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from magnostic.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    SKY,
    VERMILION,
    Picture,
    figure,
    rc,
    save,
)
from magnostic.report.words import METRICS, ordered, protocol, resampling, share

_SHOWN: Final = ("accuracy", "macro_f1")
#: What is shown of a control: its name in words, colour, marker and dash.
SYSTEM: Final = "this system, all test images"
LEARNABLE: Final = "this system, learnable images"
EQUAL: Final = "equal training parts"
COLOUR: Final = "colours alone"
_LOOK: Final = {
    SYSTEM: (BLUE, "o", "-"),
    LEARNABLE: (SKY, "s", "--"),
    EQUAL: (GREEN, "^", "-"),
    COLOUR: (VERMILION, "D", ":"),
}
_TITLES: Final = {
    "random": "Random\nimages",
    "patient": "Patients\napart",
    "accession": "Lab numbers\napart",
    "source": "Data sets\napart",
    "official": "Official\nfolds",
}


@dataclass(frozen=True)
class Series:
    """A line of the picture: by protocol, ``accuracy`` and ``macro_f1`` with their intervals."""

    name: str
    figures: Mapping[str, Mapping[str, Any]]


def series(metrics: Mapping[str, Any], controls: Mapping[str, Any] | None) -> list[Series]:
    """The system and the controls that were measured, by protocol."""
    results = metrics["protocols"]
    found = [Series(SYSTEM, {name: result["overall"] for name, result in results.items()})]
    if any(result["estimable"] for result in results.values()):
        learnable = {n: result["estimable"] or result["overall"] for n, result in results.items()}
        found.append(Series(LEARNABLE, learnable))
    if controls is not None:
        equal = controls["equal"]
        if equal is not None and "reason" not in equal:
            found.append(Series(EQUAL, equal["protocols"]))
        found.append(Series(COLOUR, controls["colour"]["protocols"]))
    return found


def gap(
    metrics: Mapping[str, Any],
    controls: Mapping[str, Any] | None,
    folder: Path,
    name: str = "gap",
    what: str = "One recipe",
) -> Picture | None:
    """Accuracy and macro F1 from random images to the strictest protocol; None without a gap."""
    if not metrics["gap"]:
        return None
    names = ["random", *[p for p in ordered(metrics["protocols"]) if p != "random"]]
    lines = series(metrics, controls)
    with rc():
        drawn, panels = figure(5.0, rows=2)
        for axes, key in zip(panels, _SHOWN, strict=True):
            _panel(axes, key, names, lines)
        for x, protocol_name in enumerate(names):
            majority = metrics["protocols"][protocol_name]["majority"]
            panels[0].plot([x - 0.3, x + 0.3], [majority] * 2, color=MUTED, lw=1, ls="--")
        panels[0].tick_params(labelbottom=False)
        marks = [
            Line2D([], [], color=c, marker=m, ls=dash, ms=4.5, label=line.name)
            for line in lines
            for c, m, dash in [_LOOK[line.name]]
        ]
        drawn.legend(handles=marks, loc="outside upper left", ncols=2)
        stated = ""
        if any(line.name == EQUAL for line in lines):
            stated = (
                " Equal training parts: logistic regression on the same features, every training "
                "part cut to the same number of images of each class, classes left out that some "
                "fold cannot train."
            )
        if any(line.name == COLOUR for line in lines):
            stated += " Colours alone: logistic regression on colour histograms."
        units = dict.fromkeys(metrics["protocols"][n]["cluster"] for n in names)
        return save(
            drawn,
            folder,
            name,
            "Accuracy and macro F1 under each protocol, of the system and of its controls",
            f"{what} under each protocol.{stated} Dashed strokes: share of the most frequent "
            f"class. {resampling(metrics, 's or '.join(units))}",
        )


def _panel(axes: Axes, key: str, names: Sequence[str], lines: Sequence[Series]) -> None:
    step = 0.11
    for number, line in enumerate(lines):
        colour, marker, dash = _LOOK[line.name]
        offset = (number - (len(lines) - 1) / 2) * step
        seen = [
            (x + offset, line.figures[name][key])
            for x, name in enumerate(names)
            if name in line.figures and line.figures[name][key]["estimate"] is not None
        ]
        width = 2.0 if line.name == SYSTEM else 1.2
        axes.plot(
            [x for x, _ in seen], [m["estimate"] for _, m in seen], dash, color=colour, lw=width,
            marker=marker, ms=5 if line.name == SYSTEM else 4,
        )  # fmt: skip
        for x, metric in seen:
            if metric["low"] is not None:
                ends = [metric["low"], metric["high"]]
                axes.plot([x, x], ends, color=colour, lw=1, alpha=0.7)
            if line.name == SYSTEM:
                below = -10 if x > 0.5 else 2  # the line comes from above, but for the first
                axes.annotate(
                    share(metric["estimate"], 2), (x, metric["estimate"]), xytext=(-5, below),
                    textcoords="offset points", ha="right", fontsize=8, color=BLUE, weight="bold",
                    zorder=5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
                )  # fmt: skip
    axes.set_xticks(range(len(names)), [_TITLES.get(n, protocol(n).title) for n in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel(METRICS[key])
    axes.grid(axis="y")


def recognition(
    metrics: Mapping[str, Any], controls: Mapping[str, Any] | None, folder: Path
) -> Picture | None:
    """How well the slide of a random-image test photograph is known; None where none was asked."""
    if controls is None:
        return None
    rows = _recognized(controls)
    if not rows:
        return None
    with rc():
        drawn, (axes,) = figure(0.9 + 0.62 * len(rows))
        for y, (title, metric, chance, in_class) in enumerate(rows):
            axes.text(0, y - 0.28, title, ha="left", va="center", fontsize=8)
            axes.barh(y + 0.08, metric["estimate"], 0.3, color=ORANGE)
            if metric["low"] is not None:
                axes.plot([metric["low"], metric["high"]], [y + 0.08] * 2, color=INK, lw=0.9)
            axes.text(
                1.03, y + 0.08, share(metric["estimate"], 2), ha="left", va="center", fontsize=8,
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            axes.plot([chance] * 2, [y - 0.12, y + 0.28], color=INK, lw=1.8)
            if in_class is not None:
                axes.plot([in_class] * 2, [y - 0.12, y + 0.28], color=INK, lw=1.4, ls=(0, (2, 1)))
        marks = [Line2D([], [], color=INK, lw=1.8, label="chance")]
        if any(in_class is not None for *_, in_class in rows):
            label = "chance within the class that is found"
            marks.append(Line2D([], [], color=INK, lw=1.4, ls=(0, (2, 1)), label=label))
        drawn.legend(handles=marks, loc="outside upper left", ncols=2)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(rows) - 0.55, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(axis="x")
        axes.set_xlabel("Share of random-image test photographs")
        return save(
            drawn,
            folder,
            "recognition",
            "How often the slide of a random-image test photograph is recognized",
            "What random images let a system recognize: the slide itself. Under the other "
            "protocols no image of that slide is in training. " + resampling(metrics, "patient"),
        )


Recognized = tuple[str, Mapping[str, Any], float, float | None]


def _recognized(controls: Mapping[str, Any]) -> list[Recognized]:
    rows: list[Recognized] = []
    of = {"features": "its features", "colour": "colours alone"}
    slides = controls["slides"]
    for kind, words in of.items():
        if slides is not None and slides[kind] is not None:
            rows.append((f"Slide named right, from {words}", slides[kind], slides["chance"], None))
    for kind, words in of.items():
        near = controls["neighbours"].get(kind, {}).get("random", {}).get("slide")
        if near is not None:
            title = f"Nearest training image is of the same slide, by {words}"
            rows.append((title, near, near["chance"], near["chance_in_class"]))
    return rows

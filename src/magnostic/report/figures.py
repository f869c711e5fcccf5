"""Figures of the results: the gap at a glance, confusion, classes, magnifications, patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from magnostic.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    RULE,
    SKY,
    VERMILION,
    Picture,
    figure,
    rc,
    save,
)
from magnostic.report.words import METRICS, interval, ordered, plural, protocol, resampling, share

_FOREST: Final = ("accuracy", "balanced_accuracy", "macro_f1")
_COLOURS: Final = {"random": VERMILION}


def forest(metrics: Mapping[str, Any], folder: Path) -> Picture:
    """Accuracy, balanced accuracy and macro F1 of every protocol with intervals."""
    names = ordered(metrics["protocols"])
    lines = len(_FOREST) * (len(names) + 0.8)
    with rc():
        drawn, (axes,) = figure(0.75 + 0.2 * lines)
        y, ticks = 0.0, []
        for key in _FOREST:
            axes.text(-0.02, y, METRICS[key], ha="right", va="center", weight="bold",
                      transform=axes.get_yaxis_transform())  # fmt: skip
            y += 0.9
            for name in names:
                result = metrics["protocols"][name]
                metric = result["overall"][key]
                colour = _COLOURS.get(name, BLUE)
                _whisker(axes, metric, y, colour, "D" if name == "random" else "o")
                ticks.append((y, protocol(name).title))
                if key == "accuracy":
                    axes.plot(
                        [result["majority"]] * 2, [y - 0.4, y + 0.4], color=MUTED, lw=1, ls="--"
                    )  # fmt: skip
                y += 1
            y += 0.5
        axes.set_yticks([t for t, _ in ticks], [title for _, title in ticks])
        axes.set_ylim(y - 0.6, -0.6)
        axes.set_xlim(0, 1)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        unit = metrics["protocols"][names[0]]["cluster"]
        sizes = "; ".join(
            f"{protocol(n).title.lower()}: {metrics['protocols'][n]['n_images']:,} images, "
            f"{plural(metrics['protocols'][n]['n_clusters'], metrics['protocols'][n]['cluster'])}"
            for n in names
        )
        return save(
            drawn,
            folder,
            "protocols",
            "Accuracy, balanced accuracy and macro F1 of each protocol with intervals",
            f"The same system under each protocol ({sizes}). Dashed strokes: share of the most "
            f"frequent class. {resampling(metrics, _units(metrics, names, unit))}",
        )


def _units(metrics: Mapping[str, Any], names: Sequence[str], first: str) -> str:
    units = dict.fromkeys([first, *[metrics["protocols"][n]["cluster"] for n in names]])
    return "s or ".join(units)


def _whisker(axes: Axes, metric: Mapping[str, Any], y: float, colour: str, marker: str) -> None:
    if metric["estimate"] is None:
        return
    if metric["low"] is not None:
        axes.plot([metric["low"], metric["high"]], [y, y], color=colour, lw=1.6)
    axes.plot(metric["estimate"], y, marker, color=colour, ms=5)
    axes.text(
        1.03, y, f"{share(metric['estimate'])} {interval(metric)}", ha="left", va="center",
        fontsize=7.5, transform=axes.get_yaxis_transform(),
    )  # fmt: skip


def confusion(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture:
    """Counts, coloured by their share of the row (true class)."""
    result = metrics["protocols"][name]
    classes, counts = result["confusion"]["classes"], np.array(result["confusion"]["counts"])
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    n = len(classes)
    with rc():
        drawn, (axes,) = figure(min(4.6, max(2.6, 1.2 + 0.42 * n)) + _extra(classes))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        size = 8.5 if n <= 8 else 6
        for i, j in np.ndindex(n, n):
            if counts[i, j]:
                axes.text(
                    j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=size,
                    color="white" if shares[i, j] > 0.65 else INK,
                )  # fmt: skip
        axes.set_xticks(range(n), classes, **_slanted(classes))
        axes.set_yticks(range(n), [f"{c}  {t:,}" for c, t in zip(classes, totals, strict=True)])
        axes.set_xlabel("Predicted")
        axes.set_ylabel("True class\n(number of images)")
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.2)
        axes.tick_params(which="both", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        several = "the overlapping draws" if name == "official" else "repeats"
        repeats = f", summed over {several}" if result["repeats"] > 1 else ""
        return save(
            drawn,
            folder,
            f"confusion_{name}",
            f"Confusion matrix, {protocol(name).title.lower()}",
            f"Confusion matrix, {protocol(name).title.lower()}: {result['n_images']:,} images"
            f"{repeats}. Colour: share of the true class's images (row), from white, none, to dark "
            "blue, all. Empty: none.",
        )


def _long(labels: Sequence[str]) -> bool:
    return max(map(len, labels)) * len(labels) > 60


def _slanted(labels: Sequence[str]) -> dict[str, Any]:
    """Class names too long to lie side by side end below their tick."""
    return {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if _long(labels) else {}


def _extra(labels: Sequence[str]) -> float:
    """Inches that slanted class names take from the drawing's height."""
    return 0.045 * max(map(len, labels)) if _long(labels) else 0.0


def classes(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture:
    """Precision, recall and F1 of every class as bars with intervals."""
    result = metrics["protocols"][name]
    entries = result["by_class"]
    series = (("precision", SKY), ("recall", BLUE), ("f1", GREEN))
    with rc():
        labels = list(entries)
        drawn, (axes,) = figure(2.9 + _extra(labels))
        x = np.arange(len(entries), dtype=float)
        for k, (key, colour) in enumerate(series):
            for place, entry in zip(x + (k - 1) * 0.27, entries.values(), strict=True):
                metric = entry[key]
                if metric["estimate"] is None:
                    continue
                axes.bar(place, metric["estimate"], 0.25, color=colour)
                if metric["low"] is not None:
                    axes.plot([place] * 2, [metric["low"], metric["high"]], color=INK, lw=0.9)
            axes.bar(0, 0, color=colour, label=METRICS[key])
        axes.set_xticks(x, labels, **_slanted(labels))
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.set_ylim(0, 1.04)
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
        return save(
            drawn,
            folder,
            f"classes_{name}",
            f"Precision, recall and F1 by class, {protocol(name).title.lower()}",
            f"Precision, recall and F1 by class ({result['n_images']:,} images). "
            + resampling(metrics, result["cluster"]),
        )


def magnifications(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture | None:
    """Accuracy and macro F1 at each magnification."""
    result = metrics["protocols"][name]
    found = result["by_magnification"]
    if len(found) < 2:
        return None
    series = (("accuracy", BLUE, "o", -0.1), ("macro_f1", GREEN, "s", 0.1))
    with rc():
        drawn, (axes,) = figure(2.6)
        for key, colour, marker, offset in series:
            for x, entry in enumerate(found.values()):
                metric = entry[key]
                if metric["estimate"] is None:
                    continue
                if metric["low"] is not None:
                    ends = [metric["low"], metric["high"]]
                    axes.plot([x + offset] * 2, ends, color=colour, lw=1.6)
                axes.plot(x + offset, metric["estimate"], marker, color=colour, ms=5)
            axes.plot([], [], marker, color=colour, label=METRICS[key])
        labels = [
            f"{value}X\n{entry['n']:,}" if value.isdigit() else f"{value}\n{entry['n']:,}"
            for value, entry in found.items()
        ]
        axes.set_xticks(range(len(found)), labels)
        axes.set_xlim(-0.5, len(found) - 0.5)
        axes.set_xlabel("Magnification, with number of images")
        axes.set_ylim(0, 1.04)
        axes.grid(axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
        return save(
            drawn,
            folder,
            f"magnifications_{name}",
            f"Accuracy and macro F1 by magnification, {protocol(name).title.lower()}",
            "Accuracy and macro F1 at each magnification, one model for all. "
            + resampling(metrics, result["cluster"]),
        )


def patients(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture | None:
    """Each patient's score as a dot, by class; the class's mean as a stroke."""
    result = metrics["protocols"][name]["patients"]
    if result is None:
        return None
    labels = [c for c in metrics["classes"] if any(s["label"] == c for s in result["scores"])]
    with rc():
        drawn, (axes,) = figure(max(2.4, 0.9 + 0.33 * len(labels)))
        for y, label in enumerate(labels):
            scores = np.array([s["score"] for s in result["scores"] if s["label"] == label])
            axes.plot(
                scores, y + _spread(scores), "o", color=BLUE, ms=4.5, alpha=0.75, mec="white",
                mew=0.4, clip_on=False,
            )  # fmt: skip
            axes.plot([scores.mean()] * 2, [y - 0.36, y + 0.36], color=VERMILION, lw=1.8)
        numbers = [sum(s["label"] == label for s in result["scores"]) for label in labels]
        axes.set_yticks(
            range(len(labels)), [f"{c}  {n}" for c, n in zip(labels, numbers, strict=True)]
        )
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("Patient score")
        axes.set_ylabel("Class\n(number of patients)")
        axes.hlines(np.arange(len(labels) - 1) + 0.5, -0.02, 1.02, color=RULE, lw=0.6)
        axes.tick_params(axis="y", length=0)
        rate = result["recognition_rate"]
        within = f" {interval(rate)}" if rate["low"] is not None else ""
        return save(
            drawn,
            folder,
            f"patients_{name}",
            f"Patient scores by class, {protocol(name).title.lower()}",
            f"Share of each patient's images predicted rightly: {result['n']} dots, one a patient "
            f"and label ({plural(result['n_patients'], 'patient')}). Strokes: mean of the class. "
            f"Patient recognition rate {share(rate['estimate'])}{within}.",
        )


def _spread(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """Vertical offsets that part dots of nearly equal score, the same at every drawing."""
    offsets = np.zeros(len(scores))
    bins = np.round(scores * 40).astype(int)
    for value in np.unique(bins):
        here = np.flatnonzero(bins == value)
        steps = (np.arange(len(here)) + 1) // 2 * np.where(np.arange(len(here)) % 2, 1, -1)
        offsets[here] = np.clip(steps * min(0.14, 0.64 / len(here)), -0.34, 0.34)
    return offsets

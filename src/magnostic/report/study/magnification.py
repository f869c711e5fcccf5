"""Magnification independence in a study: rows that differ in nothing but what they trained at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.magnification import FIGURES, agreement, matrix
from magnostic.evaluate.predictions import Predictions
from magnostic.report.cells import Cell, Table, Value, flat
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.say import between, figure, listed, percent, points, points_between
from magnostic.report.style import INK, Picture, rc, save
from magnostic.report.words import METRICS, MISSING, level, plural, protocol

_FIELD: Final = "train_magnifications"
#: Inches: the whole width of the page.
_WIDE: Final = 9.6
_PATIENTS: Final = ("majority_vote_accuracy", "mean_probability_accuracy")

#: Terms of this section for the page's glossary.
GLOSSARY: Final = (
    (
        "Agreement between magnifications",
        "Each patient is decided on at every magnification by the class predicted for most of its "
        "images there; the share of patients with the same decision at all their magnifications, "
        "and Fleiss' kappa, which takes off what would agree by chance. A system that is wrong in "
        "the same way at every magnification agrees.",
    ),
)


@dataclass(frozen=True)
class Section:
    """What the template shows of one group of rows under one protocol."""

    title: str
    says: list[str]
    picture: Picture
    table: Table


def sections(study: Study, folder: Path) -> list[Section]:
    """One for each protocol that keeps patients apart, for each group of comparable rows."""
    made: list[Section] = []
    groups = _groups(study)
    for number, group in enumerate(groups, start=1):
        names = [p for p in study.protocols if all(p in e.results() for e in group)]
        suffix = f"_{number}" if len(groups) > 1 else ""
        grouped = [p for p in names if p != "random"] or names
        made += [_section(group, name, folder, suffix) for name in grouped]
    return made


def _groups(study: Study) -> list[list[Entry]]:
    """Rows that differ in what they trained at and in nothing else; two or more of each."""
    groups: dict[str, list[Entry]] = {}
    for entry in study.done:
        assert entry.run is not None
        recipe = {k: v for k, v in entry.run.recipe.items() if k not in ("name", "description")}
        recipe["data"] = {k: v for k, v in recipe.get("data", {}).items() if k != _FIELD}
        rest = yaml.safe_dump([recipe, entry.run.data.get("data_hash")])
        here = groups.setdefault(rest, [])
        if trained(entry) not in [trained(other) for other in here]:
            here.append(entry)
    return [group for group in groups.values() if len(group) > 1]


def trained(entry: Entry) -> list[int]:
    """Magnifications that a row was trained at; none: all."""
    data = entry.run.recipe.get("data", {}) if entry.run else {}
    return sorted(int(m) for m in data.get(_FIELD) or ())


def _section(group: Sequence[Entry], name: str, folder: Path, suffix: str) -> Section:
    metrics = group[0].run.metrics if group[0].run else {}
    sampling = Sampling(
        int(metrics["resamples"]), float(metrics["confidence"]), int(metrics["seed"])
    )
    tests = [
        Predictions.read(entry.path / "predictions.parquet").where(part="test", protocol=name)
        for entry in group
    ]
    unlearnt = [
        {(f["repeat"], f["fold"]): f["not_estimable"] for f in entry.results()[name]["by_fold"]}
        for entry in group
    ]
    found = matrix(tests, [trained(entry) for entry in group], unlearnt, name, sampling)
    agreements = [agreement(test, name, sampling) for test in tests]
    words = f"{TASKS.get(group[0].task, group[0].task)}, {protocol(name).title.lower()}"
    stem = f"magnification_{group[0].task}_{name}{suffix}"
    return Section(
        words[0].upper() + words[1:],
        _says(group, found, agreements),
        _picture(group, found, words, folder, stem, sampling),
        _table(group, name, found, agreements, words, stem, sampling),
    )


def _picture(
    group: Sequence[Entry],
    found: Mapping[str, Any],
    words: str,
    folder: Path,
    stem: str,
    sampling: Sampling,
) -> Picture:
    with rc():
        drawn = Figure(
            figsize=(_WIDE, 1.1 + 0.46 * len(group)), layout=ConstrainedLayoutEngine(w_pad=0.08)
        )
        FigureCanvasAgg(drawn)
        panels = drawn.subplots(1, len(FIGURES), sharey=True, squeeze=False)[0]
        for axes, key in zip(panels, FIGURES, strict=True):
            _panel(axes, group, found, key)
        panels[0].set_ylabel("Trained at")
        left_out = found["excluded"]
        which = ""
        if left_out:
            which = (
                " Left out: images of types that some row could not learn in their fold ("
                f"{', '.join(f'{c} {n:,}' for c, n in left_out.items())})."
            )
        how = "no intervals were computed"
        if sampling.resamples:
            how = f"small: {level(sampling.confidence)} intervals over {found['cluster']}s"
        return save(
            drawn,
            folder,
            stem,
            f"Accuracy and macro F1 by magnification trained at and tested at, {words}",
            f"Trained at (rows) and tested at (columns), {words}, in percent; {how}. Framed: "
            f"magnifications that the row was trained at. All rows are tested on the same images "
            f"of {plural(found['n_clusters'], found['cluster'])}.{which}",
        )


def _panel(axes: Axes, group: Sequence[Entry], found: Mapping[str, Any], key: str) -> None:
    columns = found["magnifications"]
    values = np.array(
        [
            [np.nan if (v := row["cells"][m][key]["estimate"]) is None else v for m in columns]
            for row in found["rows"]
        ]
    ).reshape(len(group), len(columns))
    edges = [np.arange(n + 1) - 0.5 for n in (len(columns), len(group))]
    axes.pcolormesh(*edges, values, cmap="Blues", vmin=0, vmax=1, edgecolors="white", lw=1)
    for (i, j), value in np.ndenumerate(values):
        metric = found["rows"][i]["cells"][columns[j]][key]
        colour = "white" if value > 0.55 else INK
        axes.text(j, i - 0.02, percent(metric["estimate"]), ha="center", va="bottom", fontsize=8,
                  color=colour)  # fmt: skip
        axes.text(j, i + 0.06, between(metric), ha="center", va="top", fontsize=5.8, color=colour)
        if columns[j] in (trained(group[i]) or columns):
            axes.add_patch(
                Rectangle((j - 0.47, i - 0.46), 0.94, 0.92, fill=False, edgecolor=INK, lw=0.8)
            )
    axes.set_xticks(
        range(len(columns)),
        [f"{m}X\n{found['columns'][m]['n']:,} images" for m in columns],
    )
    axes.set_yticks(range(len(group)), [entry.name for entry in group])
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.set_xlabel("Tested at")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(METRICS[key])


def _table(
    group: Sequence[Entry],
    name: str,
    found: Mapping[str, Any],
    agreements: Sequence[Mapping[str, Any] | None],
    words: str,
    stem: str,
    sampling: Sampling,
) -> Table:
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for entry, row, agreed in zip(group, found["rows"], agreements, strict=True):
        worst, unseen = row["worst"], row["unseen"]
        patients = entry.results()[name]["patients"]
        same, kappa = (agreed[k] if agreed else None for k in ("same", "kappa"))
        rows.append(
            [
                Cell(entry.label, entry.detail),
                _worst(row),
                _fall(unseen["accuracy"] if unseen else None),
                figure(same),
                Cell(MISSING) if kappa is None else _kappa(kappa),
                *[figure(patients[key] if patients else None) for key in _PATIENTS],
            ]
        )
        record: dict[str, Value] = {
            "key": entry.key, "label": entry.label,
            "trained_at": " ".join(map(str, trained(entry))), "worst_at": worst,
        }  # fmt: skip
        for m in found["magnifications"]:
            for key in FIGURES:
                record |= flat(f"{key}_at_{m}", row["cells"][m][key])
        for key in FIGURES:
            record |= flat(f"{key}_unseen_points", unseen[key] if unseen else None)
        record |= flat("same_decision", same) | flat("kappa", kappa)
        for key in _PATIENTS:
            record |= flat(key, patients[key] if patients else None)
        records.append(record)
    compared = [a["n_patients"] for a in agreements if a]
    of = f" (over {plural(max(compared), 'patient')} with two or more)" if compared else ""
    return Table(
        stem,
        f"{words[0].upper() + words[1:]}: magnification independence, in percent. Worst: the "
        "magnification with the lowest accuracy. Lost where unseen: at the magnifications that the "
        "row was not trained at, mean accuracy of the row trained at all minus its own, in points; "
        "rows of fewer magnifications also had fewer photographs. Same decision: patients "
        f"decided alike at every magnification{of}; kappa: the same beyond chance. The last two "
        "columns decide on each patient from all its images, whatever their magnification. "
        f"{level(sampling.confidence)} intervals.",
        ["Trained at", "Worst", "Lost where unseen", "Same decision", "Kappa",
         *[METRICS[key] for key in _PATIENTS]],
        rows,
        records,
    )  # fmt: skip


def _worst(row: Mapping[str, Any]) -> Cell:
    if row["worst"] is None:
        return Cell(MISSING)
    metric = row["cells"][row["worst"]]["accuracy"]
    return Cell(f"{percent(metric['estimate'])} at {row['worst']}X", between(metric))


def _fall(metric: Mapping[str, Any] | None) -> Cell:
    if metric is None or metric["estimate"] is None:
        return Cell(MISSING)
    return Cell(points(metric["estimate"]), points_between(metric))


def _kappa(metric: Mapping[str, Any]) -> Cell:
    if metric["estimate"] is None:
        return Cell(MISSING)
    low, high = metric["low"], metric["high"]
    within = "" if low is None else f"{low:.2f} to {high:.2f}".replace("-", "−")
    return Cell(f"{metric['estimate']:.2f}".replace("-", "−"), within)


def _says(
    group: Sequence[Entry],
    found: Mapping[str, Any],
    agreements: Sequence[Mapping[str, Any] | None],
) -> list[str]:
    """What the rows show of unseen magnifications, and how far the row of all agrees."""
    said = []
    clear: list[tuple[Entry, Mapping[str, Any]]] = []
    unclear: list[tuple[Entry, Mapping[str, Any]]] = []
    for entry, row in zip(group, found["rows"], strict=True):
        metric = row["unseen"]["accuracy"] if row["unseen"] else None
        if metric is None or metric["estimate"] is None or metric["low"] is None:
            continue
        (clear if metric["low"] > 0 else unclear).append((entry, metric))
    if clear:
        worst = max(clear, key=lambda pair: pair[1]["estimate"])
        said.append(
            f"At magnifications that they did not see, {len(clear)} of "
            f"{len(clear) + len(unclear)} rows are less accurate than the row trained at all, "
            f"with intervals above zero; most of all {worst[0].name}, by "
            f"{points(worst[1]['estimate'])} points ({points_between(worst[1])})."
        )
    elif unclear:
        said.append(
            "At magnifications that it did not see, no row is less accurate than the row trained "
            "at all, within intervals."
        )
    for entry, row, agreed in zip(group, found["rows"], agreements, strict=True):
        if trained(entry) or row["worst"] is None:
            continue
        cell = row["cells"][row["worst"]]["accuracy"]
        sentence = (
            f"Trained at all: {percent(cell['estimate'])}% accuracy at its worst magnification, "
            f"{row['worst']}X"
        )
        if agreed and agreed["same"]["estimate"] is not None:
            sentence += (
                f"; {percent(agreed['same']['estimate'])}% of "
                f"{plural(agreed['n_patients'], 'patient')} are decided alike at every "
                "magnification"
            )
        said.append(sentence + ".")
    if found["excluded"]:
        said.append(
            f"Left out, as some row could not learn them: {listed(list(found['excluded']))}."
        )
    return said

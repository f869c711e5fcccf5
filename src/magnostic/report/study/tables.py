"""Tables over a study's rows: medians by protocol, and the ranking on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from magnostic.report.cells import Cell, Table, Value, cells, flat
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Study
from magnostic.report.study.ranking import BY, Ranking
from magnostic.report.study.say import figure, percent, points, points_between, short
from magnostic.report.words import METRICS, MISSING, level, plural, protocol


def summary(study: Study, task: str) -> Table | None:
    """Medians and ranges over a task's rows, published figures first."""
    done = [entry for entry in study.of(task) if entry.run is not None]
    if not done:
        return None
    rows, records = [], []
    printed = [(e, v) for e in done if (v := e.printed) is not None]
    if printed:
        values = [value for _, value in printed]
        rows.append([Cell("Published"), *cells([len(values)]), _range(values), *cells([None] * 4)])
        records.append(_record("published", values, [], None, None, None))
    for name in study.protocols:
        accuracies, f1s, short_of, gaps = [], [], [], []
        not_better = 0
        for entry in done:
            accuracy, f1 = entry.figure(name, "accuracy"), entry.figure(name, "macro_f1")
            if accuracy is None:
                continue
            accuracies.append(100 * accuracy["estimate"])
            f1s += [100 * f1["estimate"]] if f1 else []
            value = entry.printed
            short_of += [] if value is None else [value - 100 * accuracy["estimate"]]
            not_better += not entry.beats_majority(name)
            gaps += [] if (gap := entry.gap(name)) is None else [gap["estimate"]]
        if not accuracies:
            continue
        rows.append(
            [
                Cell(protocol(name).title),
                *cells([len(accuracies)]),
                _range(accuracies),
                _range(f1s),
                _range(short_of, signed=True),
                _range(gaps, signed=True),
                Cell(f"{not_better} of {len(accuracies)}"),
            ]
        )
        records.append(_record(name, accuracies, f1s, _mid(short_of), _mid(gaps), not_better))
    return Table(
        f"summary_{task}",
        f"{TASKS.get(task, task).capitalize()}: median over the rows, in percent and points; small "
        "figures: lowest and highest. Published minus ours: over the rows that have a published "
        "accuracy. Random minus this: on the images that both protocols tested. Last column: rows "
        "whose accuracy interval reaches down to the share of the most frequent class.",
        ["", "Rows", "Accuracy", "Macro F1", "Published minus ours", "Random minus this",
         "Not above majority"],
        rows,
        records,
    )  # fmt: skip


def _mid(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _range(values: Sequence[float], signed: bool = False) -> Cell:
    if not values:
        return Cell(MISSING)
    if len(values) == 1:
        return Cell(points(values[0]))
    dash = " to " if signed else "–"
    return Cell(points(median(values)), f"{points(min(values))}{dash}{points(max(values))}")


def _record(
    name: str,
    accuracies: Sequence[float],
    f1s: Sequence[float],
    short_of: float | None,
    gap: float | None,
    not_better: int | None,
) -> dict[str, Value]:
    return {
        "protocol": name,
        "rows": len(accuracies),
        "accuracy_median": _mid(accuracies),
        "accuracy_min": min(accuracies),
        "accuracy_max": max(accuracies),
        "macro_f1_median": _mid(f1s),
        "published_minus_ours_median": short_of,
        "random_minus_this_median": gap,
        "rows_not_better_than_majority": not_better,
    }


def ranking(found: Ranking, number: int) -> Table:
    """Systems best first, each with its paired difference from the best."""
    rows, records = [], []
    for n, place in enumerate(found.places, start=1):
        behind: Mapping[str, Any] = place.behind or {}
        rows.append(
            [
                Cell(place.entry.label, place.entry.detail),
                *cells([n]),
                *[
                    figure(place.figures[key])
                    for key in ("accuracy", "balanced_accuracy", "macro_f1")
                ],
                Cell(points(behind["estimate"]), points_between(behind))
                if behind
                else Cell(MISSING),
                Cell(_says(place.resolved, behind)),
            ]
        )
        record: dict[str, Value] = {"rank": n, "key": place.entry.key, "label": place.entry.label,
                                    "settings": place.entry.detail}  # fmt: skip
        for key in ("accuracy", "balanced_accuracy", "macro_f1"):
            record |= flat(key, place.figures[key])
        records.append(record | flat("points_behind_best", behind))
    return Table(
        f"ranking_{found.task}_{number}",
        f"{TASKS.get(found.task, found.task).capitalize()}, {short(found.protocol)}: "
        f"{plural(len(found.places), 'row')} that tested the same {found.n_images:,} images "
        f"({plural(found.n_clusters, found.unit)}), by {METRICS[BY].lower()}, in percent; the most "
        f"frequent class holds {percent(found.majority)}. Behind the best: points, paired "
        f"{level(found.sampling.confidence)} interval over the same {found.unit}s, not corrected "
        "for the number of rows.",
        ["", "Place", *[METRICS[k] for k in ("accuracy", "balanced_accuracy", "macro_f1")],
         "Behind the best", "Difference"],
        rows,
        records,
    )  # fmt: skip


def _says(resolved: bool, behind: Mapping[str, Any]) -> str:
    if not behind:
        return "best"
    if behind["low"] is None:
        return "no interval"
    return "resolved" if resolved else "not resolved"

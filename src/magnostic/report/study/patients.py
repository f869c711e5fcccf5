"""Decisions on patients in a study: three figures that are often taken for one, row by row."""

from __future__ import annotations

from typing import Final

from magnostic.report.cells import Cell, Table, Value, cells, flat
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Study
from magnostic.report.study.say import figure
from magnostic.report.words import METRICS, level, ordered, plural, protocol

_FIGURES: Final = ("recognition_rate", "mean_probability_accuracy", "majority_vote_accuracy")


def table(study: Study, task: str) -> Table | None:
    """Every row under the protocol to believe first; None where no patient is known there."""
    done = [entry for entry in study.of(task) if entry.run is not None]
    names = ordered({p: None for e in done for p, r in e.results().items() if r["patients"]})
    name = next((p for p in names if p != "random"), None)
    if name is None:
        return None
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for entry in done:
        result = entry.results().get(name)
        found = result["patients"] if result else None
        if result is None or not found:
            continue
        rows.append(
            [
                Cell(entry.label, entry.detail),
                *cells([found["n"]]),
                figure(result["overall"]["accuracy"]),
                *[figure(found[key]) for key in _FIGURES],
            ]
        )
        record: dict[str, Value] = {
            "key": entry.key, "label": entry.label, "settings": entry.detail,
            "protocol": name, "patients": found["n"],
        }  # fmt: skip
        record |= flat("accuracy", result["overall"]["accuracy"])
        for key in _FIGURES:
            record |= flat(key, found[key])
        records.append(record)
    first = next(r for e in done if (r := e.results().get(name)) and r["patients"])
    confidence = next(e.run.metrics["confidence"] for e in done if e.run is not None)
    unit = first["patients"]["cluster"]
    return Table(
        f"patients_{task}",
        f"{TASKS.get(task, task).capitalize()}, {protocol(name).title.lower()}: figures over "
        "patients, in percent. Recognition rate: mean over patients of the share of their images "
        "that is right. The last two decide on each patient from all its images. A slide with two "
        "labels is one patient and counts once for each. "
        f"{level(confidence)} intervals over {plural(first['n_clusters'], unit)}.",
        ["", "Patients", "Accuracy of images", *[METRICS[key] for key in _FIGURES]],
        rows,
        records,
    )

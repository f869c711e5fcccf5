"""Tables of the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from magnostic.evaluate.metrics import OVERALL, PER_CLASS
from magnostic.evaluate.patients import FIGURES
from magnostic.report.cells import Cell, Table, Value, cells, figure_cell, flat
from magnostic.report.folder import Child, RunFolder
from magnostic.report.words import (
    METRICS,
    class_name,
    ordered,
    plural,
    protocol,
    resampling,
    share,
)

_SCORE = (
    "patient_id",
    "label",
    "n_images",
    "score",
    "mean_probability_correct",
    "majority_correct",
)


#: Clusters below which an interval is known to be too narrow.
_ENOUGH: Final = 10


def headline(run: RunFolder) -> Table:
    """All protocols side by side."""
    metrics = run.metrics
    names = ordered(metrics["protocols"])
    results = [metrics["protocols"][name] for name in names]
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = [{"protocol": name} for name in names]

    def line(title: str, key: str, figures: Sequence[Mapping[str, Any] | None]) -> None:
        rows.append([Cell(title), *map(figure_cell, figures)])
        for record, figure in zip(records, figures, strict=True):
            record.update(flat(key, figure))

    def count(title: str, key: str, values: Sequence[Value]) -> None:
        rows.append([Cell(title), *cells(values)])
        for record, value in zip(records, values, strict=True):
            record[key] = value

    for key in OVERALL:
        line(METRICS[key], key, [r["overall"][key] for r in results])
    for key in FIGURES if any(r["patients"] for r in results) else ():
        line(METRICS[key], key, [(r["patients"] or {}).get(key) for r in results])
    if any(r["estimable"] for r in results):
        for key in ("accuracy", "macro_f1"):
            line(
                f"{METRICS[key]}, learnable images",
                f"learnable_{key}",
                [(r["estimable"] or r["overall"])[key] for r in results],
            )
    rows.append(
        [Cell("Most frequent class's share"), *[Cell(share(r["majority"])) for r in results]]
    )
    for record, result in zip(records, results, strict=True):
        record["majority"] = result["majority"]
    count("Test images", "n_images", [r["n_images"] for r in results])
    if any(r["n_patients"] for r in results):
        count("Patients", "n_patients", [r["n_patients"] for r in results])
    count("Units resampled", "n_clusters", [r["n_clusters"] for r in results])
    units = " and ".join(dict.fromkeys(f"{r['cluster']}s" for r in results))
    return Table(
        "protocols",
        f"Test figures by protocol. {_pooling(metrics['protocols'])}"
        + resampling(metrics, units.removesuffix("s")),
        ["", *[protocol(name).title for name in names]],
        rows,
        records,
    )


def _pooling(results: Mapping[str, Mapping[str, Any]]) -> str:
    """How the figures of several models became one."""
    others = [r for name, r in results.items() if name != "official"]
    says = ""
    if any(r["folds"] > r["repeats"] for r in others):
        says = "Out-of-fold predictions are pooled. "
    draws = results["official"]["repeats"] if "official" in results else 1
    if draws > 1:
        says += (
            f"Official folds: nothing is pooled; the {draws} draws overlap in their test slides, "
            "each is scored by itself and the figures are averaged. "
        )
    return says


def folds(run: RunFolder, name: str) -> Table:
    """What each fold's model was trained on, and how it did."""
    children: dict[tuple[int, int], Child] = {
        (c.repeat, c.fold): c for c in run.children if c.protocol == name
    }
    rows, records = [], []
    for entry in run.metrics["protocols"][name]["by_fold"]:
        child = children.get((entry["repeat"], entry["fold"]))
        parts = child.parts if child else {}
        missing = ", ".join(entry["not_estimable"])
        rows.append(
            [
                *cells([f"{entry['repeat']} / {entry['fold']}"]),
                *cells([parts.get("train"), parts.get("val"), entry["n"]]),
                Cell(share(entry["accuracy"])),
                Cell(share(entry["macro_f1"])),
                Cell(missing or "none"),
            ]
        )
        records.append(
            {
                "repeat": entry["repeat"],
                "fold": entry["fold"],
                "train": parts.get("train"),
                "val": parts.get("val"),
                "test": entry["n"],
                "accuracy": entry["accuracy"],
                "macro_f1": entry["macro_f1"],
                "not_estimable": " ".join(entry["not_estimable"]),
            }
        )
    return Table(
        f"folds_{name}",
        "Images in each part, and test figures by fold (no intervals: a fold holds few patients).",
        ["Repeat / fold", "Train", "Val", "Test", "Accuracy", "Macro F1", "Not learnable"],
        rows,
        records,
    )


def magnifications(run: RunFolder, name: str) -> Table | None:
    """Figures at each magnification."""
    result = run.metrics["protocols"][name]
    found = result["by_magnification"]
    if not found:
        return None
    unit = result["cluster"]
    shown = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc")
    rows, records = [], []
    for value, entry in found.items():
        title = f"{value}X" if value.isdigit() else value
        rows.append(
            [
                Cell(title),
                *[figure_cell(entry[key]) for key in shown],
                *_sizes(entry, unit),
            ]
        )
        record: dict[str, Value] = {"magnification": value}
        for key in OVERALL:
            record |= flat(key, entry[key])
        records.append(record | {"n_images": entry["n"], "n_clusters": entry["n_clusters"]})
    return Table(
        f"magnifications_{name}",
        f"By magnification, one model for all. {resampling(run.metrics, unit)}"
        + _few(found.values(), unit),
        ["", *[METRICS[key] for key in shown], *_size_titles(unit)],
        rows,
        records,
    )


def by_class(run: RunFolder, name: str) -> Table:
    """Figures of each class against the others."""
    result = run.metrics["protocols"][name]
    unit = result["cluster"]
    rows, records = [], []
    for label, entry in result["by_class"].items():
        rows.append(
            [
                Cell(class_name(label)),
                *[figure_cell(entry[key]) for key in PER_CLASS],
                *_sizes(entry, unit),
            ]
        )
        record: dict[str, Value] = {"class": label}
        for key in PER_CLASS:
            record |= flat(key, entry[key])
        records.append(record | {"n_images": entry["n"], "n_clusters": entry["n_clusters"]})
    caption = f"By class. {resampling(run.metrics, unit)}"
    caption += _few(result["by_class"].values(), unit)
    if any(entry["n_clusters"] == 1 for entry in result["by_class"].values()):
        caption += f" No interval where a class stands in one {unit} only."
    return Table(
        f"classes_{name}",
        caption,
        ["", *[METRICS[key] for key in PER_CLASS], *_size_titles(unit)],
        rows,
        records,
    )


def _few(entries: Iterable[Mapping[str, Any]], unit: str) -> str:
    if all(entry["n_clusters"] >= _ENOUGH for entry in entries):
        return ""
    return f" Intervals from fewer than {_ENOUGH} {unit}s are too narrow to rely on."


def _size_titles(unit: str) -> list[str]:
    return ["Images"] if unit == "image" else ["Images", f"{unit.capitalize()}s"]


def _sizes(entry: Mapping[str, Any], unit: str) -> list[Cell]:
    return cells([entry["n"]] if unit == "image" else [entry["n"], entry["n_clusters"]])


def confusion(run: RunFolder, name: str) -> Table:
    """The confusion matrix as counts."""
    found = run.metrics["protocols"][name]["confusion"]
    classes = found["classes"]
    return Table(
        f"confusion_{name}",
        "Confusion matrix: rows true, columns predicted class, images.",
        ["True \\ predicted", *classes, "All"],
        [
            cells([label, *row, sum(row)])
            for label, row in zip(classes, found["counts"], strict=True)
        ],
        [
            {"true": label, **dict(zip(classes, row, strict=True))}
            for label, row in zip(classes, found["counts"], strict=True)
        ],
    )


def patients(run: RunFolder, name: str) -> Table | None:
    """Every patient's score."""
    result = run.metrics["protocols"][name]["patients"]
    if result is None:
        return None
    scores = result["scores"]
    return Table(
        f"patients_{name}",
        f"Scores of {plural(result['n_patients'], 'patient')} "
        f"({plural(result['n'], 'pair')} of patient and label).",
        ["Patient", "Label", "Images", "Score", "By mean probability", "By majority vote"],
        [
            [
                *cells([s["patient_id"], s["label"], s["n_images"]]),
                Cell(share(s["score"], 2)),
                Cell(_right(s["mean_probability_correct"])),
                Cell(_right(s["majority_correct"])),
            ]
            for s in scores
        ],
        [{key: score[key] for key in _SCORE} for score in scores],
        text=2,
    )


def _right(value: float) -> str:
    """Right or wrong, or the share of repeats in which it was right."""
    return {1.0: "right", 0.0: "wrong"}.get(value, share(value, 2))

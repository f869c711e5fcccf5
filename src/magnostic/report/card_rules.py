"""What the stored model's own rules are, and how many patients each of them rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from magnostic.evaluate.conformal import IMAGE, needed
from magnostic.evaluate.thresholds import HALF, POINTS, YOUDEN
from magnostic.report.cells import Cell, Table, Value, cells
from magnostic.report.folder import RunFolder
from magnostic.report.words import level, plural, protocol

_SOURCES: Final = {
    "out-of-fold": "out-of-fold predictions",
    "validation": "predictions for its validation part",
}


def rules(run: RunFolder, calibration: Mapping[str, Any] | None) -> dict[str, Any]:
    """``says``: sentences. ``tables``: thresholds and limits, empty where nothing was fitted."""
    if not calibration:
        return {
            "says": [
                "Nothing was fitted for the model in use: probabilities are stated as predicted, "
                "and it has no threshold, no set and no rule of abstention."
            ],
            "tables": [],
        }
    unit = _unit(run, calibration)
    said = [_basis(calibration, unit), _temperature(calibration), _abstention(calibration, unit)]
    if calibration["source"] == "out-of-fold":
        said.append(
            "These predictions come from the folds' models, so that what sets and abstention "
            "promise holds approximately for the model in use."
        )
    tables = [_points(calibration), _limits(calibration, unit)]
    return {"says": said, "tables": [table for table in tables if table]}


def _unit(run: RunFolder, calibration: Mapping[str, Any]) -> str:
    result = run.metrics["protocols"].get(calibration["protocol"])
    return str(result["cluster"]) if result else "patient"


def _basis(calibration: Mapping[str, Any], unit: str) -> str:
    return (
        f"Temperature, thresholds, sets and abstention of the model in use rest on "
        f"{_SOURCES[calibration['source']]} under the "
        f"{protocol(calibration['protocol']).adjective} protocol: "
        f"{plural(len(calibration['fitted_on']), 'image')} of "
        f"{plural(calibration['n_groups'], unit)}."
    )


def _temperature(calibration: Mapping[str, Any]) -> str:
    return f"Temperature: {calibration['temperature']:.3f}."


def _abstention(calibration: Mapping[str, Any], unit: str) -> str:
    rule = calibration["abstention"]
    target = level(rule["target"])
    if rule["threshold"] is None:
        return (
            f"Abstention is not certifiable: {plural(calibration['n_groups'], unit)} are too few "
            f"to keep wrong answers within {target} of a new {unit}'s images. The model in use "
            "neither answers nor abstains."
        )
    return (
        f"It answers where its highest probability as predicted is above {rule['threshold']:.3f}, "
        f"which keeps the expected share of a new {unit}'s images that are answered wrongly within "
        f"{target}, provided that new {unit}s come as these {calibration['n_groups']:,} did."
    )


def _points(calibration: Mapping[str, Any]) -> Table | None:
    found = calibration["thresholds"]
    if not found:
        return None
    names = {HALF: "At 0.5", YOUDEN: "Youden"}
    points = {k: found["points"][k] for k in POINTS if k in found["points"]}
    rows = [
        [Cell(names.get(name, "Sensitivity")), *cells([None if t is None else f"{t:.3f}"])]
        for name, t in points.items()
    ]
    records: list[dict[str, Value]] = [{"point": k, "threshold": t} for k, t in points.items()]
    return Table(
        "rules_thresholds",
        f"Thresholds of the model in use: {found['positive']} where its probability as predicted "
        "is at least",
        ["Operating point", "Threshold"],
        rows,
        records,
    )


def _limits(calibration: Mapping[str, Any], unit: str) -> Table | None:
    entries = calibration["conformal"]
    if not entries:
        return None
    rows, records = [], []
    for entry in entries:
        which = f"a random image of a new {unit}" if entry["unit"] == IMAGE else f"a new {unit}"
        limit = entry["limit"]
        says = (
            Cell("none", f"not certifiable: every class; {needed(entry['level'])} {unit}s needed")
            if limit is None
            else Cell(f"{1 - limit:.2g}", "" if limit < 1 else "every class")
        )
        rows.append([Cell(level(entry["level"])), Cell(which), says])
        records.append({"level": entry["level"], "unit": entry["unit"], "limit": limit})
    return Table(
        "rules_sets",
        "Sets of the model in use: a class is in the set where its probability as predicted is at "
        "least",
        ["Level", "Covered", "Probability"],
        rows,
        records,
        text=2,
    )

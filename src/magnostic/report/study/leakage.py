"""What random images flatter, over all rows of a study, with each run's negative controls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from magnostic.report import gap_picture
from magnostic.report.cells import Cell, Table, Value, flat
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.say import between, percent, points, points_between, short
from magnostic.report.style import Picture
from magnostic.report.words import MISSING, level, plural


def pictures(study: Study, folder: Path) -> list[Picture]:
    """Of each task, the gap of its first row that has controls."""
    drawn = []
    for task in study.tasks:
        entry = next((e for e in study.of(task) if _controls(e) is not None), None)
        if entry is None or entry.run is None:
            continue
        what = f"{TASKS.get(task, task).capitalize()}: {entry.name}"
        found = gap_picture.gap(entry.run.metrics, entry.run.controls, folder, f"gap_{task}", what)
        drawn += [found] if found else []
    return drawn


def table(study: Study) -> Table | None:
    """Each row's gap to the protocol to believe first, beside what its controls reach."""
    found = [entry for entry in study.done if _controls(entry) is not None]
    main = study.main
    if not found or main in (None, "random"):
        return None
    assert main is not None
    rows, records = [], []
    for entry in found:
        controls: dict[str, Any] = _controls(entry) or {}
        equal, slides = controls["equal"] or {}, controls["slides"] or {}
        slide = slides.get("features") or slides.get("colour")
        near = controls["neighbours"].get("features") or controls["neighbours"]["colour"]
        near = near["random"]["slide"]
        colours = controls["colour"]["protocols"]
        gaps = {
            "gap": entry.gap(main),
            "learnable_gap": entry.gap(main, learnable=True),
            "equal_gap": equal.get("gap", {}).get(main, {}).get("accuracy"),
        }
        alone = {p: colours.get(p, {}).get("accuracy") for p in ("random", main)}
        rows.append(
            [
                Cell(entry.label, entry.detail),
                *map(_points, gaps.values()),
                *map(_share, alone.values()),
                _share(slide, slides.get("chance")),
                _share(near, near and near["chance_in_class"]),
            ]
        )
        record: dict[str, Value] = {"key": entry.key, "label": entry.label, "task": entry.task}
        for key, metric in gaps.items():
            record |= flat(f"{key}_points", metric)
        record |= flat("colours_random", alone["random"]) | flat(f"colours_{main}", alone[main])
        record |= flat("slide_named", slide) | {"slide_chance": slides.get("chance")}
        record |= flat("nearest_of_slide", near)
        record["nearest_chance_in_class"] = near and near["chance_in_class"]
        records.append(record)
    confidence = found[0].run.metrics["confidence"] if found[0].run else 0.95
    return Table(
        "controls",
        f"Random images minus {short(main)}, accuracy in points: of all images, of those of types "
        "that their fold could learn, and with training parts of equal size and classes. Then, in "
        "percent: what colour histograms alone reach, how often the slide of a random-image test "
        "photograph is named right, and how often its nearest training image is of its slide (by "
        "the frozen features; by colours for fine-tuned networks). Small figures: "
        f"{level(confidence)} intervals, and chance (of the nearest image: within its class).",
        ["", "Gap", "Learnable", "Equal training", "Colours, random", f"Colours, {short(main)}",
         "Slide named", "Nearest of the slide"],
        rows,
        records,
    )  # fmt: skip


def sentences(study: Study, task: str) -> list[str]:
    """What the controls of a task's rows say together."""
    found = [c for entry in study.of(task) if (c := _controls(entry)) is not None]
    main = study.main
    if not found or main in (None, "random"):
        return []
    assert main is not None
    says = []
    alone = [c["colour"]["gap"][main]["accuracy"] for c in found if main in c["colour"]["gap"]]
    if alone:
        random, grouped = (median(100 * a[side] for a in alone) for side in ("random", "grouped"))
        says.append(
            f"Control: colour histograms alone reach {random:.1f}% under random images and "
            f"{grouped:.1f}% {short(main)}" + (" (medians)." if len(alone) > 1 else ".")
        )
    equal = [
        c["equal"]["gap"][main]["accuracy"]
        for c in found
        if c["equal"] and main in c["equal"].get("gap", {})
    ]
    if equal:
        above = sum(gap["low"] is not None and gap["low"] > 0 for gap in equal)
        says.append(
            "Control: with training parts of equal size and classes, random images still score "
            f"{points(median(g['estimate'] for g in equal))} points above {short(main)}"
            + (" in the median" if len(equal) > 1 else "")
            + f"; the interval lies above zero in {above} of {plural(len(equal), 'row')}."
        )
    return says


def _controls(entry: Entry) -> dict[str, Any] | None:
    return entry.run.controls if entry.run is not None else None


def _points(metric: Mapping[str, Any] | None) -> Cell:
    if metric is None or metric["estimate"] is None:
        return Cell(MISSING)
    return Cell(points(metric["estimate"]), points_between(metric))


def _share(metric: Mapping[str, Any] | None, chance: float | None = None) -> Cell:
    if metric is None or metric["estimate"] is None:
        return Cell(MISSING)
    small = [between(metric)] + ([] if chance is None else [f"chance {percent(chance)}"])
    return Cell(percent(metric["estimate"]), "; ".join(filter(None, small)))

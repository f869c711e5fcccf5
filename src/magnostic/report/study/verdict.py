"""What a study shows, in sentences that hold nothing but its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from magnostic.data.summary import PAPER_TABLE1
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import STATUS, Entry, Study
from magnostic.report.study.ranking import Ranking
from magnostic.report.study.say import (
    between,
    listed,
    percent,
    points,
    points_between,
    short,
    spread,
)
from magnostic.report.words import plural

FULL_SET: Final = sum(map(sum, PAPER_TABLE1.values()))


def progress(study: Study) -> str:
    """How many rows are done, and what became of the others."""
    n = len(study.entries)
    numbers = Counter(entry.status for entry in study.entries if entry.run is None)
    others = [
        f"{numbers[status]} {STATUS.get(status, status).partition(':')[0]}" for status in numbers
    ]
    says = f"{len(study.done)} of {plural(n, 'row')} {'is' if n == 1 else 'are'} done"
    return f"{says}; {listed(others)}." if others else f"{says}."


def warnings(study: Study) -> list[str]:
    """What forbids to read our figures beside the published ones as like with like."""
    if not study.done:
        return ["No row has been run to its end: there is nothing to compare yet."]
    says = []
    data = [entry.run.data for entry in study.done if entry.run is not None]
    sources = sorted({str(s) for found in data for s in found.get("sources") or []})
    largest = max(data, key=lambda found: int(found.get("n_images") or 0))
    n, patients = int(largest.get("n_images") or 0), largest.get("n_patients")
    if "breakhis" in sources and n < FULL_SET:
        of = f" of {plural(int(patients), 'patient')}" if patients else ""
        says.append(
            f"Small data: our rows use at most {n:,} photographs{of}; BreakHis has {FULL_SET:,}. "
            "Our figures show how the protocols differ on these photographs; they neither confirm "
            "nor refute a published figure."
        )
    elif "breakhis" not in sources:
        says.append(
            f"Other data: our rows use {', '.join(sources) or 'unnamed photographs'}, not "
            "BreakHis, so published figures stand beside them for orientation alone."
        )
    untrained = [entry for entry in study.done if _random_start(entry)]
    if untrained:
        says.append(
            f"Random start: {plural(len(untrained), 'row')} began from random weights "
            f"({_names(untrained)}); where the published system was pretrained, such a row checks "
            "the code and is no reproduction."
        )
    hashes = {found.get("data_hash") for found in data}
    if len(hashes) > 1:
        says.append(f"The rows were run on {len(hashes)} different sets of images.")
    return says


def _random_start(entry: Entry) -> bool:
    model: dict[str, Any] = entry.run.recipe.get("model", {}) if entry.run else {}
    return model.get("weights") == "none" and model.get("backbone") != "handcrafted"


def _names(entries: Sequence[Entry]) -> str:
    names = list(dict.fromkeys(entry.label for entry in entries))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def sentences(study: Study, task: str, best: Ranking | None) -> list[str]:
    """The verdict on one task: published beside ours, the gap, the best system."""
    done = [entry for entry in study.of(task) if entry.run is not None]
    if not done or study.main is None:
        return []
    return [
        *_beside(study, done),
        *_gaps(study, done),
        *(_best(best) if best else []),
        *_majority(study.main, done),
    ]


def title(task: str, study: Study) -> str:
    done = sum(entry.run is not None for entry in study.of(task))
    return f"{TASKS.get(task, task).capitalize()} ({plural(done, 'row')})"


def _beside(study: Study, done: Sequence[Entry]) -> list[str]:
    """Published accuracies and ours, over the same rows."""
    rows = [
        e
        for e in done
        if e.printed is not None and all(e.figure(p, "accuracy") for p in study.protocols)
    ]
    if not rows:
        return []
    printed = [value for e in rows if (value := e.printed) is not None]
    ours = []
    for name in study.protocols:
        values = [100 * f["estimate"] for e in rows if (f := e.figure(name, "accuracy"))]
        ours.append(f"{short(name)} {_middle(values)}")
    over, have = ("the row", "has") if len(rows) == 1 else (f"the {len(rows)} rows", "have")
    return [
        f"Published accuracy, in percent, of {over} that {have} one: {_middle(printed)}. Ours over "
        f"the same: {listed(ours)}."
    ]


def _middle(values: Sequence[float]) -> str:
    if min(values) == max(values):
        return f"{values[0]:.1f}"
    return f"{median(values):.1f} in the median ({spread(values)})"


def _gaps(study: Study, done: Sequence[Entry]) -> list[str]:
    says = []
    for name in study.protocols:
        found = [gap for entry in done if (gap := entry.gap(name)) is not None]
        if not found:
            continue
        higher = sum(gap["estimate"] > 0 for gap in found)
        with_bounds = [gap for gap in found if gap["low"] is not None]
        above = sum(gap["low"] > 0 for gap in with_bounds)
        text = (
            f"Random images score above {short(name)} in {higher} of "
            f"{plural(len(found), 'row')}, by {points(median(g['estimate'] for g in found))} points"
            + (" in the median" if len(found) > 1 else "")
        )
        if with_bounds:
            text += f"; the gap's interval lies above zero in {above} of {len(with_bounds)}"
        learnable = [g["estimate"] for entry in done if (g := entry.gap(name, learnable=True))]
        if learnable:
            text += (
                "; on images of types that their fold could learn, it is "
                f"{points(median(learnable))} points"
            )
        says.append(f"{text}.")
    return says


def _best(found: Ranking) -> list[str]:
    first, *others = found.places
    accuracy = first.figures["accuracy"]
    within = between(accuracy)
    equal = sum(p.figures["accuracy"]["estimate"] == accuracy["estimate"] for p in others)
    tested = f"{found.n_images:,} images, {plural(found.n_clusters, found.unit)}"
    says = (
        f"Highest accuracy, {short(found.protocol)}: {first.entry.name}, "
        f"{percent(accuracy['estimate'])}%{f' ({within})' if within else ''}"
        + (f", the same figure as {plural(equal, 'other row')}," if equal else "")
        + f" on {tested}"
    )
    if not others:
        return [f"{says}; no other row tested the same images."]
    second = others[0]
    behind = second.behind or {}
    says += (
        f"; next: {second.entry.name}, {percent(second.figures['accuracy']['estimate'])}%"
        f", {points(behind['estimate'])} points behind"
    )
    bounds = points_between(behind)
    if bounds:
        answer = "resolved" if second.resolved else "not resolved"
        says += f" ({bounds}): {answer}"
        if len(others) > 1:
            resolved = sum(place.resolved for place in others)
            says += (
                f". The difference from the best is resolved for {resolved} of the {len(others)} "
                "other rows that tested the same images"
            )
    says += ". The best was picked on these same images, so its figure flatters it."
    by_f1 = max(found.places, key=lambda place: place.figures["macro_f1"]["estimate"] or 0)
    if by_f1 is not first:
        f1 = by_f1.figures["macro_f1"]
        says += (
            f" By macro F1 it is {by_f1.entry.name}, {percent(f1['estimate'])}"
            + (f" ({between(f1)})" if between(f1) else "")
            + "."
        )
    return [says]


def _majority(main: str, done: Sequence[Entry]) -> list[str]:
    rows = [entry for entry in done if entry.figure(main, "accuracy")]
    short_of = sum(not entry.beats_majority(main) for entry in rows)
    if not short_of:
        return []
    return [
        f"{short_of} of {plural(len(rows), 'row')} {'is' if short_of == 1 else 'are'} not shown to "
        f"be better, {short(main)}, than always answering the most frequent class."
    ]

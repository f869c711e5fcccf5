"""The paper's table with our figures beside the printed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from magnostic.report import published
from magnostic.report.cells import Cell, Table, Value, flat
from magnostic.report.settings import TASKS
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.say import figure, first_word, listed
from magnostic.report.words import MISSING, level, plural, protocol

_FIGURES: Final = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
_PRINTED: Final = ("accuracy", "precision", "recall", "f1")
_PRF: Final = ("P", "R", "F1")


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's table as the page shows it.

    published: printed accuracy, what qualifies it, and numbers of notes. figures: for each
    protocol accuracy, macro F1, and macro precision and recall in a few words. tested: images,
    and the units that intervals draw. outcome: why there are no figures; empty where there are.
    """

    entry: Entry
    published: list[tuple[Cell, list[int]]]
    figures: list[tuple[Cell, Cell, str]]
    tested: list[Cell]
    outcome: str


@dataclass(frozen=True)
class PaperTable:
    """All rows under their headings; notes are numbered from 1; ``csv`` holds them unrounded."""

    caption: str
    protocols: list[tuple[str, str]]
    sections: list[tuple[str, list[PaperRow]]]
    notes: list[str] = field(default_factory=list)
    csv: Table | None = None


def paper(study: Study) -> PaperTable:
    """Every row: printed figures, then ours under each protocol with intervals."""
    notes: list[str] = []
    sections: list[tuple[str, list[PaperRow]]] = []
    for entry in study.entries:
        heading = _heading(study, entry)
        if not sections or sections[-1][0] != heading:
            sections.append((heading, []))
        sections[-1][1].append(_paper_row(study, entry, notes))
    caption = (
        "Accuracy and macro F1 in percent; P, R: macro precision and recall, with intervals in "
        "tables/study.csv. Published: as printed, with precision, recall and F1 where the source "
        "gives them; the paper drew single images at random, and does not say how the other "
        "sources kept their parts apart."
    )
    return PaperTable(
        f"{caption} {intervals(study)}".strip(),
        [(name, protocol(name).title) for name in study.protocols],
        sections,
        notes,
        _csv(study),
    )


def _heading(study: Study, entry: Entry) -> str:
    task = TASKS.get(entry.task, entry.task)
    if not entry.group:
        return task.capitalize()
    return f"{entry.group}: {task}" if len(study.tasks) > 1 else entry.group


def intervals(study: Study, start: str = "Small figures") -> str:
    """How intervals were made, one sentence for all rows; ``start``: what shows them."""
    if not study.done:
        return ""
    made = {(r.metrics["confidence"], r.metrics["resamples"]) for r in map(_run, study.done)}
    units = {f"{result['cluster']}s" for entry in study.done for result in entry.results().values()}
    over = " or ".join(sorted(units, reverse=True))
    sizes = sorted({n for _, n in made})
    if sizes == [0]:
        return "No intervals were computed."
    resamples = " or ".join(f"{n:,}" for n in sizes)
    levels = " or ".join(sorted({level(c) for c, _ in made}))
    return f"{start}: {levels} intervals, bootstrap over {over}, {resamples} resamples."


def _run(entry: Entry) -> Any:
    return entry.run


def _paper_row(study: Study, entry: Entry, notes: list[str]) -> PaperRow:
    printed = [_printed(row, notes) for row in entry.published]
    figures = [
        (
            figure(entry.figure(name, "accuracy")),
            figure(entry.figure(name, "macro_f1")),
            _precision_recall(entry, name),
        )
        for name in study.protocols
    ]
    return PaperRow(entry, printed, figures, _tested(entry, study.protocols), entry.outcome)


def _precision_recall(entry: Entry, name: str) -> str:
    """``P 41.2 · R 40.3``, macro averages in percent; empty where there is no such protocol."""
    if name not in entry.results():
        return ""
    keys = {"P": "macro_precision", "R": "macro_recall"}
    return " · ".join(f"{k} {figure(entry.figure(name, key)).main}" for k, key in keys.items())


def _printed(row: published.Row, notes: list[str]) -> tuple[Cell, list[int]]:
    accuracy, *others = row.values
    known = [f"{k} {v:.1f}" for k, v in zip(_PRF, others, strict=True) if v is not None]
    where = row.source + (f", {row.magnification}" if row.magnification[0].isdigit() else "")
    numbers = []
    if row.variants:
        if row.variants not in notes:
            notes.append(row.variants)
        numbers.append(notes.index(row.variants) + 1)
    main = MISSING if accuracy is None else f"{accuracy:.2f}"
    return Cell(main, " · ".join([*known, where] if known else [where])), numbers


def _tested(entry: Entry, protocols: Sequence[str]) -> list[Cell]:
    """Images and units, once for all protocols where they agree."""
    results = {name: r for name, r in entry.results().items() if name in protocols}
    found: dict[int, dict[str, int]] = {}
    names: dict[int, list[str]] = {}
    for name in protocols:
        if name in results:
            n = int(results[name]["n_images"])
            names.setdefault(n, []).append(name)
            units = found.setdefault(n, {})
            units[str(results[name]["cluster"])] = int(results[name]["n_clusters"])
    return [
        Cell(
            f"{n:,}",
            f"{_of(names[n]) if len(found) > 1 else ''}"
            + ", ".join(plural(k, unit) for unit, k in units.items() if unit != "image"),
        )
        for n, units in found.items()
    ]


def _of(names: Sequence[str]) -> str:
    """``random: ``, ``patient and accession: ``."""
    return f"{listed([first_word(name) for name in names])}: "


def _csv(study: Study) -> Table:
    records: list[dict[str, Value]] = []
    most = max((len(entry.published) for entry in study.entries), default=0)
    for entry in study.entries:
        record: dict[str, Value] = {
            "key": entry.key,
            "group": entry.group,
            "label": entry.label,
            "settings": entry.detail,
            "task": entry.task,
            "recipe": entry.recipe,
            "seed": entry.seed,
            "status": entry.status,
            "reason": entry.reason,
            "published_rows": " ".join(row.key for row in entry.published),
        }
        for n in range(max(most, 1)):
            stem = f"published_{n + 1}" if n else "published"
            row = entry.published[n] if n < len(entry.published) else None
            record[f"{stem}_source"] = row.source if row else None
            values = row.values if row else (None,) * len(_PRINTED)
            record |= {f"{stem}_{k}": v for k, v in zip(_PRINTED, values, strict=True)}
        for name in study.protocols:
            result = entry.results().get(name)
            for key in _FIGURES:
                record |= flat(f"{name}_{key}", result["overall"][key] if result else None)
            record[f"{name}_images"] = result["n_images"] if result else None
            record[f"{name}_clusters"] = result["n_clusters"] if result else None
        records.append(record)
    return Table("study", "", [], [], records)

"""Writing a study's report: one HTML page, figure files and CSV tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magnostic.files import write_text
from magnostic.report import context, published, words
from magnostic.report.cells import Table
from magnostic.report.page import environment
from magnostic.report.study import (
    checks,
    claims,
    figures,
    folder,
    leakage,
    magnification,
    patients,
    robustness,
    robustness_curves,
    tables,
    verdict,
)
from magnostic.report.study import paper as papers
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.ranking import Ranking, rankings
from magnostic.report.style import Picture
from magnostic.stored import as_written


@dataclass(frozen=True)
class Finding:
    """The verdict on one task."""

    title: str
    sentences: list[str]


def write_study(study: Path, out: Path | None = None) -> Path:
    """Write ``report.html``, ``figures/*.png, *.pdf`` and ``tables/*.csv`` of a study.

    Args:
        study: a study folder: ``study.json`` and the run folders that it names. Rows without a
            finished run are shown with their status.
        out: where to write; the study folder itself by default.

    Returns:
        The path of report.html. Equal folders give equal bytes.

    Raises:
        BadInput: it is no study folder, or study.json cannot be used.
    """
    out = study if out is None else out
    with as_written(study):
        content = folder.read(study, out)
        sections, csv = _build(content, out / "figures")
        for table in csv:
            write_text(out / "tables" / f"{table.name}.csv", table.to_csv())
        target = out / "report.html"
        write_text(target, environment().get_template("study.html.j2").render(**sections))
    return target


def _build(study: Study, pictures: Path) -> tuple[dict[str, Any], list[Table]]:
    """Everything that the template shows, and every table for its CSV file."""
    paper = papers.paper(study)
    ranked = rankings(study)
    confusions = claims.confusions(study)
    differing, common = checks.settings(study)
    independence = magnification.sections(study, pictures)
    shown: dict[str, list[Table]] = {
        "summaries": [t for task in study.tasks if (t := tables.summary(study, task))],
        "ranking_tables": _ranking_tables(ranked),
        "controls": [t for t in [leakage.table(study)] if t],
        "patient_tables": [t for task in study.tasks if (t := patients.table(study, task))],
        "robustness_tables": [t for task in study.tasks if (t := robustness.table(study, task))],
        "losses": [t for t in [claims.losses(study)] if t],
        "checks": [t for t in [checks.checks(study)] if t],
        "settings": [differing] if differing else [],
        "printed": _printed(study),
    }
    sections: dict[str, Any] = {
        **shown,
        "title": study.title,
        "name": study.name,
        "description": study.description,
        "progress": verdict.progress(study),
        "warnings": verdict.warnings(study),
        "findings": _findings(study, ranked),
        "synthetic": any(e.run and e.run.data.get("synthetic") for e in study.done),
        "paper": paper,
        "protocols": [(words.protocol(p), figures.look(p)[0]) for p in study.protocols],
        "forests": [p for task in study.tasks if (p := figures.forest(study, task, pictures))],
        "gap_pictures": leakage.pictures(study, pictures),
        "magnification": independence,
        "robustness_says": [
            says for task in study.tasks for says in robustness_curves.says(study, task)
        ],
        "robustness_pictures": [
            p
            for task in study.tasks
            for draw in (robustness_curves.picture, robustness.picture)
            if (p := draw(study, task, pictures))
        ],
        "loss_note": claims.about(study),
        "confusions": confusions,
        "rows": _rows(study, pictures),
        "common": common,
        "glossary": words.GLOSSARY
        + (magnification.GLOSSARY if independence else ())
        + (robustness.GLOSSARY if shown["robustness_tables"] else ()),
        "breakhis": published.BREAKHIS,
        "breakhis_licence": published.BREAKHIS_LICENCE,
        "the_paper": published.PAPER,
    }
    csv = [table for group in shown.values() for table in group]
    csv += [part.table for part in independence]
    csv += [paper.csv] if paper.csv else []
    csv += [confusions.csv] if confusions else []
    return sections, csv


def _findings(study: Study, ranked: list[Ranking]) -> list[Finding]:
    found = []
    for task in study.tasks:
        best = next((r for r in ranked if r.task == task), None)
        says = verdict.sentences(study, task, best) + leakage.sentences(study, task)
        if says:
            found.append(Finding(verdict.title(task, study), says))
    return found


def _ranking_tables(ranked: list[Ranking]) -> list[Table]:
    """Rankings of two rows or more, numbered within their task."""
    numbers: dict[str, int] = {}
    shown = []
    for found in ranked:
        if len(found.places) > 1:
            numbers[found.task] = numbers.get(found.task, 0) + 1
            shown.append(tables.ranking(found, numbers[found.task]))
    return shown


@dataclass(frozen=True)
class _Row:
    entry: Entry
    picture: Picture | None
    printed: list[str]


def _rows(study: Study, pictures: Path) -> list[_Row]:
    return [
        _Row(
            entry,
            figures.row(entry, study.protocols, number, pictures),
            [f"{row.source}: {row.model}, {row.magnification}" for row in entry.published],
        )
        for number, entry in enumerate(study.entries, start=1)
        if entry.run is not None
    ]


def _printed(study: Study) -> list[Table]:
    """The paper's own tables, where a row of the study stands beside them."""
    if not any(task in ("binary", "subtype") for task in study.tasks):
        return []
    return [
        context.paper_table(
            published.TABLE_II, "paper_table_2", "Table II of the paper (random images, BreakHis)"
        ),
        context.paper_table(published.TABLE_III, "paper_table_3", "Table III of the paper"),
        context.paper_table(
            published.TEXT, "paper_text", "Figures of other work in the paper's text"
        ),
    ]

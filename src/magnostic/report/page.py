"""Writing the report: one HTML page that needs nothing beside it, figure files, CSV tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from magnostic.evaluate.thresholds import check_prevalence
from magnostic.files import write_text
from magnostic.report import (
    checklists,
    context,
    controls,
    curves,
    figures,
    folder,
    gap_picture,
    probabilities,
    published,
    robustness,
    tables,
    words,
)
from magnostic.report.cells import Table
from magnostic.report.findings import grouped
from magnostic.report.folder import RunFolder
from magnostic.report.settings import TASKS, settings
from magnostic.report.style import Picture
from magnostic.report.verdict import judge
from magnostic.stored import as_written

_CHANGED: Final = "Changed on the command line:"


def write_report(run: Path, out: Path | None = None, *, prevalence: float | None = None) -> Path:
    """Write ``report.html``, ``figures/*.png, *.pdf`` and ``tables/*.csv``.

    Args:
        run: a run folder, parent or child. Its metrics.json is used if there; otherwise the
            figures are computed from predictions.parquet.
        out: where to write; the run folder itself by default.
        prevalence: share of positive (malignant) images in (0, 1) for which predictive values
            are given besides that of the test images.

    Returns:
        The path of report.html. Equal folders give equal bytes.

    Raises:
        BadInput: ``run`` is no finished run, one of its files cannot be read, or the prevalence
            is none.
    """
    if prevalence is not None:
        check_prevalence(prevalence)
    content = folder.read(run)
    out = run if out is None else out
    with as_written(run):
        sections = _build(content, out / "figures", prevalence)
        for table in _tables(sections):
            write_text(out / "tables" / f"{table.name}.csv", table.to_csv())
        target = out / "report.html"
        write_text(target, environment().get_template("page.html.j2").render(**sections))
    return target


def _build(run: RunFolder, pictures: Path, prevalence: float | None) -> dict[str, Any]:
    """Everything that the template shows."""
    metrics = run.metrics
    names = words.ordered(metrics["protocols"])
    curves_found = [curves.learning(run.children, name, pictures) for name in names]
    changed, description = described(run.recipe)
    of_paper = str(run.recipe.get("name", "")).startswith("nishio2024")
    return {
        "title": run.recipe.get("name") or "run",
        "changed": changed,
        "description": description,
        "task": TASKS.get(run.task, run.task),
        "classes": [words.class_name(c) for c in run.classes],
        "synthetic": bool(run.data.get("synthetic")),
        "verdict": judge(metrics, run.task, len(run.classes), run.controls),
        "protocols": [_protocol(run, name, pictures, prevalence) for name in names],
        "headline": tables.headline(run),
        "gap": controls.gaps(run),
        "gap_pictures": _gap_pictures(run, pictures),
        "controls": controls.by_protocol(run),
        "robustness": robustness.section(run.robustness, pictures),
        "forest": figures.forest(metrics, pictures),
        "settings": settings(run),
        "findings": grouped(run.findings),
        "facts": context.facts(run),
        "counts": context.counts(run),
        "skipped": context.skipped(run),
        "curves": [picture for picture in curves_found if picture],
        "probe": context.probe_values(run),
        "beside": context.beside_ours(run),
        "elsewhere": context.elsewhere(run),
        "printed": _printed(run) if of_paper or run.task != "label" else [],
        "checklists": checklists.checklists(run),
        "outside": run.run.get("source") if run.run.get("kind") == "outside" else None,
        "recipe": words.without_machine(_yaml(run.recipe)),
        "environment": flat(run.environment),
        "provenance": flat(run.provenance),
        "use_note": run.run.get("model_for_use_note") or "",
        "parent": run.run.get("kind") == "parent",
        "glossary": _glossary(run),
        "level": words.level(metrics["confidence"]),
        "breakhis": published.BREAKHIS,
        "breakhis_licence": published.BREAKHIS_LICENCE,
        "paper": published.PAPER,
        "repeats": any(metrics["protocols"][n]["repeats"] > 1 for n in names if n != "official"),
    }


def _glossary(run: RunFolder) -> tuple[tuple[str, str], ...]:
    of_shifts = robustness.GLOSSARY if run.robustness else ()
    return words.GLOSSARY + controls.GLOSSARY + probabilities.GLOSSARY + of_shifts


def _gap_pictures(run: RunFolder, pictures: Path) -> list[Picture]:
    drawn = [
        gap_picture.gap(run.metrics, run.controls, pictures),
        gap_picture.recognition(run.metrics, run.controls, pictures),
    ]
    return [picture for picture in drawn if picture]


def described(recipe: Mapping[str, Any]) -> tuple[str, str]:
    """What was changed on the command line, and the recipe's prose, which does not know of it."""
    text = words.without_machine(str(recipe.get("description") or "")).strip()
    if not text.startswith(_CHANGED):
        return "", text
    first, _, rest = text.partition("\n\n")
    return first.removeprefix(_CHANGED).strip(), rest.strip()


def _protocol(
    run: RunFolder, name: str, pictures: Path, prevalence: float | None
) -> dict[str, Any]:
    metrics = run.metrics
    result = metrics["protocols"][name]
    drawn = [
        figures.confusion(metrics, name, pictures),
        figures.classes(metrics, name, pictures),
        figures.magnifications(metrics, name, pictures),
        figures.patients(metrics, name, pictures),
    ]
    missing = sorted(
        {c for entry in result["by_fold"] for c in entry["not_estimable"]}, key=run.classes.index
    )
    return {
        "name": name,
        "words": words.protocol(name),
        "result": result,
        "pictures": [picture for picture in drawn if picture],
        "folds": tables.folds(run, name),
        "magnifications": tables.magnifications(run, name),
        "classes": tables.by_class(run, name),
        "confusion": tables.confusion(run, name),
        "patients": tables.patients(run, name),
        "probabilities": probabilities.section(run, name, pictures, prevalence),
        "missing": [words.class_name(c) for c in missing],
    }


class _Blocks(yaml.SafeDumper):
    """Texts of several lines as blocks, as people write them."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


_Blocks.add_representer(str, _Blocks.represent_text)


def _yaml(recipe: Mapping[str, Any]) -> str:
    return yaml.dump(dict(recipe), Dumper=_Blocks, sort_keys=False, allow_unicode=True)


def _printed(run: RunFolder) -> list[Table]:
    rows_ii = tuple(row for row in published.TABLE_II if row.task == run.task)
    rows_iii = tuple(row for row in published.TABLE_III if row.task == run.task)
    title = "Table {} of the paper (random images, full BreakHis set)"
    return [
        context.paper_table(rows_ii, "paper_table_2", title.format("II")),
        context.paper_table(rows_iii, "paper_table_3", "Table III of the paper"),
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as pairs; long lists are cut with their length named."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            shown = ", ".join(map(str, value[:12]))
            more = f", … ({len(value)} in all)" if len(value) > 12 else ""
            pairs.append((name, words.without_machine(shown + more) or words.MISSING))
        else:
            pairs.append(
                (name, words.without_machine(words.MISSING if value is None else str(value)))
            )
    return pairs


def _tables(value: object) -> Iterable[Table]:
    """Every table in the nested context, so that none is shown without its CSV file."""
    if isinstance(value, Table):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _tables(inner)


def environment() -> jinja2.Environment:
    """The page templates; names in them are escaped, and must be defined."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("magnostic.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )

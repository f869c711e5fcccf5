"""Writing the report: one HTML page that needs nothing beside it, figure files, CSV tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from magnostic.files import write_text
from magnostic.report import context, curves, figures, folder, published, tables, words
from magnostic.report.cells import Table
from magnostic.report.findings import grouped
from magnostic.report.folder import RunFolder
from magnostic.report.verdict import judge

_TASKS: Final = {
    "binary": "benign or malignant",
    "subtype": "tumour type",
    "label": "the data set's own labels",
}


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write ``report.html``, ``figures/*.png, *.pdf`` and ``tables/*.csv``.

    Args:
        run: a run folder, parent or child. Its metrics.json is used if there; otherwise the
            figures are computed from predictions.parquet.
        out: where to write; the run folder itself by default.

    Returns:
        The path of report.html. Equal folders give equal bytes.

    Raises:
        BadInput: ``run`` is no finished run, or one of its files cannot be read.
    """
    content = folder.read(run)
    out = run if out is None else out
    sections = _build(content, out / "figures")
    for table in _tables(sections):
        write_text(out / "tables" / f"{table.name}.csv", table.to_csv())
    target = out / "report.html"
    write_text(target, _environment().get_template("page.html.j2").render(**sections))
    return target


def _build(run: RunFolder, pictures: Path) -> dict[str, Any]:
    """Everything that the template shows."""
    metrics = run.metrics
    names = words.ordered(metrics["protocols"])
    curves_found = [curves.learning(run.children, name, pictures) for name in names]
    of_paper = str(run.recipe.get("name", "")).startswith("nishio2024")
    return {
        "title": run.recipe.get("name") or "run",
        "description": words.without_machine(str(run.recipe.get("description") or "")).strip(),
        "task": _TASKS.get(run.task, run.task),
        "classes": [words.class_name(c) for c in run.classes],
        "synthetic": bool(run.data.get("synthetic")),
        "verdict": judge(metrics, run.task, len(run.classes)),
        "protocols": [_protocol(run, name, pictures) for name in names],
        "headline": tables.headline(run),
        "gap": tables.gaps(run),
        "forest": figures.forest(metrics, pictures),
        "settings": _settings(run),
        "findings": grouped(run.findings),
        "facts": context.facts(run),
        "counts": context.counts(run),
        "skipped": context.skipped(run),
        "curves": [picture for picture in curves_found if picture],
        "probe": context.probe_values(run),
        "beside": context.beside_ours(run),
        "elsewhere": context.elsewhere(run),
        "printed": _printed(run) if of_paper or run.task != "label" else [],
        "recipe": words.without_machine(_yaml(run.recipe)),
        "environment": _flat(run.environment),
        "provenance": _flat(run.provenance),
        "use_note": run.run.get("model_for_use_note") or "",
        "parent": run.run.get("kind") == "parent",
        "glossary": words.GLOSSARY,
        "level": words.level(metrics["confidence"]),
        "breakhis": published.BREAKHIS,
        "breakhis_licence": published.BREAKHIS_LICENCE,
        "paper": published.PAPER,
        "repeats": any(metrics["protocols"][n]["repeats"] > 1 for n in names),
    }


def _protocol(run: RunFolder, name: str, pictures: Path) -> dict[str, Any]:
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
        "missing": [words.class_name(c) for c in missing],
    }


def _settings(run: RunFolder) -> list[tuple[str, str]]:
    recipe = run.recipe
    split, train = recipe.get("split", {}), recipe.get("train", {})
    model, preprocess = recipe.get("model", {}), recipe.get("preprocess", {})
    folds = split.get("folds")
    drawn = (
        f"hold-out of {split.get('test_fraction')}" if folds == 1 else f"{folds} folds"
    ) + f", {words.plural(int(split.get('repeats', 1)), 'repeat')}"
    return [
        ("Task", f"{_TASKS.get(run.task, run.task)}: {', '.join(run.classes)}"),
        ("Model", f"{model.get('backbone')}, weights {_place(model.get('weights'))}"),
        ("Training", str(train.get("method"))),
        (
            "Input",
            f"{preprocess.get('size')} × {preprocess.get('size')}, {preprocess.get('fit')}, "
            f"normalization {preprocess.get('normalize')}",
        ),
        ("Balance", f"{recipe.get('balance', {}).get('method', 'none')}"),
        ("Split", f"{drawn}; validation share {split.get('val_fraction')} of training images"),
        ("Stratified", "yes" if split.get("stratify") else "no"),
        ("Seed", str(recipe.get("seed"))),
    ]


class _Blocks(yaml.SafeDumper):
    """Texts of several lines as blocks, as people write them."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


_Blocks.add_representer(str, _Blocks.represent_text)


def _yaml(recipe: Mapping[str, Any]) -> str:
    return yaml.dump(dict(recipe), Dumper=_Blocks, sort_keys=False, allow_unicode=True)


def _place(weights: object) -> str:
    return words.without_machine(str(weights))


def _printed(run: RunFolder) -> list[Table]:
    rows_ii = tuple(row for row in published.TABLE_II if row.task == run.task)
    rows_iii = tuple(row for row in published.TABLE_III if row.task == run.task)
    title = "Table {} of the paper (random images, full BreakHis set)"
    return [
        context.paper_table(rows_ii, "paper_table_2", title.format("II")),
        context.paper_table(rows_iii, "paper_table_3", "Table III of the paper"),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as pairs; long lists are cut with their length named."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{name}.")
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


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("magnostic.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )

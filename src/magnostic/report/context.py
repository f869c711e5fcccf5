"""Tables about the data, the training and what others published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magnostic.data.summary import PAPER_TABLE1
from magnostic.report import published
from magnostic.report.cells import Cell, Table, Value, cells
from magnostic.report.folder import RunFolder
from magnostic.report.words import MISSING, class_name, ordered, plural, protocol, without_machine
from magnostic.taxonomy import BY_CODE, CODES, MAGNIFICATIONS

_TASKS = {"binary": "benign or malignant", "subtype": "8 types"}
#: Image ids that a line of facts names at most.
_NAMED = 12
_AUGMENTED = {True: "augmented", False: "not augmented", None: ""}


def counts(run: RunFolder) -> Table | None:
    """Photographs by type and magnification, beside Table I of the paper for BreakHis types."""
    found: dict[str, dict[str, int]] = run.data.get("counts") or {}
    if not found:
        return None
    known = all(code in BY_CODE for code in found)
    types = [c for c in CODES if c in found] if known else sorted(found)
    columns = _columns(found)
    rows, records = [], []
    sums = dict.fromkeys([*columns, "total"], 0)
    for kind in types:
        here = {c: int(found[kind].get(c, 0)) for c in columns}
        here["total"] = sum(here.values())
        printed = _table_i(kind, columns) if known else {}
        rows.append([Cell(class_name(kind)), *[_beside(here[c], printed.get(c)) for c in here]])
        record: dict[str, Value] = {"type": kind, **here}
        records.append(record | {f"table_i_{c}": n for c, n in printed.items()})
        for column, n in here.items():
            sums[column] += n
    all_printed = _table_i(None, columns) if known else {}
    rows.append([Cell("All"), *[_beside(n, all_printed.get(c)) for c, n in sums.items()]])
    caption = "Photographs by type and magnification."
    if known:
        caption += " After “of”: the full BreakHis set, Table I of the paper."
    titles = [f"{c}X" if c.isdigit() else "unknown" for c in columns]
    return Table("counts", caption, ["", *titles, "Total"], rows, records)


def _columns(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    present = {str(c) for row in found.values() for c in row}
    numbers = sorted((c for c in present if c.isdigit()), key=int)
    return numbers + sorted(present - set(numbers))


def _table_i(kind: str | None, columns: list[str]) -> dict[str, int]:
    """Printed counts of a type, or of all types, in the columns at hand, and their total."""
    rows = [PAPER_TABLE1[kind]] if kind else list(PAPER_TABLE1.values())
    by_column = dict(zip(map(str, MAGNIFICATIONS), map(sum, zip(*rows, strict=True)), strict=True))
    printed = {c: by_column[c] for c in columns if c in by_column}
    return printed | {"total": sum(by_column.values())}


def _beside(n: int, printed: int | None) -> Cell:
    return Cell(f"{n:,}", "" if printed is None else f"of {printed:,}")


def facts(run: RunFolder) -> list[tuple[str, str]]:
    """What the images are, as pairs of term and description."""
    data = run.data
    dropped = {k: v for k, v in (data.get("dropped_by_policy") or {}).items() if v}
    alike = f"{_number(data, 'n_duplicate_images')} in {_number(data, 'n_duplicate_groups')}"
    double = _number(data, "n_double_label_slides")

    def policies(before: str, name: str) -> str:
        policy = run.recipe.get("data", {}).get(name)
        return f"{before}{policy}" if policy else ""

    return [
        ("Source", ", ".join(map(str, data.get("sources", []))) or MISSING),
        ("Photographs", f"{_number(data, 'n_images')}; used: {_number(data, 'n_used')}"),
        ("Slides", _number(data, "n_slides")),
        ("Patients", _number(data, "n_patients")),
        ("Accessions (lab numbers)", _number(data, "n_accessions")),
        (
            "Sizes in pixels",
            ", ".join(f"{k.replace('x', ' × ')}: {n:,}" for k, n in data.get("sizes", {}).items())
            or MISSING,
        ),
        ("Pixel-identical photographs", f"{alike} groups{policies('; policy: ', 'duplicates')}"),
        ("Slides with two labels", f"{double}{policies('; policy: ', 'double_labels')}"),
        (
            "Dropped by policy",
            ", ".join(f"{k.replace('_', ' ')}: {n:,}" for k, n in dropped.items()) or "none",
        ),
        *_unchanged(data),
        ("Hash of the data", str(data.get("data_hash", MISSING))),
    ]


def _unchanged(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Photographs too pale or blank for stain normalization, if there was one."""
    colour = data.get("colour")
    if not colour:
        return []
    ids = [str(i) for i in colour.get("ids") or []]
    named = f": {', '.join(ids[:_NAMED])}" if ids else ""
    if len(ids) > _NAMED:
        named += f", … ({len(ids)} in all)"
    says = f"{colour['fell_back']:,} of {colour['of']:,}{named}"
    return [(f"Left unchanged by {colour['method']}, too pale or blank for it", says)]


def _number(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "unknown" if value is None else f"{value:,}"


def skipped(run: RunFolder) -> Table | None:
    """Files that were left out because they could not be used."""
    found = run.data.get("skipped") or []
    if not found:
        return None
    clean = [
        {k: without_machine(str(bad[k])) for k in ("path", "fault", "detail")} for bad in found
    ]
    return Table(
        "skipped",
        f"{plural(len(found), 'file')} left out because data.on_bad is skip.",
        ["File", "Fault", "Detail"],
        [cells([c["path"], c["fault"], c["detail"]]) for c in clean],
        clean,
        text=3,
    )


def probe_values(run: RunFolder) -> Table | None:
    """For probes: each regularization strength that was tried."""
    tried = [(child, line) for child in run.children for line in child.history if "c" in line]
    if not tried:
        return None
    keys = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    rows, records = [], []
    for child, line in tried:
        where = f"{protocol(child.protocol).title}, {child.name}"
        shown = [f"{line[k]:.3f}" if line.get(k) is not None else None for k in keys]
        rows.append([Cell(where), Cell(f"{line['c']:g}"), *cells(shown)])
        records.append(
            {
                "protocol": child.protocol,
                "repeat": child.repeat,
                "fold": child.fold,
                "c": line["c"],
                **{k: line.get(k) for k in keys},
            }
        )
    caption = "Inverse regularization strengths (c) on frozen features. "
    if any(line.get("val_loss") is not None for _, line in tried):
        caption += "The one with the lowest validation loss is kept."
    else:
        caption += "No validation part was set aside: nothing was chosen."
    return Table(
        "probe",
        caption,
        ["Model", "c", "Train loss", "Train accuracy", "Val loss", "Val accuracy"],
        rows,
        records,
    )


def beside_ours(run: RunFolder) -> Table | None:
    """For recipes of the paper: the row of its Table II beside each of our protocols."""
    printed = published.table_ii_rows(run.recipe)
    if not printed:
        return None
    images = "synthetic images" if run.data.get("synthetic") else "these images"
    keys = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
    rows, records = [], []
    for row in printed:
        augmented = _AUGMENTED[row.augmentation]
        rows.append(
            [
                Cell(
                    f"{row.model}, {augmented}" if augmented else row.model,
                    f"{row.source}; {row.variants}" if row.variants else row.source,
                ),
                Cell("random images", "7,909 BreakHis images, 2,373 tested"),
                *[Cell(_percent(value)) for value in row.values],
            ]
        )
        records.append(_printed_record(row))
    for name in ordered(run.metrics["protocols"]):
        result = run.metrics["protocols"][name]
        rows.append(
            [
                Cell(str(run.recipe.get("name")), "this run"),
                Cell(protocol(name).title.lower(), f"{images}, {result['n_images']:,} tested"),
                *[_percent_cell(result["overall"][key]) for key in keys],
            ]
        )
        shares = [result["overall"][key]["estimate"] for key in keys]
        figures = [None if value is None else 100 * value for value in shares]
        records.append(_record("this run", str(run.recipe.get("name")), name, figures))
    return Table(
        "beside_the_paper",
        "Printed figures beside ours, in percent; macro averages. Protocol and data set differ "
        "where the second column says so: such rows are not comparable.",
        ["", "Protocol", "Accuracy", "Precision", "Recall", "F1"],
        rows,
        records,
        text=2,
    )


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _percent_cell(metric: Mapping[str, Any]) -> Cell:
    if metric["estimate"] is None:
        return Cell(MISSING)
    within = ""
    if metric["low"] is not None:
        within = f"({100 * metric['low']:.1f} to {100 * metric['high']:.1f})"
    return Cell(f"{100 * metric['estimate']:.1f}", within)


def _record(
    source: str, system: str, protocol_name: str, values: list[float | None]
) -> dict[str, Value]:
    names = ("accuracy_percent", "precision_percent", "recall_percent", "f1_percent")
    return {
        "source": source,
        "system": system,
        "protocol": protocol_name,
        **dict(zip(names, values, strict=True)),
    }


def _printed_record(row: published.Row) -> dict[str, Value]:
    return _record(row.source, row.model, "random", list(row.values))


def paper_table(rows: tuple[published.Row, ...], name: str, title: str) -> Table:
    """Table II or III of the paper, with the contradictions of its sources."""
    return Table(
        name,
        f"{title}, in percent, as printed.",
        ["Model", "Task", "Source", "Magnification", "Accuracy", "P", "R", "F1", "Elsewhere"],
        [
            [
                Cell(row.model, _AUGMENTED[row.augmentation]),
                *cells([_TASKS[row.task], row.source, row.magnification]),
                *[Cell(_percent(value)) for value in row.values],
                Cell(row.variants),
            ]
            for row in rows
        ],
        [
            {
                "model": row.model,
                "task": row.task,
                "source": row.source,
                "magnification": row.magnification,
                "augmentation": {True: "yes", False: "no", None: ""}[row.augmentation],
                **dict(zip(("accuracy", "precision", "recall", "f1"), row.values, strict=True)),
                "variants": row.variants,
            }
            for row in rows
        ],
        text=4,
    )


def elsewhere(run: RunFolder) -> Table | None:
    """Results of other systems on the same task, with their protocol."""
    found = [e for e in published.ELSEWHERE if e.task == run.task]
    if not found:
        return None
    return Table(
        "elsewhere",
        "Numbers from elsewhere for the same task, on the full BreakHis set unless said. Rows of "
        "different protocols or images are not comparable.",
        ["Protocol", "System", "Result", "Source"],
        [cells([e.protocol, e.system, e.result, e.source]) for e in found],
        [vars(e) for e in found],
        text=4,
    )

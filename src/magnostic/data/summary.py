"""What a data set holds: counts beside the paper's Table I, groups, sizes, duplicates."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from magnostic.data.images import HASHED, Images
from magnostic.taxonomy import CODES, MAGNIFICATIONS

#: Images by type and magnification (40, 100, 200, 400), Table I of the paper.
PAPER_TABLE1: Final[dict[str, tuple[int, int, int, int]]] = {
    "A": (114, 113, 111, 106),
    "F": (253, 260, 264, 237),
    "PT": (109, 121, 108, 115),
    "TA": (149, 150, 140, 130),
    "DC": (864, 903, 896, 788),
    "LC": (156, 170, 163, 137),
    "MC": (205, 222, 196, 169),
    "PC": (145, 142, 135, 138),
}
#: Patients by malignancy as the paper counts them: slides, each (type, slide) pair one patient.
PAPER_PATIENTS: Final = {"benign": 24, "malignant": 58}


def table1(images: Images) -> pd.DataFrame:
    """Images by type (index: the eight codes) and magnification, with the paper's beside.

    Columns: ``40, 100, 200, 400, total, slides`` and the same with prefix ``paper_`` (no paper
    count of slides by type exists); ``other``: images of another or no magnification.
    """
    known = images.table.dropna(subset=["tumour_type"])
    counts = pd.crosstab(known["tumour_type"], known["magnification"])
    counts = counts.reindex(index=list(CODES), columns=list(MAGNIFICATIONS), fill_value=0)
    counts.columns = pd.Index([str(m) for m in MAGNIFICATIONS])
    counts["total"] = known["tumour_type"].value_counts().reindex(list(CODES), fill_value=0)
    counts["other"] = counts["total"] - counts[[str(m) for m in MAGNIFICATIONS]].sum(axis=1)
    slides = known.groupby("tumour_type")["slide_id"].nunique()
    counts["slides"] = slides.reindex(list(CODES), fill_value=0)
    for place, magnification in enumerate(MAGNIFICATIONS):
        counts[f"paper_{magnification}"] = [PAPER_TABLE1[c][place] for c in CODES]
    counts["paper_total"] = [sum(PAPER_TABLE1[c]) for c in CODES]
    return counts.rename_axis(None)


def summarize(images: Images) -> dict[str, Any]:
    """The fields of ``data.json`` that concern the images; None where a count isn't known.

    ``n_patients`` counts those known, beside ``n_images_without_patient``.
    """
    table = images.table
    typed = table.dropna(subset=["tumour_type", "magnification"])
    pairs = typed.groupby(["tumour_type", "magnification"], as_index=False).size()
    counts: dict[str, dict[str, int]] = {}
    for code, magnification, n in pairs.itertuples(index=False):
        counts.setdefault(str(code), {})[str(int(magnification))] = int(n)
    sizes = table.groupby(["width", "height"], as_index=False).size()
    shared = table.loc[table["pixel_hash"].duplicated(keep=False), "pixel_hash"]
    labels = table.dropna(subset=["slide_id"]).groupby("slide_id")["label"].nunique()
    return {
        "data_hash": images.data_hash,
        "pixel_hash": HASHED,
        "synthetic": images.synthetic,
        "sources": sorted(table["source"].unique()),
        "n_by_source": _counts(table["source"]),
        "n_images": len(table),
        "n_slides": _distinct(table["slide_id"]),
        "n_patients": int(table["patient_id"].nunique()) or None,
        "n_images_without_patient": int(table["patient_id"].isna().sum()),
        "n_accessions": _distinct(table["accession"]),
        "classes": _counts(table["label"]),
        "counts": counts,
        "sizes": {f"{w}x{h}": int(n) for w, h, n in sizes.itertuples(index=False)},
        "n_duplicate_groups": int(shared.nunique()),
        "n_duplicate_images": len(shared),
        "n_double_label_slides": int((labels > 1).sum()) if len(labels) else None,
        "skipped": [vars(bad) for bad in images.skipped],
        "relabelled": [vars(entry) for entry in images.relabelled],
    }


def render(images: Images) -> RenderableType:
    """The summary for a terminal of 80 columns or more."""
    told = summarize(images)
    whole = images.table["tumour_type"].notna().all()
    lines = [_groups_line(images), _sizes_line(told), _duplicates_line(told)]
    if whole and (note := _double_note(images)):
        lines.insert(0, note)
    lines = [*_sources_lines(images, told), *lines]
    if told["synthetic"]:
        lines.insert(0, "SYNTHETIC phantom images: nothing here says anything about patients.")
    if images.skipped:
        lines.append(f"{counted(len(images.skipped), 'bad file')} left out:")
        lines += [f"  {b.path}: {b.fault}: {b.detail}" for b in images.skipped[:20]]
        if len(images.skipped) > 20:
            lines.append(f"  … and {len(images.skipped) - 20} more")
    return Group(_types(images) if whole else _labels(told), *(Text(line) for line in lines))


def _types(images: Images) -> Table:
    counts = table1(images)
    shown = Table(
        title="Images by type and magnification (the paper's count where it differs)",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 0, 0, 1),
        show_footer=True,
    )
    columns = [*(str(m) for m in MAGNIFICATIONS), "total"]
    shown.add_column("type", footer="all")
    others = counts["other"].sum()
    for column in columns:
        if column == "total" and others:
            shown.add_column("other", justify="right", footer=str(others))
        head = column if column == "total" else f"{column}X"
        footer = _beside(int(counts[column].sum()), int(counts[f"paper_{column}"].sum()))
        shown.add_column(head, justify="right", footer=footer)
    shown.add_column("slides", justify="right", footer=str(counts["slides"].sum()))
    for code in CODES:
        row = counts.loc[[code]].iloc[0].to_dict()
        cells = [_beside(row[c], row[f"paper_{c}"]) for c in columns]
        if others:
            cells.insert(-1, str(row["other"]))
        last_benign = code == "TA"
        shown.add_row(code, *cells, str(row["slides"]), end_section=last_benign)
    return shown


def _double_note(images: Images) -> str:
    """Why slides of the table's rows add up to more than there are; empty where they don't."""
    types = images.table.groupby("slide_id")["tumour_type"].nunique()
    double = int((types > 1).sum())
    if not double:
        return ""
    several, rows = ("two", "both rows") if types.max() == 2 else ("several", "each of their rows")
    stand, are = ("stands", "is") if double == 1 else ("stand", "are")
    return f"{counted(double, 'slide')} {stand} under {several} types and {are} counted in {rows}"


def _beside(ours: int, papers: int) -> str:
    return str(ours) if ours == papers else f"{ours} ({papers})"


def _labels(told: dict[str, Any]) -> Table:
    shown = Table(title="Images by label", title_justify="left", show_footer=True, box=box.SIMPLE)
    shown.add_column("label", footer="all")
    shown.add_column("images", justify="right", footer=str(told["n_images"]))
    for label, n in told["classes"].items():
        shown.add_row(Text(label), str(n))
    return shown


def _sources_lines(images: Images, told: dict[str, Any]) -> list[str]:
    """Which data sets were merged, and what a label map has changed."""
    lines = []
    if len(told["sources"]) > 1:
        shown = ", ".join(f"{name} ({n})" for name, n in told["n_by_source"].items())
        lines.append(f"{len(told['sources'])} data sets: {shown}")
    changed = [
        f"{r.source} {r.label} {'left out' if r.meaning is None else f'as {r.meaning}'} ({r.n})"
        for r in images.relabelled
    ]
    if changed:
        lines.append(f"label map: {', '.join(changed)}")
    return lines


def _groups_line(images: Images) -> str:
    table = images.table
    words = {"slide_id": "slide", "patient_id": "patient", "accession": "accession"}
    if table[list(words)].isna().all(axis=None):
        return f"{counted(len(table), 'image')}, no patient information"
    told = [counted(len(table), "image")]
    for column, noun in words.items():
        known = int(table[column].notna().sum())
        many = "lab numbers (accession)" if noun == "accession" else f"{noun}s"
        if known:
            told.append(counted(table[column].nunique(), noun))
        elif noun != "slide":  # slides are no more than a stand-in for patients
            told.append(f"no {many}")
        if 0 < known < len(table):
            without = len(table) - known
            told.append(f"{many} known for {known} of {len(table)} images ({without} without)")
    return ", ".join(told)


def _sizes_line(told: dict[str, Any]) -> str:
    by_count = sorted(told["sizes"].items(), key=lambda item: -item[1])
    shown = ", ".join(f"{size} ({n})" for size, n in by_count[:4])
    more = f", and {counted(len(by_count) - 4, 'other size')}" if len(by_count) > 4 else ""
    return f"sizes: {shown}{more}"


def _duplicates_line(told: dict[str, Any]) -> str:
    if not told["n_duplicate_images"]:
        return "no two images have the same pixels"
    images, sets = told["n_duplicate_images"], told["n_duplicate_groups"]
    return f"{images} images share their pixels with another, in {counted(sets, 'set')}"


def counted(n: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(k): int(n) for k, n in values.value_counts().sort_index().items()}


def _distinct(values: pd.Series) -> int | None:
    """How many values; None where any is unknown."""
    return None if values.isna().any() else int(values.nunique())

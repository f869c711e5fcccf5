"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from magnostic.errors import BadInput

if TYPE_CHECKING:
    from magnostic.data.images import Images

DataPaths = Annotated[
    tuple[Path, ...],
    Parameter(
        help="A BreakHis tree (any of its levels), a CSV manifest, an APTOS 2019 folder, a folder "
        "of class folders, or an images.parquet written by `magnostic index`. Several data sets "
        "are merged: --data A --data B.",
        negative="",
    ),
]
Format = Annotated[
    Literal["auto", "breakhis", "aptos", "manifest", "folders"],
    Parameter(help="Reader; auto recognizes which one fits."),
]
OnBad = Annotated[
    Literal["stop", "skip"],
    Parameter(help="Bad files stop the command with a full list, or are left out and reported."),
]
Columns = Annotated[
    tuple[str, ...],
    Parameter(
        name="--column",
        help="Column of a manifest as ours=theirs, e.g. --column path=file --column label=dx.",
        negative="",
    ),
]
LabelMap = Annotated[
    Path | None,
    Parameter(
        name="--label-map",
        help="YAML file that says what labels mean: {source: {label: a type's code, benign, "
        "malignant, another label, or null to leave its images out}}.",
    ),
]


def read(
    data: Sequence[Path],
    reader: Format,
    on_bad: OnBad,
    columns: Sequence[str],
    label_map: Path | None,
) -> Images:
    """The images table of one or several data sources."""
    from magnostic.data import read_sets

    named = mapping(columns)
    return read_sets(data, format=reader, on_bad=on_bad, columns=named, label_map=label_map)


def mapping(columns: Sequence[str]) -> dict[str, str]:
    """Our column -> the manifest's; BadInput for what is not ours=theirs."""
    found = {}
    for pair in columns:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise BadInput(f"--column {pair}: expected ours=theirs, e.g. --column label=diagnosis")
        found[ours] = theirs
    return found

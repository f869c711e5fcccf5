"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from magnostic.errors import BadInput

if TYPE_CHECKING:
    from magnostic.data.images import Images

DataPath = Annotated[
    Path,
    Parameter(
        help="A BreakHis tree (any of its levels), a CSV manifest, a folder of class folders, "
        "or an images.parquet written by `magnostic index`."
    ),
]
Format = Annotated[
    Literal["auto", "breakhis", "manifest", "folders"],
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


def read(data: Path, reader: Format, on_bad: OnBad, columns: Sequence[str]) -> Images:
    """The images table of a data source."""
    from magnostic.data import read_images

    mapping = {}
    for pair in columns:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise BadInput(f"--column {pair}: expected ours=theirs, e.g. --column label=diagnosis")
        mapping[ours] = theirs
    return read_images(data, format=reader, on_bad=on_bad, columns=mapping)

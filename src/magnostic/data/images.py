"""The images table: one row a photograph. Made by a reader, read by everything after it.

==============  =======  ==========================================================================
column          type     meaning
==============  =======  ==========================================================================
image_id        string   unique name of the photograph in this data set (BreakHis: the file's stem)
path            string   absolute path of the file, POSIX form; the only column that names a machine
label           string   class as the source gives it (BreakHis: the type's code, e.g. ``DC``)
tumour_type     string?  one of the eight codes, or missing
malignancy      string?  ``benign`` or ``malignant``, or missing
slide_id        string?  slide (BreakHis: year-number-letters, e.g. ``14-22549AB``)
patient_id      string?  patient; BreakHis counts one slide as one patient
accession       string?  lab number (slide without block letters): likely the person, not stated
magnification   int16?   40, 100, 200 or 400 (objective times ten); any positive number elsewhere
width, height   int32    pixels
pixel_hash      string   128 bits of SHA-256 of the decoded RGB pixels and their shape, hex; or
                         ``given:`` and the hash that a manifest brought
source          string   name of the data set (``breakhis``, ``phantom``, the manifest's stem, …)
==============  =======  ==========================================================================

Where data sets of several sources are merged, ``image_id``, ``slide_id``, ``patient_id`` and
``accession`` begin with ``source/``, so that no two sets share one by accident.

A slide with two labels is one patient, and is scored per (patient, label).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import pandas as pd
import pyarrow as pa

from magnostic import tables
from magnostic.errors import TableError
from magnostic.taxonomy import CODES, MALIGNANCIES

COLUMNS: Final = (
    tables.Column("image_id", pa.string()),
    tables.Column("path", pa.string()),
    tables.Column("label", pa.string()),
    tables.Column("tumour_type", pa.string(), nullable=True),
    tables.Column("malignancy", pa.string(), nullable=True),
    tables.Column("slide_id", pa.string(), nullable=True),
    tables.Column("patient_id", pa.string(), nullable=True),
    tables.Column("accession", pa.string(), nullable=True),
    tables.Column("magnification", pa.int16(), nullable=True),
    tables.Column("width", pa.int32()),
    tables.Column("height", pa.int32()),
    tables.Column("pixel_hash", pa.string()),
    tables.Column("source", pa.string()),
)

#: How pixels are hashed. Whatever names another way, or none, is of an earlier version: its hashes
#: are comparable with each other, but not with those made now.
HASHED: Final = "sha256-128"
#: Prefix of a hash that a manifest brought: equal ones are equal pixels, but how it was made is
#: not known, so files are not checked against it.
GIVEN: Final = "given:"

#: What a model is asked: two classes, the eight types, or the source's own labels.
Task = Literal["binary", "subtype", "label"]


@dataclass(frozen=True)
class BadFile:
    """A file that could not become a row: where, what kind of fault, and the particulars."""

    path: str
    fault: str
    detail: str


@dataclass(frozen=True)
class Relabelled:
    """One entry of a label map as it was applied: ``n`` images of a source and label.

    ``meaning`` is the label that they have now; None: they were left out.
    """

    source: str
    label: str
    meaning: str | None
    n: int


@dataclass(frozen=True)
class Images:
    """The table and what must travel with it.

    Attributes:
        table: one row a photograph, sorted by ``image_id``, index 0..n-1.
        synthetic: the photographs are a phantom's; every report says so.
        skipped: bad files that the user chose to leave out.
        relabelled: what label maps have changed, in the order that they were applied.
    """

    table: pd.DataFrame
    synthetic: bool = False
    skipped: tuple[BadFile, ...] = field(default=())
    relabelled: tuple[Relabelled, ...] = field(default=())

    def __post_init__(self) -> None:
        check(self.table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def data_hash(self) -> str:
        """Hex digest over every column but ``path``; the same wherever the files lie."""
        digest = hashlib.blake2b(digest_size=16)
        for name in (c.name for c in COLUMNS if c.name != "path"):
            values = self.table[name]
            if name == "magnification":  # int or, where some are missing, float
                values = values.astype("Int64")
            digest.update("\x1f".join(values.astype("str").fillna("")).encode())
            digest.update(b"\x1e")
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        meta = {
            "version": 1,
            "pixel_hash": HASHED,
            "synthetic": self.synthetic,
            "skipped": [vars(bad) for bad in self.skipped],
            "relabelled": [vars(entry) for entry in self.relabelled],
        }
        tables.write(self.table, COLUMNS, path, "images", meta)

    @staticmethod
    def read(path: Path) -> Images:
        """Raises TableError for what is no images table, or one of an earlier version's hashes."""
        frame, meta = tables.read(path, COLUMNS, "images")
        # Other programs' tables name no way; their hashes are taken for what they should be.
        if meta and meta.get("pixel_hash") != HASHED and not _given(frame["pixel_hash"]).all():
            raise TableError(
                f"{path}: an earlier version wrote it, which hashed pixels in another way; index "
                "the data anew (magnostic index)"
            )
        try:
            skipped = tuple(BadFile(**bad) for bad in meta.get("skipped", ()))
            relabelled = tuple(Relabelled(**entry) for entry in meta.get("relabelled", ()))
        except TypeError:
            raise TableError(
                f"{path}: what is noted beside its rows is broken; index the data again"
            ) from None
        return Images(frame, bool(meta.get("synthetic", False)), skipped, relabelled)


def _given(hashes: pd.Series) -> pd.Series:
    return hashes.str.startswith(GIVEN)


def check(frame: pd.DataFrame) -> None:
    """Raise TableError where a row breaks the contract above."""
    tables.check(frame, COLUMNS, "images table")
    if frame.empty:
        raise TableError("images table: no row; give a folder or manifest with photographs")
    twice = frame["image_id"][frame["image_id"].duplicated()]
    if len(twice):
        raise TableError(
            f"images table: image_id {twice.iloc[0]!r} stands in more than one row; "
            "every photograph needs a name of its own"
        )
    for column, known in (("tumour_type", CODES), ("malignancy", MALIGNANCIES)):
        wrong = frame[column].dropna()
        wrong = wrong[~wrong.isin(known)]
        if len(wrong):
            raise TableError(
                f"images table: row {wrong.index[0]}, column {column!r} holds {wrong.iloc[0]!r}; "
                f"expected one of {', '.join(known)}"
            )


def targets(frame: pd.DataFrame, task: Task) -> pd.Series:
    """The class name of each image for a task (string, same index as the frame).

    Raises TableError when the source does not give the labels that the task needs.
    """
    column = {"binary": "malignancy", "subtype": "tumour_type", "label": "label"}[task]
    if frame[column].isna().any():
        row = int(frame[column].isna().to_numpy().argmax())
        raise TableError(
            f"task {task!r} needs {column!r} for every image; {frame['image_id'].iloc[row]!r} has "
            "none. Add --task label for a data set with labels of its own, or say what its labels "
            "mean with --label-map FILE.yaml"
        )
    return frame[column].astype(str)


def classes(frame: pd.DataFrame, task: Task) -> Sequence[str]:
    """Class names in the field's order (benign types first), or sorted for own labels."""
    present = set(targets(frame, task))
    if task == "binary":
        return [m for m in MALIGNANCIES if m in present]
    if task == "subtype":
        return [c for c in CODES if c in present]
    return sorted(present)

"""The split tables: which images are held out in which fold, and the parts of one fold.

**Folds** (a parent's ``split.parquet``): for every protocol and repeat, the fold in which an image
is tested. Membership only, never images x folds.

=========  ======  ============================================================================
column     type    meaning
=========  ======  ============================================================================
image_id   string  as in the images table; images dropped by a policy have no row
protocol   string  ``random``, ``patient``, ``accession``, ``official``, ``source``
repeat     int16   0..repeats-1 (official: the fold file's number minus one)
fold       int16   the fold in which this image is tested; -1: never tested in this repeat
=========  ======  ============================================================================

**Parts** (a child run's ``split.parquet``): one fold spelt out, with ``part`` one of ``train``,
``val``, ``test``, and ``fold`` the fold that is tested. An image that is neither tested nor of a
magnification to train on (``data.train_magnifications``) has no row.

Beside either stands ``split.json``, the provenance: seed, fractions, grouping column, policies and
library versions, enough to make the same split again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from magnostic import tables
from magnostic.errors import TableError
from magnostic.files import read_object, write_json

PARTS: Final = ("train", "val", "test")
FOLDS_COLUMNS: Final = (
    tables.Column("image_id", pa.string()),
    tables.Column("protocol", pa.string()),
    tables.Column("repeat", pa.int16()),
    tables.Column("fold", pa.int16()),
)
PARTS_COLUMNS: Final = (*FOLDS_COLUMNS, tables.Column("part", pa.string()))


@dataclass(frozen=True)
class Folds:
    """Held-out folds of every image, and how they were made."""

    table: pd.DataFrame
    provenance: dict[str, Any]

    def write(self, folder: Path) -> None:
        check_folds(self.table)
        tables.write(self.table, FOLDS_COLUMNS, folder / "split.parquet", "folds", {"version": 1})
        write_json(folder / "split.json", self.provenance)

    @staticmethod
    def read(folder: Path) -> Folds:
        frame, _ = tables.read(folder / "split.parquet", FOLDS_COLUMNS, "folds")
        check_folds(frame)
        return Folds(frame, read_object(folder / "split.json", TableError))


@dataclass(frozen=True)
class Parts:
    """One fold of one protocol and repeat: the part of each image."""

    table: pd.DataFrame
    provenance: dict[str, Any]

    def ids(self, part: str) -> pd.Series:
        """Image ids of ``train``, ``val`` or ``test``, in table order."""
        return self.table.loc[self.table["part"] == part, "image_id"]

    def write(self, folder: Path) -> None:
        check_parts(self.table)
        tables.write(self.table, PARTS_COLUMNS, folder / "split.parquet", "parts", {"version": 1})
        write_json(folder / "split.json", self.provenance)

    @staticmethod
    def read(folder: Path) -> Parts:
        frame, _ = tables.read(folder / "split.parquet", PARTS_COLUMNS, "parts")
        check_parts(frame)
        return Parts(frame, read_object(folder / "split.json", TableError))


def check_folds(frame: pd.DataFrame) -> None:
    """Raise TableError on an image that stands twice in one protocol and repeat."""
    tables.check(frame, FOLDS_COLUMNS, "folds table")
    key = ["protocol", "repeat", "image_id"]
    twice = frame[frame.duplicated(key)]
    if len(twice):
        raise TableError(
            f"folds table: image {twice['image_id'].iloc[0]!r} stands twice in protocol "
            f"{twice['protocol'].iloc[0]!r}, repeat {twice['repeat'].iloc[0]}"
        )


def check_parts(frame: pd.DataFrame) -> None:
    """Raise TableError on an unknown part or an image in two parts."""
    tables.check(frame, PARTS_COLUMNS, "parts table")
    wrong = frame[~frame["part"].isin(PARTS)]
    if len(wrong):
        raise TableError(
            f"parts table: row {wrong.index[0]} has part {wrong['part'].iloc[0]!r}; "
            f"expected one of {', '.join(PARTS)}"
        )
    twice = frame[frame.duplicated("image_id")]
    if len(twice):
        raise TableError(f"parts table: image {twice['image_id'].iloc[0]!r} stands in two rows")

"""The predictions table: all that evaluation and reports may look at.

==============  =======  ==========================================================================
column          type     meaning
==============  =======  ==========================================================================
image_id        string   as in the images table
slide_id        string?  as in the images table
patient_id      string?  as in the images table
accession       string?  as in the images table
magnification   int16?   as in the images table
protocol        string   how train and test were kept apart (``random``, ``patient``, …)
repeat          int16    repeat of the protocol
fold            int16    the fold whose model made this prediction
part            string   ``val`` or ``test``: what the image was to that model
y_true          string   class name
y_pred          string   class with the highest probability (the first of equals)
p_<class>       float32  probability of each class in [0, 1]; a row sums to 1 within 1e-4
==============  =======  ==========================================================================

The order of the ``p_`` columns is the order of the classes. Any system's output in this form can
be judged by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from magnostic import tables
from magnostic.errors import TableError

COLUMNS: Final = (
    tables.Column("image_id", pa.string()),
    tables.Column("slide_id", pa.string(), nullable=True),
    tables.Column("patient_id", pa.string(), nullable=True),
    tables.Column("accession", pa.string(), nullable=True),
    tables.Column("magnification", pa.int16(), nullable=True),
    tables.Column("protocol", pa.string()),
    tables.Column("repeat", pa.int16()),
    tables.Column("fold", pa.int16()),
    tables.Column("part", pa.string()),
    tables.Column("y_true", pa.string()),
    tables.Column("y_pred", pa.string()),
)
PREFIX: Final = "p_"


@dataclass(frozen=True)
class Predictions:
    """A checked predictions table."""

    table: pd.DataFrame

    def __post_init__(self) -> None:
        check(self.table)

    @property
    def classes(self) -> list[str]:
        return [c.removeprefix(PREFIX) for c in self.table.columns if c.startswith(PREFIX)]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 [N, C], columns in the order of :attr:`classes`."""
        return self.table[[PREFIX + c for c in self.classes]].to_numpy(np.float32)

    @property
    def true_index(self) -> NDArray[np.intp]:
        """intp [N]: position of ``y_true`` in :attr:`classes`."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.table["y_true"]))

    @property
    def predicted_index(self) -> NDArray[np.intp]:
        """intp [N]: position of ``y_pred`` in :attr:`classes`."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.table["y_pred"]))

    def where(self, **equals: object) -> Predictions:
        """The rows whose named columns equal the given values (``part="test"``)."""
        keep = np.ones(len(self.table), dtype=bool)
        for column, value in equals.items():
            keep &= (self.table[column] == value).to_numpy()
        return Predictions(self.table.loc[keep].reset_index(drop=True))

    def write(self, path: Path) -> None:
        tables.write(self.table, COLUMNS, path, "predictions", {"version": 1})

    @staticmethod
    def read(path: Path) -> Predictions:
        return Predictions(tables.read(path, COLUMNS, "predictions")[0])


def make(
    images: pd.DataFrame,
    y_true: Sequence[str],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    *,
    protocol: str,
    repeat: int,
    fold: int,
    part: str,
) -> pd.DataFrame:
    """Predictions of one model on one part.

    Args:
        images: rows of the images table, in the order of ``probabilities``.
        y_true: class name of each row.
        probabilities: float32 [N, C], rows summing to 1.
        classes: the C class names.
    """
    context = ["image_id", "slide_id", "patient_id", "accession", "magnification"]
    frame = images[context].reset_index(drop=True)
    names = np.asarray(classes, dtype=object)
    frame = frame.assign(
        protocol=protocol,
        repeat=np.int16(repeat),
        fold=np.int16(fold),
        part=part,
        y_true=list(y_true),
        y_pred=names[probabilities.argmax(axis=1)],
    )
    scores = pd.DataFrame(
        probabilities.astype(np.float32), columns=[PREFIX + str(c) for c in classes]
    )
    return pd.concat([frame, scores], axis=1)


def check(frame: pd.DataFrame) -> None:
    """Raise TableError where a row breaks the contract above."""
    tables.check(frame, COLUMNS, "predictions table")
    columns = [c for c in frame.columns if c.startswith(PREFIX)]
    if len(columns) < 2:
        raise TableError(
            "predictions table: needs a column p_<class> for each of two or more classes"
        )
    names = [c.removeprefix(PREFIX) for c in columns]
    for column in ("y_true", "y_pred"):
        unknown = frame.loc[~frame[column].isin(names), column]
        if len(unknown):
            raise TableError(
                f"predictions table: row {unknown.index[0]}, {column} is {unknown.iloc[0]!r}, "
                f"which has no column p_{unknown.iloc[0]}; classes are {', '.join(names)}"
            )
    try:
        values = frame[columns].to_numpy(np.float64)
    except (TypeError, ValueError):
        raise TableError(
            "predictions table: a column p_<class> holds something else than numbers"
        ) from None
    bad = ~np.isfinite(values).all(axis=1)
    bad |= (values < 0).any(axis=1) | (values > 1 + 1e-6).any(axis=1)
    bad |= np.abs(values.sum(axis=1) - 1) > 1e-4
    if bad.any():
        row = int(bad.argmax())
        raise TableError(
            f"predictions table: row {row} ({frame['image_id'].iloc[row]}): probabilities must lie "
            f"in [0, 1] and sum to 1 (sum is {values[row].sum():.6g})"
        )
    key = ["protocol", "repeat", "fold", "part", "image_id"]
    twice = frame[frame.duplicated(key)]
    if len(twice):
        raise TableError(
            f"predictions table: image {twice['image_id'].iloc[0]!r} is predicted twice in "
            f"protocol {twice['protocol'].iloc[0]!r}, fold {twice['fold'].iloc[0]}"
        )

"""The tiles table of one slide.

=============  ========  ==========================================================================
column         type      meaning
=============  ========  ==========================================================================
slide          string    name of the slide's file
x, y           int32     left and top of the tile, level-0 pixels
width, height  int32     of the tile, level-0 pixels
tissue         float32   share of tissue in it
error          string?   why it could not be read; everything after it is then missing
malignant      float32?  sum of the calibrated probabilities of the malignant classes; the column is
                         missing where the classes are neither malignancies nor tumour types
=============  ========  ==========================================================================

and every column of :mod:`magnostic.deploy.predictor` but path, ids and the photograph's own size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from magnostic.deploy import output
from magnostic.deploy.predictor import COLUMNS, Predictor, Row, shortest
from magnostic.deploy.sources import IDS
from magnostic.evaluate.collapse import places
from magnostic.evaluate.predictions import PREFIX
from magnostic.files import whole_file

MALIGNANT: Final = "malignant"
_OWN: Final = ("slide", "x", "y", "width", "height", "tissue")
_LEFT_OUT: Final = ("path", *IDS, "width", "height")
_TEXT: Final = ("slide", "error", "y_pred", "set", "reasons")
_INTS: Final = ("x", "y", "width", "height")
_FLOATS: Final = ("tissue", MALIGNANT, "confidence", "contrast", "sharpness", "distance")
_GROUP: Final = 8192


def columns(predictor: Predictor) -> list[str]:
    """Of the table, in order."""
    told = [c for c in predictor.columns if c not in _LEFT_OUT]
    fixed = [c for c in told if c in COLUMNS]
    has = [MALIGNANT] if places(MALIGNANT, predictor.about.classes) else []
    return [*_OWN, *fixed, *has, *(c for c in told if c not in COLUMNS)]


def write(path: Path, rows: Iterable[Row], names: Sequence[str]) -> None:
    """Rows to Parquet as they come, whole or not at all."""
    schema = pa.schema([(name, _type(name)) for name in names])
    with whole_file(path) as temporary:
        output.write_parquet(temporary, rows, schema)


def write_csv(path: Path, parquet: Path) -> None:
    """The same table as CSV."""
    output.write(path, rows(parquet), pq.read_schema(parquet).names)


def rows(parquet: Path) -> Iterator[dict[str, Any]]:
    """Rows of a table, some thousand in memory at once; floats as their shortest decimals."""
    with pq.ParquetFile(parquet) as file:
        for batch in file.iter_batches(_GROUP):
            lists = [_plain(column) for column in batch.columns]
            for values in zip(*lists, strict=True):
                yield dict(zip(batch.schema.names, values, strict=True))


def _plain(column: Any) -> list[Any]:
    values = column.to_pylist()
    if column.type != pa.float32():
        return list(values)
    return [None if v is None else shortest(v) for v in values]


def _type(column: str) -> pa.DataType:
    if column in _TEXT:
        return pa.string()
    if column in _INTS:
        return pa.int32()
    if column in _FLOATS or column.startswith(PREFIX):
        return pa.float32()
    return pa.bool_()  # answered, review, and one for each operating point

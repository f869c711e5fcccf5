"""What the three tables have in common: a column list, a check against it, Parquet in and out.

Each table's own module (``data.images``, ``splits.table``, ``evaluate.predictions``) says which
columns it has and what else must hold. No table holds a time stamp, so equal inputs and seed
give equal bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from magnostic.errors import TableError
from magnostic.files import whole_file

_META_KEY = b"magnostic"


@dataclass(frozen=True)
class Column:
    """Name, Arrow type and whether a value may be missing."""

    name: str
    type: pa.DataType
    nullable: bool = False


def check(frame: pd.DataFrame, columns: tuple[Column, ...], what: str) -> None:
    """Raise TableError unless every column is there and no required value is missing."""
    for column in columns:
        if column.name not in frame.columns:
            raise TableError(
                f"{what}: column {column.name!r} is missing (columns found: "
                f"{', '.join(map(str, frame.columns)) or 'none'}); "
                f"expected {', '.join(c.name for c in columns)}"
            )
        if not column.nullable and frame[column.name].isna().any():
            row = int(frame[column.name].isna().to_numpy().argmax())
            raise TableError(f"{what}: row {row}, column {column.name!r} is empty; give it a value")


def write(
    frame: pd.DataFrame, columns: tuple[Column, ...], path: Path, what: str, meta: Mapping[str, Any]
) -> None:
    """Write the frame's known columns first, others after them, as Parquet; whole or not at all.

    Columns beyond the contract (class probabilities) must have a type that Arrow can infer.
    """
    check(frame, columns, what)
    arrays, fields = [], []
    for column in columns:
        arrays.append(pa.array(frame[column.name], type=column.type, from_pandas=True))
        fields.append(pa.field(column.name, column.type, nullable=column.nullable))
    known = {c.name for c in columns}
    for name in [n for n in frame.columns if n not in known]:
        array = pa.array(frame[name], from_pandas=True)
        arrays.append(array)
        fields.append(pa.field(name, array.type))
    meta_bytes = json.dumps({"table": what, **meta}, sort_keys=True).encode()
    schema = pa.schema(fields, metadata={_META_KEY: meta_bytes})
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary)


def repeated(names: Iterable[str]) -> dict[str, int]:
    """Names that stand more than once, in their order, and how often."""
    return {name: times for name, times in Counter(names).items() if times > 1}


def read(path: Path, columns: tuple[Column, ...], what: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and its metadata; TableError with the next step if it is not such a table."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; expected a {what} table (Parquet)") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise TableError(f"{path}: not a readable Parquet file ({reason}); make it anew") from None
    names = table.column_names
    for name in sorted(repeated(names)):
        raise TableError(f"{path}: column {name!r} stands twice; make it anew")
    for column in columns:
        if column.name in names:
            table = _typed(table, column, path)
    frame = table.to_pandas(ignore_metadata=True)
    check(frame, columns, f"{path.name} ({what} table)")
    try:
        meta = json.loads((table.schema.metadata or {}).get(_META_KEY, b"{}"))
        meta.pop("table", None)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise TableError(f"{path}: what is noted beside its rows is broken; make it anew") from None
    return frame, meta


def _typed(table: pa.Table, column: Column, path: Path) -> pa.Table:
    """The table with the column in its own type, where nothing is lost by that."""
    place = table.column_names.index(column.name)
    found = table.column(place)
    if found.type == column.type:
        return table
    try:
        found = found.cast(column.type)
    except pa.ArrowException:
        raise TableError(
            f"{path}: column {column.name!r} is {found.type}, not {column.type}; make it anew"
        ) from None
    return table.set_column(place, pa.field(column.name, column.type, column.nullable), found)

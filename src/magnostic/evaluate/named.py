"""Tables and lists that name images in their own way, and which image of a table each row means.

A row names its image in ``image_id``, or ``path``, ``file`` or ``filename``: by the image's id or
whole path, else by the file's name or stem where only one image has it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from magnostic.csv_text import plain
from magnostic.data.images import Images
from magnostic.errors import TableError, did_you_mean
from magnostic.tables import repeated

#: Columns that may name images, the first that is there.
COLUMNS: Final = ("image_id", "path", "file", "filename")
#: Names that an error lists at most.
_SHOWN: Final = 20
#: Columns of a CSV that are words even where they look like numbers.
_WORDS: Final = (*COLUMNS, "y_true", "y_pred", "protocol", "part")


def read_ids(path: Path, images: Images) -> list[str]:
    """Image ids of a list of training images: one name a line, or a table as in :func:`read`.

    Raises TableError naming what is not in the images table.
    """
    if path.suffix.lower() in (".csv", ".parquet", ".pq"):
        frame = load(path)
    else:
        frame = pd.DataFrame({"path": _lines(path)}, dtype="str")
    position = match(path, frame, images.table)
    return images.table["image_id"].iloc[position].tolist()


def load(path: Path) -> pd.DataFrame:
    """A CSV or Parquet table with one row at least, index 0..n-1."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            found = pq.read_table(path)
            _refuse_repeated(path, found.column_names)
            frame = found.to_pandas()
        else:
            _refuse_repeated(path, _header(path))  # pandas would rename them, in quadratic time
            words = dict.fromkeys(_WORDS, "str")
            frame = pd.read_csv(path, dtype=words, keep_default_na=False, na_values=[""])
            for name in frame.columns.intersection(list(_WORDS)):
                frame[name] = frame[name].map(plain, na_action="ignore")
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; give a table of predictions") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException, ValueError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise TableError(
            f"{path}: not a readable CSV (UTF-8) or Parquet table ({reason}); write it anew"
        ) from None
    if frame.empty:
        raise TableError(f"{path}: no row; give a row for each predicted image")
    table: pd.DataFrame = frame.reset_index(drop=True)
    return table


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next((row for row in csv.reader(file) if row), [])


def _refuse_repeated(path: Path, columns: Iterable[str]) -> None:
    for name, times in repeated(filter(None, columns)).items():  # spreadsheets leave empty ones
        raise TableError(
            f"{path}: column {name!r} stands {times} times; rename or remove the others"
        )


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({error}); give a list of images") from None
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise TableError(f"{path}: names no image; give one a line")
    return named


def match(path: Path, frame: pd.DataFrame, table: pd.DataFrame) -> NDArray[np.intp]:
    """Position in the images table of each row."""
    column = next((name for name in COLUMNS if name in frame), None)
    if column is None:
        raise fault(
            path,
            None,
            f"no column that names images (found: {listed(frame.columns)}); add image_id, or path",
        )
    named = frame[column].astype("str")
    empty = frame[column].isna() | (named == "")
    if empty.any():
        raise fault(path, int(empty.to_numpy().argmax()), f"column {column!r} is empty; name it")
    found = pd.Index(table["image_id"]).get_indexer(pd.Index(named))
    for of_images, wanted in (
        (table["path"], named),
        (table["path"].map(_name), named.map(_name)),
        (table["path"].map(_stem), named.map(_stem)),
    ):
        alone = ~of_images.duplicated(keep=False).to_numpy()
        places = pd.Series(np.flatnonzero(alone), index=of_images[alone].to_numpy())
        more = places.reindex(wanted.to_numpy()).fillna(-1).to_numpy(dtype=np.intp)
        found = np.where(found < 0, more, found)
    lost = np.flatnonzero(found < 0)
    if len(lost):
        first = named.iloc[lost[0]]
        hint = did_you_mean(first, table["image_id"]) if len(table) < 20_000 else ""
        raise fault(
            path,
            int(lost[0]),
            f"{column} {first!r} is not in the images table, or not the only one of that name"
            f"{hint}; {len(lost)} of {len(frame)} rows are not found. Give the --images that "
            "were predicted",
        )
    result: NDArray[np.intp] = found.astype(np.intp)
    return result


def _name(path: object) -> str:
    return PurePath(str(path).replace("\\", "/")).name


def _stem(path: object) -> str:
    return PurePath(str(path).replace("\\", "/")).stem


def listed(names: Sequence[object] | pd.Index) -> str:
    """The names in one line, the first of many."""
    shown = ", ".join(str(name)[:80] for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return shown + more or "none"


def fault(path: Path, row: int | None, what: str) -> TableError:
    """Row as a spreadsheet counts them: the header is row 1."""
    where = "" if row is None else f", row {row + 2}"
    return TableError(f"{path}{where}: {what}")

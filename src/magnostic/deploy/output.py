"""Rows to a file: written down as they come, and turned into CSV, Parquet or JSON at the end.

While a prediction is under way its rows stand in ``.OUT.partial``, one JSON object a line after a
line that says of which model, options and photographs they are. What was interrupted goes on from
there, and the finished file is the same as if it had not been.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from magnostic.csv_text import guarded
from magnostic.errors import BadInput
from magnostic.evaluate.predictions import PREFIX
from magnostic.files import whole_file
from magnostic.progress import say

Row = dict[str, Any]
_GROUP: Final = 8192
_FLOATS: Final = ("confidence", "contrast", "sharpness", "distance")
_INTS: Final = ("width", "height")
_BOOLS: Final = ("answered", "review")
_TEXT: Final = (
    "path", "image_id", "patient_id", "slide_id", "accession", "error", "y_pred", "set", "reasons",
)  # fmt: skip


class Journal:
    """Rows on their way to ``out``.

    Args:
        out: the file in the end.
        identity: text that names model, options and photographs.
        resume: go on with rows of the same identity, if there are any.

    Raises BadInput where ``out`` exists, or rows of another prediction stand in the way.
    """

    def __init__(self, out: Path, identity: str, *, resume: bool) -> None:
        self.out = out
        self.path = journal_of(out)
        self._identity = identity
        #: Rows that were there already.
        self.done = 0
        if out.is_dir():
            raise BadInput(f"{out}: is a folder; give a file (.csv, .parquet or .json)")
        if out.exists():
            raise BadInput(f"{out}: exists; choose another file (-o), or remove it")
        empty = self.path.exists() and not self.path.stat().st_size
        if empty:
            say(f"{self.path.name}: is empty; starting anew")
        if self.path.exists() and not empty:
            if not resume:
                raise BadInput(
                    f"{out}: an interrupted prediction lies in {self.path.name}; go on with it by "
                    "--resume, or remove that file"
                )
            self.done = self._mended()
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"identity": identity}) + "\n", encoding="utf-8")

    def _mended(self) -> int:
        """Whole rows of the journal; a last line that was cut off is removed."""
        with self.path.open("rb+") as file:
            head = file.readline()
            try:
                identity = json.loads(head)["identity"]
            except (ValueError, KeyError, TypeError):
                identity = None
            if identity != self._identity:
                raise BadInput(
                    f"{self.path}: of another model, other options or other photographs; remove it "
                    "or choose another file (-o)"
                )
            rows, end = 0, file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                rows, end = rows + 1, end + len(line)
            file.truncate(end)
        return rows

    def rows(self) -> Iterator[Row]:
        """Every row that is written down."""
        with self.path.open(encoding="utf-8") as file:
            yield from map(json.loads, islice(file, 1, None))

    @contextlib.contextmanager
    def appending(self) -> Iterator[Callable[[Row], None]]:
        """A function that writes one row down."""
        with self.path.open("a", encoding="utf-8") as file:
            yield lambda row: print(json.dumps(row, ensure_ascii=False), file=file)

    def finish(self, columns: Sequence[str]) -> None:
        """Write ``out`` in the format that its name says, and remove the journal."""
        write(self.out, self.rows(), columns)
        self.path.unlink()


def journal_of(out: Path) -> Path:
    """Where the rows of ``out`` stand until it is written."""
    return out.with_name(f".{out.name}.partial")


def check_format(out: Path) -> None:
    """Raise BadInput where the name does not say CSV, Parquet or JSON."""
    if out.suffix.lower() not in _WRITERS:
        raise BadInput(f"{out}: give a name that ends in {', '.join(_WRITERS)}")


def write(out: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Rows as CSV, Parquet or JSON (a list of objects), whole or not at all."""
    with whole_file(out) as temporary:
        _WRITERS[out.suffix.lower()](temporary, rows, columns)


def _csv(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: str(v).lower() if v is True or v is False else guarded(v)
                             for k, v in row.items()})  # fmt: skip


def _json(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        for row in rows:
            whole = {name: row.get(name) for name in columns}
            file.write(separator + json.dumps(whole, ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def _parquet(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    write_parquet(path, rows, pa.schema([(name, _type(name)) for name in columns]))


def write_parquet(path: Path, rows: Iterable[Row], schema: pa.Schema) -> None:
    """Rows as they come, some thousand in memory at once."""
    rest = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while group := list(islice(rest, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _type(column: str) -> pa.DataType:
    if column in _TEXT or column.startswith("by_"):
        return pa.string()
    if column in _FLOATS or column.startswith((PREFIX, "mean_")):
        return pa.float32()
    if (
        column in _INTS
        or column in ("images", "unread", "to_review")
        or column.startswith("votes_")
    ):
        return pa.int32()
    return pa.bool_()  # flags, and one for each operating point


_WRITERS: Final[dict[str, Callable[[Path, Iterable[Row], Sequence[str]], None]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
}

"""What is to be predicted: files, folders, globs, manifests, a list on standard input.

The order is that of the arguments; folders are gone through by name, files before subfolders; globs
are sorted. An image file that does not exist, or of a format that is not read, is an item like any
other, whose row will say so. Other files of a folder are passed over, and counted.
"""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from magnostic.data import manifest
from magnostic.data.images import Images
from magnostic.data.scan import EXTENSIONS, is_image, walk
from magnostic.data.summary import counted
from magnostic.errors import BadInput, DataError
from magnostic.progress import say

#: Ids that an input may bring along.
IDS: Final = ("image_id", "patient_id", "slide_id", "accession")
_STDIN: Final = "-"
#: Images by their ending, whose rows say why they are not read.
_UNREAD: Final = (".gif", ".jp2", ".heic", ".avif")


@dataclass(frozen=True, slots=True)
class Item:
    """One photograph to predict.

    Attributes:
        path: of the file, as it was given or found.
        ids: values of :data:`IDS`, or () where the input brought none.
    """

    path: str
    ids: tuple[str | None, ...] = ()


def listed(sources: Sequence[str | Path], columns: Mapping[str, str] | None = None) -> list[Item]:
    """Every photograph of these sources, in order.

    Args:
        sources: image files; folders; globs (``"slides/**/*.png"``); manifests (``.csv`` with a
            column ``path``); images tables (``.parquet``); ``-`` for paths on standard input, one a
            line.
        columns: for manifests: our column name -> the file's.

    Raises:
        BadInput: a folder, glob or list without a photograph, nothing at all, what does not exist
            and by its name is no image file, or columns without a manifest.
        DataError: a manifest that cannot be read.
    """
    if columns and not any(str(source).lower().endswith(".csv") for source in sources):
        raise BadInput("--column is for manifests (.csv), and none was given; leave it out")
    found: list[Item] = []
    for source in sources:
        before = len(found)
        found += _listed(str(source), columns or {})
        if len(found) == before:
            raise BadInput(_nothing(str(source)))
    if not found:
        raise BadInput("no photograph was given; name files, folders, a manifest.csv, or -")
    return found


def _listed(source: str, columns: Mapping[str, str]) -> Iterator[Item]:
    # os.path and not Path, whose questions raise for names too long or folders not to be searched.
    path, kind = Path(source), Path(source).suffix.lower()
    if source == _STDIN:
        if isinstance(sys.stdin, io.TextIOWrapper):  # names need not be UTF-8
            sys.stdin.reconfigure(errors="surrogateescape")
        yield from (Item(line.rstrip("\r\n")) for line in sys.stdin if line.strip())
    elif os.path.isdir(source):  # noqa: PTH112
        yield from map(Item, _walk(source))
    elif kind == ".csv" and os.path.isfile(source):  # noqa: PTH113
        yield from _manifest(path, columns)
    elif kind == ".parquet" and os.path.isfile(source):  # noqa: PTH113
        table = Images.read(path).table
        rows = zip(table["path"], *(table[name] for name in IDS), strict=True)
        yield from (Item(str(place), tuple(map(_plain, ids))) for place, *ids in rows)
    elif os.path.exists(source):  # noqa: PTH110
        yield Item(source)
    elif glob.has_magic(source):
        yield from map(Item, _globbed(source))
    elif not source.lower().endswith(EXTENSIONS):
        raise BadInput(f"{source}: no such file or folder; check the path")
    else:
        yield Item(source)


def _walk(root: str) -> Iterator[str]:
    """Image files at any depth; says how many others were passed over."""
    others, first = 0, ""
    for folder, _, names in walk(root):
        for name in names:
            if _is_offered(name):
                yield f"{folder}/{name}"  # text: there may be many
            else:
                others += 1
                first = first or f"{folder}/{name}"
    if others:
        say(f"{root}: {counted(others, 'file')} passed over, no images by name (first: {first})")


def _is_offered(name: str) -> bool:
    return is_image(name) or (name.lower().endswith(_UNREAD) and not name.startswith("."))


def _nothing(source: str) -> str:
    if source == _STDIN:
        return "-: standard input was empty; send paths, one a line"
    if source.lower().endswith((".csv", ".parquet")):
        return f"{source}: no row in it; give one for each photograph"
    looked = " ".join("*" + e for e in EXTENSIONS)
    return f"{source}: no photograph in it (looked for {looked}); check the path"


def _globbed(pattern: str) -> Iterator[str]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute
    return (path for path in found if _is_offered(path.rpartition("/")[2]))


def _manifest(path: Path, columns: Mapping[str, str]) -> Iterator[Item]:
    raw = manifest.load(path, columns, required=("path",))
    patients = raw["patient"].fillna(raw["slide"])
    columns_ = (raw["image_id"], patients, raw["slide"], raw["accession"])
    rows = zip(raw["path"], *columns_, strict=True)
    for place, *ids in rows:
        if _plain(place) is None:
            raise DataError(f"{path}: a row has no path; give the file or leave out the row")
        yield Item((path.parent / place).as_posix(), tuple(map(_plain, ids)))


def _plain(value: object) -> str | None:
    """A cell as text; None where it is missing."""
    return None if value is None or value != value else str(value)

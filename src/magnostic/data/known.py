"""What earlier scans told of files, so that an unchanged file is not decoded merely to index it.

As Git does, a file counts as unchanged while its path, size, and times of modification and of
status change are the same. One that was touched less than two seconds before it was looked at is
not remembered, since another change within the clock's tick would not show.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from magnostic.data.place import default_folder
from magnostic.errors import DiskFull
from magnostic.files import whole_file

#: Folder below the cache. The number is to be raised when the same file would be told differently.
FOLDER: Final = "index"
_VERSION: Final = 2
_SETTLED: Final = 2 * 10**9
_SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        *((name, pa.int64()) for name in ("size", "mtime_ns", "ctime_ns")),
        *((name, pa.int32()) for name in ("width", "height")),
        ("pixel_hash", pa.string()),
    ]
)


@dataclass(frozen=True)
class Scanned:
    """What decoding one file told: size in pixels and the hash of the pixels."""

    width: int
    height: int
    pixel_hash: str


@dataclass(frozen=True)
class Stamp:
    """A file's size in bytes and its times of modification and status change, ns."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @staticmethod
    def of(path: Path) -> Stamp | None:
        """None where the file can't be looked at, or has only just been touched."""
        try:
            found = path.stat()
        except OSError:
            return None
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _SETTLED:
            return None
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Known:
    """The files of one data set, by path: their stamps and what decoding told of them."""

    def __init__(self, paths: Sequence[Path], folder: Path | None = None) -> None:
        """Read what is kept of files that lie together; nothing where it can't be read."""
        common = os.path.commonpath([path.parent for path in paths]) if paths else ""
        # Another decoder may give another JPEG; PNG is what it is, but is in one table with it.
        key = f"{_VERSION} {PIL.__version__} {common}"
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        self._path = (folder or default_folder()) / FOLDER / f"{digest}.parquet"
        self._entries: dict[str, tuple[Stamp, Scanned]] = {}
        self._new = False
        with contextlib.suppress(OSError, pa.ArrowException, ValueError):
            table = pq.read_table(self._path, schema=_SCHEMA)
            for path, size, mtime, ctime, width, height, pixel_hash in zip(
                *(table[name].to_pylist() for name in _SCHEMA.names), strict=True
            ):
                told = Scanned(width, height, pixel_hash)
                self._entries[path] = (Stamp(size, mtime, ctime), told)
            os.utime(self._path)  # so that it shows when it was last used

    def told(self, path: Path, stamp: Stamp | None) -> Scanned | None:
        """What was told of the file, if it has not changed since."""
        known, scanned = self._entries.get(path.as_posix(), (None, None))
        return scanned if stamp is not None and known == stamp else None

    def remember(self, path: Path, stamp: Stamp | None, scanned: Scanned) -> None:
        """Keep what decoding told; ``stamp`` was taken before that."""
        if stamp is None:
            return
        self._entries[path.as_posix()] = (stamp, scanned)
        self._new = True

    def write(self) -> None:
        """Write what is new; a cache that can't be written is no fault of the data."""
        if not self._new:
            return
        columns = [
            (path, *vars(stamp).values(), *vars(scanned).values())
            for path, (stamp, scanned) in self._entries.items()
        ]
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(zip(*columns, strict=True), _SCHEMA, strict=True)
        ]
        with contextlib.suppress(OSError, DiskFull), whole_file(self._path) as temporary:
            pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), temporary)

"""What the cache holds, and removing of it what is old or too much."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from magnostic.data import known, store
from magnostic.data.place import ENGINES, default_folder, is_held

#: Seconds after which an unfinished file that no process holds was left behind by a crash.
_LEFT: Final = 3600.0
_NAME: Final = re.compile(r"\.?[0-9a-f]{32}\.")
_STORE: Final = re.compile(r"(\d+)x(\d+)-([a-z]+)-v\d+")
_ENGINE: Final = re.compile(r"\.?[0-9a-f]{32}-(onnx|openvino)-")


@dataclass(frozen=True)
class Entry:
    """Files of the cache that make sense together only.

    Attributes:
        kind: ``index``, ``pixels``, ``features``, ``engines``, …; ``unfinished``: left behind by
            a crash.
        photographs: rows; None where that can't be read.
        size: pixels of a photograph, or numbers that describe it, in words; of engines the runtime.
        fit: of pixels, else empty.
        bytes: on the disk.
        used: when it was last read or written, seconds since the epoch.
        files: that it is made of, the one that names it first.
        folder: that holds these files alone and goes with them; else None.
    """

    kind: str
    photographs: int | None
    size: str
    fit: str
    bytes: int
    used: float
    files: tuple[Path, ...]
    folder: Path | None = None


def entries(folder: Path | None = None) -> list[Entry]:
    """All that the cache holds, by kind, what was used last first.

    Args:
        folder: the cache; by default :func:`magnostic.data.place.default_folder`.
    """
    cache = folder or default_folder()
    found = [*_packs(cache / store.FOLDER), *_unfinished(cache), *_engines(cache / ENGINES)]
    for path in _ours(cache, "*/*.npy"):
        shape = _shape(path)
        size = " x ".join(map(str, shape[1:])) if shape else ""
        found += _entry(path.parent.name, shape[0] if shape else None, size, "", [path])
    for path in _ours(cache, f"{known.FOLDER}/*.parquet"):
        found += _entry(known.FOLDER, _rows(path), "", "", [path])
    return sorted(found, key=lambda entry: (entry.kind, -entry.used, entry.files))


def prune(
    *,
    older_than: float | None = None,
    most: float | None = None,
    everything: bool = False,
    folder: Path | None = None,
) -> tuple[list[Entry], list[Entry]]:
    """Remove entries; what crashes left behind always goes.

    Args:
        older_than: seconds; entries that were not used for longer go.
        most: bytes that may stay; of what is left, what was used longest ago goes until it fits.
        everything: all go.

    Returns what was removed, and what should have been but is in use by a process, this one too.
    """
    found = entries(folder)
    doomed = [e for e in found if everything or e.kind == "unfinished" or _aged(e, older_than)]
    if most is not None:
        left = sorted((e for e in found if e not in doomed), key=lambda entry: entry.used)
        total = sum(entry.bytes for entry in left)
        for entry in left:
            if total <= most:
                break
            doomed.append(entry)
            total -= entry.bytes
    removed, kept = [], []
    for entry in doomed:
        if any(is_held(path) for path in entry.files):
            kept.append(entry)
            continue
        for path in reversed(entry.files):  # an index before what it describes
            path.unlink(missing_ok=True)
        if entry.folder is not None:
            shutil.rmtree(entry.folder, ignore_errors=True)
        removed.append(entry)
    return removed, kept


def _aged(entry: Entry, older_than: float | None) -> bool:
    return older_than is not None and time.time() - entry.used > older_than


def _packs(folder: Path) -> Iterator[Entry]:
    for data in _ours(folder, f"*/*{store.DATA}"):
        named = _STORE.fullmatch(data.parent.name)
        index = data.with_suffix(store.INDEX)
        if named is None or not index.exists():
            continue
        height, width, fit = named.groups()
        for entry in _entry("pixels", None, f"{height} x {width}", fit, [data, index]):
            for rows in _entry("pixels", None, "", "", [data]):
                photographs = rows.bytes // (3 * int(height) * int(width))
                yield replace(entry, photographs=photographs)


def _engines(folder: Path) -> Iterator[Entry]:
    """Folders of exported graphs, and of such as were never finished."""
    for made in sorted(folder.glob("*")):
        if not _ENGINE.match(made.name) or not made.is_dir():
            continue
        unfinished = made.name.startswith(".")
        # The description last, which is removed first and without which the folder is not read.
        files = [path for path in made.rglob("*") if path.is_file()]
        files.sort(key=lambda path: path.name == "export.json")
        runtime = made.name.split("-")[1]
        kind, size = ("unfinished", "") if unfinished else (ENGINES, runtime)
        for entry in _entry(kind, None, size, "", files or [made]):
            if not unfinished or time.time() - entry.used > _LEFT:
                yield replace(entry, files=tuple(files), folder=made)


def _unfinished(cache: Path) -> Iterator[Entry]:
    """Files whose process ended before it had given them their name or index."""
    temporary = _ours(cache, f"{store.FOLDER}/*/*{store.UNFINISHED}")
    temporary += [*_ours(cache, "*/.*"), *_ours(cache, f"{store.FOLDER}/*/.*")]
    packs = _ours(cache, f"{store.FOLDER}/*/*{store.DATA}")
    temporary += [data for data in packs if not data.with_suffix(store.INDEX).exists()]
    for path in temporary:
        for entry in _entry("unfinished", None, "", "", [path]):
            if time.time() - entry.used > _LEFT and not is_held(path):
                yield entry


def _ours(folder: Path, pattern: str) -> list[Path]:
    """Files named as this package names them, since the folder may hold others' files, too."""
    return sorted(path for path in folder.glob(pattern) if _NAME.match(path.name))


def _entry(
    kind: str, photographs: int | None, size: str, fit: str, files: Sequence[Path]
) -> list[Entry]:
    """The entry, or none where its files have just been removed."""
    try:
        stats = [path.stat() for path in files]
    except FileNotFoundError:
        return []
    total, used = sum(s.st_size for s in stats), max(s.st_mtime for s in stats)
    return [Entry(kind, photographs, size, fit, total, used, tuple(files))]


def _shape(path: Path) -> tuple[int, ...]:
    """Of an array's file; empty where it can't be read."""
    try:
        shape: tuple[int, ...] = np.load(path, mmap_mode="r").shape
    except (OSError, ValueError, EOFError):
        return ()
    return shape


def _rows(path: Path) -> int | None:
    try:
        rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return None
    return rows

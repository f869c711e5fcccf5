"""The pixel cache: each photograph decoded once, to the network's input size, memory-mapped.

Photographs are kept by the hash of their pixels (:mod:`magnostic.data.store`), so any run over the
same ones shares them, whatever their names and whatever else is in the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.fit import Fit, Size, fit_image
from magnostic.data.images import GIVEN
from magnostic.data.png import Scratch
from magnostic.data.rows import Rows, settled
from magnostic.data.scan import Unusable, announce, decode, pixel_hash
from magnostic.data.store import VERSION, Store, Writer
from magnostic.errors import DataError, RunFailed
from magnostic.processors import cores
from magnostic.progress import track


@dataclass(frozen=True)
class Pixels:
    """The cached array and the row of each photograph in it.

    Attributes:
        array: uint8 [M, height, width, 3], RGB, read-only. It is a :class:`Rows`, which is typed
            as the array that it stands for: it has a length, shape and dtype, and is indexed,
            taken from and gone through along its first axis.
        hashes: pixel hash of each row.
        key: names the photographs, size and fit; for what is computed from the array.
    """

    array: NDArray[np.uint8]
    hashes: pd.Index
    key: str

    def rows(self, hashes: pd.Series) -> NDArray[np.intp]:
        """intp [N]: rows of the photographs with these hashes."""
        rows = self.hashes.get_indexer(pd.Index(hashes))
        if (rows < 0).any():
            raise DataError("pixel cache: a photograph of the images table is not in the cache")
        return rows


def open_pixels(table: pd.DataFrame, size: Size, fit: Fit, folder: Path | None = None) -> Pixels:
    """Pixels of all photographs of an images table, from the cache; those it lacks are decoded now.

    Raises DataError when a file is gone or is no longer the one that was indexed, RunFailed when
    the disk is full.
    """
    unique = table.drop_duplicates("pixel_hash").sort_values("pixel_hash")
    key = hashlib.blake2b(digest_size=16)
    key.update(f"{VERSION} {size} {fit} bilinear".encode())
    key.update("".join(unique["pixel_hash"]).encode())
    names = [pixels.encode() for pixels in unique["pixel_hash"]]
    brought = unique["pixel_hash"].str.startswith(GIVEN).to_numpy()
    for place in np.flatnonzero(brought):
        # Not checked against the file's pixels, so the file itself must be the one cached.
        path = str(unique["path"].iloc[place])
        stamp = f"{path} {_stamp(Path(path))}".encode()
        key.update(stamp)
        names[place] = hashlib.blake2b(names[place] + stamp, digest_size=16).hexdigest().encode()
    photographs = _Photographs(unique["path"].tolist(), unique["pixel_hash"].tolist(), size, fit)
    store = Store.of(size, fit, folder)
    rows = _rows(store, names, photographs)
    array = cast("NDArray[np.uint8]", rows)
    return Pixels(array, pd.Index(unique["pixel_hash"]), key.hexdigest())


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; mend the path in the manifest") from None
    return f"{status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class _Photographs:
    """Files by their position, the hashes that they must have, and what is made of them."""

    paths: Sequence[str]
    hashes: Sequence[str]
    size: Size
    fit: Fit
    scratch: Scratch = field(default_factory=Scratch)

    def __call__(self, position: int) -> NDArray[np.uint8]:
        """Decode one; DataError where it is gone or is another."""
        path, expected = self.paths[position], self.hashes[position]
        try:
            pixels = decode(Path(path), self.scratch)
        except Unusable as fault:
            raise DataError(f"{path}: {fault}; index the data again (--rescan)") from None
        if not expected.startswith(GIVEN) and pixel_hash(pixels) != expected:
            raise DataError(
                f"{path}: changed since it was indexed; index the data again (--rescan)"
            )
        return fit_image(Image.fromarray(pixels), self.size, self.fit)


def _rows(store: Store, names: Sequence[bytes], photographs: _Photographs) -> Rows:
    rows = settled(store, names, photographs, lambda at: _fill(store, names, photographs, at))
    if rows is not None:
        return rows
    raise RunFailed(
        f"pixel cache: what is written to {store.folder} does not stay there; stop what removes it "
        "or set MAGNOSTIC_CACHE to another folder"
    )


def _fill(
    store: Store, names: Sequence[bytes], photographs: _Photographs, missing: Sequence[int]
) -> None:
    store.require_space(len(missing))
    announce(len(missing), photographs.size, store)
    with Writer(store) as writer, closing(_decoded(photographs, missing)) as decoded:
        for position, pixels in zip(missing, decoded, strict=True):
            if writer.lacks(names[position]):
                writer.add(names[position], pixels)


def _decoded(
    photographs: _Photographs, positions: Sequence[int]
) -> Generator[NDArray[np.uint8], None, None]:
    with ThreadPoolExecutor(cores()) as pool:
        # Chunks bound the decoded images that wait in memory.
        chunks = (positions[i : i + 256] for i in range(0, len(positions), 256))
        yield from track(
            (p for c in chunks for p in pool.map(photographs, c)), "decoding", len(positions)
        )

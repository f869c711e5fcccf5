"""Photographs at the size of a network's input, kept by the hash of their pixels.

For each size and fit there is one folder, ``pixels/<height>x<width>-<fit>-v<version>/``. What one
pass over files decodes is a pack in it: ``NAME.u8``, rows of uint8 [height, width, 3] one after
another, and ``NAME.npz``, which says whose they are (``names``, bytes) and their CRC-32
(``crc32``). A set of photographs takes its rows from whichever packs hold them, so that a subset,
or a set that has grown, decodes nothing twice.

Nothing needs a lock: packs are written under a temporary name and renamed, the index last, and
never change afterwards; two processes that decode the same photographs write two packs. Every row
is compared with its checksum when it is first read, so a pack need not be forced onto the disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.fit import Fit, Size, sides
from magnostic.data.place import default_folder, hold
from magnostic.errors import RunFailed
from magnostic.files import whole_file
from magnostic.progress import say

#: Folder below the cache.
FOLDER: Final = "pixels"
#: To be raised when the same photograph would give other pixels.
VERSION: Final = 1
DATA: Final = ".u8"
INDEX: Final = ".npz"
#: Of a pack that is being written.
UNFINISHED: Final = ".tmp"
Photographs = NDArray[np.uint8]


@dataclass(frozen=True)
class Pack:
    """Rows that are kept: ``names`` bytes [N], ``crc32`` uint32 [N], in the data file's order."""

    data: Path
    names: pd.Index
    crc32: NDArray[np.uint32]


@dataclass(frozen=True)
class Store:
    """All packs of one size and fit.

    Attributes:
        shape: of a photograph: height, width, 3.
    """

    folder: Path
    shape: tuple[int, int, int]

    @staticmethod
    def of(size: Size, fit: Fit, cache: Path | None = None) -> Store:
        height, width = sides(size)
        name = f"{height}x{width}-{fit}-v{VERSION}"
        return Store((cache or default_folder()) / FOLDER / name, (height, width, 3))

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape))

    def packs(self) -> Iterator[Pack]:
        """Those that are whole; one that is not is removed, and its photographs decoded anew."""
        for index in sorted(self.folder.glob(f"*{INDEX}")):
            data = index.with_suffix(DATA)
            try:
                with np.load(index) as stored:
                    names, crc32 = stored["names"], stored["crc32"]
                if len(names) != len(crc32) or data.stat().st_size != len(names) * self.row_bytes:
                    raise ValueError
            except FileNotFoundError:  # removed meanwhile
                continue
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                say(f"pixel cache: {data.name} is damaged; its photographs are decoded again")
                for path in (index, data):
                    path.unlink(missing_ok=True)
                continue
            yield Pack(data, pd.Index(names), crc32)

    def known(self) -> set[bytes]:
        """Names of all photographs that are kept."""
        return {name for pack in self.packs() for name in pack.names}

    def require_space(self, rows: int) -> None:
        """Raise RunFailed where so many photographs more do not fit onto the disk."""
        needed = rows * self.row_bytes
        standing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        free = shutil.disk_usage(standing).free
        if needed > free:
            raise RunFailed(
                f"pixel cache: {needed / 2**20:.0f} MiB are needed in {self.folder.parent} and "
                f"{free / 2**20:.0f} are free; free space (magnostic cache prune) or set "
                "MAGNOSTIC_CACHE to another folder"
            )


class Writer:
    """A pack that is being written, from any number of threads.

    As a context manager it keeps, also when it is left by an exception, what was added until then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._names: list[bytes] = []
        self._crc32: list[int] = []
        self._known = store.known()
        self._temporary = store.folder / f"{uuid.uuid4().hex}{UNFINISHED}"
        with self._told():
            store.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("xb", buffering=0)
        hold(self._file)

    def lacks(self, name: bytes) -> bool:
        """Whether the photograph is neither kept nor added; the caller then adds it."""
        with self._lock:
            if name in self._known:
                return False
            self._known.add(name)
            return True

    def add(self, name: bytes, pixels: Photographs) -> None:
        """Write a photograph that was lacking."""
        content = memoryview(np.ascontiguousarray(pixels)).cast("B")
        crc32 = zlib.crc32(content)
        with self._lock:
            place = len(self._names) * self._store.row_bytes
            self._names.append(name)
            self._crc32.append(crc32)
        with self._told():
            while content:
                written = os.pwrite(self._file.fileno(), content, place)
                content, place = content[written:], place + written

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._names and not isinstance(error, OSError | RunFailed):
                with self._told():
                    self._finish()
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        data = self._temporary.with_suffix(DATA)
        self._temporary.chmod(0o644)
        self._temporary.replace(data)
        with whole_file(data.with_suffix(INDEX)) as index, index.open("wb") as file:
            np.savez(file, names=np.array(self._names), crc32=np.array(self._crc32, np.uint32))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            megabytes = (len(self._names) + 1) * self._store.row_bytes / 2**20
            raise RunFailed(
                f"pixel cache: cannot write {megabytes:.0f} MiB to {self._store.folder} "
                f"({error.strerror}); free space (magnostic cache prune) or set MAGNOSTIC_CACHE to "
                "another folder"
            ) from None


class Rows:
    """Photographs of a set in its own order: an array of them, uint8 [N, height, width, 3].

    It is read-only and memory-mapped, and takes an index as an array does along its first axis
    (a number, a slice, an array of positions): what is asked for is copied, and nothing else. What
    fails its checksum is decoded again.
    """

    dtype: Final = np.dtype(np.uint8)

    def __init__(
        self,
        store: Store,
        parts: Sequence[tuple[Pack, NDArray[np.intp], NDArray[np.intp]]],
        decode: Callable[[int], Photographs],
    ) -> None:
        """
        Args:
            parts: a pack, positions in this array, and the rows of the pack that stand there.
            decode: makes the photograph at a position anew.

        Raises FileNotFoundError where a pack has been removed meanwhile.
        """
        n = sum(len(positions) for _, positions, _ in parts)
        self.shape = (n, *store.shape)
        self._decode = decode
        self._checked = np.zeros(n, dtype=bool)
        self._crc32 = np.zeros(n, dtype=np.uint32)
        self._part = np.zeros(n, dtype=np.intp)
        self._row = np.zeros(n, dtype=np.intp)
        self._paths = [pack.data for pack, _, _ in parts]
        self._files = []
        self._maps: list[Photographs] = []
        for number, (pack, positions, rows) in enumerate(parts):
            file = pack.data.open("rb")
            hold(file)
            self._files.append(file)
            self._maps.append(
                np.memmap(file, np.uint8, mode="r", shape=(len(pack.names), *store.shape))
            )
            self._part[positions], self._row[positions] = number, rows
            self._crc32[positions] = pack.crc32[rows]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Photographs]:
        return (self[position] for position in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Photographs:
        if copy is False:
            raise ValueError("the photographs of a pixel cache are copied where they are read")
        found: Photographs = np.asarray(self[:], dtype=dtype)
        return found

    def __getitem__(self, index: int | np.integer[Any] | slice | NDArray[Any]) -> Photographs:
        positions = np.arange(len(self))[index]
        found = self.take(np.atleast_1d(positions))
        return found[0] if np.ndim(positions) == 0 else found

    def take(
        self,
        indices: NDArray[np.intp],
        axis: int = 0,
        out: Photographs | None = None,
        mode: str = "raise",
    ) -> Photographs:
        """As ``numpy.take`` along the first axis, which calls this."""
        if axis != 0:
            raise ValueError("photographs are taken along the first axis")
        n = len(self)
        positions = np.asarray(indices, dtype=np.intp)
        if mode == "raise" and len(positions) and not -n <= positions.min() <= positions.max() < n:
            raise IndexError(f"a position is outside of the {n} photographs")
        positions = positions % n if n else positions
        found = np.empty((len(positions), *self.shape[1:]), np.uint8) if out is None else out
        parts = self._part[positions]
        for number in np.unique(parts):
            rows = self._maps[number]
            if len(self._maps) == 1:  # the usual case: copied straight to where they are wanted
                np.take(rows, self._row[positions], axis=0, out=found, mode="clip")
            else:
                here = np.flatnonzero(parts == number)
                found[here] = rows[self._row[positions[here]]]
        for place in np.flatnonzero(~self._checked[positions]):
            self._check(int(positions[place]), found[place])
        return found

    def _check(self, position: int, pixels: Photographs) -> None:
        """Compare with the checksum; where it differs, decode anew into ``pixels`` and the pack."""
        if zlib.crc32(pixels.data) != self._crc32[position]:
            path = self._paths[self._part[position]]
            say(f"pixel cache: {path.name} is damaged; a photograph of it is decoded again")
            pixels[:] = self._decode(position)
            with contextlib.suppress(OSError), path.open("r+b") as file:
                file.seek(int(self._row[position]) * pixels.size)
                file.write(pixels.tobytes())
        self._checked[position] = True


def open_rows(
    store: Store, names: Sequence[bytes], decode: Callable[[int], Photographs]
) -> tuple[Rows, None] | tuple[None, NDArray[np.intp]]:
    """The photographs of these names; or None, and positions of those that are not kept."""
    wanted, parts = pd.Index(np.asarray(names)), []
    missing = np.ones(len(wanted), dtype=bool)
    for pack in store.packs():
        rows = pack.names.get_indexer(wanted)
        positions = np.flatnonzero((rows >= 0) & missing)
        if len(positions):
            parts.append((pack, positions, rows[positions]))
            missing[positions] = False
    if missing.any():
        return None, np.flatnonzero(missing)
    found = Rows(store, parts, decode)
    for pack, _, _ in parts:
        with contextlib.suppress(OSError):
            os.utime(pack.data)  # so that it shows when it was last used
    return found, None

"""Photographs at the size of a network's input, kept by the hash of their pixels.

For each size and fit there is one folder, ``pixels/<height>x<width>-<fit>-v<version>/``. What one
pass over files decodes is a pack in it: ``NAME.u8``, rows of uint8 [height, width, 3] one after
another, and ``NAME.npz``, which says whose they are (``names``, bytes) and their CRC-32
(``crc32``). A set of photographs takes its rows from whichever packs hold them, so that a subset,
or a set that has grown, decodes nothing twice.

Nothing needs a lock: packs are written under a temporary name and renamed, the index last, and
never change afterwards; two processes that decode the same photographs write two packs. Every row
is compared with its checksum when it is first read (:mod:`magnostic.data.rows`), so a pack need not
be forced onto the disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.fit import Fit, Size, sides
from magnostic.data.place import default_folder, hold
from magnostic.errors import DiskFull, RunFailed
from magnostic.files import free, whole_file
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
            except OSError as error:  # it may well be whole
                say(f"pixel cache: {index.name} cannot be read ({error.strerror}) and is left out")
                continue
            except Exception:  # a changed archive makes its reader raise much
                say(f"pixel cache: {data.name} is damaged; its photographs are decoded again")
                for path in (index, data):
                    with contextlib.suppress(OSError):  # another user's cache
                        path.unlink(missing_ok=True)
                continue
            yield Pack(data, pd.Index(names), crc32)

    def known(self) -> set[bytes]:
        """Names of all photographs that are kept."""
        return {name for pack in self.packs() for name in pack.names}

    def require_space(self, rows: int) -> None:
        """Raise RunFailed where so many photographs more do not fit onto the disk."""
        require_space(self.folder, rows * self.row_bytes)


def require_space(folder: Path, needed: int) -> None:
    """Raise RunFailed where so many bytes more do not fit onto the folder's disk."""
    left = free(folder)
    if left is not None and needed > left:
        raise RunFailed(
            f"pixel cache: {needed / 2**20:.0f} MiB are needed in {folder.parent} and "
            f"{left / 2**20:.0f} are free; free space (magnostic cache prune) or set "
            "MAGNOSTIC_CACHE to another folder"
        )


class Writer:
    """A pack that is being written, from any number of threads.

    As a context manager it keeps, also when it is left by an exception, what was added until then.
    """

    def __init__(self, store: Store, known: set[bytes] | None = None) -> None:
        """``known``: what the store has, where the caller has just asked it."""
        self._store = store
        self._lock = threading.Lock()
        self._names: list[bytes] = []
        self._crc32: list[int] = []
        self._known = store.known() if known is None else known
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
        content = np.ascontiguousarray(pixels).data.cast("B")
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
        # One that was interrupted has its name here and maybe no bytes; its checksum will tell.
        os.ftruncate(self._file.fileno(), len(self._names) * self._store.row_bytes)
        self._temporary.chmod(0o644)
        self._temporary.replace(data)
        try:
            with whole_file(data.with_suffix(INDEX)) as index, index.open("wb") as file:
                np.savez(file, names=np.array(self._names), crc32=np.array(self._crc32, np.uint32))
        except BaseException:
            data.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, DiskFull) as error:
            megabytes = (len(self._names) + 1) * self._store.row_bytes / 2**20
            reason = error.strerror if isinstance(error, OSError) else "No space left on device"
            left = free(self._store.folder)
            room = "" if left is None else f"; {left / 2**20:.0f} MiB are free"
            raise RunFailed(
                f"pixel cache: cannot write {megabytes:.0f} MiB to {self._store.folder} "
                f"({reason}{room}); free space (magnostic cache prune) or set MAGNOSTIC_CACHE to "
                "another folder"
            ) from None

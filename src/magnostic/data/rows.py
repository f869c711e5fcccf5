"""The photographs of a set, wherever they are kept, as one array that is compared as it is read."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.place import hold
from magnostic.data.store import Pack, Photographs, Store
from magnostic.errors import RunFailed
from magnostic.progress import say

#: Times that photographs are looked for: another process may merge or remove packs meanwhile.
_TRIES: Final = 3


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
        names: Sequence[bytes],
        decode: Callable[[int], Photographs],
    ) -> None:
        """
        Args:
            parts: a pack, positions in this array, and the rows of the pack that stand there.
            names: of all photographs, as the packs have them.
            decode: makes the photograph at a position anew.

        Raises FileNotFoundError where a pack has been removed meanwhile.
        """
        n = sum(len(positions) for _, positions, _ in parts)
        self.shape = (n, *store.shape)
        self._store, self._names = store, names
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens what is kept itself."""
        return _again, (self._store, self._names, self._decode)

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
        if isinstance(index, int | np.integer):
            one: Photographs = self.take(np.array([index]))[0]
            return one
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise IndexError(f"a mask of {index.shape} for {len(self)} photographs")
            return self.take(np.flatnonzero(index))
        return self.take(index)

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
    found = Rows(store, parts, names, decode)
    for pack, _, _ in parts:
        with contextlib.suppress(OSError):
            os.utime(pack.data)  # so that it shows when it was last used
    return found, None


def settled(
    store: Store,
    names: Sequence[bytes],
    decode: Callable[[int], Photographs],
    fill: Callable[[Sequence[int]], None] | None = None,
) -> Rows | None:
    """As :func:`open_rows`, whatever another process does to the packs meanwhile.

    ``fill`` brings the photographs at these positions. None where some are missing all the same.
    """
    for _ in range(_TRIES):
        try:
            rows, missing = open_rows(store, names, decode)
        except FileNotFoundError:
            continue
        if missing is None:
            return rows
        if fill is not None:
            fill(missing.tolist())
    return None


def _again(store: Store, names: Sequence[bytes], decode: Callable[[int], Photographs]) -> Rows:
    found = settled(store, names, decode)
    if found is None:
        raise RunFailed(
            f"pixel cache: a process of this job does not see all photographs in {store.folder}; "
            "set MAGNOSTIC_CACHE to a folder that all its machines share"
        )
    return found

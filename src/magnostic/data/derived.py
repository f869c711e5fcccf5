"""Arrays computed from the pixel cache and kept beside it: features, colour descriptions.

The key names everything that the array depends on, and a file ends with the SHA-256 of what stands
before, so that it is either right or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.data.place import default_folder
from magnostic.errors import DiskFull, RunFailed
from magnostic.files import whole_file
from magnostic.progress import say

_DIGEST: Final = 32
_BLOCK: Final = 2**20


def derived(
    kind: str, key: str, rows: int, compute: Callable[[], NDArray[Any]], folder: Path | None = None
) -> NDArray[Any]:
    """The array stored under ``kind`` and ``key``, or computed and stored now.

    Args:
        kind: folder below the cache, e.g. ``features``.
        key: text that names all that the array depends on; hashed into the file's name.
        rows: its length; a stored one of another length is computed anew.
        compute: gives the array.
        folder: the cache; by default :func:`magnostic.data.place.default_folder`.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    path = (folder or default_folder()) / kind / f"{digest}.npy"
    try:
        stored = _read(path)
        if len(stored) == rows:
            with contextlib.suppress(OSError):
                os.utime(path)  # so that it shows when it was last used
            return stored
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        say(f"cache: {path.name} cannot be read and is computed anew")
    array = compute()
    try:
        with whole_file(path, size=array.nbytes) as temporary, temporary.open("w+b") as file:
            np.save(file, array)
            size = file.tell()
            file.seek(0)
            made = _sha256(file, size)
            file.seek(size)
            file.write(made)
    except DiskFull as error:
        raise DiskFull(f"{error}, or set MAGNOSTIC_CACHE to another folder") from None
    except OSError as error:
        raise RunFailed(
            f"cache: cannot write {array.nbytes / 2**20:.0f} MiB to {path.parent} "
            f"({error.strerror or error}); mend that or set MAGNOSTIC_CACHE to another folder"
        ) from None
    return array


def _read(path: Path) -> NDArray[Any]:
    """ValueError where the file is not as it was written."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size - _DIGEST
        if size < 0 or _sha256(file, size) != file.read(_DIGEST):
            raise ValueError
        file.seek(0)
        stored: NDArray[Any] = np.load(file)
    return stored


def _sha256(file: BinaryIO, size: int) -> bytes:
    """Of the next so many bytes."""
    found = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
    return found.digest()

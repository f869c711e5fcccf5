"""Arrays computed from the pixel cache and kept beside it: features, colour descriptions.

The key names everything that the array depends on, so that a file is either right or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnostic.data.place import default_folder
from magnostic.errors import DiskFull, RunFailed
from magnostic.files import whole_file
from magnostic.progress import say


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
        stored: NDArray[Any] = np.load(path)
        if len(stored) == rows:
            with contextlib.suppress(OSError):
                os.utime(path)  # so that it shows when it was last used
            return stored
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError):
        say(f"cache: {path.name} cannot be read and is computed anew")
    array = compute()
    try:
        with whole_file(path, size=array.nbytes) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    except DiskFull as error:
        raise DiskFull(f"{error}, or set MAGNOSTIC_CACHE to another folder") from None
    except OSError as error:
        raise RunFailed(
            f"cache: cannot write {array.nbytes / 2**20:.0f} MiB to {path.parent} "
            f"({error.strerror or error}); mend that or set MAGNOSTIC_CACHE to another folder"
        ) from None
    return array

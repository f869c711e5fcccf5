"""Where the cache lies, and telling other processes that a file of it is in use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO, Any, Final

from magnostic.lock import fcntl

#: Folder of graphs for other runtimes, each a folder ``<digest of its model>-<runtime>-…``.
ENGINES: Final = "engines"


def default_folder() -> Path:
    """``$MAGNOSTIC_CACHE``, or ``magnostic`` in the user's cache folder."""
    chosen = os.environ.get("MAGNOSTIC_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "magnostic"


def hold(file: IO[Any]) -> None:
    """Mark an open file as in use until it is closed, or its process ends."""
    if fcntl is not None:
        # It fails for a file that is being removed, which leaves what is open readable, and on file
        # systems without locks.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a process (this one too) holds the file; False where that can't be known."""
    if fcntl is None:
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

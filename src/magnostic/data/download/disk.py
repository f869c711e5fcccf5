"""Room on the disk: asked for before anything is written, and named where it runs out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from magnostic.errors import FetchError
from magnostic.files import FULL
from magnostic.progress import amount

#: Bytes to leave free for everybody else.
MARGIN: Final = 64 * 2**20


def require(folder: Path, size: int, what: str) -> None:
    """Raise FetchError unless ``size`` bytes and the margin are free where ``folder`` lies."""
    free = shutil.disk_usage(folder).free
    if size + MARGIN > free:
        raise FetchError(
            f"{folder}: {what} takes {amount(size)}, but only {amount(free)} are free; "
            f"free {amount(size + MARGIN - free)} more, or name another folder"
        )


@contextlib.contextmanager
def room(folder: Path, size: int, what: str) -> Iterator[None]:
    """Turn a disk that is full after all into an error that names what ``what`` still takes."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in FULL:
            raise
        raise FetchError(
            f"{folder}: the disk is full; {what} takes {amount(size)} more: free that and give the "
            "same command again, which goes on from here"
        ) from None

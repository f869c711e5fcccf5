"""How the C library keeps memory that was given back; nothing where it is not glibc."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

#: Options of glibc's malloc.h: blocks that get memory of their own; free memory beyond which the
#: end of the heap goes back to the system; heaps over all threads.
_MMAP_MAX: Final = -4
_TRIM_THRESHOLD: Final = -1
_ARENA_MAX: Final = -8


def keep() -> None:
    """Keep all memory that is given back for what comes next, until the process ends."""
    _call("mallopt", _MMAP_MAX, 0)
    _call("mallopt", _TRIM_THRESHOLD, -1)


def share() -> None:
    """One heap for all threads that begin to allocate from now on."""
    _call("mallopt", _ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system what nothing uses now."""
    _call("malloc_trim", 0)


def _call(name: str, *numbers: int) -> None:
    function: Any = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*numbers)

"""Pillow's switches that all threads of a process share, set while photographs are decoded."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import cast

from PIL import Image, ImageFile


@contextlib.contextmanager
def strict_decoding() -> Iterator[None]:
    """Truncated files are errors and Pillow's warnings are silent inside."""
    _strict.enter()
    try:
        yield
    finally:
        _strict.leave()


class _Strict:
    """Counts who is inside: the first one changes what all threads share, the last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._lenient = False
        self._silent: list[object] = []

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # another library may have switched it on
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            if self._inside > 1:
                self._lenient |= lenient
                return
            self._lenient = lenient
            before = list(warnings.filters)
            # Pillow warns at half the limit at which files are refused, and of odd metadata.
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            self._silent = [f for f in warnings.filters if f not in before]

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            ImageFile.LOAD_TRUNCATED_IMAGES = self._lenient
            # Filters that others have set meanwhile stay.
            filters = cast("list[object]", warnings.filters)
            filters[:] = [f for f in filters if f not in self._silent]


_strict = _Strict()

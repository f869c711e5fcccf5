"""Plain PNG files by libspng, which takes about 0.6 of Pillow's time.

Only what leaves no room for doubt is decoded here: 8-bit RGB, not interlaced, made of chunks that
mean nothing to the pixels, their checksums right, nothing after the end. PNG is lossless, so that
the pixels are Pillow's. Everything else is Pillow's to decode or to refuse.
"""

from __future__ import annotations

import math
import struct
import threading
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

try:
    import imagecodecs

    spng_decode: Any = imagecodecs.spng_decode
except ImportError:  # the extra ``fast`` is not installed: Pillow decodes all
    spng_decode = None

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Of the header behind width and height: 8 bits, RGB, and no choice of method or interlacing.
_PLAIN: Final = bytes((8, 2, 0, 0, 0))
#: Chunks that say nothing about the pixels, and their length in bytes (of a text: the longest).
_HARMLESS: Final = {
    b"gAMA": 4,
    b"sRGB": 1,
    b"cHRM": 32,
    b"bKGD": 6,
    b"pHYs": 9,
    b"oFFs": 9,
    b"vpAg": 9,
    b"tIME": 7,
}
_TEXT: Final = 4096
#: Bytes of the largest photograph for which a thread holds memory.
_HELD: Final = 2**25


class Scratch(threading.local):
    """Memory of each thread that it decodes into again and again.

    Fresh memory for every photograph takes a seventh of the time of decoding and resizing it.
    """

    def __init__(self) -> None:
        self._held: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        """Another process begins with none."""
        return Scratch, ()

    def array(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Uint8 of this shape; what the thread had of it before is written over."""
        size = math.prod(shape)
        if size > _HELD:
            return np.empty(shape, np.uint8)
        if size > self._held.size:
            self._held = np.empty(size, np.uint8)
        return self._held[:size].reshape(shape)


def available() -> bool:
    """Whether libspng is installed (extra ``fast``)."""
    return spng_decode is not None


def decode(
    source: Path | bytes, most: int, scratch: Scratch | None = None
) -> NDArray[np.uint8] | None:
    """uint8 [H, W, 3] of a plain PNG file, or None: ask Pillow.

    Args:
        source: the file, or its content.
        most: pixels beyond which it is None.
        scratch: where the pixels may lie, until the thread decodes the next file.
    """
    if not available():
        return None
    try:
        data = source if isinstance(source, bytes) else _content(source)
        size = None if data is None else _plain(data)
        if size is None or size[0] * size[1] > most:
            return None
        out = scratch.array((*size, 3)) if scratch is not None else None
        pixels: NDArray[np.uint8] = spng_decode(data, out=out)
    except (OSError, RuntimeError, ValueError, struct.error, MemoryError):
        return None
    return pixels if pixels.shape == (*size, 3) and pixels.dtype == np.uint8 else None


def _content(path: Path) -> bytes | None:
    """All of a PNG file; None for another one."""
    with path.open("rb", buffering=0) as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return None
        file.seek(0)
        return file.readall()


def _plain(data: bytes) -> tuple[int, int] | None:
    """Height and width where the chunks are those of a plain file, each as long as it says."""
    if not data.startswith(SIGNATURE):
        return None
    place, size, seen = len(SIGNATURE), None, b""
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data) or (size is None) != (kind == b"IHDR"):
            return None
        if kind == b"IDAT":
            if seen == b"after":  # the pixels' chunks stand together
                return None
            seen = b"pixels"
        else:  # the stream of pixels has a checksum of its own
            if struct.unpack_from(">I", data, end - 4)[0] != zlib.crc32(data[place + 4 : end - 4]):
                return None
            seen = seen and b"after"
        if kind == b"IHDR":
            if length != 13 or data[place + 16 : place + 21] != _PLAIN:
                return None
            width, height = struct.unpack_from(">II", data, place + 8)
            size = (height, width)
        elif kind == b"IEND":
            return size if seen and length == 0 and end == len(data) else None
        elif kind != b"IDAT" and not _harmless(kind, length):
            return None
        place = end
    return None


def _harmless(kind: bytes, length: int) -> bool:
    return length <= _TEXT if kind == b"tEXt" else _HARMLESS.get(kind) == length

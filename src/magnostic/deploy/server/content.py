"""Files that are an image and something else besides.

A file whose image ends before the file does may be an archive, a script or a document for another
reader. Decoders pass over the rest; uploads of that kind are refused.
"""

from __future__ import annotations

import struct
from typing import Final

from magnostic.data.png import SIGNATURE

_JPEG: Final = b"\xff\xd8\xff"
#: What cameras and editors fill files up with.
_FILLING: Final = b"\0\xff\r\n "


def refusal(data: bytes) -> str | None:
    """In words why the file is refused; None where nothing follows its image.

    Looks at PNG, JPEG, BMP and WebP, whose end is marked; TIFF marks none.
    """
    end = _end(data)
    if end is None or not data[end:].strip(_FILLING):
        return None
    more = len(data) - end
    return f"more than an image: {more} bytes follow its end; save the photograph anew"


def _end(data: bytes) -> int | None:
    """Where the image ends; None where that is not marked, or the file is cut off before it."""
    if data.startswith(SIGNATURE):
        return _end_of_png(data)
    if data.startswith(_JPEG):
        place = data.rfind(b"\xff\xd9")
        return None if place < 0 else place + 2
    if data.startswith(b"BM") and len(data) >= 6:
        # Some writers leave the size 0.
        return struct.unpack_from("<I", data, 2)[0] or None
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        size = struct.unpack_from("<I", data, 4)[0]
        return int(8 + size + size % 2)
    return None


def _end_of_png(data: bytes) -> int | None:
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if kind == b"IEND":
            return place if place <= len(data) else None
    return None

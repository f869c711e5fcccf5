"""Image files spoilt in many ways, each the same on every machine for the same seed and number."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _fuzz_bases import SIGNATURE, Base, bases, chunk, of_kind, png_of
from numpy.typing import NDArray

KINDS = ("png", "jpg", "tif", "gif", "bmp", "webp")
#: Numbers that readers stumble over, for fields of one, two and four bytes.
_EDGES = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 30_000,
          0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip


@dataclass(frozen=True)
class Spoilt:
    """One input.

    Attributes:
        kind: of the file that was spoilt, also the ending of its name.
        how: the mutation.
        name: of the encoding that it began from.
        data: the content.
        pixels: uint8 [H, W, 3] that must be read where it is read at all; None: anything may.
        whole: whether it must be read.
    """

    kind: str
    how: str
    name: str
    data: bytes
    pixels: NDArray[np.uint8] | None = None
    whole: bool = False


def spoilt(seed: int, number: int) -> Spoilt:
    """The image file of this number."""
    rng = random.Random(f"{seed} image {number}")
    kind = KINDS[number % len(KINDS)]
    base = rng.choice(of_kind(kind))
    how = rng.choices(list(_MUTATIONS), [weight for weight, _ in _MUTATIONS.values()])[0]
    data = _MUTATIONS[how][1](rng, base)
    whole = how == "unchanged"
    return Spoilt(kind, how, base.name, data, base.pixels if whole else None,
                  whole and base.pixels is not None)  # fmt: skip


def _unchanged(_: random.Random, base: Base) -> bytes:
    return base.data


def _bits(rng: random.Random, base: Base) -> bytes:
    data = bytearray(base.data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


def _head(rng: random.Random, base: Base) -> bytes:
    """Bytes of the first hundred changed, where headers lie."""
    data = bytearray(base.data)
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(len(data), 120))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF,
                                                               rng.randrange(256)))  # fmt: skip
    return bytes(data)


def _numbers(rng: random.Random, base: Base) -> bytes:
    """A field of two or four bytes, in either order, set to a number on the edge."""
    data = bytearray(base.data)
    for _ in range(rng.choice((1, 1, 3))):
        size, order = rng.choice((2, 4)), rng.choice("<>")
        place = rng.randrange(max(1, min(len(data), rng.choice((64, 400, len(data)))) - size))
        value = rng.choice(_EDGES) & (0xFFFF if size == 2 else 0xFFFFFFFF)
        struct.pack_into(order + ("H" if size == 2 else "I"), data, place, value)
    return bytes(data)


def _cut(rng: random.Random, base: Base) -> bytes:
    return base.data[: rng.randrange(len(base.data))]


def _hole(rng: random.Random, base: Base) -> bytes:
    """A piece removed, or overwritten by one value or noise."""
    start = rng.randrange(len(base.data))
    length = rng.choice((1, 2, 16, 200, 2000))
    filling = rng.choice((b"", b"\0" * length, b"\xff" * length, rng.randbytes(length)))
    return base.data[:start] + filling + base.data[start + length :]


def _spliced(rng: random.Random, base: Base) -> bytes:
    """The beginning of one file and the end of another, mostly of the same kind."""
    other = rng.choice(of_kind(base.kind) if rng.random() < 0.7 else list(bases()))
    cut, join = rng.randrange(len(base.data)), rng.randrange(len(other.data))
    return base.data[:cut] + other.data[join:]


def _parts(rng: random.Random, base: Base) -> bytes:
    """Segments of the format removed, repeated, exchanged, or taken from another file."""
    parts = segments(base.data)
    if len(parts) < 3:
        return _hole(rng, base)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(1, len(parts))
        match rng.randrange(5):
            case 0:
                del parts[place]
            case 1:
                parts[place:place] = [parts[place]] * rng.choice((1, 2, 50))
            case 2:
                other = rng.randrange(1, len(parts))
                parts[place], parts[other] = parts[other], parts[place]
            case 3:
                parts.insert(place, rng.choice(segments(rng.choice(of_kind(base.kind)).data)))
            case _:
                parts[place] = _relength(rng, parts[place])
        if len(parts) < 3:
            break
    return b"".join(parts)


def _relength(rng: random.Random, part: bytes) -> bytes:
    """A segment whose stated length is another one."""
    if len(part) < 8:
        return part
    data = bytearray(part)
    if data[0] == 0xFF:
        struct.pack_into(">H", data, 2, rng.choice(_EDGES) & 0xFFFF)
    else:
        place, order = (4, "<I") if part[:4].isalnum() else (0, ">I")
        struct.pack_into(order, data, place, rng.choice(_EDGES))
    return bytes(data)


def _checked(rng: random.Random, base: Base) -> bytes:
    """PNG: the content of a chunk changed and its checksum mended; others: bits."""
    if base.kind != "png":
        return _bits(rng, base)
    parts = segments(base.data)
    place = rng.randrange(1, len(parts))
    data = bytearray(parts[place][8:-4])
    for _ in range(rng.choice((1, 1, 3))):
        if data:
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 3, 6, 16, 0xFF))
    parts[place] = chunk(parts[place][4:8], bytes(data))
    return b"".join(parts)


def _filters(rng: random.Random, base: Base) -> bytes:
    """PNG: a stream whose rows have wrong filters, or that is too short or too long."""
    if base.kind != "png":
        return _numbers(rng, base)
    width, height = rng.randrange(1, 90), rng.randrange(1, 60)
    rows = bytearray(rng.randbytes((3 * width + 1) * height))
    for row in range(height):
        rows[row * (3 * width + 1)] = rng.choice((0, 1, 2, 3, 4, 4, 5, 200))
    keep = rng.choice((len(rows), len(rows), len(rows) - 1, len(rows) // 2, 0))
    stream = zlib.compress(bytes(rows[:keep]) + rng.choice((b"", b"", bytes(5), bytes(5000))))
    stream = stream[: rng.choice((len(stream), len(stream), len(stream) - 4, 3))]
    return png_of(width, height, stream, colour=rng.choice((2, 2, 2, 0, 3, 4, 6, 7)))


def _sizes(rng: random.Random, base: Base) -> bytes:
    """The header's width and height replaced, the rest kept."""
    data = bytearray(base.data)
    sides = (0, 1, 95, 97, 5000, 7000, 13_000, 30_000, 65_535, 100_000, 0x7FFFFFFF, 0xFFFFFFFF)
    width, height = rng.choice(sides), rng.choice((*sides, 64))
    if base.kind == "png":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    elif base.kind == "jpg":
        start = next((m for m in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2") if m in base.data), b"")
        place = base.data.find(start) + 5
        struct.pack_into(">HH", data, place, height & 0xFFFF, width & 0xFFFF)
    elif base.kind == "gif":
        place = rng.choice((6, max(6, base.data.find(b"\x2c", 13) + 5)))
        struct.pack_into("<HH", data, place, width & 0xFFFF, height & 0xFFFF)
    elif base.kind == "bmp":
        struct.pack_into("<II", data, 18, width, rng.choice((height, -height & 0xFFFFFFFF)))
    elif base.kind == "webp":
        place = 24 if data[12:16] == b"VP8X" else 26
        struct.pack_into("<I", data, place, width)
        struct.pack_into("<H", data, place + 3, height & 0xFFFF)
    else:
        _set_tags(rng, data, {256: width, 257: height})
    return bytes(data)


def _set_tags(rng: random.Random, data: bytearray, values: dict[int, int]) -> None:
    """Tags of a little-endian classic TIFF's first directory."""
    if data[:4] != b"II*\0":
        return
    (place,) = struct.unpack_from("<I", data, 4)
    if place + 2 > len(data):
        return
    (entries,) = struct.unpack_from("<H", data, place)
    for n in range(entries):
        at = place + 2 + 12 * n
        if at + 12 > len(data):
            return
        tag = struct.unpack_from("<H", data, at)[0]
        if tag in values:
            struct.pack_into("<HHII", data, at, tag, 4, 1, values[tag] & 0xFFFFFFFF)
        elif not values and rng.random() < 0.15:
            struct.pack_into("<I", data, at + rng.choice((4, 8)), rng.choice(_EDGES))
        elif not values and rng.random() < 0.08:
            struct.pack_into("<H", data, at + rng.choice((0, 2)), rng.choice((0, 3, 5, 256, 258,
                             259, 262, 273, 277, 279, 284, 317, 322, 330, 338, 347, 34665,
                             65535)))  # fmt: skip


def _tags(rng: random.Random, base: Base) -> bytes:
    """TIFF: entries of the directory changed, or it made to follow itself; others: a field."""
    if base.kind != "tif":
        return _numbers(rng, base)
    data = bytearray(base.data)
    _set_tags(rng, data, {})
    if rng.random() < 0.2 and data[:4] == b"II*\0":  # a directory that is its own next one
        place = struct.unpack_from("<I", data, 4)[0]
        end = place + 2 + 12 * struct.unpack_from("<H", data, place)[0]
        struct.pack_into("<I", data, end, rng.choice((place, 8, len(data), 0xFFFFFFF0)))
    return bytes(data)


def _appended(rng: random.Random, base: Base) -> bytes:
    return base.data + rng.choice(_others())


def _polyglot(rng: random.Random, base: Base) -> bytes:
    """Something else in front of the image, or instead of it under its name."""
    other = rng.choice(_others())
    match rng.randrange(4):
        case 0:
            return other
        case 1:
            return other + base.data
        case 2:
            return base.data[: rng.choice((2, 4, 8, 16))] + other
        case _:
            return rng.choice(bases()).data  # another format under this name


def _others() -> list[bytes]:
    """What is no photograph, or may be taken for one by a lenient reader."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("evil.py", "print('run')")
    return [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(/etc/passwd) (r) file pop\nshowpage\n",
        b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"<html><script>alert(1)</script></html>",
        b"#!/bin/sh\necho run\n", packed.getvalue(), bytes(3000), b"\n", b"GIF89a", b"BM",
        b"II*\0",
        b"P6\n30000 30000\n255\n", b"P6 4 4 255 " + bytes(48), b"\x89PNG\r\n\x1a\n", b"RIFF",
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), b"\xd7\xcd\xc6\x9a" + bytes(60),
        b"icns" + bytes(40),
        b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(20),
        b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800), b"DDS " + bytes(124),
        b"# ImageMagick\npush graphic-context\nfill 'url(https://127.0.0.1/a.jpg\"|ls)'\n",
    ]  # fmt: skip


def _bomb(rng: random.Random, base: Base) -> bytes:
    """Few bytes that unpack to many: in the pixels, or beside them."""
    shape = rng.choices(range(6), (5, 5, 3, 3, 1, 1))[0]
    if shape == 0:  # texts and profiles that unpack to 8 MB
        much = zlib.compress(bytes(8_000_000), 9)
        body = rng.choice((chunk(b"zTXt", b"a\0\0" + much), chunk(b"iCCP", b"a\0\0" + much),
                           chunk(b"iTXt", b"a\0\1\0\0\0" + much)))  # fmt: skip
        pixels = zlib.compress((b"\0" + bytes(96)) * 32)
        return png_of(32, 32, pixels, *[body] * rng.choice((1, 20)))
    if shape == 1:  # a small size and a stream of 30 MB
        return png_of(32, 32, _zeros(30_000_000))
    if shape == 2:  # a little under, and over, what is refused when predicting
        width = rng.choice((4_900, 5_100, 6_900, 7_200))
        return png_of(width, width, _zeros((3 * width + 1) * width))
    if shape == 3:  # one very long side
        width, height = rng.choice(((1, 1_000_000), (1_000_000, 1), (20_000_000, 1)))
        return png_of(width, height, _zeros((3 * width + 1) * height))
    if shape == 4:  # a little under what is refused when indexing
        return png_of(13_300, 13_300, _zeros((3 * 13_300 + 1) * 13_300))
    image = bytearray(of_kind("gif")[0].data)  # a GIF of 65535 x 65535
    struct.pack_into("<HH", image, 6, 65_535, 65_535)
    return bytes(image) + base.data[:5]


_made: dict[int, bytes] = {}


def _zeros(size: int) -> bytes:
    """A zlib stream of so many zeros."""
    if size not in _made:
        packer, step = zlib.compressobj(9), bytes(2**20)
        pieces = [packer.compress(step) for _ in range(size // 2**20)]
        pieces += [packer.compress(bytes(size % 2**20)), packer.flush()]
        _made[size] = b"".join(pieces)
    return _made[size]


def segments(data: bytes) -> list[bytes]:
    """The file cut where its format divides it; the whole of it where that is not seen."""
    if data.startswith(SIGNATURE):
        return _counted(data, len(SIGNATURE), lambda at: 12 + _number(data, at, ">I"))
    if data.startswith(b"RIFF"):
        return _counted(data, 12, lambda at: 8 + (_number(data, at + 4, "<I") + 1) // 2 * 2)
    if data.startswith(b"\xff\xd8"):
        found, place = [data[:2]], 2
        while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
            length = 2 + _number(data, place + 2, ">H")
            found.append(data[place : place + length])
            place += length
        return [*found, data[place:]]
    if data.startswith(b"GIF8"):
        return [data[:13], *(b"\x21" + p for p in data[13:].split(b"\x21"))]
    step = max(16, len(data) // 12)
    return [data[at : at + step] for at in range(0, len(data), step)]


def _counted(data: bytes, start: int, length: Callable[[int], int]) -> list[bytes]:
    found, place = [data[:start]], start
    while place + 8 <= len(data):
        end = place + length(place)
        found.append(data[place:end])
        place = end
    return found


def _number(data: bytes, place: int, form: str) -> int:
    return int(struct.unpack_from(form, data, place)[0])


#: Name -> how often it is drawn, and what it makes of a whole file.
_MUTATIONS: dict[str, tuple[float, Callable[[random.Random, Base], bytes]]] = {
    "unchanged": (3, _unchanged),
    "bits flipped": (14, _bits),
    "bytes of the head": (12, _head),
    "numbers on the edge": (12, _numbers),
    "cut off": (9, _cut),
    "hole": (8, _hole),
    "spliced": (9, _spliced),
    "segments": (12, _parts),
    "checksums mended": (6, _checked),
    "rows and filters": (4, _filters),
    "sizes": (9, _sizes),
    "tags": (7, _tags),
    "appended": (5, _appended),
    "polyglot": (7, _polyglot),
    "bomb": (1.2, _bomb),
}

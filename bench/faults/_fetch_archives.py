"""Archives of a tiny data set, right ones and wrong ones of many kinds. All pixels are noise."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from magnostic.data.breakhis import parse_name
from magnostic.data.download.names import TOP, place
from magnostic.taxonomy import TUMOUR_TYPES

Entry = tuple[tarfile.TarInfo, bytes]


@cache
def photographs() -> dict[str, bytes]:
    """Two photographs of one slide of each type: name -> PNG of 56x44 pixels."""
    made = {}
    for seed, tumour in enumerate(TUMOUR_TYPES):
        for magnification in (40, 400):
            name = f"SOB_{tumour.letter}_{tumour.code}-14-{900 + seed}AB-{magnification}-001.png"
            made[name] = _png(1000 * seed + magnification)
    return made


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (44, 56, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


@cache
def places() -> dict[str, PurePosixPath]:
    return {name: place(parse_name(name)) for name in photographs()}


def file(path: str, content: bytes = b"x") -> Entry:
    info = tarfile.TarInfo(path)
    info.size = len(content)
    return info, content


def other(path: str, kind: bytes, to: str = "") -> Entry:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, to
    return info, b""


def entries() -> list[Entry]:
    """The members of the right archive."""
    top = PurePosixPath(TOP)
    return [file(str(top / places()[name]), content) for name, content in photographs().items()]


def first() -> str:
    """The path of the first photograph in the archive."""
    return entries()[0][0].name


def pack(members: Iterable[Entry], end: bytes = b"", level: int = 1) -> bytes:
    """A tar.gz; ``end`` follows the end of the tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue() + end, level, mtime=0)


@cache
def right() -> bytes:
    return pack(entries())


@cache
def newer() -> bytes:
    """The same photographs in another file: what a server has after a change."""
    return pack([file("BreaKHis_v1/README.txt", b"second edition" * 50), *reversed(entries())])


def flipped() -> bytes:
    data = bytearray(right())
    data[len(data) // 2] ^= 0x10
    return bytes(data)


def without_last() -> bytes:
    return pack(entries()[:-1])


def broken_photograph() -> bytes:
    info, content = entries()[0]
    return pack([file(info.name, content[:-30]), *entries()[1:]])


def misplaced() -> bytes:
    info, content = entries()[0]
    return pack([file(info.name.replace("adenosis", "fibroadenoma"), content), *entries()[1:]])


def case_clash() -> bytes:
    info, content = entries()[0]
    return pack([*entries(), file(info.name.replace("BreaKHis", "breakhis"), content)])


def twice() -> bytes:
    return pack([*entries(), entries()[0]])


def bomb() -> bytes:
    return pack([*entries(), file("zeros.bin", bytes(8_000_000))], level=9)


def bomb_behind_the_end() -> bytes:
    return pack(entries(), end=bytes(8_000_000), level=9)


def vast_header() -> bytes:
    """An extended header that says it has 8 GB, which a reader may try to hold in memory."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 8 * 10**9
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240), mtime=0)


def vast_file() -> bytes:
    """A file that says it has 1 TB."""
    info = tarfile.TarInfo("BreaKHis_v1/zeros.bin")
    info.size = 10**12
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240), mtime=0)


def headers_without_end() -> bytes:
    """Extended headers that each belong to the next, thousands deep."""
    info = tarfile.TarInfo("pax")
    record = b"12 path=abc\n"
    info.type, info.size = tarfile.XHDTYPE, len(record)
    one = info.tobuf(tarfile.GNU_FORMAT) + record.ljust(512, b"\0")
    return gzip.compress(one * 3000, mtime=0)


def broken_list() -> bytes:
    """A tar whose list of files breaks off: noise where the next header should be."""
    plain = bytearray(gzip.decompress(right()))
    middle = len(plain) // 1024 // 2 * 512
    noise = np.random.default_rng(0).bytes(len(plain) - middle)
    return gzip.compress(bytes(plain[:middle]) + noise, 1, mtime=0)


def no_tar() -> bytes:
    return gzip.compress(np.random.default_rng(0).bytes(20_000), 1, mtime=0)


#: What no archive may hold -> the archive; each also holds all that is right.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "tar: path with ../": lambda: pack([*entries(), file("BreaKHis_v1/../../evil.png")]),
    "tar: absolute path": lambda: pack([*entries(), file("/tmp/evil.png")]),
    "tar: path with a backslash": lambda: pack([*entries(), file("..\\evil.png")]),
    "tar: path with a drive": lambda: pack([*entries(), file("C:/evil.png")]),
    "tar: name with a line break": lambda: pack([*entries(), file("a\nb.txt")]),
    "tar: symbolic link": lambda: pack([other("link", tarfile.SYMTYPE, "/etc"), *entries()]),
    "tar: symbolic link in place of a photograph": lambda: pack(
        [other(first(), tarfile.SYMTYPE, "/etc/passwd"), *entries()[1:]]
    ),
    "tar: hard link": lambda: pack([*entries(), other("hard", tarfile.LNKTYPE, first())]),
    "tar: device": lambda: pack([*entries(), other("null", tarfile.CHRTYPE)]),
    "tar: named pipe": lambda: pack([other("pipe", tarfile.FIFOTYPE), *entries()]),
    "tar: names that differ in case alone": case_clash,
    "tar: a name twice": twice,
    "tar: bomb": bomb,
    "tar: bomb behind the end": bomb_behind_the_end,
    "tar: file of 1 TB": vast_file,
    "tar: header of 8 GB": vast_header,
    "tar: headers without end": headers_without_end,
    "tar: 2,000 empty files": lambda: pack([*entries(), *(file(f"f{n}") for n in range(2000))]),
}

"""Reading a gzip-compressed tar of which nothing is believed: no links, no way out, no bombs.

Members come one after another and are handed to the caller with a reader; nothing is written here,
and no path of the archive is ever used as a path on the disk.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from magnostic.data.download.patience import Corrupt, Unfit
from magnostic.progress import amount

_BLOCK: Final = 2**18
#: A header of a tar is a few hundred bytes; what asks for more at once is made to fill the memory.
_MOST_AT_ONCE: Final = 2**20
_DRIVE: Final = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        members: files and folders.
        member: bytes of one file.
        unpacked: bytes of everything.
        ratio: unpacked by packed bytes, counted from ``allowance`` unpacked bytes on.
    """

    members: int = 20_000
    member: int = 64 * 2**20
    unpacked: int = 16 * 10**9
    ratio: float = 20.0
    allowance: int = 32 * 2**20


@dataclass(frozen=True)
class Member:
    """A regular file of an archive; ``copy`` writes its bytes to an open file, once."""

    path: PurePosixPath
    size: int
    copy: Callable[[IO[bytes]], None]


def members(archive: Path, limits: Limits) -> Iterator[Member]:
    """The regular files of a ``.tar.gz``, in its order, read to the last byte.

    Raises Corrupt where the bytes are no whole archive, Unfit for what no archive may hold: links,
    devices, paths that lead out, the same path twice (also in another case), too much of anything.
    """
    with archive.open("rb") as packed, _told():
        yield from _members(_Measured(packed, limits), limits)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Faults of an archive as what they mean for who asked for it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise Corrupt(f"the archive is damaged or cut off ({fault})") from None
    except tarfile.TarError as fault:
        raise Corrupt(f"it is not a whole tar archive ({fault})") from None
    except RecursionError:
        raise Unfit("the archive has headers within headers without end") from None
    except _Refused as fault:
        raise Unfit(f"the archive was not unpacked: it holds {fault}") from None
    except _Damaged as fault:
        raise Corrupt(str(fault)) from None


class _Refused(Exception):
    pass


class _Damaged(Exception):
    pass


def _members(data: _Measured, limits: Limits) -> Iterator[Member]:
    seen: dict[str, str] = {}
    count = 0
    with tarfile.open(fileobj=data, mode="r:", encoding="utf-8") as tar:  # type: ignore[call-overload]
        while (info := tar.next()) is not None:
            tar.members = []  # they would be kept to the end
            count += 1
            if count > limits.members:
                raise _Refused(f"more than {limits.members:,} files and folders")
            path = _path(info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _Refused(f"{_kind(info)}, {info.name[:200]!r}")
            if not 0 <= info.size <= limits.member:
                raise _Refused(f"a file of {amount(info.size)}, {info.name[:200]!r}")
            key = path.as_posix().casefold()
            if key in seen:
                twin = seen[key]
                how = "twice" if twin == info.name else f"and, in another case, {twin[:200]!r}"
                raise _Refused(f"{info.name[:200]!r} {how}")
            seen[key] = info.name
            data.seek(info.offset_data)
            yield Member(path, info.size, _copier(data, info))
    # What follows the last member is nothing but zeros; reading it also checks the last checksum.
    while block := data.read(_BLOCK):
        if block.strip(b"\0"):
            raise _Damaged("the archive's list of files breaks off in the middle")


def _path(name: str) -> PurePosixPath:
    """A member's name as a path that stays inside, or _Refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or _DRIVE.match(name) or "\\" in name or ".." in path.parts:
        raise _Refused(f"{name[:200]!r}, which leads out of the folder")
    if not path.parts and name not in (".", "./"):
        raise _Refused("a file without a name")
    if not name.isprintable():
        raise _Refused(f"a name that can't be printed, {name[:200]!r}")
    return path


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym():
        return f"a symbolic link to {info.linkname[:200]!r}"
    if info.islnk():
        return f"a hard link to {info.linkname[:200]!r}"
    if info.isdev():
        return "a device or pipe"
    return f"something of type {info.type!r}"


def _copier(data: _Measured, info: tarfile.TarInfo) -> Callable[[IO[bytes]], None]:
    def copy(out: IO[bytes]) -> None:
        with _told():
            left = info.size
            while left:
                block = data.read(min(_BLOCK, left))
                if not block:
                    raise EOFError(f"it ends within {info.name}")
                out.write(block)
                left -= len(block)

    return copy


class _Measured:
    """The unpacked bytes, forwards only, as tarfile reads them; counts them against the limits."""

    def __init__(self, packed: IO[bytes], limits: Limits) -> None:
        self._packed = packed
        self._unpacked = gzip.GzipFile(fileobj=packed, mode="rb")
        self._limits = limits
        self._at = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise _Refused(f"a header of {amount(size)}")
        block = self._unpacked.read(size)
        self._at += len(block)
        if self._at > self._limits.unpacked:
            raise _Refused(f"more than {amount(self._limits.unpacked)} when unpacked")
        most = self._limits.ratio * self._packed.tell()
        if self._at > self._limits.allowance and self._at > most:
            raise _Refused(f"more than {self._limits.ratio:g} times its own size")
        return block

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> None:
        if place < self._at:
            raise _Refused("a file that begins before the one ahead of it")
        while self._at < place:
            if not self.read(min(_BLOCK, place - self._at)):
                raise EOFError("it ends within a file")

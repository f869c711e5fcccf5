"""Putting photographs where they belong, by the list of names, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final

from magnostic.data.download.patience import Unfit
from magnostic.data.png import SIGNATURE
from magnostic.data.scan import EXTENSIONS
from magnostic.data.summary import counted

#: Endings of what may be taken for a photograph; other files of a source are left out.
_IMAGES: Final = (*EXTENSIONS, ".gif")
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
#: Levels of the place that a source's path must end with: malignancy to file.
_LEVELS: Final = 6
_NAMED: Final = 5


class Intake:
    """What a source offers, beside what a whole copy holds.

    Args:
        into: an empty folder.
        places: file name -> place below it.

    Attributes:
        others: paths of files that are no photographs, which were left out.
    """

    def __init__(self, into: Path, places: Mapping[str, PurePosixPath]) -> None:
        self._into = into
        self._places = places
        self._taken: set[str] = set()
        self._foreign: list[str] = []
        self.others: list[str] = []

    def place(self, path: PurePosixPath) -> Path | None:
        """Where this file is to be written, its folder made; None if it is not wanted."""
        if path.name.startswith(".") or not path.name.lower().endswith(_IMAGES):
            self.others.append(path.as_posix())
            return None
        wanted = self._places.get(path.name)
        if wanted is None:
            self._foreign.append(path.as_posix())
            return None
        tail = wanted.parts[-_LEVELS:]
        if path.parts[-_LEVELS:] != tail:
            raise Unfit(f"{path}: a photograph in the wrong place; it belongs to {'/'.join(tail)}")
        if path.name in self._taken:
            raise Unfit(f"{path}: this photograph stands there twice")
        self._taken.add(path.name)
        target = self._into / wanted
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def finish(self) -> None:
        """Raise Unfit unless every photograph has come, none but these, and each is a whole PNG."""
        missing = sorted(self._places.keys() - self._taken)
        if self._foreign or missing:
            parts = []
            if missing:
                parts.append(f"{len(missing):,} of {len(self._places):,} photographs are missing")
                parts.append(f"({_some(missing)})")
            if self._foreign:
                parts.append("and" if missing else "it holds")
                parts.append(f"{counted(len(self._foreign), 'other image')}")
                parts.append(f"({_some(sorted(self._foreign))})")
            raise Unfit(f"this is not the data set: {' '.join(parts)}")
        broken = list(broken_files(self._into, self._places))
        if broken:
            raise Unfit(
                f"{len(broken):,} of {len(self._places):,} photographs are not whole PNG files "
                f"({_some(broken)})"
            )


def broken_files(root: Path, places: Mapping[str, PurePosixPath]) -> Iterator[str]:
    """The names whose file below ``root`` is missing, or doesn't begin and end as a PNG does."""
    for name, place in sorted(places.items()):
        try:
            with (root / place).open("rb") as file:
                whole = _is_png(file)
        except OSError:
            whole = False
        if not whole:
            yield name


def _is_png(file: IO[bytes]) -> bool:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return False
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(_END)))
    return file.read() == _END


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

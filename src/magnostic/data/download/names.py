"""What a whole BreakHis holds: its 7,909 names, where each lies, and the five fold files.

``breakhis_slides.tsv`` has a line for each of the 82 slides: the numbers of its photographs at
each magnification, and which fold files test it (every fold file draws whole slides). All names
and, byte for byte, all fold files follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from magnostic.data.breakhis import Name, parse_name
from magnostic.taxonomy import MAGNIFICATIONS

#: The folder at the top of the archive, and of what is unpacked.
TOP: Final = "BreaKHis_v1"
#: Of the official fold files, so that a table gone wrong is noticed.
FOLD_SHA256: Final = {
    1: "d8bdb7a99bcaec25740b8a387614aacf394597107f97f6dc72aa1cc75001b031",
    2: "0e7d9be14b2e03b5d0ae1db342530a1627b9f02016a5a187c913cec106ecdad2",
    3: "2ba9b09a19d4c9e05d66504fa5723e8018b614c8c4f029aba84fce13043f515c",
    4: "684464a0ad4a46616b535c28bc08c64a3f1d3c99acea240aea13aa5bcb6feb55",
    5: "88c5573ac19e21d28fe08feaa524275e654f7e22f938b2dcd466c5bc49223433",
}


@dataclass(frozen=True)
class Slide:
    """One slide: its names, and for each of the five fold files whether it is tested."""

    names: tuple[Name, ...]
    tested: tuple[bool, ...]


@cache
def slides() -> tuple[Slide, ...]:
    """The 82 slides, in the order of their names."""
    text = files(__package__).joinpath("breakhis_slides.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(_slide(line.split("\t")) for line in lines[1:])


def _slide(fields: list[str]) -> Slide:
    head, folds, *numbers = fields
    names = [
        parse_name(f"{head}-{magnification}-{number:03d}.png")
        for magnification, ranges in zip(MAGNIFICATIONS, numbers, strict=True)
        for number in _numbers(ranges)
    ]
    return Slide(tuple(names), tuple(mark == "x" for mark in folds))


def _numbers(ranges: str) -> Iterator[int]:
    """``1-3,5`` as 1, 2, 3, 5."""
    for piece in ranges.split(","):
        first, _, last = piece.partition("-")
        yield from range(int(first), int(last or first) + 1)


def place(name: Name) -> PurePosixPath:
    """Where a photograph lies in the original tree, below its top folder."""
    tumour = name.tumour_type
    return PurePosixPath(
        "histology_slides",
        "breast",
        tumour.malignancy,
        "SOB",
        tumour.folder,
        name.slide_folder,
        f"{name.magnification}X",
        name.file,
    )


def places() -> dict[str, PurePosixPath]:
    """File name -> place, of all 7,909 photographs."""
    return {name.file: place(name) for slide in slides() for name in slide.names}


def fold_files() -> dict[str, bytes]:
    """``dsfold1.txt`` to ``dsfold5.txt`` as published: training part, then test, both by name."""
    return {f"dsfold{number}.txt": _fold_file(number) for number in FOLD_SHA256}


def _fold_file(number: int) -> bytes:
    lines = []
    for tested in (False, True):
        part = [n for s in slides() if s.tested[number - 1] is tested for n in s.names]
        side = "test" if tested else "train"
        lines += [
            f"{name.file}|{name.magnification}|{number}|{side}\r\n"
            for name in sorted(part, key=lambda n: n.file)
        ]
    return "".join(lines).encode("ascii")

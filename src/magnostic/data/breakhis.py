"""BreakHis (BreaKHis_v1): photographs in the original tree, read from any of its levels.

Tree: ``BreaKHis_v1/histology_slides/breast/{benign,malignant}/SOB/<type>/<slide>/<40X…>/<file>``;
file: ``SOB_{B|M}_{type}-{year}-{slide}-{magnification}-{sequence}.png``. The slide is a lab number
with optional block letters; the accession is year and lab number without them.

Spanhol, Oliveira, Petitjean, Heutte, IEEE TBME 63(7), 2016, doi 10.1109/TBME.2015.2496264.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pandas as pd

from magnostic.data.assemble import Found, assemble
from magnostic.data.images import BadFile, Images
from magnostic.data.scan import Scanner
from magnostic.errors import DataError
from magnostic.taxonomy import BY_CODE, BY_FOLDER, CODES, MAGNIFICATIONS, MALIGNANCIES, TumourType

_TYPES: Final = "|".join(CODES)
_MAGNIFICATIONS: Final = "|".join(map(str, MAGNIFICATIONS))
_SLIDE: Final = "(?P<year>[0-9]{2})-(?P<lab>[0-9]+)(?P<block>[A-Z]*)"
_NAME: Final = re.compile(
    f"SOB_(?P<letter>[BM])_(?P<type>{_TYPES})-{_SLIDE}-(?P<magnification>{_MAGNIFICATIONS})"
    r"-(?P<sequence>[0-9]{3}|[1-9][0-9]{3,})\.png"
)
_SLIDE_FOLDER: Final = re.compile(f"SOB_(?P<letter>[BM])_(?P<type>{_TYPES})_{_SLIDE}")
_MAGNIFICATION_FOLDER: Final = re.compile("([0-9]+)[Xx]")
_UPPER_LEVELS: Final = ("SOB", "breast", "histology_slides", "BreaKHis_v1")
_EXAMPLE: Final = "SOB_B_A-14-22549AB-40-001.png"


@dataclass(frozen=True)
class Name:
    """What a file name says. ``sequence`` counts from 1 within slide and magnification."""

    type: str
    year: str
    lab: str
    block: str
    magnification: int
    sequence: int

    @property
    def tumour_type(self) -> TumourType:
        return BY_CODE[self.type]

    @property
    def slide_id(self) -> str:
        return f"{self.year}-{self.lab}{self.block}"

    @property
    def accession(self) -> str:
        return f"{self.year}-{self.lab}"

    @property
    def file(self) -> str:
        return (
            f"SOB_{self.tumour_type.letter}_{self.type}-{self.slide_id}"
            f"-{self.magnification}-{self.sequence:03d}.png"
        )

    @property
    def slide_folder(self) -> str:
        return f"SOB_{self.tumour_type.letter}_{self.type}_{self.slide_id}"


def parse_name(file: str) -> Name:
    """Read a file name such as ``SOB_B_A-14-22549AB-40-001.png``; ValueError says what is wrong."""
    match = _NAME.fullmatch(file)
    if match is None:
        raise ValueError(f"not a BreakHis file name (expected e.g. {_EXAMPLE})")
    tumour = BY_CODE[match["type"]]
    if tumour.letter != match["letter"]:
        raise ValueError(
            f"type {tumour.code} is {tumour.malignancy}, but the name says {match['letter']}"
        )
    return Name(
        tumour.code,
        match["year"],
        match["lab"],
        match["block"],
        int(match["magnification"]),
        int(match["sequence"]),
    )


def from_names(names: Iterable[str]) -> pd.DataFrame:
    """The columns of the images table that file names alone give, sorted by ``image_id``.

    Raises DataError at the first name that isn't BreakHis's.
    """
    parsed = []
    for name in names:
        try:
            parsed.append(parse_name(name))
        except ValueError as error:
            raise DataError(f"{name}: {error}; mend or leave out the name") from None
    return _frame(parsed).sort_values("image_id", ignore_index=True)


def looks_like(root: Path, files: Iterable[Path]) -> bool:
    """Whether file names or tree levels of BreakHis are found at or below ``root``."""
    levels = {"histology_slides", "BreaKHis_v1"}
    for file in files:
        if _NAME.fullmatch(file.name):
            return True
        folders = file.relative_to(root).parts[:-1]
        if any(f in levels or _SLIDE_FOLDER.fullmatch(f) for f in folders):
            return True
    return False


def read(root: Path, files: list[Path], on_bad: str, scanner: Scanner) -> Images:
    """The images table of the BreakHis files found below ``root``.

    Names and every folder level present must agree, and a name may stand only once; what does
    not is a bad file. ``{"synthetic": true}`` in a PHANTOM.json of the tree marks a phantom, whose
    source also tells how it was stained, if not as slides usually are.
    """
    bad: list[BadFile] = []
    named: list[tuple[Path, Name]] = []
    first: dict[str, Path] = {}
    for file in files:
        try:
            name = parse_name(file.name)
            _agree(file, name)
        except ValueError as error:
            bad.append(BadFile(file.as_posix(), "misnamed", str(error)))
            continue
        if file.stem in first:
            bad.append(
                BadFile(
                    file.as_posix(),
                    "name twice",
                    f"also at {first[file.stem].as_posix()}; keep one of the two",
                )
            )
            continue
        first[file.stem] = file
        named.append((file, name))
    frame = _frame([name for _, name in named])
    frame["path"] = [file.as_posix() for file, _ in named]
    frame["source"] = [_source(file.parent) for file, _ in named]
    phantom = frame["source"] != "breakhis"
    scanned = scanner.scan([file for file, _ in named])
    return assemble(Found(root, frame, scanned, bad, synthetic=bool(phantom.any())), on_bad)


def _frame(names: list[Name]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [n.file.removesuffix(".png") for n in names],
            "label": [n.type for n in names],
            "tumour_type": [n.type for n in names],
            "malignancy": [n.tumour_type.malignancy for n in names],
            "slide_id": [n.slide_id for n in names],
            "patient_id": [n.slide_id for n in names],
            "accession": [n.accession for n in names],
            "magnification": [n.magnification for n in names],
        }
    )


def _levels(folder: Path) -> list[Path]:
    """The folder and those above it, as long as they are levels of the tree."""
    levels = []
    for level in (folder, *folder.parents):
        name = level.name
        known = name in _UPPER_LEVELS or name in MALIGNANCIES or name in BY_FOLDER
        if not (known or _SLIDE_FOLDER.fullmatch(name) or _MAGNIFICATION_FOLDER.fullmatch(name)):
            break
        levels.append(level)
        if name == "BreaKHis_v1":
            break
    return levels


def _agree(file: Path, name: Name) -> None:
    """Raise ValueError where a folder above the file says something else than its name."""
    for level in _levels(file.parent):
        folder = level.name
        magnification = _MAGNIFICATION_FOLDER.fullmatch(folder)
        if magnification:
            expected = f"{name.magnification}X"
            agrees = int(magnification[1]) == name.magnification
        elif _SLIDE_FOLDER.fullmatch(folder):
            expected = name.slide_folder
            agrees = folder == expected
        elif folder in BY_FOLDER:
            expected = name.tumour_type.folder
            agrees = folder == expected
        elif folder in MALIGNANCIES:
            expected = name.tumour_type.malignancy
            agrees = folder == expected
        else:
            continue
        if not agrees:
            raise ValueError(f"its name says {expected}, but it lies in folder {folder}; mend one")


@cache
def _source(folder: Path) -> str:
    """``breakhis``, or ``phantom`` (``phantom-tied``, …) of a folder of photographs."""
    levels = _levels(folder)
    top = levels[-1].parent if levels else folder
    for level in (*levels, folder, top):
        note = level / "PHANTOM.json"
        if note.is_file():
            try:
                told = json.loads(note.read_text(encoding="utf-8"))
                stain = told.get("stain", "own")
                if told.get("synthetic"):
                    return "phantom" if stain == "own" else f"phantom-{stain}"
                return "breakhis"
            except (ValueError, AttributeError):
                raise DataError(
                    f'{note}: not a JSON object; expected {{"synthetic": true}}'
                ) from None
    return "breakhis"

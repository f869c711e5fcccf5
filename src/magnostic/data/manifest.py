"""A manifest: a CSV with one photograph a row, for data sets of any layout.

UTF-8; fields are separated by commas, semicolons or tabs, as the header line is.

Required columns: ``path`` (relative to the manifest's folder, or absolute) and ``label``. Optional:
``patient, slide, accession, magnification, image_id, tumour_type, malignancy`` and
``pixel_hash, width, height``; where a row gives these last three, its pixels are not decoded.
The file's own column names are mapped with ``columns`` (ours -> the file's).
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import pandas as pd

from magnostic.data import labels
from magnostic.data.assemble import Found, assemble
from magnostic.data.images import GIVEN, BadFile, Images
from magnostic.data.known import Scanned
from magnostic.data.scan import Scanner
from magnostic.errors import DataError, did_you_mean
from magnostic.tables import repeated

REQUIRED: Final = ("path", "label")
OPTIONAL: Final = (
    "patient",
    "slide",
    "accession",
    "magnification",
    "image_id",
    "pixel_hash",
    "width",
    "height",
    "tumour_type",
    "malignancy",
)
_KNOWN: Final = (*REQUIRED, *OPTIONAL)
_NUMBERS: Final = {"magnification": 32_767, "width": 2**31 - 1, "height": 2**31 - 1}


class Reader(Protocol):
    """What :func:`csv.reader` gives."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...


def read(source: Path, columns: Mapping[str, str] | None, on_bad: str, scanner: Scanner) -> Images:
    """The images table of a manifest.

    A slide stands in for a missing patient; a missing accession stays missing. Types and
    malignancy are filled where all labels are BreakHis types or ``benign``/``malignant``.

    Raises DataError for a missing column, a row that stands twice, and (``on_bad`` ``stop``) for
    rows whose values or files can't be used.
    """
    raw = load(source, columns or {})
    if raw.empty:
        raise DataError(f"{source}: a header but no row; give a row for each photograph")
    raw["path"] = _normal(raw["path"], _home(source))
    _refuse_duplicates(source, raw)
    faults = _faults(raw)
    bad = [
        BadFile(str(raw["path"].get(row)), fault, f"row {row}: {detail}")
        for row, fault, detail in faults
    ]
    good = raw.drop(index=[row for row, _, _ in faults])
    frame = _frame(source, good)
    scanned: list[Scanned | BadFile] = []
    need = frame[["pixel_hash", "width", "height"]].isna().any(axis=1).to_numpy()
    frame["pixel_hash"] = GIVEN + frame["pixel_hash"]
    if need.any():
        scanned = scanner.scan([Path(p) for p in frame.loc[need, "path"]])
        whole = [s if isinstance(s, Scanned) else Scanned(0, 0, "") for s in scanned]
        frame.loc[need, "pixel_hash"] = [s.pixel_hash for s in whole]
        frame.loc[need, "width"] = [s.width for s in whole]
        frame.loc[need, "height"] = [s.height for s in whole]
        bad += [s for s in scanned if isinstance(s, BadFile)]
        frame = frame[frame["pixel_hash"] != ""]
    return assemble(Found(source, frame, None, bad), on_bad)


def load(
    source: Path, columns: Mapping[str, str], required: Sequence[str] = REQUIRED
) -> pd.DataFrame:
    """The known columns as text, missing where empty; index: row of the file, header is row 1.

    Raises DataError for what is no CSV with the required columns.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            separator = _separator(file.readline())
            file.seek(0)
            records = csv.reader(file, delimiter=separator, strict=True)
            try:
                header = [name.strip() for name in next(records, [])]
                places = _places(source, header, columns, required)
                rows, cells = _cells(source, records, len(header), list(places.values()))
            except csv.Error as error:
                raise DataError(
                    f"{source}: line {records.line_num}: not a readable CSV ({error}); mend it"
                ) from None
    except UnicodeDecodeError:
        raise DataError(f"{source}: not UTF-8 text; save it as CSV UTF-8") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); mend it") from None
    raw = pd.DataFrame(cells, columns=list(places), index=rows, dtype="str")
    return raw.reindex(columns=list(_KNOWN)).astype("str")


def _separator(header: str) -> str:
    """Comma, semicolon or tab: the most frequent outside quotes; a comma where they tie."""
    plain = re.sub('"[^"]*"', "", header)
    return max(",;\t", key=plain.count)


def _places(
    source: Path, header: list[str], columns: Mapping[str, str], required: Sequence[str]
) -> dict[str, int]:
    """Our column -> its place in the file."""
    if not any(header):
        raise DataError(f"{source}: empty; expected a header with {_named(required)}")
    for name in repeated(filter(None, header)):
        raise DataError(
            f"{source}: column {name!r} stands twice in the header; rename or remove one"
        )
    found = ", ".join(filter(None, header))
    for ours, theirs in columns.items():
        if ours not in _KNOWN:
            raise DataError(
                f"columns: {ours!r} is no column of a manifest{did_you_mean(ours, _KNOWN)}; "
                f"known: {', '.join(_KNOWN)}"
            )
        if theirs not in header:
            raise DataError(
                f"{source}: column {theirs!r}, named for {ours!r}, is missing"
                f"{did_you_mean(theirs, header)}; columns found: {found}"
            )
    for ours in required:
        if columns.get(ours, ours) not in header:
            raise DataError(
                f"{source}: column {ours!r} is missing (columns found: {found}); add it, or say "
                f"which column it is with --column {ours}={_likely_column(ours, header)}"
            )
    taken = {ours: columns.get(ours, ours) for ours in _KNOWN}
    return {ours: header.index(theirs) for ours, theirs in taken.items() if theirs in header}


def _cells(
    source: Path, records: Reader, width: int, places: list[int]
) -> tuple[list[int], list[list[str | None]]]:
    """Row numbers and cells at ``places`` (None: empty) of each row that isn't blank."""
    rows: list[int] = []
    cells: list[list[str | None]] = []
    for row, record in enumerate(records, start=2):
        values = [value.strip() for value in record]
        if not any(values):
            continue
        if len(values) < width or any(values[width:]):
            fields = "1 field" if len(values) == 1 else f"{len(values)} fields"
            raise DataError(
                f"{source}: line {records.line_num} has {fields}, the header {width}; mend it (a "
                "value that holds the separator stands in double quotes)"
            )
        rows.append(row)
        cells.append([values[place] or None for place in places])
    return rows, cells


def _home(source: Path) -> str:
    """The manifest's folder with a slash at its end."""
    return source.parent.absolute().as_posix().rstrip("/") + "/"


def _normal(path: pd.Series, home: str) -> pd.Series:
    """One spelling a file: relative to the manifest's folder if below it, no ``./`` or ``..``."""
    odd = path.str.contains(r"(?:^|/)\.{0,2}/", regex=True).fillna(False).astype(bool)
    return path.mask(odd, path[odd].map(posixpath.normpath)).str.removeprefix(home)


def _named(required: Sequence[str]) -> str:
    return ("columns " if len(required) > 1 else "column ") + ",".join(required)


def _likely_column(ours: str, header: Sequence[str]) -> str:
    """The file's column that most likely holds ``ours``, else a placeholder."""
    usual = {
        "path": ("file", "filename", "file_name", "filepath", "image", "image_path", "img"),
        "label": ("class", "target", "diagnosis", "dx", "y", "category"),
    }
    lower = {name.lower(): name for name in header}
    return next((lower[u] for u in usual.get(ours, ()) if u in lower), "NAME")


def _refuse_duplicates(source: Path, raw: pd.DataFrame) -> None:
    for column in ("path", "image_id"):
        given = raw[column].dropna()
        twice = given[given.duplicated()]
        if twice.empty:
            continue
        value, second = twice.iloc[0], twice.index[0]
        row = int((given == value).to_numpy().argmax())
        first = given.index[row]
        one, other = raw["label"].get(first), raw["label"].get(second)
        labels_differ = f" with different labels, {one!r} and {other!r}" if one != other else ""
        more = f" ({len(twice)} such rows)" if len(twice) > 1 else ""
        raise DataError(
            f"{source}: rows {first} and {second} give the same {column} {value!r}"
            f"{labels_differ}{more}; keep one row for each photograph"
        )


def _faults(raw: pd.DataFrame) -> list[tuple[int, str, str]]:
    """(row, fault, detail) of each row that can't be used; the first fault of a row counts."""
    faults: dict[int, tuple[str, str]] = {}

    def note(mask: pd.Series, fault: str, column: str, advice: str) -> None:
        for row in raw.index[mask]:
            value = raw[column].get(row)
            shown = "is empty" if pd.isna(value) else f"is {value!r}"
            faults.setdefault(int(row), (fault, f"column {column!r} {shown}; {advice}"))

    note(raw["path"].isna() | (raw["path"] == ""), "no path", "path", "give the file")
    note(raw["label"].isna(), "label unknown", "label", "give the class or leave out the row")
    for column, meaning, words in (
        ("tumour_type", labels.as_types(raw["tumour_type"]), labels.TYPE_WORDS),
        ("malignancy", labels.as_malignancy(raw["malignancy"]), labels.MALIGNANCY_WORDS),
    ):
        unknown = raw[column].notna() & meaning.isna()
        for value in raw.loc[unknown, column].unique():
            hint = did_you_mean(str(value), words).strip(" ()")
            known = f"known: {', '.join(dict.fromkeys(words.values()))}"
            note(raw[column] == value, f"unknown {column}", column, hint or known)
    derived = labels.malignancy_of(labels.as_types(raw["tumour_type"]))
    stated = labels.as_malignancy(raw["malignancy"])
    clash = derived.notna() & stated.notna() & (derived != stated)
    note(clash, "contradiction", "malignancy", "that is not its tumour_type's; mend one of them")
    for column, highest in _NUMBERS.items():
        number = _number(raw[column])
        wrong = raw[column].notna() & ~(number.between(1, highest) & (number % 1 == 0))
        note(wrong, f"bad {column}", column, f"give a whole number from 1 to {highest}")
    return [(row, *faults[row]) for row in sorted(faults)]


def _number(values: pd.Series) -> pd.Series:
    """Numbers; ``40X`` counts as 40."""
    return pd.to_numeric(values.str.replace(r"\s*[Xx×]$", "", regex=True), errors="coerce")


def _frame(source: Path, raw: pd.DataFrame) -> pd.DataFrame:
    frame = raw[["image_id", "label", "accession", "pixel_hash"]].copy()
    absolute = raw["path"].str.startswith("/").to_numpy(dtype=bool)
    frame["path"] = raw["path"].where(absolute, _home(source) + raw["path"])
    frame["slide_id"] = raw["slide"]
    frame["patient_id"] = raw["patient"].fillna(raw["slide"])
    for column in _NUMBERS:
        frame[column] = _number(raw[column])
    if raw[["tumour_type", "malignancy"]].notna().any(axis=None):
        frame["tumour_type"] = labels.as_types(raw["tumour_type"])
        stated = labels.as_malignancy(raw["malignancy"])
        frame["malignancy"] = stated.fillna(labels.malignancy_of(frame["tumour_type"]))
    else:
        frame = frame.assign(**labels.known_labels(raw["label"]))
    frame["image_id"] = raw["image_id"].fillna(_ids(raw["path"]))
    frame["source"] = source.stem
    return frame


def _ids(path: pd.Series) -> pd.Series:
    """File stems where these are unique, else paths as the manifest has them."""
    stem = path.str.replace(r"^.*/|\.[^./]+$", "", regex=True)
    return path if stem.duplicated().any() else stem

"""APTOS 2019: 3,662 retinal photographs in five grades of diabetic retinopathy.

Layout: ``train.csv`` (columns ``id_code,diagnosis``) beside ``train_images/<id_code>.png``. The
competition's ungraded ``test_images`` are passed over. Grades, which are the labels: 0 none,
1 mild, 2 moderate, 3 severe, 4 proliferative (1,805, 370, 999, 193 and 295 photographs). No patient
is known. The field of view is round: ``preprocess.fit pad`` keeps it so.

Asia Pacific Tele-Ophthalmology Society, APTOS 2019 Blindness Detection, Kaggle, 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from magnostic.data.assemble import Found, assemble
from magnostic.data.images import BadFile, Images
from magnostic.data.manifest import load
from magnostic.data.scan import Scanner
from magnostic.errors import DataError

TABLE: Final = "train.csv"
FOLDER: Final = "train_images"
GRADES: Final = ("0", "1", "2", "3", "4")
_COLUMNS: Final = {"path": "id_code", "label": "diagnosis"}


def looks_like(root: Path) -> bool:
    """Whether ``root`` holds a table of ids and diagnoses beside ``train_images``."""
    table = root / TABLE
    if not (table.is_file() and (root / FOLDER).is_dir()):
        return False
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return all(name in header for name in _COLUMNS.values())


def read(root: Path, on_bad: str, scanner: Scanner) -> Images:
    """The images table of an APTOS folder.

    Bad are a row whose file is missing or whose grade is none of :data:`GRADES`, an id that stands
    twice (all its rows where their grades differ), and a photograph without a row.

    Raises DataError where the table or the folder is missing, or (``on_bad`` ``stop``) for bad
    ones.
    """
    for needed in (root / TABLE, root / FOLDER):
        if not needed.exists():
            raise DataError(
                f"{root}: no {needed.name}; give the folder that holds {TABLE} (columns "
                f"{','.join(_COLUMNS.values())}) and {FOLDER}/"
            )
    raw = load(root / TABLE, _COLUMNS)
    raw = raw.rename(columns={"path": "id", "label": "grade"})[["id", "grade"]]
    if raw.empty:
        raise DataError(f"{root / TABLE}: a header but no row; give a row for each photograph")
    present = {file.stem: file for file in sorted((root / FOLDER).glob("*.png"))}
    faults = _faults(raw, present)
    bad = [
        BadFile(f"{FOLDER}/{raw['id'].get(row)}.png", fault, f"{TABLE}, row {row}: {detail}")
        for row, (fault, detail) in faults.items()
    ]
    named = set(raw["id"])
    detail = f"no row of {TABLE} names it; add one or remove the file"
    bad += [
        BadFile(file.as_posix(), "label unknown", detail)
        for name, file in present.items()
        if name not in named
    ]
    good = raw.drop(index=list(faults))
    files = [present[name] for name in good["id"]]
    frame = pd.DataFrame(
        {
            "image_id": good["id"].to_numpy(),
            "path": [file.as_posix() for file in files],
            "label": good["grade"].to_numpy(),
            "source": "aptos",
        }
    )
    return assemble(Found(root, frame, scanner.scan(files), bad), on_bad)


def _faults(raw: pd.DataFrame, present: dict[str, Path]) -> dict[int, tuple[str, str]]:
    """Fault and detail of each row that can't be used."""
    faults: dict[int, tuple[str, str]] = {}
    first: dict[str, tuple[int, str]] = {}
    for row, name, grade in zip(map(int, raw.index), raw["id"], raw["grade"], strict=True):
        if pd.isna(name):
            faults[row] = ("no id", "column 'id_code' is empty; give the file's name without .png")
        elif grade not in GRADES:
            shown = "is empty" if pd.isna(grade) else f"is {grade!r}"
            known = f"a grade is one of {', '.join(GRADES)}"
            faults[row] = ("grade unknown", f"column 'diagnosis' {shown}; {known}")
        elif name in first:
            earlier, other = first[name]
            if grade == other:
                faults[row] = ("id twice", f"also in row {earlier}; keep one of the two")
            else:
                clash = f"grades {other} (row {earlier}) and {grade} (row {row})"
                fault = ("id twice", f"{clash}; keep the right one")
                faults[row] = fault
                faults.setdefault(earlier, fault)
        elif name not in present:
            faults[row] = ("missing", "no such file; restore it or remove the row")
        else:
            first[name] = (row, grade)
    return faults

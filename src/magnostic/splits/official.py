"""The five fold files that come with BreakHis: five random draws of slides, not a partition.

``dsfold1..5.txt`` hold lines ``file|magnification|fold|train or test``. Each file is one repeat;
its test images have fold 0, the others -1. 13 slides are never tested, slide 14-13412 stands on
both sides in files 1, 3 and 5, and every file shares 6 to 8 accessions between train and test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import SplitError
from magnostic.splits.policies import Selection

DRAWS: Final = 5
_COLUMNS: Final = ["file", "magnification", "fold", "side"]


def read_fold_file(folder: Path, number: int) -> pd.DataFrame:
    """``dsfold<number>.txt`` as columns image_id, magnification (int), fold (int), side.

    Raises SplitError where the file is missing or a line isn't of the form above.
    """
    path = folder / f"dsfold{number}.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise SplitError(
            f"{path}: {reason}; split.official_dir must hold dsfold1.txt to dsfold5.txt"
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    fields = pd.Series(lines, dtype="str").str.fullmatch(
        r"[^|]+\.png\|[0-9]+\|[0-9]+\|(?:train|test)"
    )
    for number_of_line, (line, good) in enumerate(zip(lines, fields, strict=True), start=1):
        if line and not good:
            raise SplitError(
                f"{path}, line {number_of_line}: {line[:60]!r} is not "
                "file|magnification|fold|train or test; get the file again"
            )
    frame = pd.DataFrame([line.split("|") for line in lines if line], columns=_COLUMNS)
    twice = frame["file"][frame["file"].duplicated()]
    if len(twice):
        raise SplitError(f"{path}: {twice.iloc[0]} stands twice; get the file again")
    frame.insert(0, "image_id", frame.pop("file").str.removesuffix(".png"))
    return frame.astype({"magnification": "int16", "fold": "int16"})


def draw(selection: Selection, folder: Path, number: int) -> NDArray[np.int64]:
    """0 for images that file ``number`` tests, -1 for the others, int64 [N].

    Listed images that are absent are passed over; SplitError for an image that isn't listed, or
    where nothing is left on one side.
    """
    fold_file = read_fold_file(folder, number)
    side = selection.table["image_id"].map(fold_file.set_index("image_id")["side"])
    unlisted = selection.table.loc[side.isna(), "image_id"]
    if len(unlisted):
        raise SplitError(
            f"protocol official: {len(unlisted)} of {len(side)} images are not listed in "
            f"dsfold{number}.txt (first: {unlisted.iloc[0]}); it is for BreakHis alone, use "
            "split.protocols patient for other images"
        )
    fold = np.where(side == "test", 0, -1).astype(np.int64)
    if fold.max() < 0 or fold.min() == 0:
        missing = "test" if fold.max() < 0 else "train"
        raise SplitError(
            f"protocol official: none of these {len(fold)} images is in the {missing} part of "
            f"dsfold{number}.txt; use the whole data set, or split.protocols patient"
        )
    return fold

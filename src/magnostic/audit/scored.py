"""The check of what was scored: MG009, every test image once, and under its own class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from magnostic.audit.findings import Finding
from magnostic.data.summary import counted
from magnostic.evaluate.predictions import Predictions
from magnostic.splits.table import Folds, Parts

_ANEW = "run the recipe again, and don't edit its tables"


def all_scored(
    predictions: Predictions, parts: Parts, drawn: set[str] | None, y: pd.Series, scope: str
) -> Finding:
    """MG009: the test predictions of one fold are those of its test part, no more and no less.

    A figure without the images of a hard patient, or with training images among the test images,
    is another figure than the one that is reported.

    Args:
        predictions: of this fold.
        parts: the fold.
        drawn: ids that the run's folds table tests in this fold; None where there is none.
        y: class name of each image, indexed by image_id.
    """
    table = predictions.table[predictions.table["part"] == "test"].set_index("image_id")
    scored, tested = set(table.index), set(parts.ids("test"))
    expected = tested if drawn is None else drawn
    missing, extra = expected - scored, scored - (expected & tested)
    if missing:
        return Finding(
            "MG009",
            "issue",
            scope,
            f"{len(missing)} of {len(expected)} test images are not scored: the figures leave out "
            f"what may be the hardest; {_ANEW}.",
            tuple(sorted(missing)),
        )
    if extra:
        return Finding(
            "MG009",
            "issue",
            scope,
            f"Scored though this fold does not test it: {counted(len(extra), 'image')}; {_ANEW}.",
            tuple(sorted(extra)),
        )
    true = y.reindex(table.index)
    other = table.index[(true.notna() & (true != table["y_true"])).to_numpy()]
    if len(other):
        return Finding(
            "MG009",
            "issue",
            scope,
            f"Scored under another class than in the images table: {counted(len(other), 'image')}; "
            f"{_ANEW}, or give the data set of the run.",
            tuple(sorted(other)),
        )
    return Finding("MG009", "passed", scope, "Every test image is scored once, as its own class.")


def drawn_by_fold(folder: Path) -> Mapping[tuple[str, int, int], set[str]]:
    """Ids that a parent's folds table tests, by protocol, repeat and fold; empty without one."""
    if not (folder / "split.parquet").is_file():
        return {}
    table: Any = Folds.read(folder).table
    table = table[table["fold"] >= 0]
    found = table.groupby(["protocol", "repeat", "fold"])["image_id"].agg(set)
    return {(str(p), int(r), int(f)): ids for (p, r, f), ids in found.items()}

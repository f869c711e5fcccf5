"""The check of what was scored: MG009, every test image once, as what it is, and counted right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from magnostic.audit.findings import Finding
from magnostic.data.summary import counted
from magnostic.evaluate.bootstrap import clusters, unit_of
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally
from magnostic.files import read_object
from magnostic.splits.table import Folds, Parts

#: Whose images are resampled, and by what figures are told apart.
_OF = ("slide_id", "patient_id", "accession")
_STATED = ("accuracy", "macro_f1")
_ANEW = "run the recipe again, and don't edit its tables"


def all_scored(
    predictions: Predictions,
    parts: Parts,
    drawn: set[str] | None,
    context: pd.DataFrame,
    y: pd.Series,
    scope: str,
) -> Finding:
    """MG009: the test predictions of one fold are those of its test part, no more and no less.

    A figure without the images of a hard patient, or with training images among the test images,
    is another figure than the one that is reported.

    Args:
        predictions: of this fold.
        parts: the fold.
        drawn: ids that the run's folds table tests in this fold; None where there is none.
        context: the images, with their slides, patients and lab numbers.
        y: class name of each image, indexed by image_id.
    """
    test = predictions.where(part="test")
    table = test.table.set_index("image_id")
    scored, tested = set(table.index), set(parts.ids("test"))
    expected = tested if drawn is None else drawn

    def issue(message: str, ids: Iterable[str]) -> Finding:
        return Finding("MG009", "issue", scope, message, tuple(sorted(ids)))

    if missing := expected - scored:
        return issue(
            f"{len(missing)} of {len(expected)} test images are not scored: the figures leave out "
            f"what may be the hardest; {_ANEW}.",
            missing,
        )
    if extra := scored - (expected & tested):
        return issue(
            f"Scored though this fold does not test it: {counted(len(extra), 'image')}; {_ANEW}.",
            extra,
        )
    true = y.reindex(table.index)
    other = table.index[(true.notna() & (true != table["y_true"])).to_numpy()]
    if len(other):
        return issue(
            f"Scored under another class than in the images table: {counted(len(other), 'image')}; "
            f"{_ANEW}, or give the data set of the run.",
            other,
        )
    named = np.take_along_axis(test.probabilities, test.predicted_index[:, None], axis=1)[:, 0]
    unlike = table.index[test.probabilities.max(axis=1) - named > 1e-6]
    if len(unlike):
        return issue(
            "Predicted class is not the one of the highest probability: "
            f"{counted(len(unlike), 'image')}; {_ANEW}.",
            unlike,
        )
    known = context.set_index("image_id").reindex(table.index)
    for column in _OF:
        stands, is_of = table[column], known[column]
        alike = (stands == is_of).fillna(False) | (stands.isna() & is_of.isna())
        moved = table.index[~alike.to_numpy(bool) & true.notna().to_numpy()]
        if len(moved):
            return issue(
                f"{column} differs from the images table, so that intervals count others than "
                f"there are: {counted(len(moved), 'image')}; {_ANEW}, or give the data set of "
                "the run.",
                moved,
            )
    return Finding("MG009", "passed", scope, "Every test image is scored once, as its own class.")


def stated_figures(
    folder: Path, predictions: Predictions, protocol: str, scope: str
) -> list[Finding]:
    """MG009: an issue where accuracy, macro F1 or counts of metrics.json are not the predictions'.

    Nothing where the run has no metrics.json yet, or where that says nothing of this protocol.
    """
    path = folder / "metrics.json"
    tested = predictions.where(protocol=protocol, part="test")
    if not path.is_file() or tested.table.empty:
        return []
    stated = read_object(path).get("protocols", {}).get(protocol)
    if stated is None:
        return []
    found = clusters(tested.table, unit_of(protocol))
    values = Tally.of(tested, found.codes, found.n).values(np.ones((1, found.n)))
    true = {name: float(values[name][0]) for name in _STATED}
    true |= {"n_images": tested.table["image_id"].nunique(), "n_clusters": found.n}
    said = {name: stated["overall"][name]["estimate"] for name in _STATED}
    said |= {name: stated[name] for name in ("n_images", "n_clusters")}
    wrong = [
        f"{name} {said[name]:.6g} (computed: {value:.6g})"
        for name, value in true.items()
        if said[name] is not None and not abs(said[name] - value) <= 1e-6
    ]
    if not wrong:
        return []
    message = f"metrics.json states other figures than its predictions have: {', '.join(wrong)}"
    return [Finding("MG009", "issue", scope, f"{message}; {_ANEW}.")]


def drawn_by_fold(folder: Path) -> Mapping[tuple[str, int, int], set[str]]:
    """Ids that a parent's folds table tests, by protocol, repeat and fold; empty without one."""
    if not (folder / "split.parquet").is_file():
        return {}
    table: Any = Folds.read(folder).table
    table = table[table["fold"] >= 0]
    found = table.groupby(["protocol", "repeat", "fold"])["image_id"].agg(set)
    return {(str(p), int(r), int(f)): ids for (p, r, f), ids in found.items()}

"""The checks of what was fitted on which images: MG002, MG006, MG008; and MG007 of the result.

They read ``fitted_on.json``, which names the images of every set that something was fitted on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from magnostic.audit.findings import Finding
from magnostic.data.images import HASHED
from magnostic.data.summary import counted
from magnostic.evaluate.predictions import Predictions
from magnostic.splits.table import Parts

#: What must be fitted without a look at the test part, by its name in fitted_on.json.
_CHOSEN: Final = {
    "selection": "the choice of weights",
    "calibration": "the calibration",
    "thresholds": "the thresholds",
}


def fitted_hash(table: pd.DataFrame, ids: Iterable[str]) -> str:
    """sha256 over the lines ``image_id pixel_hash`` of the given images, sorted by id, hex."""
    chosen = table[table["image_id"].isin(set(ids))].sort_values("image_id")
    lines = chosen["image_id"] + " " + chosen["pixel_hash"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def fitted_apart(
    fitted: Mapping[str, Any],
    parts: Parts,
    context: pd.DataFrame,
    scope: str,
    *,
    hashed: str = HASHED,
) -> Finding:
    """MG002: weights were not fitted on photographs that were tested, or that chose the weights.

    Issue also where the hash in ``fitted_on.json`` isn't that of the images table's pixels; a tip
    where it can't be compared with them, since the run ``hashed`` pixels in another way.
    """
    weights = _ids(fitted, "weights")
    tested = weights & set(parts.ids("test"))
    if tested:
        return Finding(
            "MG002",
            "issue",
            scope,
            f"The weights were fitted on {counted(len(tested), 'photograph')} of the test part; "
            "train anew on the training part alone.",
            tuple(sorted(tested)),
        )
    copies = weights & _ids(fitted, "selection")
    if copies:
        return Finding(
            "MG002",
            "issue",
            scope,
            f"{counted(len(copies), 'photograph')}, or copies, both trained and chose the weights; "
            "set balance.when to after-val.",
            tuple(sorted(copies)),
        )
    if hashed != HASHED and context["pixel_hash"].notna().any():
        return Finding(
            "MG002",
            "tip",
            scope,
            "Can't be checked whether these are the pixels that the run was fitted on: an earlier "
            "version made it, which hashed them in another way. Train the run again.",
        )
    stray = [name for name in fitted if _stray(fitted, name, context)]
    if stray:
        return Finding(
            "MG002",
            "issue",
            scope,
            f"fitted_on.json: {', '.join(stray)} were fitted on other pixels than the images "
            "table has under these names; audit with the data set of the run.",
        )
    return Finding("MG002", "passed", scope, "No photograph was fitted on and tested.")


def selection_apart(fitted: Mapping[str, Any], parts: Parts, scope: str) -> Finding:
    """MG006: weights, calibration and thresholds were not chosen on the test part."""
    test = set(parts.ids("test"))
    wrong = {name: _ids(fitted, name) & test for name in _CHOSEN}
    wrong = {name: ids for name, ids in wrong.items() if ids}
    if not wrong:
        return Finding("MG006", "passed", scope, "Nothing was chosen on the test part.")
    told = ", ".join(
        f"{_CHOSEN[name]} ({counted(len(ids), 'image')})" for name, ids in wrong.items()
    )
    return Finding(
        "MG006",
        "issue",
        scope,
        f"The test part was used for {told}: its figures are too good. Give "
        "split.val_fraction > 0 and run again.",
        tuple(sorted(set().union(*wrong.values()))),
    )


def statistics_of_train(fitted: Mapping[str, Any], parts: Parts, scope: str) -> Finding:
    """MG008: normalization statistics come from the training part alone."""
    ids = _ids(fitted, "statistics")
    if not ids:
        return Finding("MG008", "passed", scope, "No statistics were fitted on these images.")
    test, val = ids & set(parts.ids("test")), ids & set(parts.ids("val"))
    advice = "set preprocess.normalize to train"
    if test:
        message = (
            f"Statistics were fitted on {counted(len(test), 'image')} of the test part; {advice}."
        )
        return Finding("MG008", "issue", scope, message, tuple(sorted(test)))
    if val:
        message = (
            f"Statistics were fitted on train and {counted(len(val), 'validation image')}, one "
            f"reading of the paper; for an untouched validation part {advice}."
        )
        return Finding("MG008", "tip", scope, message, tuple(sorted(val)))
    return Finding("MG008", "passed", scope, "Statistics were fitted on the training part alone.")


def beats_majority(predictions: Predictions, scope: str) -> Finding:
    """MG007: accuracy on the test part is above the share of the most frequent true class."""
    table = predictions.table
    table = table[table["part"] == "test"]
    if table.empty:
        return Finding("MG007", "tip", scope, "Can't be checked: there are no test predictions.")
    accuracy = float((table["y_true"] == table["y_pred"]).mean())
    shares = table["y_true"].value_counts(normalize=True).sort_index()
    majority, share = str(shares.idxmax()), float(shares.max())
    compared = f"accuracy is {accuracy:.3f}, and answering {majority} always gives {share:.3f}"
    if accuracy > share:
        return Finding("MG007", "passed", scope, f"Test {compared}.")
    return Finding(
        "MG007",
        "issue",
        scope,
        f"No better than the majority class: test {compared}. Don't use this model; look at "
        "balanced accuracy, the labels and the training history.",
        (majority,),
    )


def _ids(fitted: Mapping[str, Any], name: str) -> set[str]:
    entry = fitted.get(name)
    return set(entry["ids"]) if entry else set()


def _stray(fitted: Mapping[str, Any], name: str, context: pd.DataFrame) -> bool:
    entry = fitted.get(name)
    if not entry or "sha256" not in entry:
        return False
    known = context[context["image_id"].isin(set(entry["ids"]))]
    if len(known) < len(set(entry["ids"])) or known["pixel_hash"].isna().any():
        return False  # without all pixels nothing can be said
    return fitted_hash(known, entry["ids"]) != str(entry["sha256"])

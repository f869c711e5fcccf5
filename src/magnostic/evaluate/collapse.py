"""Eight types to benign or malignant: the probability of either is the sum over its types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import TableError
from magnostic.evaluate.predictions import PREFIX, Predictions
from magnostic.taxonomy import BY_CODE, MALIGNANCIES


def collapsible(classes: Sequence[str]) -> bool:
    """Whether every class is a BreakHis type code."""
    return all(c in BY_CODE for c in classes)


def places(malignancy: str, classes: Sequence[str]) -> tuple[int, ...]:
    """Places of the classes that are of a malignancy, or of the class that has this very name.

    None where the labels are of another kind.
    """
    if malignancy in classes:
        return (list(classes).index(malignancy),)
    if not collapsible(classes):
        return ()
    return tuple(k for k, c in enumerate(classes) if BY_CODE[c].malignancy == malignancy)


def summed(p: NDArray[np.float32], columns: Sequence[int]) -> NDArray[np.float32]:
    """Probability [N] of any of some classes of [N, C], rounded as tables hold it.

    Thresholds are locked on these values, and what is compared with them has to be of their kind.
    """
    total = np.zeros(len(p))
    for k in columns:
        total += p[:, k]
    return np.minimum(total, 1.0).astype(np.float32)  # float32 rows may sum to a little more


def collapse(predictions: Predictions) -> Predictions:
    """The same predictions in the binary task; a table that is binary already is returned as it is.

    ``p_malignant`` is the sum of the malignant types' probabilities, ``p_benign`` of the others'
    (0 where no class is of that kind); ``y_pred`` is the likelier of the two, which need not be
    the malignancy of the likeliest type.

    Raises:
        TableError: the classes are neither tumour types nor benign and malignant.
    """
    classes = predictions.classes
    if sorted(classes) == sorted(MALIGNANCIES):
        return predictions
    if not collapsible(classes):
        raise TableError(
            f"predictions table: classes {', '.join(classes)} cannot be summed to benign and "
            "malignant; give predictions of BreakHis types (p_A, p_F, …) or of both malignancies"
        )
    of_kind = [places(m, classes) for m in MALIGNANCIES]
    stored = np.stack([summed(predictions.probabilities, own) for own in of_kind], axis=1)
    kinds = np.asarray(MALIGNANCIES, dtype=object)
    kept = [c for c in predictions.table.columns if not c.startswith(PREFIX)]
    frame = predictions.table[kept].assign(
        y_true=predictions.table["y_true"].map(lambda code: BY_CODE[code].malignancy),
        y_pred=kinds[stored.argmax(axis=1)],
    )
    scores = pd.DataFrame(stored, columns=[PREFIX + m for m in MALIGNANCIES], index=frame.index)
    return Predictions(pd.concat([frame, scores], axis=1))

"""Types to malignancy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from magnostic.errors import TableError
from magnostic.evaluate.collapse import collapse
from magnostic.evaluate.predictions import Predictions
from magnostic.taxonomy import CODES

Draw = Callable[..., Predictions]


def test_probabilities_are_sums_over_types(drawn: Draw) -> None:
    types = drawn(1, classes=CODES)
    found = collapse(types)
    p = types.probabilities.astype(float)
    assert found.classes == ["benign", "malignant"]
    assert found.probabilities[:, 0] == pytest.approx(p[:, :4].sum(axis=1), abs=1e-6)
    assert found.probabilities[:, 1] == pytest.approx(p[:, 4:].sum(axis=1), abs=1e-6)
    malignant = types.table["y_true"].isin(["DC", "LC", "MC", "PC"])
    assert (found.table["y_true"].eq("malignant") == malignant).all()
    likelier = found.probabilities[:, 1] > found.probabilities[:, 0]
    assert (found.table["y_pred"].eq("malignant") == likelier).all()
    assert list(found.table["image_id"]) == list(types.table["image_id"])


def test_the_likeliest_type_does_not_decide(drawn: Draw) -> None:
    table = drawn(1, n=1, classes=CODES).table
    p = [0.4, 0, 0, 0, 0.2, 0.2, 0.1, 0.1]
    table[[f"p_{c}" for c in CODES]] = np.array([p], dtype=np.float32)
    found = collapse(Predictions(table.assign(y_pred="A")))
    assert found.table["y_pred"].tolist() == ["malignant"]


def test_binary_stays_as_it_is(drawn: Draw) -> None:
    binary = drawn(1, classes=("malignant", "benign"))
    assert collapse(binary) is binary


def test_one_kind_of_types(drawn: Draw) -> None:
    found = collapse(drawn(1, classes=("DC", "LC")))
    assert (found.probabilities[:, 0] == 0).all()
    assert (found.table["y_pred"] == "malignant").all()


def test_other_classes_are_refused(drawn: Draw) -> None:
    with pytest.raises(TableError, match="one, two cannot be summed"):
        collapse(drawn(1, classes=("one", "two")))

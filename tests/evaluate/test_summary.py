"""The content of metrics.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from magnostic.errors import TableError
from magnostic.evaluate.metrics import OVERALL
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.summary import NotEstimable, summarize
from magnostic.evaluate.tally import score

Draw = Callable[..., Predictions]


def _summary(
    predictions: Predictions, not_estimable: NotEstimable | None = None, resamples: int = 60
) -> dict[str, Any]:
    return summarize(
        predictions,
        resamples=resamples,
        confidence=0.9,
        seed=0,
        not_estimable=not_estimable or {},
    )


@pytest.fixture(scope="module")
def three(drawn: Draw, pooled: Callable[..., Predictions]) -> Predictions:
    return pooled(
        drawn(1, protocol="random", skill=3.0),
        drawn(1, protocol="patient", skill=0.5),
        drawn(1, protocol="accession", skill=0.3),
    )


def test_shape(three: Predictions) -> None:
    found = _summary(three)
    assert list(found["protocols"]) == ["random", "patient", "accession"]
    assert set(found["gap"]) == {"patient", "accession"}
    patient = found["protocols"]["patient"]
    assert (patient["n_images"], patient["cluster"], patient["repeats"]) == (60, "patient", 1)
    assert found["protocols"]["accession"]["cluster"] == "accession"
    assert set(patient["overall"]) == set(OVERALL)
    assert list(patient["by_magnification"]) == ["40", "100", "200", "400"]
    assert sum(entry["n"] for entry in patient["by_magnification"].values()) == 60
    assert set(patient["by_class"]) == {"A", "F", "DC", "LC"}
    assert sum(map(sum, patient["confusion"]["counts"])) == 60
    assert patient["estimable"] is None
    assert [entry["fold"] for entry in patient["by_fold"]] == [0, 1, 2]


def test_figures_are_those_of_the_pooled_test_rows(three: Predictions) -> None:
    overall = _summary(three)["protocols"]["random"]["overall"]
    expected = score(three.where(protocol="random"))
    for name in OVERALL:
        assert overall[name]["estimate"] == pytest.approx(expected[name])
        assert overall[name]["low"] <= overall[name]["high"]


def test_validation_rows_are_not_scored(three: Predictions) -> None:
    table = three.table.copy()
    table.loc[table.index % 2 == 0, "part"] = "val"
    assert _summary(Predictions(table))["protocols"]["patient"]["n_images"] == 30


def test_json_and_deterministic(three: Predictions) -> None:
    first = json.dumps(_summary(three), allow_nan=False)
    assert first == json.dumps(_summary(three), allow_nan=False)
    assert json.loads(first) == _summary(three)


def test_a_protocol_alone_has_the_same_figures(three: Predictions) -> None:
    together, alone = _summary(three), _summary(three.where(protocol="patient"))
    assert alone["protocols"]["patient"] == together["protocols"]["patient"]
    assert alone["gap"] == {}


def test_estimable_leaves_out_classes_without_training_images(three: Predictions) -> None:
    missing = {("patient", 0, 1): ["A"], ("random", 0, 0): ["LC"]}
    found = _summary(three, missing)
    only = found["protocols"]["patient"]["estimable"]
    table = three.where(protocol="patient").table
    out = (table["fold"] == 1) & (table["y_true"] == "A")
    assert only["excluded"] == {"A": int(out.sum())}
    assert only["n"] == 60 - out.sum()
    expected = score(Predictions(table[~out].reset_index(drop=True)))
    assert only["accuracy"]["estimate"] == pytest.approx(expected["accuracy"])
    assert found["protocols"]["patient"]["by_fold"][1]["not_estimable"] == ["A"]
    assert found["protocols"]["accession"]["estimable"] is None
    gap = found["gap"]["patient"]
    assert gap["estimable"]["n_images"] < gap["n_images"]


def test_nothing_estimable(three: Predictions) -> None:
    missing = {("patient", 0, fold): ["A", "F", "DC", "LC"] for fold in range(3)}
    only = _summary(three.where(protocol="patient"), missing)["protocols"]["patient"]["estimable"]
    assert only["n"] == 0
    assert only["accuracy"]["estimate"] is None


def test_class_of_one_patient_has_no_interval_and_a_warning(three: Predictions) -> None:
    table = three.where(protocol="patient").table
    table.loc[table["y_true"] == "A", ["patient_id", "slide_id"]] = "alone"
    found = _summary(Predictions(table))["protocols"]["patient"]
    recall = found["by_class"]["A"]["recall"]
    assert recall["low"] is None
    assert "one patient" in recall["reason"]
    assert any(text.startswith("A: test images of one patient") for text in found["warnings"])


def test_folds_of_one_class_are_warned_of(drawn: Draw) -> None:
    """Scores of models that know their training shares alone: pooled over folds, AUC is 0."""
    table = drawn(1).table
    patient = pd.factorize(table["patient_id"])[0]
    one_class = table.assign(
        fold=patient.astype(np.int16), y_true=np.where(patient % 2, "A", "F").astype(object)
    )
    assert one_class["fold"].nunique() > 2
    for frame, expected in ((table, False), (one_class, True)):
        side = _summary(Predictions(frame))["protocols"][frame["protocol"].iloc[0]]
        assert any("folds test one class" in text for text in side["warnings"]) == expected


def test_a_class_with_nothing_right_has_no_limits(drawn: Draw) -> None:
    """Limits of no width would claim certainty."""
    table = drawn(1).table
    scores = [name for name in table if name.startswith("p_")]
    table["p_A"], table["p_F"] = np.float32(0), table["p_A"] + table["p_F"]
    table["y_pred"] = [scores[k].removeprefix("p_") for k in table[scores].to_numpy().argmax(1)]
    by_class = _summary(Predictions(table))["protocols"]["patient"]["by_class"]
    recall = by_class["A"]["recall"]
    assert (recall["estimate"], recall["low"], recall["high"]) == (0, None, None)
    assert recall["reason"] == "the same in every resample"
    assert by_class["DC"]["recall"]["low"] < by_class["DC"]["recall"]["high"]


def test_missing_ids_and_magnifications(three: Predictions) -> None:
    table = three.table.assign(patient_id=None, slide_id=None, accession=None, magnification=None)
    found = _summary(Predictions(table))
    patient = found["protocols"]["patient"]
    assert (patient["cluster"], patient["n_patients"], patient["patients"]) == ("image", None, None)
    assert patient["by_magnification"] == {}
    assert "too narrow" in patient["warnings"][0]


def test_no_resamples_no_intervals(three: Predictions) -> None:
    accuracy = _summary(three, resamples=0)["protocols"]["patient"]["overall"]["accuracy"]
    assert accuracy["low"] is None
    assert "resamples" in accuracy["reason"]


def test_no_test_rows_is_an_error(three: Predictions) -> None:
    with pytest.raises(TableError, match="no row has part 'test'"):
        _summary(Predictions(three.table.assign(part="val")))

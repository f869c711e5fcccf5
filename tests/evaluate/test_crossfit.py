"""What is applied to a patient was never fitted on that patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnostic.evaluate import crossfit
from magnostic.evaluate.predictions import Predictions

Draw = Callable[..., Predictions]


def _apart(predictions: Predictions, protocol: str, unit: str = "patient_id") -> crossfit.Plan:
    """The plan, after checking what must hold of every plan."""
    table = predictions.table
    found = crossfit.plan(predictions, protocol)
    applied = np.concatenate([step.apply for step in found.steps] or [np.empty(0, int)])
    if found.source is not None:
        assert sorted(applied) == list(np.flatnonzero(table["part"] == "test"))
    ids, repeats = table[unit].to_numpy(), table["repeat"].to_numpy()
    for step in found.steps:
        assert len(step.fit)
        assert not set(ids[step.fit]) & set(ids[step.apply])
        assert set(repeats[step.fit]) == set(repeats[step.apply])
    return found


def _folds(predictions: Predictions, fold: object, **columns: object) -> Predictions:
    return Predictions(predictions.table.assign(fold=fold, **columns))


@given(seed=st.integers(0, 500), folds=st.integers(2, 6), patients=st.integers(2, 12))
@settings(max_examples=25)
def test_random_images(drawn: Draw, seed: int, folds: int, patients: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = drawn(seed, n=40, patients=patients, protocol="random")
    found = _apart(_folds(predictions, rng.integers(0, folds, 40).astype(np.int16)), "random")
    assert found.source in (crossfit.OUT_OF_FOLD, None)


def test_folds_that_keep_patients_apart_are_the_parts(drawn: Draw) -> None:
    predictions = drawn(1)
    found = _apart(predictions, "patient")
    fold = predictions.table["fold"].to_numpy()
    assert len(found.steps) == 3
    for step in found.steps:
        assert len(set(fold[step.apply])) == 1
        assert len(step.fit) + len(step.apply) == 60
    assert len(found.for_use) == 60


def test_accession_is_the_unit_of_its_protocol(drawn: Draw) -> None:
    """Two patients share a lab number: their folds do not keep it apart, so parts are dealt."""
    _apart(drawn(1, protocol="accession"), "accession", "accession")


def test_repeats_are_kept_apart(drawn: Draw, pooled: Callable[..., Predictions]) -> None:
    found = _apart(pooled(drawn(1), drawn(2, repeat=1)), "patient")
    assert len(found.steps) == 6
    assert len(found.for_use) == 120


@pytest.mark.parametrize("protocol", ["patient", "random"])
def test_one_fold_is_fitted_on_its_validation_part(drawn: Draw, protocol: str) -> None:
    predictions = drawn(1, protocol=protocol)
    val = predictions.table["fold"] == 0 if protocol == "patient" else np.arange(60) % 3 == 0
    part = np.where(val, "val", "test")
    one = _folds(predictions, np.int16(0), part=part)
    found = _apart(one, protocol)
    assert found.source == crossfit.VALIDATION
    assert set(found.for_use) == set(np.flatnonzero(part == "val"))
    assert len(found.steps) == (1 if protocol == "patient" else crossfit.PARTS)


def test_one_fold_without_validation_fits_nothing(drawn: Draw) -> None:
    found = _apart(_folds(drawn(1), np.int16(0)), "patient")
    assert found.source is None
    assert "no validation part" in str(found.reason)
    assert not len(found.for_use)


def test_one_patient_fits_nothing(drawn: Draw) -> None:
    fold = (np.arange(60) % 2).astype(np.int16)
    found = _apart(_folds(drawn(1), fold, patient_id="alone"), "random")
    assert found.source is None
    assert "another patient" in str(found.reason)


def test_row_order_does_not_matter(drawn: Draw) -> None:
    predictions = _folds(drawn(1), (np.arange(60) % 4).astype(np.int16))
    order = np.random.default_rng(0).permutation(60)
    shuffled = Predictions(predictions.table.iloc[order].reset_index(drop=True))

    def parts(p: Predictions) -> set[frozenset[str]]:
        ids = p.table["image_id"].to_numpy()
        return {frozenset(ids[s.apply]) for s in crossfit.plan(p, "random").steps}

    assert parts(predictions) == parts(shuffled)

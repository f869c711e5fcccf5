"""Patient scores by hand, and the decisions that are other metrics."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.patients import score_table, summarize_patients
from magnostic.evaluate.predictions import Predictions

#: patient, label, then (p_A, p_B) of each image.
CASES = [
    ("p1", "A", [(0.9, 0.1), (0.4, 0.6), (0.45, 0.55)]),  # vote wrong, mean right
    ("p2", "B", [(0.2, 0.8), (0.3, 0.7)]),
    ("p3", "A", [(0.6, 0.4), (0.1, 0.9)]),  # tied vote, mean says B
    ("p3", "B", [(0.2, 0.8)]),  # a slide with two labels
]


def _predictions(repeat: int = 0) -> Predictions:
    rows = []
    for patient, label, images in CASES:
        for k, (a, b) in enumerate(images):
            rows.append((f"{patient}{label}{k}", patient, label, "A" if a > b else "B", a, b))
    names = ["image_id", "patient_id", "y_true", "y_pred", "p_A", "p_B"]
    frame = pd.DataFrame(rows, columns=names)
    return Predictions(
        frame.assign(
            slide_id=frame["patient_id"],
            accession=frame["patient_id"],
            magnification=None,
            protocol="patient",
            repeat=repeat,
            fold=0,
            part="test",
        )
    )


def test_scores_by_hand() -> None:
    table = score_table(_predictions()).set_index(["patient_id", "label"])
    assert table.loc[("p1", "A"), "score"] == pytest.approx(1 / 3)
    assert table.loc[("p1", "A"), "mean_probability_correct"] == 1
    assert table.loc[("p1", "A"), "majority_correct"] == 0
    assert table.loc[("p3", "A"), "score"] == 0.5
    assert table.loc[("p3", "A"), "majority_correct"] == 0
    assert table.loc[("p3", "B"), "score"] == 1


def test_recognition_rate_is_the_mean_score() -> None:
    found = summarize_patients(_predictions(), "patient", Sampling(200), "x")
    assert found is not None
    assert found["recognition_rate"]["estimate"] == pytest.approx((1 / 3 + 1 + 0.5 + 1) / 4)
    assert found["mean_probability_accuracy"]["estimate"] == pytest.approx(3 / 4)
    assert found["majority_vote_accuracy"]["estimate"] == pytest.approx(2 / 4)
    assert (found["n"], found["n_patients"], found["n_clusters"]) == (4, 3, 3)
    assert found["recognition_rate"]["low"] <= found["recognition_rate"]["estimate"]


def test_repeats_are_averaged(pooled: Callable[..., Predictions]) -> None:
    both = pooled(_predictions(0), _predictions(1))
    once = summarize_patients(_predictions(), "patient", Sampling(50), "x")
    twice = summarize_patients(both, "patient", Sampling(50), "x")
    assert twice == once


def test_without_patient_ids_there_is_nothing() -> None:
    table = _predictions().table.assign(patient_id=None)
    assert summarize_patients(Predictions(table), "patient", Sampling(10), "x") is None


def test_images_without_patient_are_counted() -> None:
    table = _predictions().table
    table.loc[0, "patient_id"] = None
    found = summarize_patients(Predictions(table), "patient", Sampling(10), "x")
    assert found is not None
    assert found["n_images_without_patient"] == 1

"""The definitions against scikit-learn, and where they are undefined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from magnostic.evaluate import metrics
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally, score

Draw = Callable[..., Predictions]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 50), n_classes=st.integers(2, 6))
def test_figures_agree_with_scikit_learn(drawn: Draw, seed: int, n: int, n_classes: int) -> None:
    classes = list("ABCDEF")[:n_classes]
    predictions = drawn(seed, n, classes)
    truth, guess = predictions.table["y_true"], predictions.table["y_pred"]
    present = sorted(set(truth))
    values = score(predictions)
    options = {"labels": present, "average": "macro", "zero_division": 0}
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert values["macro_recall"] == pytest.approx(sk.recall_score(truth, guess, **options))
    assert values["balanced_accuracy"] == values["macro_recall"]
    assert values["macro_precision"] == pytest.approx(sk.precision_score(truth, guess, **options))
    assert values["macro_f1"] == pytest.approx(sk.f1_score(truth, guess, **options))
    loss = sk.log_loss(truth, predictions.probabilities, labels=classes)
    assert values["log_loss"] == pytest.approx(loss, rel=1e-5)
    aucs = [
        sk.roc_auc_score(truth == c, predictions.probabilities[:, k])
        for k, c in enumerate(classes)
        if 0 < (truth == c).sum() < n
    ]
    if not aucs:
        assert values["macro_auc"] is None
    elif n_classes == 2:
        assert values["macro_auc"] == pytest.approx(aucs[-1])
    else:
        assert values["macro_auc"] == pytest.approx(np.mean(aucs))


def test_balanced_accuracy_is_scikit_learns(drawn: Draw) -> None:
    table = drawn(3).table
    expected = sk.balanced_accuracy_score(table["y_true"], table["y_pred"])
    assert score(Predictions(table))["balanced_accuracy"] == pytest.approx(expected)


def test_class_without_images_is_undefined_and_left_out() -> None:
    counts = np.array([[3.0, 1, 0], [0, 0, 0], [2, 0, 4]])
    values = metrics.from_confusion(counts)
    np.testing.assert_allclose(values["recall"], [0.75, np.nan, 4 / 6])
    np.testing.assert_allclose(values["precision"], [0.6, np.nan, 1.0])
    assert values["macro_precision"] == pytest.approx(0.8)


def test_never_predicted_class_has_precision_zero() -> None:
    values = metrics.from_confusion(np.array([[5.0, 0], [2, 0]]))
    assert values["precision"].tolist() == [pytest.approx(5 / 7), 0.0]
    assert values["f1"][1] == 0.0


def test_nothing_at_all_is_undefined() -> None:
    values = metrics.from_confusion(np.zeros((2, 2)))
    assert np.isnan(values["accuracy"])
    assert np.isnan(values["macro_f1"])


def test_confusion_has_true_classes_in_rows() -> None:
    counts = metrics.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    assert counts.tolist() == [[1, 1], [0, 1]]


def test_tally_agrees_with_confusion(drawn: Draw) -> None:
    predictions = drawn(5)
    codes = np.arange(60) % 4
    tally = Tally.of(predictions, codes, 4)
    expected = metrics.confusion(predictions.true_index, predictions.predicted_index, 4)
    np.testing.assert_array_equal(tally.confusion.sum(axis=(0, 1)), expected)


def test_certain_and_wrong_is_a_finite_loss() -> None:
    loss = metrics.image_loss(np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert loss[0] == pytest.approx(-np.log(np.finfo(np.float32).eps))

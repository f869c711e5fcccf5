"""Temperature, Brier score and calibration errors against scikit-learn, SciPy and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss

from magnostic.evaluate import calibration


def _drawn(seed: int, n: int = 400, classes: int = 4, heat: float = 1.0):
    """Labels drawn from softmax(logits), and the probabilities softmax(logits / heat)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    fair = softmax(logits, axis=1)
    true = (fair.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return softmax(logits / heat, axis=1), true, logits


@pytest.mark.parametrize("heat", [0.6, 1.0, 2.5])
def test_temperature_is_the_optimum_of_the_log_loss(heat: float) -> None:
    p, true, _ = _drawn(1, heat=heat)

    def loss(temperature: float) -> float:
        return -float(log_softmax(np.log(p) / temperature, axis=1)[np.arange(400), true].mean())

    oracle = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert calibration.fit_temperature(p, true) == pytest.approx(oracle.x, rel=1e-4)
    assert calibration.fit_temperature(p, true) == pytest.approx(1 / heat, rel=0.2)


def test_temperature_of_probabilities_is_that_of_the_logits() -> None:
    p, true, logits = _drawn(2)
    t = calibration.fit_temperature(p, true)
    slope = (softmax(logits / t, axis=1) * logits).sum() - logits[np.arange(400), true].sum()
    assert abs(slope) < 1e-5
    assert calibration.temper(p, t) == pytest.approx(softmax(logits / t, axis=1), abs=1e-6)
    assert calibration.temper(p, 1.0) == pytest.approx(p, abs=1e-6)


def test_temperature_stays_within_its_range() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert calibration.fit_temperature(p, np.array([0, 1])) == calibration.COLDEST
    assert calibration.fit_temperature(p, np.array([1, 0])) == calibration.HOTTEST
    hard = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert np.isfinite(calibration.fit_temperature(hard, np.array([0, 1, 1])))


@given(st.integers(0, 10_000), st.floats(0.1, 5))
@settings(max_examples=25)
def test_temperature_keeps_the_order_of_classes(seed: int, temperature: float) -> None:
    p, _, _ = _drawn(seed, n=20)
    after = calibration.temper(p, temperature)
    assert (after.argsort(axis=1) == p.argsort(axis=1)).all()
    assert after.sum(axis=1) == pytest.approx(1)


def test_brier_score_is_scikit_learns() -> None:
    p, true, _ = _drawn(3)
    expected = brier_score_loss(true, p, scale_by_half=False, labels=range(4))
    assert calibration.brier(p, true).mean() == pytest.approx(expected)
    two, label, _ = _drawn(4, classes=2)
    assert calibration.brier(two, label).mean() == pytest.approx(
        2 * brier_score_loss(label, two[:, 1])
    )


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(5, 80))
@settings(max_examples=40)
def test_brier_parts_add_up(seed: int, bins: int, n: int) -> None:
    p, true, _ = _drawn(seed, n=n)
    parts = calibration.brier_parts(p, true, bins)
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert total == pytest.approx(calibration.brier(p, true).mean())
    assert parts["reliability"] >= 0


def test_brier_parts_of_two_forecasts() -> None:
    """Murphy's closed form: .8 of ten images of which nine come true, .3 of ten of which two do."""
    score = np.repeat([0.8, 0.3], 10)
    true = np.array([1] * 9 + [0] + [1] * 2 + [0] * 8)
    parts = calibration.brier_parts(np.stack([1 - score, score], axis=1), true, 2)
    assert parts["reliability"] == pytest.approx(2 * (0.1**2 + 0.1**2) / 2)
    assert parts["resolution"] == pytest.approx(2 * ((0.9 - 0.55) ** 2 + (0.2 - 0.55) ** 2) / 2)
    assert parts["uncertainty"] == pytest.approx(2 * 0.55 * 0.45)


def _brute_ece(score, hit, bins: int) -> float:
    order = np.argsort(score)
    edges = [(k * len(score)) // bins for k in range(bins + 1)]
    total = 0.0
    for low, high in itertools.pairwise(edges):
        rows = order[low:high]
        total += abs(score[rows].sum() - hit[rows].sum())
    return total / len(score)


@pytest.mark.parametrize("bins", [1, 3, 10])
def test_calibration_errors_against_a_loop(bins: int) -> None:
    p, true, _ = _drawn(5, n=157, heat=2)
    top = _brute_ece(p.max(axis=1), p.argmax(axis=1) == true, bins)
    assert calibration.top_label_error(p, true, bins)[0] == pytest.approx(top)
    each = [_brute_ece(p[:, c], true == c, bins) for c in range(4)]
    assert calibration.classwise_error(p, true, bins)[0] == pytest.approx(np.mean(each))


def test_chance_is_what_a_calibrated_model_shows() -> None:
    p, _, _ = _drawn(6, n=300)
    rng = np.random.default_rng(0)
    shown = []
    for _ in range(300):
        true = (p.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1).clip(max=3)
        shown.append(calibration.top_label_error(p, true)[0])
    assert calibration.top_label_error(p, true)[1] == pytest.approx(np.mean(shown), rel=0.06)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 12))
def test_bins_part_no_equal_scores(values: list[int], bins: int) -> None:
    scores = np.array(values) / 6
    found = calibration.equal_mass(scores, bins)
    assert found.size.sum() == len(scores)
    assert (found.size > 0).all()
    assert len(found.size) <= bins
    for value in set(values):
        assert len(set(found.codes[np.array(values) == value])) == 1
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found.codes[order]) >= 0).all()


def test_bins_of_different_scores_are_nearly_equal() -> None:
    found = calibration.equal_mass(np.random.default_rng(0).random(157), 10)
    assert set(found.size) == {15, 16}

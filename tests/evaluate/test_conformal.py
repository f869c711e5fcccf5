"""Sets: quantiles against closed forms, coverage on simulated exchangeable patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.evaluate import conformal


def _once(values, groups, unit: str, level: float) -> float:
    return conformal.quantile(unit, level, values, groups, np.zeros(len(values), int))


@given(st.integers(4, 60), st.sampled_from(conformal.LEVELS), st.integers(0, 99))
def test_one_image_a_patient_is_ordinary_split_conformal(n: int, level: float, seed: int) -> None:
    values = np.random.default_rng(seed).random(n)
    rank = int(np.ceil(level * (n + 1) - 1e-9))
    expected = np.inf if rank > n else np.sort(values)[rank - 1]
    for unit in conformal.UNITS:
        assert _once(values, np.arange(n), unit, level) == expected


@given(st.lists(st.integers(1, 6), min_size=5, max_size=25), st.integers(0, 99))
def test_image_quantile_against_a_loop(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.integers(0, 30, len(groups)) / 30
    found = _once(values, groups, conformal.IMAGE, 0.8)

    def below(score: float) -> float:
        shares = [(values[groups == g] <= score).mean() for g in range(len(sizes))]
        return sum(shares) / (len(sizes) + 1)

    assert below(found) >= 0.8 - 1e-9
    smaller = values[values < found]
    assert not len(smaller) or below(smaller.max()) < 0.8


def test_patient_quantile_is_that_of_the_highest_scores() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 7)
    values = rng.random(140)
    highest = np.array([values[groups == g].max() for g in range(20)])
    expected = _once(highest, np.arange(20), conformal.PATIENT, 0.9)
    assert _once(values, groups, conformal.PATIENT, 0.9) == expected == np.sort(highest)[18]


def test_repeats_of_one_patient_are_no_more_patients() -> None:
    values, groups = np.random.default_rng(1).random(12), np.arange(12)
    for unit in conformal.UNITS:
        once = conformal.quantile(unit, 0.9, values, groups, np.zeros(12, int))
        twice = conformal.quantile(
            unit, 0.9, np.tile(values, 2), np.tile(groups, 2), np.repeat([0, 1], 12)
        )
        assert once == twice
    few = np.arange(8)
    repeated = conformal.quantile(
        "patient", 0.9, np.tile(values[:8], 3), np.tile(few, 3), np.repeat([0, 1, 2], 8)
    )
    assert np.isinf(repeated)


@pytest.mark.parametrize(("level", "fewest"), [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_patients_give_the_full_set(level: float, fewest: int) -> None:
    assert conformal.needed(level) == fewest
    p = np.full((2, 3), 1 / 3)
    for n, certifiable in ((fewest, True), (fewest - 1, False)):
        assert conformal.certifiable(level, n) is certifiable
        limit = _once(np.linspace(0, 0.1, n), np.arange(n), conformal.IMAGE, level)
        assert np.isfinite(limit) == certifiable
        if not certifiable:
            assert conformal.sets(p, limit).all()


def test_sets_hold_the_likeliest_class_and_all_within_the_limit() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]], dtype=np.float32)
    assert conformal.sets(p, 0.1).tolist() == [[True, False, False], [True, False, False]]
    limits = np.array([0.7, 0.0])
    assert conformal.sets(p, limits).tolist() == [[True, True, False], [True, False, False]]


def _patients(rng: np.random.Generator, n: int):
    """Scores and patients; those of few images are the hard ones."""
    hard = rng.gamma(1.0, 1.0, n)
    sizes = 1 + rng.poisson(12 / (1 + 4 * hard))
    groups = np.repeat(np.arange(n), sizes)
    return 1 / (1 + np.exp(-(hard[groups] + rng.normal(size=len(groups))))), groups


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n", [12, 30])
def test_coverage_of_new_patients_is_at_least_the_level(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    trials = 1500
    image, patient, pooled = [], [], []
    for _ in range(trials):
        scores, groups = _patients(rng, n + 1)
        old, new = groups < n, scores[groups == n]
        limit = _once(scores[old], groups[old], conformal.IMAGE, level)
        image.append((new <= limit).mean())
        limit = _once(scores[old], groups[old], conformal.PATIENT, level)
        patient.append((new <= limit).all())
        limit = _once(scores[old], np.arange(old.sum()), conformal.IMAGE, level)
        pooled.append((new <= limit).mean())
    slack = 3 * np.sqrt(level * (1 - level) / trials)
    assert np.mean(image) >= level - slack
    assert level - slack <= np.mean(patient) <= level + 1 / (n + 1) + slack
    assert np.mean(pooled) < np.mean(image) - slack, "images as examples cover less"

"""Risk and coverage against a loop; abstention keeps its bound for new patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.evaluate import selective


def _brute_aurc(confidence, wrong) -> float:
    """Each image counts when it is reached, equally confident ones together."""
    risks = [wrong[confidence >= c].mean() for c in confidence]
    return float(np.mean(risks))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_aurc_against_a_loop(rows: list[tuple[int, bool]]) -> None:
    confidence = np.array([c / 9 for c, _ in rows])
    wrong = np.array([w for _, w in rows])
    assert selective.aurc(confidence, wrong) == pytest.approx(_brute_aurc(confidence, wrong))


def test_aurc_of_equal_confidence_is_the_error_rate() -> None:
    wrong = np.arange(10) < 3
    assert selective.aurc(np.full(10, 0.4), wrong) == pytest.approx(0.3)


def test_weights_give_the_aurc_of_the_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    confidence, wrong, codes = rng.random(200), rng.random(200) < 0.3, rng.integers(0, 9, 200)
    kernel = selective.Aurc(confidence, wrong, codes, np.zeros(200, int))
    weights = rng.integers(0, 4, (5, 9)).astype(float)
    for found, w in zip(kernel(weights), weights, strict=True):
        rows = np.repeat(np.arange(200), w[codes].astype(int))
        assert found == pytest.approx(_brute_aurc(confidence[rows], wrong[rows]))


def test_aurc_in_blocks_is_near_the_exact_one() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(6000)
    wrong = rng.random(6000) > confidence
    codes = rng.integers(0, 50, 6000)
    kernel = selective.Aurc(confidence, wrong, codes, np.zeros(6000, int))
    assert kernel(np.ones((1, 50)))[0] == pytest.approx(selective.aurc(confidence, wrong))
    w = rng.integers(0, 3, 50).astype(float)
    rows = np.repeat(np.arange(6000), w[codes].astype(int))
    exact = selective.aurc(confidence[rows], wrong[rows])
    assert kernel(w[None])[0] == pytest.approx(exact, abs=1e-3)


def test_repeats_are_averaged() -> None:
    rng = np.random.default_rng(2)
    confidence, wrong = rng.random(60), rng.random(60) < 0.4
    repeats, codes = np.repeat([0, 1], 30), np.tile(np.arange(30) % 6, 2)
    found = selective.Aurc(confidence, wrong, codes, repeats)(np.ones((1, 6)))[0]
    sides = [selective.aurc(confidence[repeats == r], wrong[repeats == r]) for r in (0, 1)]
    assert found == pytest.approx(np.mean(sides))


def test_curve_thresholds_answer_the_shares() -> None:
    confidence = np.random.default_rng(3).random(40)
    for share, limit in zip(selective.COVERAGES, selective.thresholds_at(confidence), strict=True):
        assert (confidence >= limit).mean() == pytest.approx(share)


def _loss(confidence, wrong, groups, threshold: float) -> float:
    bad = wrong & (confidence > threshold)
    return float(np.mean([bad[groups == g].mean() for g in np.unique(groups)]))


@given(st.integers(0, 200), st.sampled_from([0.05, 0.1, 0.3]), st.integers(3, 30))
def test_abstention_is_the_lowest_threshold_within_the_bound(
    seed: int, target: float, n: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n), rng.integers(0, n, 2 * n)])
    confidence = rng.integers(1, 20, len(groups)) / 20
    wrong = rng.random(len(groups)) > confidence
    found = selective.abstention(confidence, wrong, groups, target)
    bound = (target * (n + 1) - 1) / n
    if bound < -1e-9:
        assert found is None
        return
    assert found is not None
    assert _loss(confidence, wrong, groups, found) <= bound + 1e-9
    lower = [c for c in (0.0, *confidence) if c < found]
    assert not lower or _loss(confidence, wrong, groups, max(lower)) > bound


def test_wrong_answers_of_new_patients_stay_within_the_target() -> None:
    rng = np.random.default_rng(5)
    n, target, losses = 20, 0.1, []
    for _ in range(1500):
        skill = rng.normal(0.5, 1.2, n + 1)
        groups = np.repeat(np.arange(n + 1), 1 + rng.poisson(5, n + 1))
        margin = skill[groups] + rng.normal(size=len(groups))
        confidence, wrong = 1 / (1 + np.exp(-np.abs(margin))), margin < 0
        old = groups < n
        limit = selective.abstention(confidence[old], wrong[old], groups[old], target)
        assert limit is not None
        losses.append((wrong[~old] & (confidence[~old] > limit)).mean())
    assert np.mean(losses) <= target + 3 * np.std(losses) / np.sqrt(len(losses))
    assert np.mean(losses) >= target - 2 / (n + 1) - 0.02, "not needlessly strict"

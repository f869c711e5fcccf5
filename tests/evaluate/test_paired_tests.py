"""Clustered tests against McNemar, DeLong, the jackknife and formulas written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from magnostic.evaluate.metrics import Floats
from magnostic.evaluate.paired_tests import AucTest, durkalski, holm, obuchowski

Truth = NDArray[np.bool_]
Codes = NDArray[np.intp]


def test_durkalski_with_one_image_a_cluster_is_mcnemars() -> None:
    times = (30, 5, 14, 9)
    first, second = np.repeat([1.0, 0, 1, 0], times), np.repeat([1.0, 1, 0, 0], times)
    test = durkalski(first, second, np.ones(58))
    assert test.statistic == pytest.approx((14 - 5) ** 2 / (14 + 5))
    assert test.p == pytest.approx(stats.chi2.sf(81 / 19, 1))
    assert test.difference == pytest.approx(9 / 58)
    assert (test.first_better, test.second_better) == (14, 5)


def test_durkalski_by_hand() -> None:
    """d = 1/2, -1/4, 1/5: (0.45)^2 / (0.25 + 0.0625 + 0.04)."""
    test = durkalski(np.array([2.0, 1, 3]), np.array([1.0, 2, 2]), np.array([2.0, 4, 5]))
    assert test.statistic == pytest.approx(0.2025 / 0.3525)
    assert test.difference == pytest.approx(0.15)


def test_durkalski_without_a_difference() -> None:
    test = durkalski(np.array([1.0, 2]), np.array([1.0, 2]), np.array([3.0, 4]))
    assert (test.difference, test.statistic, test.p) == (0, 0, None)


def test_durkalski_keeps_its_level_where_plain_mcnemar_does_not() -> None:
    rng = np.random.default_rng(0)
    clustered, plain = [], []
    for _ in range(400):
        lean = rng.choice([0.2, 0.8], 40)
        b = rng.binomial(10, lean).astype(float)
        test = durkalski(b, 10 - b, np.full(40, 10.0))
        clustered.append(test.p is not None and test.p < 0.05)
        plain.append((b.sum() - (400 - b.sum())) ** 2 / 400 > 3.84)
    assert np.mean(clustered) < 0.08
    assert np.mean(plain) > 0.2


def _delong(scores: list[Floats], positive: Truth) -> tuple[float, float]:
    """Difference and standard error after DeLong 1988, straight from its definition."""
    v10, v01 = [], []
    for s in scores:
        wins = np.array([[(x > y) + 0.5 * (x == y) for y in s[~positive]] for x in s[positive]])
        v10.append(wins.mean(axis=1))
        v01.append(wins.mean(axis=0))
    s10, s01 = np.cov(v10), np.cov(v01)
    s = s10 / positive.sum() + s01 / (~positive).sum()
    return v10[0].mean() - v10[1].mean(), float(np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1]))


def _drawn(seed: int, n: int = 60, clusters: int = 9) -> tuple[list[Floats], Truth, Codes]:
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(clusters), rng.integers(0, clusters, n - clusters)])
    positive = rng.random(n) < 0.3 + 0.4 * (codes % 2)
    hard = rng.normal(size=clusters)[codes]
    scores = [np.round(positive + hard + rng.normal(size=n), 1) for _ in range(2)]
    return scores, positive, codes


def _test(
    scores: list[Floats], positive: Truth, codes: Codes, repeats: Codes | None = None
) -> AucTest:
    first, second = (s.astype(np.float32) for s in scores)
    none = np.zeros(len(codes), np.intp)
    return obuchowski(first, second, positive, codes, none if repeats is None else repeats)


@pytest.mark.parametrize("seed", range(3))
def test_obuchowski_with_one_image_a_cluster_is_delongs(seed: int) -> None:
    scores, positive, _ = _drawn(seed)
    difference, error = _delong(scores, positive)
    test = _test(scores, positive, np.arange(60))
    # DeLong has no cross term: here a cluster with a positive has no negative, and x y = 0.
    assert test.difference == pytest.approx(difference)
    assert test.standard_error == pytest.approx(error)
    df = min(positive.sum(), (~positive).sum()) - 1
    assert test.p == pytest.approx(2 * stats.t.sf(abs(difference / error), df))


def test_obuchowski_seldom_rejects_where_few_clusters_hold_the_class() -> None:
    """Equal systems; with normal quantiles 23% of such tests reject at 5%."""
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(22), 8)
    positive = codes < 2
    rejected = 0
    for _ in range(100):
        scores = [rng.normal(size=22)[codes] + rng.normal(size=len(codes)) for _ in range(2)]
        p = _test(scores, positive, codes).p
        rejected += p is not None and p < 0.05
    assert rejected <= 10


def _by_definition(scores: list[Floats], positive: Truth, codes: Codes) -> float:
    """Variance of the difference from S10, S01, S11 of each pair of tests, as the paper has it."""
    m, n = positive.sum(), (~positive).sum()
    xs, ys = [], []
    for s in scores:
        wins = (s[positive][:, None] > s[~positive]) + 0.5 * (s[positive][:, None] == s[~positive])
        area = wins.mean()
        x, y = np.zeros(codes.max() + 1), np.zeros(codes.max() + 1)
        for row, c in zip(wins, codes[positive], strict=True):
            x[c] += row.mean() - area
        for column, c in zip(wins.T, codes[~positive], strict=True):
            y[c] += column.mean() - area
        xs.append(x)
        ys.append(y)
    i10, i01, i = len(set(codes[positive])), len(set(codes[~positive])), len(set(codes))

    def cov(r: int, s: int) -> float:
        s10 = i10 / ((i10 - 1) * m) * (xs[r] * xs[s]).sum()
        s01 = i01 / ((i01 - 1) * n) * (ys[r] * ys[s]).sum()
        s11 = i / (i - 1) * np.array([(xs[r] * ys[s]).sum(), (xs[s] * ys[r]).sum()])
        return float(s10 / m + s01 / n + s11.sum() / (m * n))

    return cov(0, 0) + cov(1, 1) - 2 * cov(0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_obuchowski_by_its_definition(seed: int) -> None:
    scores, positive, codes = _drawn(seed)
    test = _test(scores, positive, codes)
    assert test.standard_error == pytest.approx(np.sqrt(_by_definition(scores, positive, codes)))


def test_obuchowski_is_near_the_clustered_jackknife() -> None:
    scores, positive, codes = _drawn(4, n=400, clusters=40)

    def difference(keep: Truth) -> float:
        areas = []
        for s in scores:
            u = stats.mannwhitneyu(s[keep & positive], s[keep & ~positive]).statistic
            areas.append(u / ((keep & positive).sum() * (keep & ~positive).sum()))
        return float(areas[0] - areas[1])

    left_out = np.array([difference(codes != k) for k in range(40)])
    jackknife = np.sqrt(39 / 40 * ((left_out - left_out.mean()) ** 2).sum())
    test = _test(scores, positive, codes)
    assert test.difference == pytest.approx(difference(codes >= 0))
    assert test.standard_error == pytest.approx(jackknife, rel=0.1)


def test_repeats_are_averaged_not_taken_for_new_patients() -> None:
    scores, positive, codes = _drawn(1)
    once = _test(scores, positive, codes)
    twice = _test(
        [np.concatenate([s, s]) for s in scores],
        np.tile(positive, 2),
        np.tile(codes, 2),
        np.repeat([0, 1], 60),
    )
    assert twice.difference == pytest.approx(once.difference)
    assert twice.standard_error == pytest.approx(once.standard_error)


def test_no_auc_test_says_why() -> None:
    scores, positive, codes = _drawn(1)
    assert _test([scores[0], scores[0]], positive, codes).reason == "the two systems rank alike"
    assert "needs images" in str(_test(scores, np.zeros(60, bool), codes).reason)
    one = codes == 3
    found = _test(scores, one, codes)
    assert found.reason == "the class stands in one cluster only"
    assert found.difference is not None
    assert _test(scores, ~one, codes).reason == "the other classes stand in one cluster only"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_by_brute_force(values: list[float | None]) -> None:
    """The smallest level at which stepping down rejects the hypothesis, found by stepping down."""
    corrected = holm(values)
    known = sorted(p for p in values if p is not None)
    for p, got in zip(values, corrected, strict=True):
        if p is None:
            assert got is None
            continue
        expected = max(q * (len(known) - rank) for rank, q in enumerate(known) if q <= p)
        # Ties: the step of the first of equals is the highest.
        assert got == pytest.approx(min(1.0, expected))


def test_holm_as_printed_in_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

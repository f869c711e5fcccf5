"""Intervals and p values against scipy, the t interval and each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from magnostic.evaluate import intervals
from magnostic.evaluate.bootstrap import Sampling, draw, resample
from magnostic.evaluate.metrics import Floats


def _mean_of(values: Floats) -> Floats:
    """Draws of the mean of clusters, float64 [4000]."""
    n = len(values)
    picked = np.random.default_rng(1).integers(0, n, (4000, n))
    means: Floats = values[picked].mean(axis=1)
    return means


@pytest.mark.parametrize("seed", range(4))
def test_bca_equals_scipys(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(size=25)
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=3000, method="BCa", rng=np.random.default_rng(seed)
    )
    left_out = np.array([np.delete(values, k).mean() for k in range(25)])
    draws = found.bootstrap_distribution
    tails = intervals.bca_tails(draws, values.mean(), left_out, 0.95)
    ours = intervals.limits(draws, tails)
    assert ours == pytest.approx(tuple(found.confidence_interval), rel=1e-6)


def test_bca_of_a_symmetric_figure_is_the_percentile_interval() -> None:
    values = np.concatenate([np.arange(1.0, 11), -np.arange(1.0, 11)])
    draws = np.concatenate([np.linspace(0.01, 3, 500), -np.linspace(0.01, 3, 500)])
    left_out = np.array([np.delete(values, k).mean() for k in range(20)])
    assert intervals.bca_tails(draws, 0.0, left_out, 0.9) == pytest.approx((0.05, 0.95))


def test_bca_falls_back_where_no_draw_lies_on_one_side() -> None:
    tails = intervals.bca_tails(np.full(10, 2.0), 1.0, np.array([1.0, 1.5]), 0.95)
    assert tails == intervals.percentile_tails(0.95)
    nowhere = intervals.bca_tails(np.array([0.0, 1, 2]), 1.0, np.full(3, np.nan), 0.95)
    assert nowhere == pytest.approx(intervals.percentile_tails(0.95))


def test_resample_makes_the_interval_that_is_asked_for() -> None:
    """Of a skewed figure BCa lies further out in its tail; expanded is wider on both sides."""
    values = np.random.default_rng(3).exponential(size=30)

    def statistic(w: Floats) -> dict[str, Floats]:
        return {"mean": (w @ values) / w.sum(axis=1)}

    def limits(kind: intervals.Interval) -> tuple[float, float]:
        found = resample(statistic, 30, Sampling(2000, interval=kind), "x")["mean"][0]
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high

    percentile, bca, expanded = limits("percentile"), limits("bca"), limits("expanded")
    assert bca[0] > percentile[0]
    assert bca[1] > percentile[1]
    assert expanded[0] < percentile[0] < percentile[1] < expanded[1]


def test_expanded_interval_of_a_mean_is_the_t_interval() -> None:
    values = np.random.default_rng(5).normal(size=12)
    draws = _mean_of(values)
    low, high = intervals.limits(draws, intervals.expanded_tails(0.95, 12, 11))
    t = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(t, abs=0.08)
    narrow = intervals.limits(draws, intervals.percentile_tails(0.95))
    assert high - low > 1.1 * (narrow[1] - narrow[0])


def test_expanded_tails_as_published() -> None:
    """Hesterberg 2015: ``Phi(-sqrt(n / (n - 1)) t)``; none is needed with very many clusters."""
    z = -np.sqrt(10 / 9) * stats.t.ppf(0.975, 9)
    assert intervals.expanded_tails(0.95, 10, 9) == pytest.approx(
        (stats.norm.cdf(z), stats.norm.sf(z))
    )
    assert intervals.expanded_tails(0.95, 10**6, 10**6)[0] == pytest.approx(0.025, abs=1e-5)


def test_degrees_of_freedom_follow_kurtosis() -> None:
    """Leave-one-out means deviate as the values do, so that scipy's kurtosis of them serves."""
    for seed in range(5):
        values = np.random.default_rng(seed).standard_t(3, size=30)
        left_out = (values.sum() - values) / 29
        k = stats.kurtosis(values)
        expected = min(29.0, 60 / (k + 2)) if k > 0 else 29.0
        assert intervals.degrees_of_freedom(left_out) == pytest.approx(expected)
    assert intervals.degrees_of_freedom(np.ones(9)) == 8
    assert intervals.degrees_of_freedom(np.array([1.0, 2])) == 1
    one_carries_all = np.append(np.zeros(49), 1.0)
    assert 1 <= intervals.degrees_of_freedom(one_carries_all) < 2.2
    with_gap = np.append(np.random.default_rng(0).normal(size=20), np.nan)
    assert intervals.degrees_of_freedom(with_gap) <= 20


def test_degrees_of_freedom_are_those_of_the_variance() -> None:
    """Satterthwaite: 2 V^2 / Var(V) of the variance V of many sets of a heavy-tailed variable."""
    sets = np.random.default_rng(2).laplace(size=(2000, 1500))
    variance = sets.var(axis=1)
    truth = 2 * variance.mean() ** 2 / variance.var()
    found = np.median([intervals.degrees_of_freedom(s) for s in sets[:300]])
    assert found == pytest.approx(truth, rel=0.1)


def test_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(5).normal(size=12)
    assert intervals.standard_error(_mean_of(values), 12) == pytest.approx(
        stats.sem(values), rel=0.05
    )
    assert intervals.standard_error(np.array([1.0, np.nan]), 12) is None


@given(
    seed=st.integers(0, 10_000),
    shift=st.floats(-3, 3),
    n_clusters=st.integers(2, 80),
    b=st.integers(20, 300),
    share=st.floats(0, 1),
)
def test_p_is_below_alpha_exactly_where_the_interval_leaves_zero_out(
    seed: int, shift: float, n_clusters: int, b: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    draws = np.round(rng.normal(shift, 1, b), rng.integers(0, 3))
    df = max(1.0, share * (n_clusters - 1))
    p = intervals.p_value(draws, n_clusters, df)
    assert p is not None
    for confidence in (0.5, 0.9, 0.95):
        tails = intervals.expanded_tails(confidence, n_clusters, df)
        low, high = intervals.limits(draws, tails)
        if tails[0] > 1 / (b + 1) and abs(p - (1 - confidence)) > 1e-9:
            assert (p < 1 - confidence) == (low > 0 or high < 0)


def test_p_of_a_mean_is_the_t_tests() -> None:
    values = np.random.default_rng(8).normal(0.45, 1, size=20)
    p = intervals.p_value(_mean_of(values), 20, 19)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.015)


def test_p_at_the_ends() -> None:
    assert intervals.p_value(np.zeros(50), 10, 9) == 1.0
    never = intervals.p_value(np.full(999, 2.0), 10, 9)
    assert never is not None
    assert 0 < never < 0.05
    assert intervals.p_value(np.array([1.0]), 10, 9) is None
    assert intervals.p_value(np.ones(9), 1, 1) is None


def test_minimum_detectable_difference_is_found_in_four_of_five_studies() -> None:
    """20 clusters with standard deviation 1: t tests of a mean at the minimum detectable size."""
    error = 1 / np.sqrt(20)
    size = intervals.minimum_detectable(error, 19, 0.95)
    t = stats.t(19)
    assert size == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * error)
    rng = np.random.default_rng(0)
    tests = stats.ttest_1samp(rng.normal(size, 1, (4000, 20)), 0, axis=1).pvalue < 0.05
    assert tests.mean() == pytest.approx(intervals.POWER, abs=0.025)


def test_left_out_figures_are_those_without_a_cluster() -> None:
    values = np.arange(5.0)
    drawn = draw(
        lambda w: {"mean": (w @ values) / w.sum(axis=1)}, 5, Sampling(20, interval="bca"), "x"
    )
    assert drawn.left_out is not None
    assert drawn.left_out["mean"][:, 0] == pytest.approx([2.5, 2.25, 2.0, 1.75, 1.5])

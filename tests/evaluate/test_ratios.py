"""Shares and means against the plain computation."""

from __future__ import annotations

import numpy as np
import pytest

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.ratios import Ratios


def _rows():
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, 90), rng.random(90), rng.random(90) < 0.4


def test_means_over_rows_and_over_clusters() -> None:
    codes, values, among = _rows()
    ratios = Ratios(codes, 7, np.zeros(90))
    ratios.add("mean", values)
    ratios.add("some", values, among)
    ratios.add("even", values, among, even=True)
    ratios.derive("twice", lambda v: 2 * v["mean"])
    found = ratios.estimates(Sampling(200), "x")
    assert found["mean"].estimate == pytest.approx(values.mean())
    assert found["some"].estimate == pytest.approx(values[among].mean())
    clusters = [values[among & (codes == g)].mean() for g in range(7)]
    assert found["even"].estimate == pytest.approx(np.mean(clusters))
    assert found["twice"].estimate == pytest.approx(2 * values.mean())
    for estimate in found.values():
        assert estimate.low < estimate.estimate < estimate.high


def test_repeats_are_averaged() -> None:
    codes, values, _ = _rows()
    repeats = np.repeat([0, 1, 2], [50, 30, 10])
    ratios = Ratios(codes, 7, repeats)
    ratios.add("mean", values)
    found = ratios.estimates(Sampling(0), "x")["mean"]
    assert found.estimate == pytest.approx(np.mean([values[repeats == r].mean() for r in range(3)]))
    assert found.low is None


def test_one_cluster_has_no_interval_and_no_rows_no_figure() -> None:
    codes, values, among = _rows()
    ratios = Ratios(codes, 7, np.zeros(90))
    ratios.add("one", values, codes == 3)
    ratios.add("none", values, np.zeros(90, bool))
    ratios.add("some", values, among)
    found = ratios.estimates(Sampling(50), "x")
    assert found["one"].low is None
    assert "one cluster only" in str(found["one"].reason)
    assert found["none"].estimate is None


def test_what_is_right_in_every_cluster_has_no_limits() -> None:
    """Limits of no width would claim certainty, in what is derived from them too."""
    codes, _, among = _rows()
    ratios = Ratios(codes, 7, np.zeros(90))
    ratios.add("all right", np.ones(90), among)
    ratios.derive("the same", lambda v: v["all right"])
    for estimate in ratios.estimates(Sampling(200), "x").values():
        assert estimate.estimate == 1
        assert estimate.low is None
        assert estimate.reason == "the same in every resample"

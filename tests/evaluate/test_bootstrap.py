"""Intervals: whole clusters, deterministic, and honest where there is nothing to resample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from magnostic.evaluate.bootstrap import Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import OVERALL
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally, score

Draw = Callable[..., Predictions]


def test_weights_give_the_figures_of_the_repeated_rows(drawn: Draw) -> None:
    predictions = drawn(1, n=80)
    found = clusters(predictions.table, "patient")
    weights = np.random.default_rng(0).integers(0, 4, (6, found.n)).astype(float)
    values = Tally.of(predictions, found.codes, found.n).values(weights)
    for b, w in enumerate(weights):
        rows = np.repeat(np.arange(80), w[found.codes].astype(int))
        repeated = predictions.table.iloc[rows].reset_index(drop=True)
        repeated["image_id"] = [f"r{k}" for k in range(len(rows))]
        expected = score(Predictions(repeated))
        for name in OVERALL:
            assert values[name][b] == pytest.approx(expected[name]), name


def test_repeats_are_averaged(drawn: Draw, pooled: Callable[..., Predictions]) -> None:
    sides = [drawn(seed, repeat=seed) for seed in (0, 1)]
    both = pooled(*sides)
    found = clusters(both.table, "patient")
    values = Tally.of(both, found.codes, found.n).values(np.ones((1, found.n)))
    for name in ("accuracy", "macro_f1", "macro_auc", "log_loss"):
        expected = np.mean([score(side)[name] for side in sides])
        assert values[name][0] == pytest.approx(expected)


def _interval(predictions: Predictions, unit: str = "patient", **options: int) -> list[float]:
    found = clusters(predictions.table, unit)
    tally = Tally.of(predictions, found.codes, found.n)
    estimate = resample(tally.values, found.n, Sampling(**options), "x", tally.width)["accuracy"][0]
    assert estimate.low is not None
    assert estimate.high is not None
    return [estimate.low, estimate.high]


def test_seed_fixes_the_interval_and_row_order_does_not_matter(drawn: Draw) -> None:
    predictions = drawn(2, n=200)
    shuffled = predictions.table.sample(frac=1, random_state=0).reset_index(drop=True)
    first = _interval(predictions, seed=4)
    assert _interval(Predictions(shuffled), seed=4) == first
    assert _interval(predictions, seed=5) != first


def test_clusters_widen_the_interval(drawn: Draw) -> None:
    table = drawn(3, n=400, patients=8).table
    hard = table["patient_id"].isin(["s0", "s1", "s2", "s3"])
    table.loc[hard, "y_pred"] = "A"
    by_patient = _interval(Predictions(table))
    by_image = _interval(Predictions(table.assign(patient_id=None)))
    assert by_patient[1] - by_patient[0] > 1.5 * (by_image[1] - by_image[0])


def test_percentiles_of_a_known_statistic() -> None:
    """The mean of 100 cluster values: the interval is near the normal one."""
    values = np.random.default_rng(0).normal(size=100)
    found = resample(lambda w: {"mean": (w @ values) / w.sum(axis=1)}, 100, Sampling(4000), "mean")[
        "mean"
    ][0]
    half = 1.96 * values.std() / 10
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


@pytest.mark.parametrize(
    ("n_clusters", "resamples", "says"), [(1, 100, "fewer than two"), (5, 0, "no resamples")]
)
def test_no_interval_says_why(n_clusters: int, resamples: int, says: str) -> None:
    found = resample(lambda w: {"total": w.sum(axis=1)}, n_clusters, Sampling(resamples), "x")[
        "total"
    ][0]
    assert found.estimate == n_clusters
    assert found.low is None
    assert says in str(found.as_dict()["reason"])


def test_chunks_do_not_change_the_interval(drawn: Draw) -> None:
    predictions = drawn(6)
    found = clusters(predictions.table, "patient")
    tally = Tally.of(predictions, found.codes, found.n)
    one, many = (
        resample(tally.values, found.n, Sampling(300), "x", width)["macro_auc"][0]
        for width in (1, 2**20)
    )
    assert one == many


def test_missing_ids_make_images_the_unit_and_say_so(drawn: Draw) -> None:
    table = drawn(1).table
    none = clusters(table.assign(patient_id=None), "patient")
    assert (none.unit, none.n) == ("image", 60)
    assert "too narrow" in str(none.warning)
    some = clusters(table.assign(patient_id=table["patient_id"].where(table.index > 2)), "patient")
    assert some.unit == "patient"
    assert "3 of 60 images have no patient id" in str(some.warning)
    assert clusters(table, "patient").warning is None


def test_an_image_named_like_a_patient_stays_apart() -> None:
    table = pd.DataFrame({"image_id": ["p1", "x"], "patient_id": [None, "p1"]})
    assert clusters(table, "patient").n == 2


def test_unit_follows_the_protocol() -> None:
    assert unit_of("accession") == "accession"
    assert unit_of("random") == unit_of("patient") == unit_of("official") == "patient"

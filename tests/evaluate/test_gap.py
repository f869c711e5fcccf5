"""The paired difference between the random-image protocol and a grouped one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.gap import compare
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import score

Draw = Callable[..., Predictions]


def _as(predictions: Predictions, protocol: str) -> Predictions:
    return Predictions(predictions.table.assign(protocol=protocol))


def test_equal_predictions_have_no_gap(drawn: Draw) -> None:
    predictions = drawn(1)
    found = compare(_as(predictions, "random"), predictions, "patient", Sampling(50), "x")
    assert found is not None
    for name in ("accuracy", "macro_f1"):
        assert [found[name][k] for k in ("estimate", "low", "high")] == [0, 0, 0]


def test_points_over_common_images(drawn: Draw) -> None:
    strong, weak = drawn(1, protocol="random", skill=4.0), drawn(1, skill=0.2)
    fewer = Predictions(weak.table.iloc[:45].reset_index(drop=True))
    found = compare(strong, fewer, "patient", Sampling(200), "x")
    assert found is not None
    assert found["n_images"] == 45
    above = score(Predictions(strong.table.iloc[:45].reset_index(drop=True)))["accuracy"]
    below = score(fewer)["accuracy"]
    assert above is not None
    assert below is not None
    assert found["accuracy"]["estimate"] == pytest.approx(100 * (above - below))
    assert found["accuracy"]["random"] == pytest.approx(above)
    assert 0 < found["accuracy"]["low"] < found["accuracy"]["estimate"] < found["accuracy"]["high"]


def test_unit_is_the_grouped_protocols(drawn: Draw) -> None:
    predictions = drawn(1)
    found = compare(_as(predictions, "random"), predictions, "accession", Sampling(10), "x")
    assert found is not None
    assert found["cluster"] == "accession"


def test_no_common_image_no_gap(drawn: Draw) -> None:
    random = drawn(1, protocol="random")
    other = Predictions(random.table.assign(image_id="z" + random.table["image_id"]))
    assert compare(random, other, "patient", Sampling(10), "x") is None

"""Operating points against scikit-learn's curve and Bayes' rule on counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from magnostic.errors import BadInput
from magnostic.evaluate import thresholds

Images = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({positive for _, positive in rows}) == 2
)


def _arrays(rows: list[tuple[int, bool]]):
    return np.array([s / 20 for s, _ in rows]), np.array([p for _, p in rows])


def _rates(scores, positive, threshold: float) -> tuple[float, float]:
    called = scores >= threshold
    return called[positive].mean(), (~called)[~positive].mean()


@given(Images)
def test_youden_is_the_curves_best(rows: list[tuple[int, bool]]) -> None:
    scores, positive = _arrays(rows)
    false, found, _ = roc_curve(positive, scores, drop_intermediate=False)
    sensitivity, specificity = _rates(scores, positive, thresholds.youden(scores, positive))
    assert sensitivity + specificity - 1 == pytest.approx((found - false).max())


@given(Images, st.floats(0.05, 1))
def test_reaching_is_the_highest_threshold_that_does(
    rows: list[tuple[int, bool]], target: float
) -> None:
    scores, positive = _arrays(rows)
    threshold = thresholds.reaching(scores, positive, target)
    assert _rates(scores, positive, threshold)[0] >= target - 1e-9
    assert _rates(scores, positive, np.nextafter(threshold, 2))[0] < target


def test_points_need_both_kinds() -> None:
    scores = np.array([0.2, 0.9])
    for point in (thresholds.YOUDEN, thresholds.SENSITIVITY):
        assert thresholds.lock(point, scores, np.array([True, True])) is None
    assert thresholds.lock(thresholds.HALF, scores, np.array([True, True])) == 0.5


def test_youden_lies_midway() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.7])
    assert thresholds.youden(scores, np.array([False, False, True, True])) == pytest.approx(0.4)


def _metric(value: float) -> dict[str, float]:
    return {"estimate": value, "low": 0.9 * value, "high": min(1.0, 1.1 * value)}


@pytest.mark.parametrize("prevalence", [0.01, 0.5, 0.7])
def test_predictive_values_follow_bayes(prevalence: float) -> None:
    se, sp = 0.9, 0.8
    ppv, npv = thresholds.even_values(np.array([se]), np.array([sp]))
    point = {"ppv_even": _metric(ppv[0]), "npv_even": _metric(npv[0])}
    found = thresholds.at_prevalence(point, prevalence)
    sick, well = prevalence, 1 - prevalence
    assert found["ppv"]["estimate"] == pytest.approx(se * sick / (se * sick + (1 - sp) * well))
    assert found["npv"]["estimate"] == pytest.approx(sp * well / (sp * well + (1 - se) * sick))
    for value in found.values():
        assert value["low"] < value["estimate"] < value["high"]


def test_nothing_called_positive_has_no_ppv() -> None:
    ppv, npv = thresholds.even_values(np.array([0.0]), np.array([1.0]))
    assert np.isnan(ppv[0])
    assert npv[0] == 0.5
    nothing = {"estimate": None, "low": None, "high": None}
    point = {"ppv_even": nothing, "npv_even": _metric(0.5)}
    assert thresholds.at_prevalence(point, 0.1)["ppv"]["estimate"] is None


@pytest.mark.parametrize("prevalence", [0, 1, -0.2, 7])
def test_a_prevalence_is_a_share(prevalence: float) -> None:
    point = {"ppv_even": _metric(0.5), "npv_even": _metric(0.5)}
    with pytest.raises(BadInput, match="above 0 and below 1"):
        thresholds.at_prevalence(point, prevalence)

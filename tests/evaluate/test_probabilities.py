"""What metrics.json and calibration.json hold of probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from magnostic.evaluate import conformal
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import assess, fit_for_use
from magnostic.evaluate.summary import summarize
from magnostic.taxonomy import CODES

Draw = Callable[..., Predictions]
SAMPLING = Sampling(40, seed=3)


@pytest.fixture(scope="module")
def types(drawn: Draw) -> Predictions:
    """600 images of 60 patients in 3 folds that keep patients apart."""
    return drawn(1, n=600, classes=CODES, patients=60, skill=1.5, ties=False)


def _assess(predictions: Predictions, protocol: str = "patient") -> dict[str, Any]:
    return assess(predictions, protocol, SAMPLING)


def test_shape(types: Predictions) -> None:
    found = _assess(types)
    assert (found["source"], found["reason"], found["patients"]) == ("out-of-fold", None, "new")
    assert (found["n"], found["n_clusters"], found["cluster"]) == (600, 60, "patient")
    assert len(found["temperatures"]) == 3
    for version in ("raw", "calibrated"):
        assert sum(b["n"] for b in found[version]["bins"]) == 600
        parts = found[version]
        total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
        assert total == pytest.approx(parts["brier"]["estimate"])
    assert [p["point"] for p in found["binary"]["points"]] == ["half", "youden", "sensitivity"]
    assert len(found["conformal"]) == len(conformal.LEVELS) * len(conformal.UNITS)
    for entry in found["conformal"]:
        assert sum(entry["sizes"]) == 600
        assert [c["class"] for c in entry["by_class"]] == list(CODES)
        assert [m["magnification"] for m in entry["by_magnification"]] == [40, 100, 200, 400]
        assert sum(c["n"] for c in entry["by_class"]) == 600
    assert found["selective"]["curve"][-1]["coverage"] == 1
    wrong = (types.table["y_true"] != types.table["y_pred"]).mean()
    assert found["selective"]["risk"]["estimate"] == pytest.approx(wrong)


def test_temperature_mends_what_is_too_extreme(drawn: Draw) -> None:
    """Every other logit is doubled: calibrated figures are better, the order is the same."""
    table = drawn(2, n=600, patients=60, skill=1.0, ties=False).table.copy()
    names = [c for c in table.columns if c.startswith("p_")]
    p = table[names].to_numpy(float) ** 3
    table[names] = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    found = _assess(Predictions(table))
    assert all(2 < t < 4.5 for t in found["temperatures"])
    for figure in ("log_loss", "brier"):
        assert found["calibrated"][figure]["estimate"] < found["raw"][figure]["estimate"]
    assert found["calibrated"]["ece"] < found["raw"]["ece"] / 2


def test_log_loss_is_that_of_the_metrics(types: Predictions) -> None:
    metrics = summarize(types, resamples=0, confidence=0.95, seed=3, not_estimable={})
    patient = metrics["protocols"]["patient"]
    assert patient["probabilities"]["raw"]["log_loss"]["estimate"] == pytest.approx(
        patient["overall"]["log_loss"]["estimate"], rel=1e-6
    )


def test_sets_cover_and_grow_with_the_level(types: Predictions) -> None:
    found = {(e["level"], e["unit"]): e for e in _assess(types)["conformal"]}
    for (level, unit), entry in found.items():
        assert entry["certifiable"]
        assert entry["coverage"]["estimate"] >= level - 0.1
        assert entry["size"]["estimate"] <= found[level, "patient"]["size"]["estimate"], unit
    sizes = [found[level, "image"]["size"]["estimate"] for level in conformal.LEVELS]
    assert sizes == sorted(sizes)


def test_too_few_patients_are_not_certified(drawn: Draw) -> None:
    found = _assess(drawn(4, n=90, patients=9))
    levels = {(e["level"], e["unit"]): e for e in found["conformal"]}
    few = levels[0.9, "image"]
    assert few["n_calibration"] == [6, 6]
    assert not few["certifiable"]
    assert few["sizes"] == [0, 0, 0, 90]
    assert few["coverage"]["estimate"] == 1
    assert levels[0.8, "image"]["certifiable"]
    abstention = found["selective"]["abstention"]
    assert abstention == {"target": 0.1, "certifiable": False, "thresholds": []}
    stored = fit_for_use(drawn(4, n=90, patients=8), "patient")
    assert stored is not None
    assert [e["limit"] is None for e in stored["conformal"]] == [False] * 2 + [True] * 4
    assert stored["abstention"]["threshold"] is None


def test_a_folds_labels_do_not_change_what_is_applied_to_it(types: Predictions) -> None:
    table = types.table.copy()
    held = table["fold"] == 1
    table.loc[held, "y_true"] = np.roll(table.loc[held, "y_true"].to_numpy(), 7)
    before, after = _assess(types), _assess(Predictions(table))
    assert before["temperatures"][1] == after["temperatures"][1]
    assert before["temperatures"][0] != after["temperatures"][0]
    for old, new in zip(before["binary"]["points"], after["binary"]["points"], strict=True):
        assert (
            old["thresholds"][-1 if len(old["thresholds"]) == 1 else 1]
            == (new["thresholds"][-1 if len(new["thresholds"]) == 1 else 1])
        )
    rule = [f["selective"]["abstention"]["thresholds"][1] for f in (before, after)]
    assert rule[0] == rule[1]


def test_binary_of_types_is_binary_of_their_sums(types: Predictions) -> None:
    from magnostic.evaluate.collapse import collapse

    summed, binary = _assess(types)["binary"], _assess(collapse(types))["binary"]
    assert summed.pop("summed")
    assert not binary.pop("summed")
    assert summed == binary


def test_own_classes(drawn: Draw) -> None:
    assert _assess(drawn(1, classes=("a", "b", "c")))["binary"] is None
    assert _assess(drawn(1, classes=("no", "yes")))["binary"]["positive"] == "yes"
    stored = fit_for_use(drawn(1, classes=("a", "b", "c")), "patient")
    assert stored is not None
    assert stored["thresholds"] is None


def test_one_kind_only_locks_no_threshold(drawn: Draw) -> None:
    table = drawn(1, classes=("benign", "malignant")).table.assign(y_true="malignant")
    points = _assess(Predictions(table))["binary"]["points"]
    assert points[0]["specificity"]["estimate"] is None
    assert "both kinds" in points[1]["reason"]


def test_a_single_fold_is_fitted_on_validation_alone(types: Predictions) -> None:
    part = np.where(types.table["fold"] == 0, "val", "test")
    one = types.table.assign(part=part, fold=np.int16(0))
    stored = fit_for_use(Predictions(one), "patient")
    assert stored is not None
    assert stored["source"] == "validation"
    assert stored["fitted_on"] == sorted(one.loc[part == "val", "image_id"])
    table = one.copy()
    table.loc[part == "test", "y_true"] = "A"
    assert fit_for_use(Predictions(table), "patient") == stored, "test labels play no part"
    bare = one[part == "test"].reset_index(drop=True)
    assert fit_for_use(Predictions(bare), "patient") is None
    found = _assess(Predictions(bare))
    assert found["source"] is None
    assert found["calibrated"] is None
    assert found["conformal"] == []
    assert found["selective"]["abstention"] is None
    assert "nothing to lock it on" in found["binary"]["points"][1]["reason"]


def test_for_use_is_fitted_on_all_out_of_fold_predictions(types: Predictions) -> None:
    stored = fit_for_use(types, "patient")
    assert stored is not None
    assert stored["fitted_on"] == sorted(types.table["image_id"])
    assert stored["n_groups"] == 60
    assert stored["thresholds"]["positive"] == "malignant"
    for entry in stored["conformal"]:
        members = conformal.sets(types.probabilities, entry["limit"])
        assert members[np.arange(600), types.true_index].mean() >= entry["level"] - 0.05


def test_json_deterministic_and_free_of_row_order(types: Predictions) -> None:
    order = np.random.default_rng(0).permutation(600)
    shuffled = Predictions(types.table.iloc[order].reset_index(drop=True))
    first = json.dumps(_assess(types), allow_nan=False)
    assert first == json.dumps(_assess(types), allow_nan=False)
    other = _assess(shuffled)
    assert other["temperatures"] == pytest.approx(_assess(types)["temperatures"])
    assert other["conformal"][0]["coverage"] == pytest.approx(
        _assess(types)["conformal"][0]["coverage"]
    )
    assert json.dumps(fit_for_use(types, "patient"), allow_nan=False)


@pytest.mark.parametrize("lost", [("patient_id", "slide_id", "accession"), ("magnification",)])
def test_missing_ids_and_magnifications(types: Predictions, lost: tuple[str, ...]) -> None:
    found = _assess(Predictions(types.table.assign(**dict.fromkeys(lost))))
    assert found["cluster"] == ("image" if "patient_id" in lost else "patient")
    assert bool(found["conformal"][0]["by_magnification"]) == ("patient_id" in lost)


def test_random_images_say_nothing_of_new_patients(drawn: Draw) -> None:
    assert _assess(drawn(1, protocol="random"), "random")["patients"] == "known"

"""Comparisons on simulated patients: what is there is found, what is not is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from magnostic.errors import BadInput
from magnostic.evaluate.collapse import collapse
from magnostic.evaluate.compare import compare
from magnostic.evaluate.predictions import Predictions

Draw = Callable[..., Predictions]
Pooled = Callable[..., Predictions]
BINARY = ("benign", "malignant")


def improved(predictions: Predictions, patients: set[str]) -> Predictions:
    """Every image of these patients called rightly, for sure."""
    table = predictions.table.copy()
    rows = table["patient_id"].isin(patients)
    table.loc[rows, "y_pred"] = table.loc[rows, "y_true"]
    for c in predictions.classes:
        table.loc[rows, f"p_{c}"] = (table.loc[rows, "y_true"] == c).astype(np.float32)
    return Predictions(table)


def pair(first: Predictions, second: Predictions, **options: Any) -> dict[str, Any]:
    found = compare({"one": first, "two": second}, "patient", resamples=500, **options)
    result: dict[str, Any] = found["pairs"][0]
    return result


def test_differences_are_scikit_learns(drawn: Draw) -> None:
    first, second = drawn(1, n=200, skill=2.0), drawn(1, n=200, skill=0.5)
    found = pair(first, second)["figures"]
    sides = [s.table for s in (first, second)]
    p = [s.probabilities for s in (first, second)]
    expected = {
        "accuracy": [(t["y_true"] == t["y_pred"]).mean() for t in sides],
        "balanced_accuracy": [balanced_accuracy_score(t["y_true"], t["y_pred"]) for t in sides],
        "macro_f1": [f1_score(t["y_true"], t["y_pred"], average="macro") for t in sides],
        "macro_auc": [
            np.mean([roc_auc_score(t["y_true"] == c, q[:, k]) for k, c in enumerate(first.classes)])
            for t, q in zip(sides, p, strict=True)
        ],
    }
    assert set(found) == set(expected)
    for name, (ours, theirs) in expected.items():
        assert found[name]["first"] == pytest.approx(ours)
        assert found[name]["second"] == pytest.approx(theirs)
        assert found[name]["estimate"] == pytest.approx(100 * (ours - theirs))


def test_two_classes_have_sensitivity_and_specificity(drawn: Draw) -> None:
    first, second = drawn(1, classes=BINARY), drawn(1, classes=BINARY, skill=0.1)
    found = pair(first, second)
    table = first.table
    sensitivity = recall_score(table["y_true"], table["y_pred"], pos_label="malignant")
    specificity = recall_score(table["y_true"], table["y_pred"], pos_label="benign")
    assert found["figures"]["sensitivity"]["first"] == pytest.approx(sensitivity)
    assert found["figures"]["specificity"]["first"] == pytest.approx(specificity)
    assert [test["class"] for test in found["auc_tests"]] == ["malignant"]
    auc = found["figures"]["macro_auc"]["estimate"]
    assert found["auc_tests"][0]["difference"] == pytest.approx(auc)


def test_sensitivity_rests_on_the_patients_of_its_class(drawn: Draw) -> None:
    weak = drawn(2, n=300, patients=20, classes=BINARY, skill=0.3)
    truth = weak.table.groupby("patient_id")["y_true"].agg(lambda y: (y == "malignant").any())
    some = set(truth.index[truth][:4])
    rows = weak.table["patient_id"].isin(some) & (weak.table["y_true"] == "malignant")
    table = weak.table.copy()
    table.loc[rows, ["y_pred", "p_benign", "p_malignant"]] = ["malignant", 0.0, 1.0]
    others = ~table["patient_id"].isin(some) & (table["y_true"] == "benign")
    table.loc[others, ["y_pred", "p_benign", "p_malignant"]] = ["benign", 1.0, 0.0]
    figures = pair(Predictions(table), weak)["figures"]
    assert figures["sensitivity"]["differing"] <= 4
    assert figures["sensitivity"]["n_clusters"] == truth.sum()
    assert not figures["sensitivity"]["supported"]
    assert figures["accuracy"]["differing"] > 6


def test_more_pairs_ask_for_more_differing_patients(drawn: Draw) -> None:
    weak = drawn(2, n=300, patients=20, skill=0.3)
    strong = improved(weak, {f"s{k}" for k in range(6)})
    tables = {"one": strong, "two": weak, "three": improved(weak, {"s19"})}
    alone = pair(strong, weak)["figures"]["accuracy"]
    assert alone["differing"] == 6
    among = compare(tables, "patient", resamples=500)["pairs"][0]["figures"]["accuracy"]
    assert not among["supported"], "of 2^6 exchanges two, thrice: 9%"
    assert among["minimum_detectable"] > alone["minimum_detectable"]


def test_a_real_difference_is_supported_and_says_on_what_it_rests(drawn: Draw) -> None:
    weak = drawn(2, n=300, patients=20, skill=0.3)
    strong = improved(weak, {f"s{k}" for k in range(14)})
    found = pair(strong, weak)
    accuracy = found["figures"]["accuracy"]
    assert accuracy["supported"]
    assert 0 < accuracy["low"] < accuracy["estimate"] < accuracy["high"]
    assert found["differing"] == {"predictions": 14, "scores": 14}
    assert found["accuracy_test"]["first_better"] == 14
    assert found["accuracy_test"]["p"] < 0.01
    assert "supported. It rests on 20 patients, of which 14 differ" in accuracy["words"]
    assert "one against two: a difference in accuracy" in found["words"]
    turned = pair(weak, strong)["figures"]["accuracy"]
    assert turned["estimate"] == pytest.approx(-accuracy["estimate"])
    assert turned["supported"]


def test_five_patients_support_nothing_whatever_the_interval(drawn: Draw) -> None:
    """All five in one system's favour: of 32 exchanges two are as extreme, 6%."""
    weak = drawn(2, n=300, patients=20, skill=0.3)
    five = pair(improved(weak, {f"s{k}" for k in range(5)}), weak)
    accuracy = five["figures"]["accuracy"]
    assert accuracy["low"] > 0
    assert not accuracy["supported"]
    assert "not supported, whatever the interval" in accuracy["words"]
    assert "5 differ in it. It takes 6" in accuracy["words"]
    assert "no difference is supported" in five["words"]
    six = pair(improved(weak, {f"s{k}" for k in range(6)}), weak)
    assert six["figures"]["accuracy"]["supported"]


def test_equal_systems_do_not_differ(drawn: Draw) -> None:
    found = pair(drawn(1), drawn(1))
    for figure in found["figures"].values():
        assert [figure[k] for k in ("estimate", "low", "high")] == [0, 0, 0]
        assert figure["p"] == 1
        assert not figure["supported"]
    assert found["accuracy_test"]["p"] is None
    assert {test["reason"] for test in found["auc_tests"]} == {"the two systems rank alike"}


def test_systems_without_a_difference_are_seldom_told_apart(drawn: Draw) -> None:
    """A good and a bad system, exchanged in every other patient by chance: neither is better."""
    told = []
    for seed in range(40):
        good, bad = drawn(seed, n=150, patients=25, skill=2.0), drawn(seed, n=150, patients=25)
        swap = np.random.default_rng(seed).random(25) < 0.5
        swapped = {f"s{k}" for k in np.flatnonzero(swap)}
        rows = good.table["patient_id"].isin(swapped)
        one = Predictions(good.table.where(~rows, bad.table).astype(good.table.dtypes))
        two = Predictions(bad.table.where(~rows, good.table).astype(good.table.dtypes))
        found = compare({"a": one, "b": two}, "patient", resamples=300)["pairs"][0]["figures"]
        told.append([found[name]["supported"] for name in ("accuracy", "macro_f1", "macro_auc")])
    assert np.mean(told) <= 0.12


def test_holm_over_pairs(drawn: Draw) -> None:
    weak = drawn(2, n=300, patients=20, skill=0.3)
    tables = {
        "weak": weak,
        "better": improved(weak, {f"s{k}" for k in range(7)}),
        "best": improved(weak, {f"s{k}" for k in range(15)}),
    }
    found = compare(tables, "patient", resamples=500)
    names = [f"{pair['first']} {pair['second']}" for pair in found["pairs"]]
    assert names == ["weak better", "weak best", "better best"]
    for name in found["pairs"][0]["figures"]:
        p = sorted(pair["figures"][name]["p"] for pair in found["pairs"])
        holm = sorted(pair["figures"][name]["p_holm"] for pair in found["pairs"])
        assert holm[0] == pytest.approx(min(1, 3 * p[0]))
    assert "Holm's correction over 3 pairs" in found["pairs"][0]["words"]


def test_subtypes_in_the_binary_task(drawn: Draw) -> None:
    first, second = drawn(1), drawn(1, skill=0.2)
    collapsed = pair(collapse(first), second, binary=True)
    assert collapsed == pair(first, second, binary=True)
    assert "sensitivity" in collapsed["figures"]


def test_clusters_follow_the_protocol(drawn: Draw) -> None:
    tables = {name: drawn(1, protocol="accession", skill=s) for name, s in (("a", 1), ("b", 2))}
    found = compare(tables, "accession", resamples=100)
    assert found["cluster"] == "accession"
    assert "lab numbers" in found["pairs"][0]["figures"]["accuracy"]["words"]


def test_result_is_plain_json_and_repeatable(drawn: Draw, pooled: Pooled) -> None:
    tables = {
        name: pooled(drawn(1, skill=skill), drawn(1, repeat=1, skill=skill))
        for name, skill in (("a", 1), ("b", 2))
    }
    found = compare(tables, "patient", resamples=100)
    assert found["repeats"] == 2
    assert found == compare(tables, "patient", resamples=100)
    assert json.loads(json.dumps(found)) == found
    assert found != compare(tables, "patient", resamples=100, seed=1)


def test_no_resamples_no_verdict(drawn: Draw) -> None:
    found = compare({"a": drawn(1), "b": drawn(1, skill=3.0)}, "patient", resamples=0)
    accuracy = found["pairs"][0]["figures"]["accuracy"]
    assert accuracy["low"] is None
    assert not accuracy["supported"]
    assert "without an interval" in accuracy["words"]


def test_without_patients_images_are_drawn_and_that_is_said(drawn: Draw) -> None:
    tables = {
        name: Predictions(drawn(1, skill=s).table.assign(patient_id=None))
        for name, s in (("a", 1), ("b", 2))
    }
    found = compare(tables, "patient", resamples=50)
    assert found["cluster"] == "image"
    assert "too narrow" in found["warnings"][0]


def test_a_class_of_one_patient_is_named(drawn: Draw) -> None:
    table = drawn(1).table
    table.loc[table["y_true"] == "A", "patient_id"] = "s0"
    found = compare({"a": Predictions(table), "b": Predictions(table)}, "patient", resamples=50)
    assert found["warnings"] == [
        "A: test images of one patient only, so that no interval can show how such patients differ."
    ]


def test_one_system_is_no_comparison(drawn: Draw) -> None:
    with pytest.raises(BadInput, match="two or more"):
        compare({"a": drawn(1)}, "patient")


def test_differences_of_one_resample_are_paired(drawn: Draw) -> None:
    """The paired error is far below that of two independent sets of patients."""
    hard = drawn(5, n=400, patients=15, skill=1.0)
    table = hard.table
    wrong = table["patient_id"].isin({f"s{k}" for k in range(5)})
    others = [c for c in hard.classes if c != "A"]
    table.loc[wrong, "y_pred"] = np.where(table.loc[wrong, "y_true"] == "A", others[0], "A")
    first = Predictions(table)
    flip = ~wrong & (np.arange(len(table)) % 12 == 0)
    second = Predictions(table.assign(y_pred=table["y_pred"].mask(flip, "A")))
    found = compare({"a": first, "b": second}, "patient", resamples=800)
    paired = found["pairs"][0]["figures"]["accuracy"]["standard_error"]
    alone = [100 * (s["accuracy"]["high"] - s["accuracy"]["low"]) / 4 for s in found["systems"]]
    assert paired < 0.3 * np.hypot(*alone)

"""The matrix against plain counting; agreement against Fleiss' own example."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from magnostic.errors import TableError
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.magnification import agreement, matrix
from magnostic.evaluate.predictions import Predictions

#: Fleiss 1971 as worked through on Wikipedia: 10 subjects, 14 ratings, 5 categories; kappa .210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
NONE = Sampling(0)


def _table(rows: list[tuple[str, int, str, str]], classes: str, repeat: int = 0) -> pd.DataFrame:
    """From (patient, magnification, true, predicted)."""
    frame = pd.DataFrame(rows, columns=["patient_id", "magnification", "y_true", "y_pred"])
    frame["image_id"] = [f"i{i}" for i in range(len(frame))]
    frame = frame.assign(
        slide_id=frame["patient_id"], accession=frame["patient_id"], protocol="patient",
        repeat=repeat, fold=0, part="test", magnification=frame["magnification"].astype("Int16"),
    )  # fmt: skip
    for c in classes:
        frame[f"p_{c}"] = np.where(frame["y_pred"] == c, 0.6, 0.4 / (len(classes) - 1))
    return frame


def _random(seed: int, skill: float, n_patients: int = 15) -> Predictions:
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(n_patients):
        for m in (40, 100, 200):
            for _ in range(3):
                right = "abc"[p % 3]
                says = right if rng.random() < skill else "abc"[rng.integers(3)]
                rows.append((f"p{p:02}", m, right, says))
    return Predictions(_table(rows, "abc"))


def test_fleiss_own_example() -> None:
    rows = [
        (f"s{subject}", magnification, "a", predicted)
        for subject, counts in enumerate(FLEISS)
        for magnification, predicted in enumerate(
            [c for c, n in zip("abcde", counts, strict=True) for _ in range(n)], start=1
        )
    ]
    found = agreement(Predictions(_table(rows, "abcde")), "patient", NONE)
    assert found is not None
    assert found["kappa"]["estimate"] == pytest.approx(0.210, abs=0.0005)
    assert found["same"]["estimate"] == pytest.approx(1 / 10)
    assert (found["n_patients"], found["cluster"]) == (10, "patient")


def test_two_magnifications_with_equal_margins_are_cohens_kappa() -> None:
    """Fleiss' chance is that of the pooled margins, Scott's pi; equal margins make it Cohen's."""
    one, other = "aabbccabcc", "abbaccabcc"
    rows = [
        (f"p{i}", m, "a", says)
        for i, pair in enumerate(zip(one, other, strict=True))
        for m, says in zip((40, 400), pair, strict=True)
    ]
    found = agreement(Predictions(_table(rows, "abc")), "patient", NONE)
    assert found is not None
    assert sorted(one) == sorted(other)
    assert found["kappa"]["estimate"] == pytest.approx(cohen_kappa_score(list(one), list(other)))
    same = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    assert found["same"]["estimate"] == pytest.approx(same)


def test_a_decision_is_by_majority_and_then_by_mean_probability() -> None:
    rows = [("p", 40, "a", "a"), ("p", 40, "a", "b"), ("p", 400, "a", "b"),
            ("q", 40, "a", "b"), ("q", 400, "a", "b"), ("r", 40, "a", "a")]  # fmt: skip
    table = _table(rows, "ab")
    table.loc[0, ["p_a", "p_b"]] = 0.9, 0.1  # a and b have a vote each at 40X; a is the surer one
    found = agreement(Predictions(table), "patient", NONE)
    assert found is not None
    assert found["n_patients"] == 2, "r was photographed at one magnification only"
    assert found["same"]["estimate"] == 0.5
    table.loc[0, ["p_a", "p_b"]] = 0.52, 0.48
    again = agreement(Predictions(table), "patient", NONE)
    assert again is not None
    assert again["same"]["estimate"] == 1.0


@settings(max_examples=25)
@given(seed=st.integers(0, 500), skill=st.floats(0, 1))
def test_agreement_is_what_counting_gives(seed: int, skill: float) -> None:
    test = _random(seed, skill)
    found = agreement(test, "patient", Sampling(30, 0.95, 0))
    assert found is not None
    asked = test.table.groupby(["patient_id", "magnification"])["y_pred"]
    decided = asked.agg(lambda v: v.value_counts().sort_index().idxmax())
    ties = asked.agg(lambda v: (v.value_counts() == v.value_counts().max()).sum() > 1)
    if not ties.any():
        same = (decided.groupby("patient_id").nunique() == 1).mean()
        assert found["same"]["estimate"] == pytest.approx(same)
    assert found["same"]["low"] <= found["same"]["estimate"] <= found["same"]["high"]


def test_nobody_to_agree() -> None:
    alone = Predictions(_table([("p", 40, "a", "a"), ("q", 100, "b", "b")], "ab"))
    assert agreement(alone, "patient", NONE) is None
    no_ids = _random(0, 0.5).table.assign(patient_id=None)
    assert agreement(Predictions(no_ids), "patient", NONE) is None


def test_the_matrix_is_plain_counting() -> None:
    tests = [_random(0, 0.9), _random(1, 0.3)]
    found = matrix(tests, [[40], []], [{}, {}], "patient", Sampling(50, 0.95, 0))
    assert found["magnifications"] == [40, 100, 200]
    assert found["excluded"] == {}
    assert found["columns"][100] == {"n": 45, "n_clusters": 15}
    for test, row in zip(tests, found["rows"], strict=True):
        accuracy = {}
        for m, here in test.table.groupby("magnification"):
            cell = row["cells"][int(m)]
            accuracy[int(m)] = accuracy_score(here["y_true"], here["y_pred"])
            assert cell["accuracy"]["estimate"] == pytest.approx(accuracy[int(m)])
            f1 = f1_score(here["y_true"], here["y_pred"], average="macro")
            assert cell["macro_f1"]["estimate"] == pytest.approx(f1)
            assert cell["accuracy"]["low"] < cell["accuracy"]["high"]
        assert row["worst"] == min(accuracy, key=lambda m: accuracy[m])
        assert (row["unseen"] is None) == (row is found["rows"][1])
    some, every = ({m: c["accuracy"]["estimate"] for m, c in row["cells"].items()}
                   for row in found["rows"])  # fmt: skip
    lost = 100 * sum(every[m] - some[m] for m in (100, 200)) / 2
    assert found["rows"][0]["unseen"]["accuracy"]["estimate"] == pytest.approx(lost)
    alone = matrix(tests, [[40], [40, 100]], [{}, {}], "patient", NONE)
    assert [row["unseen"] for row in alone["rows"]] == [None, None], "no system saw all"


def test_all_rows_stand_on_what_every_one_could_learn() -> None:
    tests = [_random(0, 0.9), _random(1, 0.3)]
    found = matrix(tests, [[40], []], [{(0, 0): ["c"]}, {}], "patient", NONE)
    assert found["excluded"] == {"c": 45}
    for test, row in zip(tests, found["rows"], strict=True):
        here = test.table[(test.table["magnification"] == 40) & (test.table["y_true"] != "c")]
        expected = accuracy_score(here["y_true"], here["y_pred"])
        assert row["cells"][40]["accuracy"]["estimate"] == pytest.approx(expected)
    nothing = matrix(tests, [[40], []], [{(0, 0): "abc"}, {}], "patient", NONE)
    assert nothing["magnifications"] == []
    assert nothing["rows"][0]["worst"] is None


def test_other_images_cannot_stand_beside() -> None:
    one = _random(0, 0.9)
    with pytest.raises(TableError, match="tested different images"):
        matrix([one, Predictions(one.table.iloc[1:])], [[], []], [{}, {}], "patient", NONE)

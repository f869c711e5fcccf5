"""Nearest images and their kin, against brute force, scikit-learn and drawn chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from magnostic.evaluate import neighbours
from magnostic.evaluate.bootstrap import Sampling

NONE = Sampling(0, 0.95, 0)


def a_table(slides: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(len(slides))],
            "slide_id": slides,
            "patient_id": slides,
            "accession": [s and s[0] for s in slides],
        }
    )


def test_nearest_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 7)).astype(np.float32)
    order = rng.permutation(60)
    test, train = order[:25], order[25:]
    expected = train[NearestNeighbors(n_neighbors=1).fit(x[train]).kneighbors(x[test])[1][:, 0]]
    assert neighbours.nearest(x, test, train).tolist() == expected.tolist()
    monkeypatch.setattr(neighbours, "_CHUNK", 70)
    assert neighbours.nearest(x, test, train).tolist() == expected.tolist()


def test_standardized_is_that_of_scikit_learn() -> None:
    x = np.random.default_rng(1).normal(5, 3, size=(40, 4)).astype(np.float32)
    x[:, 2] = 1.5
    expected = StandardScaler().fit_transform(x.astype(np.float64))
    np.testing.assert_allclose(neighbours.standardized(x), expected, atol=1e-5)


@given(st.integers(0, 200))
def test_chance_is_what_drawing_another_image_gives(seed: int) -> None:
    """Both closed forms against the mean over every possible draw."""
    rng = np.random.default_rng(seed)
    n = 24
    slides = [f"{k % 3}{k}" if k else None for k in rng.integers(0, 6, n)]
    y = rng.integers(0, 3, n)
    table = a_table(slides)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    part = rng.integers(0, 2, n).astype(bool)
    test, train = np.flatnonzero(part), np.flatnonzero(~part)
    if not len(test) or not len(train) or all(slides[i] is None for i in test):
        return
    found = neighbours.kinship(x, table, y, [(test, train)], NONE, "t")["slide"]
    hits, anyone, of_class = [], [], []
    for i in test:
        if slides[i] is None:
            continue
        near = min(train, key=lambda j: (((x[i] - x[j]) ** 2).sum(), list(train).index(j)))
        hits.append(slides[near] == slides[i])
        anyone.append(np.mean([slides[j] == slides[i] for j in train]))
        others = [j for j in train if y[j] == y[near]]
        of_class.append(np.mean([slides[j] == slides[i] for j in others]))
    assert found["n"] == len(hits)
    assert found["estimate"] == pytest.approx(np.mean(hits))
    assert found["chance"] == pytest.approx(np.mean(anyone))
    assert found["chance_in_class"] == pytest.approx(np.mean(of_class))


def test_images_that_only_show_their_slide_and_images_that_show_nothing() -> None:
    rng = np.random.default_rng(3)
    slide = np.repeat(np.arange(12), 20)
    y = slide % 3
    table = a_table([f"{s // 2}{s}" for s in slide])
    fold = rng.permutation(240) % 4
    folds = [(np.flatnonzero(fold == k), np.flatnonzero(fold != k)) for k in range(4)]
    own = rng.normal(size=(12, 5))[slide] + rng.normal(0, 0.05, (240, 5))
    seen = neighbours.kinship(own.astype(np.float32), table, y, folds, NONE, "t")
    assert seen["slide"]["estimate"] == 1
    assert seen["accession"]["estimate"] == 1
    assert seen["slide"]["chance"] == pytest.approx(1 / 12, abs=0.01)
    assert seen["slide"]["chance_in_class"] == pytest.approx(1 / 4, abs=0.02)
    noise = rng.normal(size=(240, 5)).astype(np.float32)
    sampling = Sampling(300, 0.99, 0)
    blind = neighbours.kinship(noise, table, y, folds, sampling, "t")["slide"]
    assert blind["low"] <= blind["chance"] <= blind["high"]


def test_patients_apart_leave_no_slide_to_find_and_unknown_ids_none_to_ask_for() -> None:
    table = a_table(["a1", "a1", "a2", "a2"])
    x = np.eye(4, dtype=np.float32)
    folds = [(np.array([0, 1]), np.array([2, 3]))]
    found = neighbours.kinship(x, table, np.zeros(4, np.intp), folds, NONE, "t")
    assert (found["slide"]["estimate"], found["slide"]["chance"]) == (0, 0)
    assert found["accession"]["estimate"] == 1
    assert found["class"]["chance_in_class"] is None
    unknown = neighbours.kinship(x, a_table([None] * 4), np.zeros(4, np.intp), folds, NONE, "t")
    assert unknown["slide"] is unknown["accession"] is None
    assert unknown["n"] == 2

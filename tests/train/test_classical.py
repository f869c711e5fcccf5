"""Every classical head gives scikit-learn's own numbers, from its buffers alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from magnostic.models.heads import ABSENT
from magnostic.recipe import Probe
from magnostic.train import classical

RECIPE = Probe(method="probe", trees=20, neighbours=5)


def data(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of unequal size, features of unequal spread, one of them constant."""
    rng = np.random.default_rng(seed)
    y = np.append(np.arange(classes), rng.integers(0, classes, n - classes) ** 2 // classes)
    x = rng.normal(0, 2, (n, 20)) + np.random.default_rng(9).normal(0, 1, (classes, 20))[y]
    x = x * np.geomspace(0.01, 100, 20) + 3
    x[:, 7] = 0.1
    return x.astype(np.float32), y


def exact(head: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return head.eval().double()(torch.from_numpy(x).double()).numpy()


def shares(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logits.max(1, keepdims=True)) / np.exp(
        logits - logits.max(1, keepdims=True)
    ).sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_rbf_svm_has_scikit_learns_margins(
    classes: int, balanced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The head's data are rounded to float32 before the fit; solved to the end, that matters less.
    monkeypatch.setattr(classical, "SVC", partial(SVC, tol=1e-10))
    x, y = data(150, classes)
    fresh, _ = data(60, classes, seed=1)
    svm = SVC(C=2, gamma="scale", class_weight="balanced" if balanced else None, tol=1e-10)
    head = classical.fit_rbf_svm(x, y, classes, balanced, 0, 2.0)
    oracle = make_pipeline(StandardScaler(), OneVsRestClassifier(svm)).fit(x.astype(float), y)
    logits = exact(head, fresh)
    margins = logits[:, 1] - logits[:, 0] if classes == 2 else logits
    np.testing.assert_allclose(margins, oracle.decision_function(fresh.astype(float)), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_forest_has_scikit_learns_probabilities(classes: int, balanced: bool) -> None:
    x, y = data(150, classes)
    weight = "balanced" if balanced else None
    oracle = RandomForestClassifier(20, class_weight=weight, random_state=4).fit(x, y)
    head = classical.fit_forest(x, y, classes, RECIPE, balanced, 4)
    for at in (x, data(200, classes, seed=1)[0]):
        np.testing.assert_allclose(shares(exact(head, at)), oracle.predict_proba(at), atol=1e-6)


@given(st.integers(0, 10_000))
def test_forest_decides_alike_at_its_very_thresholds(seed: int) -> None:
    """Neighbouring float32 values, whose midpoint no float32 holds."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, 4, (12, 2)).astype(np.uint32)
    x = (np.array(1.3, np.float32).view(np.uint32) + steps).view(np.float32)
    y = np.append([0, 1], rng.integers(0, 2, 10))
    oracle = RandomForestClassifier(3, random_state=seed).fit(x, y)
    head = classical.fit_forest(x, y, 2, Probe(method="probe", trees=3), False, seed)
    np.testing.assert_allclose(shares(exact(head, x)), oracle.predict_proba(x), atol=1e-6)


@pytest.mark.parametrize("k", [1, 5, 500])
def test_neighbours_have_scikit_learns_probabilities(k: int) -> None:
    x, y = data(150, 5)
    fresh, _ = data(60, 5, seed=1)
    head = classical.fit_neighbours(x, y, 5, Probe(method="probe", neighbours=k))
    oracle = make_pipeline(StandardScaler(), KNeighborsClassifier(min(k, 150)))
    oracle.fit(x.astype(float), y)
    expected = oracle.predict_proba(fresh.astype(float))
    np.testing.assert_allclose(shares(exact(head, fresh)), expected, atol=1e-6)


@pytest.mark.parametrize(
    "fit",
    [
        lambda x, y: classical.fit_rbf_svm(x, y, 5, False, 0, 1.0),
        lambda x, y: classical.fit_forest(x, y, 5, RECIPE, False, 0),
        lambda x, y: classical.fit_neighbours(x, y, 5, RECIPE),
    ],
    ids=["rbf-svm", "forest", "neighbours"],
)
@pytest.mark.parametrize("taught", [(0, 2, 4), (1, 3)])
def test_classes_without_training_images_are_impossible(fit, taught: tuple[int, ...]) -> None:
    x, y = data(150, 5)
    seen = np.isin(y, taught)
    logits = exact(fit(x[seen], y[seen]), x)
    missing = sorted(set(range(5)) - set(taught))
    assert (logits[:, missing] == ABSENT).all()
    assert (logits[:, taught] > ABSENT).all()
    again = exact(fit(x[seen], y[seen]), x)
    assert np.array_equal(logits, again)


def test_svm_learns_what_no_line_separates() -> None:
    x = np.random.default_rng(0).normal(0, 1, (300, 2)).astype(np.float32)
    y = (np.abs(x).max(1) > 1).astype(np.intp)
    head = classical.fit_rbf_svm(x, y, 2, False, 0, 10.0)
    assert (exact(head, x).argmax(1) == y).mean() > 0.95

"""The probe's head: folded exactly, and equal to scikit-learn's own probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from magnostic.errors import RunFailed, SplitError
from magnostic.models.classifier import softmax
from magnostic.recipe import Probe
from magnostic.train import predict, probe

NOTHING = (np.empty((0, 20), np.float32), np.empty(0, np.intp))


def data(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = rng.normal(0, 1, (classes, 20))
    return (centres[y] * 2 + rng.normal(3, 2, (n, 20))).astype(np.float32), y


@pytest.mark.parametrize("n", [14, 200], ids=["fewer rows than features", "more rows"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_head_is_scikit_learns(n: int, classes: int, balanced: bool) -> None:
    x, y = data(n, classes)
    head, _, history = probe.fit(x, y, classes, Probe(method="probe"), balanced, NOTHING, seed=0)
    oracle = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=0.1, class_weight="balanced" if balanced else None, max_iter=20000, tol=1e-10
        ),
    ).fit(x.astype(np.float64), y)
    fresh, _ = data(30, classes, seed=1)
    expected = oracle.predict_proba(fresh.astype(np.float64))
    np.testing.assert_allclose(softmax(predict.logits(head, fresh)), expected, atol=2e-4)
    assert history[0]["train_accuracy"] == pytest.approx(oracle.score(x, y), abs=1 / n)


@pytest.mark.parametrize("classes", [2, 3])
def test_svm_head_has_scikit_learns_margins(classes: int) -> None:
    x, y = data(200, classes)
    recipe = Probe(method="probe", head="svm", c=(0.01,))
    head, _, _ = probe.fit(x, y, classes, recipe, False, NOTHING, seed=0)
    scaler = StandardScaler().fit(x.astype(np.float64))
    oracle = LinearSVC(C=0.01, random_state=0, max_iter=20000).fit(scaler.transform(x), y)
    logits = predict.logits(head, x).astype(np.float64)
    margins = logits[:, 1] - logits[:, 0] if classes == 2 else logits
    np.testing.assert_allclose(margins, oracle.decision_function(scaler.transform(x)), atol=1e-3)


def test_a_class_without_training_images_gets_probability_zero() -> None:
    x, y = data(60, 3)
    seen = y != 1
    head, _, _ = probe.fit(x[seen], y[seen], 3, Probe(method="probe"), False, NOTHING, seed=0)
    assert softmax(predict.logits(head, x))[:, 1].max() < 1e-30


def test_c_is_chosen_by_validation_loss() -> None:
    x, y = data(60, 3)
    val = data(60, 3, seed=5)
    recipe = Probe(method="probe", c=(1e-6, 0.1, 100.0))
    _, c, history = probe.fit(x, y, 3, recipe, False, val, seed=0)
    losses = [line["val_loss"] for line in history]
    assert c == recipe.c[int(np.argmin(losses))]
    assert len(history) == 3


def test_the_chosen_head_of_several_is_exact() -> None:
    """Solved roughly first, it ends where it would alone."""
    x, y = data(300, 3)
    val = data(60, 3, seed=5)
    several, c, _ = probe.fit(
        x, y, 3, Probe(method="probe", c=(1e-3, 0.01, 1.0)), True, val, seed=0
    )
    assert c is not None
    alone, _, _ = probe.fit(x, y, 3, Probe(method="probe", c=(c,)), True, val, seed=0)
    p, q = (softmax(predict.logits(head, val[0])) for head in (several, alone))
    np.testing.assert_allclose(p, q, atol=1e-3)


def test_one_class_is_no_task() -> None:
    x, _ = data(20, 2)
    with pytest.raises(SplitError, match="one class"):
        probe.fit(x, np.zeros(20, np.intp), 2, Probe(method="probe"), False, NOTHING, seed=0)


@pytest.mark.parametrize("head", ["logistic", "svm", "random-forest"])
def test_features_that_are_not_finite_teach_nothing(head: str) -> None:
    x, y = data(60, 3)
    x[7, 2] = np.nan
    with pytest.raises(RunFailed, match="not finite"):
        probe.fit(x, y, 3, Probe(method="probe", head=head), False, NOTHING, seed=0)

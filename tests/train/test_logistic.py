"""The solver of logistic regression against scikit-learn run to convergence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from magnostic.errors import RunFailed
from magnostic.train import logistic

Floats = NDArray[np.float64]


def draw(n: int, d: int, classes: int, seed: int, apart: float) -> tuple[Floats, NDArray[np.intp]]:
    """Correlated columns, standardized; each class occurs."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    mixing = rng.normal(size=(d, d)) * (np.arange(1, d + 1) ** -0.7)[:, None]
    x = (rng.normal(size=(n, d)) + apart * rng.normal(size=(classes, d))[y]) @ mixing
    x -= x.mean(axis=0)
    return x / x.std(axis=0), y


def probabilities(head: logistic.Solution, x: Floats) -> Floats:
    logits = x @ head.coef.T + head.intercept
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    p: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def oracle(x: Floats, y: NDArray[np.intp], weights: Floats, c: float) -> LogisticRegression:
    """Newton's method in place of L-BFGS, to the last digits."""
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    return model.fit(x, y, sample_weight=weights)


@given(
    n=st.integers(12, 80),
    d=st.integers(1, 40),
    classes=st.integers(2, 5),
    seed=st.integers(0, 1000),
    apart=st.sampled_from([0.0, 1.0, 5.0]),
    c=st.sampled_from([1e-4, 0.1, 1.0, 100.0]),
    weighted=st.booleans(),
)
@settings(max_examples=40)
def test_any_problem_is_solved_as_scikit_learn_solves_it(
    n: int, d: int, classes: int, seed: int, apart: float, c: float, weighted: bool
) -> None:
    x, y = draw(n, d, classes, seed, apart)
    weights = np.random.default_rng(seed).uniform(0.2, 3, n) if weighted else np.ones(n)
    (head,) = logistic.Problem(x, y, weights).path([c])
    np.testing.assert_allclose(
        probabilities(head, x), oracle(x, y, weights, c).predict_proba(x), atol=1e-3
    )


@pytest.mark.parametrize("classes", [2, 6])
def test_large_problems_in_float32(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By halves on two threads; new rows are predicted as well."""
    monkeypatch.setattr(logistic, "_SMALL", 1000)
    x, y = draw(3500, 80, classes, 1, 0.6)
    known, new = x[:3100], x[3100:]
    weights = (len(known) / (classes * np.bincount(y[:3100])))[y[:3100]]
    problem = logistic.Problem(known, y[:3100], weights)
    assert problem._rows.kind == np.float32
    for head in problem.path([1e-3, 1.0]):
        exact = oracle(known, y[:3100], weights, head.c)
        for rows in (known, new):
            np.testing.assert_allclose(
                probabilities(head, rows), exact.predict_proba(rows), atol=1e-3
            )


def test_the_way_does_not_matter() -> None:
    """From below, from a rough solution, with rows in another order: one optimum."""
    x, y = draw(200, 30, 3, 5, 1.0)
    weights = np.ones(200)
    problem = logistic.Problem(x, y, weights)
    *_, warm = problem.path([10.0, 1e-3, 0.1])
    assert warm.c == 10.0
    rough = problem.solve(10.0, tolerance=logistic.ROUGH)
    order = np.random.default_rng(0).permutation(200)
    (other,) = logistic.Problem(x[order], y[order], weights).path([10.0])
    expected = probabilities(warm, x)
    for head in (problem.solve(10.0), problem.solve(10.0, rough), other):
        np.testing.assert_allclose(probabilities(head, x), expected, atol=1e-3)
    assert np.abs(probabilities(rough, x) - expected).max() < 0.1


def test_constant_columns_and_separable_classes() -> None:
    x, y = draw(60, 8, 2, 2, 20.0)
    x[:, 3] = 0
    (head,) = logistic.Problem(x, y, np.ones(60)).path([1e4])
    assert np.isfinite(head.coef).all()
    assert head.coef[0, 3] == pytest.approx(0, abs=1e-4)
    assert ((probabilities(head, x)[:, 1] > 0.5) == (y == 1)).all()


@pytest.mark.parametrize("small", [2_000_000, 1000])
def test_equal_bytes(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "_SMALL", small)
    x, y = draw(1300, 50, 4, 3, 1.0)
    first, second = (
        [h.coef.tobytes() for h in logistic.Problem(x, y, np.ones(1300)).path([0.1, 1.0])]
        for _ in range(2)
    )
    assert first == second


def test_what_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draw(60, 8, 3, 2, 1.0)
    monkeypatch.setattr(logistic, "_STEPS", 2)
    with pytest.raises(RunFailed, match="c = 10 does not converge"):
        list(logistic.Problem(x, y, np.ones(60)).path([10.0]))

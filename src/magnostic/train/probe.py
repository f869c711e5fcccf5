"""A linear head over frozen features: logistic regression or a linear SVM (scikit-learn).

Features are standardized by the training part; scaling and head are then folded into one linear
layer, so that a probe is stored and used like any other network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from magnostic.models.classifier import softmax
from magnostic.recipe import Probe

#: Logit of a class without a training image: its probability is 0 to float32's precision.
ABSENT = -200.0


@dataclass(frozen=True)
class Head:
    """Linear layer over raw features: logits = features @ weight.T + bias."""

    weight: NDArray[np.float32]  # [C, D]
    bias: NDArray[np.float32]  # [C]
    c: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [N, C]."""
        product = features.astype(np.float64) @ self.weight.T.astype(np.float64)
        return (product + self.bias).astype(np.float32)


def fit(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    recipe: Probe,
    balanced: bool,
    val: tuple[NDArray[np.float32], NDArray[np.intp]],
    seed: int,
) -> tuple[Head, list[dict[str, float]]]:
    """Fit one head for each value of ``recipe.c`` and keep the best on the validation part.

    Best is the lowest log loss, or for an SVM, whose softmax of margins is no calibrated
    probability, the highest accuracy (the first of equals).

    Args:
        features: float32 [N, D] of the training part.
        y: class index of each row; classes that do not occur get probability 0.
        classes: number of classes of the task.
        balanced: weight classes inversely to their frequency.
        val: features and class indices that choose among several values of c; may be empty.
        seed: of the SVM's coordinate descent.

    Returns:
        The head, and one history line per value tried.
    """
    scaler = StandardScaler().fit(features.astype(np.float64))
    scaled, basis = _span(scaler.transform(features.astype(np.float64)))
    tried: list[tuple[float, Head]] = []
    history: list[dict[str, float]] = []
    for c in recipe.c:
        head = _fold(scaler, basis, _fit_one(scaled, y, c, recipe, balanced, seed), classes, c)
        line = {"c": c, **_quality(head, features, y, "train")}
        if len(val[1]):
            line |= _quality(head, *val, "val")
        worse = "val_loss" if recipe.head == "logistic" else "val_accuracy"
        sign = 1 if recipe.head == "logistic" else -1
        tried.append((sign * line.get(worse, 0.0), head))
        history.append(line)
    best = min(range(len(tried)), key=lambda i: tried[i][0])
    return tried[best][1], history


def _fit_one(
    scaled: NDArray[np.float64],
    y: NDArray[np.intp],
    c: float,
    recipe: Probe,
    balanced: bool,
    seed: int,
) -> LogisticRegression | LinearSVC:
    weight = "balanced" if balanced else None
    if recipe.head == "logistic":
        return LogisticRegression(C=c, class_weight=weight, max_iter=5000, tol=1e-6).fit(scaled, y)
    model = LinearSVC(C=c, class_weight=weight, max_iter=20000, random_state=seed)
    return model.fit(scaled, y)


def _span(scaled: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Coordinates [N, K] in a basis [K, D] of the rows' span, where that is smaller than D.

    Exact: an L2-regularized linear head has its weights in that span (representer theorem), and a
    rotation changes neither its loss nor its penalty.
    """
    if scaled.shape[0] >= scaled.shape[1]:
        return scaled, None
    left, singular, basis = np.linalg.svd(scaled, full_matrices=False)
    return left * singular, basis


def _fold(
    scaler: StandardScaler,
    basis: NDArray[np.float64] | None,
    model: LogisticRegression | LinearSVC,
    classes: int,
    c: float,
) -> Head:
    """Undo rotation and scaling, and give every class of the task its row."""
    coefficients, intercept = model.coef_, model.intercept_
    if basis is not None:
        coefficients = coefficients @ basis
    if len(model.classes_) == 2:  # one margin: split evenly between the two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = coefficients / scaler.scale_
    bias = intercept - weight @ scaler.mean_
    full_weight = np.zeros((classes, weight.shape[1]), dtype=np.float32)
    full_bias = np.full(classes, ABSENT, dtype=np.float32)
    full_weight[model.classes_] = weight
    full_bias[model.classes_] = bias
    return Head(full_weight, full_bias, c)


def _quality(
    head: Head, features: NDArray[np.float32], y: NDArray[np.intp], part: str
) -> dict[str, float]:
    probabilities = softmax(head.logits(features)).astype(np.float64)
    likelihood = np.clip(probabilities[np.arange(len(y)), y], 1e-12, None)
    right = probabilities.argmax(axis=1) == y
    return {
        f"{part}_loss": float(-np.log(likelihood).mean()),
        f"{part}_accuracy": float(right.mean()),
    }

"""Classical classifiers over frozen features; the linear ones are fitted here.

A linear head's features are standardized by the training part; scaling and head are then folded
into one linear layer, so that it is stored and used like any other network.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from magnostic.models.classifier import softmax
from magnostic.models.heads import ABSENT
from magnostic.recipe import Probe
from magnostic.train import classical, predict

#: Heads that choose by log loss; the others give margins, which are no calibrated probabilities.
_BY_LOSS: Final = ("logistic",)


def fit(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    recipe: Probe,
    balanced: bool,
    val: tuple[NDArray[np.float32], NDArray[np.intp]],
    seed: int,
) -> tuple[nn.Module, float | None, list[dict[str, float]]]:
    """Fit one head for each value of ``recipe.c`` and keep the best on the validation part.

    Best is the lowest log loss, or for an SVM, whose softmax of margins is no calibrated
    probability, the highest accuracy (the first of equals).

    Args:
        features: float32 [N, D] of the training part.
        y: class index of each row; classes that do not occur get probability 0.
        classes: number of classes of the task.
        balanced: weight classes inversely to their frequency.
        val: features and class indices that choose among several values of c; may be empty.
        seed: of the SVM's coordinate descent and of the forest.

    Returns:
        The head, its value of c (None where the head has none), and a history line per head.
    """
    head: nn.Module
    if recipe.head in ("random-forest", "knn"):
        if recipe.head == "knn":
            head = classical.fit_neighbours(features, y, classes, recipe)
        else:
            head = classical.fit_forest(features, y, classes, recipe, balanced, seed)
        return head, None, [_line({}, head, (features, y), val)]
    tried: list[tuple[float, nn.Module, float]] = []
    history: list[dict[str, float]] = []
    by_loss = recipe.head in _BY_LOSS
    spread = None if recipe.head == "rbf-svm" else _standardize(features)
    for c in recipe.c:
        if spread is None:
            head = classical.fit_rbf_svm(features, y, classes, recipe, balanced, seed, c)
        else:
            scaler, scaled, basis = spread
            model = _fit_one(scaled, y, c, recipe, balanced, seed)
            head = _fold(scaler, basis, model, classes)
        line = _line({"c": c}, head, (features, y), val)
        worse = line.get("val_loss", 0.0) if by_loss else -line.get("val_accuracy", 0.0)
        tried.append((worse, head, c))
        history.append(line)
    best = min(range(len(tried)), key=lambda i: tried[i][0])
    return tried[best][1], tried[best][2], history


def _standardize(
    features: NDArray[np.float32],
) -> tuple[StandardScaler, NDArray[np.float64], NDArray[np.float64] | None]:
    scaler = StandardScaler().fit(features.astype(np.float64))
    return scaler, *_span(scaler.transform(features.astype(np.float64)))


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
) -> nn.Linear:
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
    head = nn.Linear(full_weight.shape[1], classes)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(full_weight))
        head.bias.copy_(torch.from_numpy(full_bias))
    return head


def _line(
    start: dict[str, float],
    head: nn.Module,
    train: tuple[NDArray[np.float32], NDArray[np.intp]],
    val: tuple[NDArray[np.float32], NDArray[np.intp]],
) -> dict[str, float]:
    """A line of the history: loss and accuracy of training and, if there is one, validation."""
    line = {**start, **_quality(head, *train, "train")}
    return line | _quality(head, *val, "val") if len(val[1]) else line


def _quality(
    head: nn.Module, features: NDArray[np.float32], y: NDArray[np.intp], part: str
) -> dict[str, float]:
    probabilities = softmax(predict.logits(head, features)).astype(np.float64)
    likelihood = np.clip(probabilities[np.arange(len(y)), y], 1e-12, None)
    right = probabilities.argmax(axis=1) == y
    return {
        f"{part}_loss": float(-np.log(likelihood).mean()),
        f"{part}_accuracy": float(right.mean()),
    }

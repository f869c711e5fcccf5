"""Classical classifiers over frozen features; the linear ones are fitted here.

A linear head's features are standardized by the training part; scaling and head are then folded
into one linear layer, so that it is stored and used like any other network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn

from magnostic.errors import RunFailed, SplitError
from magnostic.models.classifier import softmax
from magnostic.models.heads import ABSENT
from magnostic.recipe import Probe
from magnostic.train import classical, logistic, predict

#: Validation losses this near to the best are compared between exact heads.
_NEAR: Final = 0.01


Labelled = tuple[NDArray[np.floating], NDArray[np.intp]]


def fit(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    recipe: Probe,
    balanced: bool,
    val: Labelled,
    seed: int,
) -> tuple[nn.Module, float | None, list[dict[str, float]]]:
    """Fit one head for each value of ``recipe.c`` and keep the best on the validation part.

    Best is the lowest log loss, or for an SVM, whose softmax of margins is no calibrated
    probability, the highest accuracy (the first of equals). Several values of c of a logistic
    regression are solved roughly first, and those near the best exactly.

    Args:
        features: float32 [N, D] of the training part.
        y: class index of each row; classes that do not occur get probability 0.
        classes: number of classes of the task.
        balanced: weight classes inversely to their frequency.
        val: features and class indices that choose among several values of c; may be empty.
        seed: of the SVM's coordinate descent and of the forest.

    Returns:
        The head, its value of c (None where the head has none), and a history line per head.

    Raises RunFailed where a feature is not finite.
    """
    if not (np.isfinite(features).all() and np.isfinite(val[0]).all()):
        raise RunFailed(
            "frozen features: some are not finite, as in fp16 where a network overflows; set "
            "train.precision fp32"
        )
    head: nn.Module
    if recipe.head in ("random-forest", "knn"):
        if recipe.head == "knn":
            head = classical.fit_neighbours(features, y, classes, recipe)
        else:
            head = classical.fit_forest(features, y, classes, recipe, balanced, seed)
        return head, None, [_line({}, head, (features, y), val)]
    if recipe.head == "logistic":
        tried = _logistic(features, y, classes, recipe.c, balanced, val)
    else:
        tried = _margins(features, y, classes, recipe, balanced, val, seed)
    best = min(range(len(tried)), key=lambda i: tried[i].rank)
    return tried[best].head, tried[best].c, [each.line for each in tried]


@dataclass(frozen=True)
class _Tried:
    """A head for one c with its line of the history; the lowest rank is the best."""

    c: float
    head: nn.Module
    line: dict[str, float]
    rank: float


def _margins(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    recipe: Probe,
    balanced: bool,
    val: Labelled,
    seed: int,
) -> list[_Tried]:
    """The SVMs."""
    spread = None if recipe.head == "rbf-svm" else _standardize(features)
    tried = []
    for c in recipe.c:
        head: nn.Module
        if spread is None:
            head = classical.fit_rbf_svm(features, y, classes, balanced, seed, c)
        else:
            scaler, scaled, basis = spread
            weight = "balanced" if balanced else None
            model = LinearSVC(C=c, class_weight=weight, max_iter=20000, random_state=seed)
            model.fit(scaled, y)
            linear = (model.coef_, model.intercept_)
            head = _fold(scaler, basis, linear, model.classes_, classes)
        line = _line({"c": c}, head, (features, y), val)
        tried.append(_Tried(c, head, line, -line.get("val_accuracy", 0.0)))
    return tried


def _logistic(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    cs: Sequence[float],
    balanced: bool,
    val: Labelled,
) -> list[_Tried]:
    # Converted once for all values of c, not at each of them.
    known, held = (features.astype(np.float64), y), (val[0].astype(np.float64), val[1])
    scaler, scaled, basis = _standardize(known[0])
    there, codes = np.unique(y, return_inverse=True)
    if len(there) < 2:
        raise SplitError("logistic regression: the training part holds one class; give two or more")
    weights = compute_sample_weight("balanced" if balanced else None, y)
    problem = logistic.Problem(scaled, codes, weights)

    def tried(solution: logistic.Solution) -> _Tried:
        linear = (solution.coef, solution.intercept)
        head = _fold(scaler, basis, linear, there, classes)
        line = _line({"c": solution.c}, head, known, held)
        return _Tried(solution.c, head, line, line.get("val_loss", 0.0))

    several = len(cs) > 1
    rough = list(problem.path(cs, logistic.ROUGH if several else logistic.EXACT))
    found = {solution.c: tried(solution) for solution in rough}
    if several:
        limit = min(each.rank for each in found.values()) + _NEAR
        for solution in rough:
            near = found[solution.c].rank <= limit
            found[solution.c] = (
                tried(problem.solve(solution.c, solution))
                if near
                else replace(found[solution.c], rank=math.inf)
            )
    return [found[c] for c in cs]


def _standardize(
    features: NDArray[np.floating],
) -> tuple[StandardScaler, NDArray[np.float64], NDArray[np.float64] | None]:
    rows = features.astype(np.float64, copy=False)
    scaler = StandardScaler().fit(rows)
    return scaler, *_span(scaler.transform(rows))


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
    linear: tuple[NDArray[np.float64], NDArray[np.float64]],
    there: NDArray[np.intp],
    classes: int,
) -> nn.Linear:
    """Undo rotation and scaling of (coef, intercept), and give every class of the task its row."""
    coefficients, intercept = linear
    if basis is not None:
        coefficients = coefficients @ basis
    if len(there) == 2:  # one margin: split evenly between the two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = coefficients / scaler.scale_
    bias = intercept - weight @ scaler.mean_
    full_weight = np.zeros((classes, weight.shape[1]), dtype=np.float32)
    full_bias = np.full(classes, ABSENT, dtype=np.float32)
    full_weight[there] = weight
    full_bias[there] = bias
    head = nn.Linear(full_weight.shape[1], classes)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(full_weight))
        head.bias.copy_(torch.from_numpy(full_bias))
    return head


def _line(
    start: dict[str, float],
    head: nn.Module,
    train: Labelled,
    val: Labelled,
) -> dict[str, float]:
    """A line of the history: loss and accuracy of training and, if there is one, validation."""
    line = {**start, **_quality(head, *train, "train")}
    return line | _quality(head, *val, "val") if len(val[1]) else line


def _quality(
    head: nn.Module, features: NDArray[np.floating], y: NDArray[np.intp], part: str
) -> dict[str, float]:
    probabilities = softmax(predict.logits(head, features)).astype(np.float64)
    likelihood = np.clip(probabilities[np.arange(len(y)), y], 1e-12, None)
    right = probabilities.argmax(axis=1) == y
    return {
        f"{part}_loss": float(-np.log(likelihood).mean()),
        f"{part}_accuracy": float(right.mean()),
    }

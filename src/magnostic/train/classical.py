"""Classical heads that are more than one linear layer: RBF SVM, random forest, nearest neighbours.

scikit-learn fits them; what it learnt is copied into a head of :mod:`magnostic.models.heads`,
which gives the same numbers without scikit-learn.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from torch import Tensor

from magnostic.models import heads
from magnostic.recipe import Probe


def fit_rbf_svm(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    balanced: bool,
    seed: int,
    c: float,
) -> heads.Kernel:
    """A Gaussian-kernel SVM for each class against the rest, over standardized features.

    gamma is scikit-learn's ``scale``: 1 / (D * variance of the standardized features). Of two
    classes one SVM is fitted; its margin is split evenly between them. The kernel takes N^2 * 8
    bytes: 0.5 GB for all of BreakHis.

    Args:
        features: float32 [N, D] of the training part.
        y: class index of each row, at least two different ones; others get probability 0.
        classes: number of classes of the task.
        balanced: weight both sides of each SVM inversely to their number of images.
        seed: SVC takes one; without its own probabilities it draws nothing.
        c: inverse regularization strength.
    """
    shift, scale = heads.standardization(features)
    # Rounded to float32 before the fit, as the head will hold them.
    scaled = (features - shift) / scale
    gamma = np.float32(1 / (scaled.shape[1] * (scaled.var(dtype=np.float64) or 1.0)))
    # Once for all classes: 4,152 x 2,048 features then take 7 s instead of 184.
    kernel = rbf_kernel(scaled.astype(np.float64), gamma=float(gamma))
    svm = SVC(
        C=c,
        kernel="precomputed",
        class_weight="balanced" if balanced else None,
        random_state=seed,
    )
    model = OneVsRestClassifier(svm).fit(kernel, y)
    fitted = model.estimators_
    support = np.unique(np.concatenate([one.support_ for one in fitted]))
    dual = np.zeros((len(support), classes))
    bias = np.full(classes, heads.ABSENT)
    columns = model.classes_ if len(fitted) > 1 else model.classes_[1:]
    for column, one in zip(columns, fitted, strict=True):
        dual[np.searchsorted(support, one.support_), column] = one.dual_coef_[0]
        bias[column] = one.intercept_[0]
    if len(fitted) == 1:
        first, second = model.classes_
        dual[:, second] /= 2
        bias[second] /= 2
        dual[:, first], bias[first] = -dual[:, second], -bias[second]
    head = heads.Kernel(features.shape[1], len(support), classes)
    _fill(head.shift, shift)
    _fill(head.scale, scale)
    _fill(head.support, scaled[support])
    _fill(head.dual, dual)
    _fill(head.bias, bias)
    _fill(head.gamma, gamma)
    return head


def fit_forest(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    classes: int,
    recipe: Probe,
    balanced: bool,
    seed: int,
) -> heads.Forest:
    """A random forest of ``recipe.trees`` fully grown trees (scikit-learn's defaults).

    Args:
        features: float32 [N, D] of the training part.
        y: class index of each row; classes that do not occur get probability 0.
        classes: number of classes of the task.
        balanced: weight classes inversely to their frequency.
        seed: of the images drawn for each tree and the features tried at each node.
    """
    model = RandomForestClassifier(
        recipe.trees,
        class_weight="balanced" if balanced else None,
        random_state=seed,
        n_jobs=1,
    ).fit(features, y)
    trees = [one.tree_ for one in model.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    roots = np.cumsum(sizes) - sizes
    head = heads.Forest(
        features.shape[1],
        classes,
        len(trees),
        int(sizes.sum()),
        max(tree.max_depth for tree in trees),
    )
    _fill(head.roots, roots)
    _fill(head.present, np.isin(np.arange(classes), model.classes_))
    own = np.arange(sizes.sum())
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    offset = np.repeat(roots, sizes)
    for buffer, name in ((head.left, "children_left"), (head.right, "children_right")):
        children = np.concatenate([getattr(tree, name) for tree in trees])
        _fill(buffer, np.where(leaf, own, children + offset))
    split = np.concatenate([tree.feature for tree in trees])
    _fill(head.feature, np.where(leaf, 0, split))
    threshold = np.concatenate([tree.threshold for tree in trees])
    _fill(head.threshold, _rounded_down(threshold))
    value = np.concatenate([tree.value[:, 0] for tree in trees])
    share = np.zeros((len(own), classes))
    share[:, model.classes_] = value / value.sum(axis=1, keepdims=True)
    _fill(head.share, share)
    return head


def fit_neighbours(
    features: NDArray[np.float32], y: NDArray[np.intp], classes: int, recipe: Probe
) -> heads.Neighbours:
    """The training images themselves, float32 [N, D], with their class indices [N].

    ``recipe.neighbours`` count (all, where there are fewer); nothing else is fitted than the
    standardization.
    """
    count, width = features.shape
    head = heads.Neighbours(width, count, classes, min(recipe.neighbours, count))
    head.standardize_by(features)
    head.known.copy_(head.standardized(torch.from_numpy(features)))
    head.labels.copy_(torch.from_numpy(y))
    return head


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest float32 not above: features are float32, so every comparison stays as it was."""
    nearest = threshold.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > threshold, below, nearest)


def _fill(buffer: Tensor, values: NDArray[np.generic] | np.generic) -> None:
    buffer.copy_(torch.from_numpy(np.asarray(values)))

"""What every figure means, in one place. Undefined values are NaN here and null in metrics.json.

Let ``n[i, j]`` be the number of images of true class i predicted as class j.

- accuracy: ``sum_i n[i, i] / sum_ij n[i, j]``.
- recall of class i: ``n[i, i] / sum_j n[i, j]``; undefined where the class has no image.
- precision of class i: ``n[i, i] / sum_k n[k, i]``; 0 for a class that has images and is never
  predicted, undefined for a class without images.
- F1 of class i: ``2 n[i, i] / (sum_j n[i, j] + sum_k n[k, i])``; undefined as recall is.
- macro precision, recall, F1: unweighted means over the classes that have images in the set. That
  is scikit-learn's ``average="macro"`` with ``labels`` those classes and ``zero_division=0``.
- balanced accuracy: mean recall over the same classes; by this definition equal to macro recall.
- AUC of class i: probability that an image of class i has a higher ``p_i`` than an image of another
  class, ties counting one half (Mann-Whitney). Undefined without images of both kinds. Macro AUC is
  the mean over the classes for which it is defined; with two classes it is the second class's
  (malignant).
- log loss: mean of ``-ln p[true class]`` in nats, probabilities clipped at float32's epsilon, as
  scikit-learn does.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Figures of a whole set, in the order in which reports show them.
OVERALL: Final = (
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "macro_auc",
    "log_loss",
)
#: Figures of one class against the others.
PER_CLASS: Final = ("precision", "recall", "f1", "auc")


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Elementwise quotient; NaN where the denominator is 0."""
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def mean_defined(values: Floats, axis: int = -1) -> Floats:
    """Mean over an axis without the NaN entries; NaN where all are."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return ratio(total, defined.sum(axis=axis).astype(np.float64))


def confusion(true: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> Floats:
    """Counts, float64 [C, C]: rows true, columns predicted class."""
    flat = np.bincount(true * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.float64)


def from_confusion(counts: Floats) -> dict[str, Floats]:
    """Figures of confusion matrices [..., C, C] (counts or weighted counts, rows true).

    Returns ``accuracy, balanced_accuracy, macro_precision, macro_recall, macro_f1`` of shape [...]
    and ``precision, recall, f1`` of shape [..., C]; see the head of this file.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    present = support > 0
    recall = ratio(hits, support)
    precision = np.where(present, np.nan_to_num(ratio(hits, predicted)), np.nan)
    f1 = np.where(present, ratio(2 * hits, support + predicted), np.nan)
    macro_recall = mean_defined(recall)
    return {
        "accuracy": ratio(hits.sum(axis=-1), support.sum(axis=-1)),
        "balanced_accuracy": macro_recall,
        "macro_precision": mean_defined(precision),
        "macro_recall": macro_recall,
        "macro_f1": mean_defined(f1),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def macro_auc(per_class: Floats) -> Floats:
    """One figure [...] of the classes' AUC [..., C]; with two classes the second's."""
    return per_class[..., 1] if per_class.shape[-1] == 2 else mean_defined(per_class)


def image_loss(probabilities: NDArray[np.float32], true: NDArray[np.intp]) -> Floats:
    """``-ln p[true class]`` of each image, float64 [N], in nats."""
    chosen = probabilities[np.arange(len(true)), true]
    eps = np.finfo(np.float32).eps
    return -np.log(np.clip(chosen.astype(np.float64), eps, 1.0))


def number(value: float | np.float64 | None) -> float | None:
    """A plain float for JSON; None for NaN."""
    return None if value is None or np.isnan(value) else float(value)

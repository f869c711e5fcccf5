"""Operating points of a binary decision: a threshold locked on some images, judged on others.

An image counts as positive (malignant) where its probability is at least the threshold.

- ``half``: the fixed threshold 0.5, which is fitted on nothing; the likelier class of two.
- ``youden``: the threshold with the largest sensitivity + specificity - 1 (Youden, Cancer 3, 1950).
- ``sensitivity``: the highest threshold at which at least 95% of the positive images are found.
  That holds on the images it was locked on; on others it is a target and no guarantee.

Predictive values depend on how frequent the disease is. They are stored at a prevalence of one
half, ``ppv_even = se / (se + 1 - sp)`` and ``npv_even = sp / (sp + 1 - se)``, from which
:func:`at_prevalence` gives them, with their intervals, at any other (Bayes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import BadInput
from magnostic.evaluate.metrics import Floats, ratio

HALF: Final = "half"
YOUDEN: Final = "youden"
SENSITIVITY: Final = "sensitivity"
POINTS: Final = (HALF, YOUDEN, SENSITIVITY)
#: Share of positive images that the point ``sensitivity`` has to find where it is locked.
TARGET: Final = 0.95


def lock(point: str, scores: NDArray[Any], positive: NDArray[np.bool_]) -> float | None:
    """The threshold of a point of :data:`POINTS` on N images; None where a class has no image.

    Args:
        scores: [N], probability of the positive class.
        positive: [N], whether the image is of that class.
    """
    if point == HALF:
        return 0.5
    if positive.all() or not positive.any():
        return None
    return youden(scores, positive) if point == YOUDEN else reaching(scores, positive, TARGET)


def youden(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Threshold of the largest Youden index, midway between neighbouring scores.

    Of equally good thresholds the one nearest to 0.5 is taken, then the lower.
    """
    values, group = np.unique(scores.astype(np.float64), return_inverse=True)
    hits = np.bincount(group, positive, len(values))
    others = np.bincount(group, ~positive, len(values))
    # Index k: images of values[k] and above count as positive.
    found = np.cumsum(hits[::-1])[::-1] / hits.sum()
    false = np.cumsum(others[::-1])[::-1] / others.sum()
    between = np.concatenate([[0.0], (values[:-1] + values[1:]) / 2])
    index = found - false
    best = between[index >= index.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def reaching(scores: NDArray[Any], positive: NDArray[np.bool_], sensitivity: float) -> float:
    """The highest score at which at least this share of the positive images is found."""
    ordered = np.sort(scores[positive].astype(np.float64))[::-1]
    needed = max(1, int(np.ceil(sensitivity * len(ordered) - 1e-9)))
    return float(ordered[needed - 1])


def even_values(sensitivity: Floats, specificity: Floats) -> tuple[Floats, Floats]:
    """PPV and NPV at a prevalence of one half; NaN where nothing is called so."""
    return (
        ratio(sensitivity, sensitivity + (1 - specificity)),
        ratio(specificity, specificity + (1 - sensitivity)),
    )


def check_prevalence(prevalence: float) -> None:
    """Raise BadInput unless it lies between 0 and 1."""
    if not 0 < prevalence < 1:
        raise BadInput(
            f"prevalence {prevalence:g}: give the share of positive images, above 0 and below 1"
        )


def at_prevalence(point: Mapping[str, Any], prevalence: float) -> dict[str, dict[str, Any]]:
    """PPV and NPV of an operating point where ``prevalence`` of the images are positive.

    Args:
        point: has ``ppv_even`` and ``npv_even``, each ``estimate, low, high``.
        prevalence: in (0, 1).

    Returns:
        ``ppv`` and ``npv``, each ``estimate, low, high``. Both are rising functions of the stored
        values, so that percentile intervals go over by the same formula.

    Raises:
        BadInput: the prevalence is not between 0 and 1.
    """
    check_prevalence(prevalence)
    odds = {"ppv": prevalence / (1 - prevalence), "npv": (1 - prevalence) / prevalence}
    return {name: _moved(point[f"{name}_even"], odds[name]) for name in odds}


def _moved(value: Mapping[str, Any], odds: float) -> dict[str, Any]:
    """A share of two equally frequent kinds, where one is ``odds`` times as frequent."""

    def move(share: float | None) -> float | None:
        return None if share is None else share * odds / (share * odds + 1 - share)

    return {key: move(value[key]) for key in ("estimate", "low", "high")}

"""Sets of classes that hold the true one with a stated probability, for images of a new patient.

The score of an image for class c is ``1 - p_c`` (Sadinle, Lei and Wasserman, JASA 114, 2019), of
the probabilities as predicted: nothing that was fitted on the calibration patients enters it, on
which the guarantee rests. The set of an image holds every class whose score is at most a quantile
of the true classes' scores in the calibration patients, and always the likeliest class.

Images of one patient are alike, so that patients are exchangeable and images are not. Two units:

- ``image``, a random image of a new patient. The quantile is that of the mixture in which each of
  the G calibration patients has weight 1/(G+1), shared by its images, and infinity has the last
  1/(G+1) (hierarchical conformal prediction: Lee, Barber and Willett, arXiv 2306.06342; the pooled
  distribution functions of Dunn, Wasserman and Ramdas, JASA 118, 2023). Coverage is at least the
  level: with the new patient's own images in place of infinity the quantile is no higher, and the
  image is a random one of a random one of G+1 exchangeable patients.
- ``patient``, all images of a new patient at once. The same with a patient's highest score in
  place of its images' scores: ordinary split conformal prediction with patients as examples.

Both need G/(G+1) >= level (9 patients for 90%, 19 for 95%). With fewer the quantile is infinite:
every set is full, and the level is *not certifiable*.

The guarantee is exact where the calibration patients were held out from one model that also
predicts the new patient (validation, for patient-disjoint protocols). Out-of-fold scores come from
several models, each of which may have seen the patients of the others: there it is approximate, as
in cross-conformal prediction, and the empirical coverage is what was measured.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.metrics import Floats

IMAGE: Final = "image"
PATIENT: Final = "patient"
UNITS: Final = (IMAGE, PATIENT)
LEVELS: Final = (0.8, 0.9, 0.95)
#: Rounding that cumulated weights may show.
_SLACK: Final = 1e-9

Codes = NDArray[np.intp]


def scores(probabilities: NDArray[Any], true: Codes) -> Floats:
    """``1 - p[true class]`` of each image, float64 [N]."""
    return 1.0 - probabilities[np.arange(len(true)), true].astype(np.float64)


def needed(level: float) -> int:
    """The fewest calibration patients that suffice for a level in (0, 1)."""
    return math.ceil(level / (1 - level) - _SLACK)


def certifiable(level: float, n_groups: int) -> bool:
    """Whether so many calibration patients suffice for the level."""
    return n_groups >= needed(level)


def quantile(
    unit: str, level: float, values: Floats, groups: Codes, repeats: NDArray[Any]
) -> float:
    """The largest score that a class of the set may have; infinity where not certifiable.

    Args:
        unit: ``image`` or ``patient``.
        level: in (0, 1), of the coverage.
        values: [N], scores of the calibration images' true classes.
        groups: [N], their patients.
        repeats: [N]; a patient predicted in several repeats has a highest score in each, which
            share its weight.
    """
    if unit == PATIENT:
        pairs, member = np.unique(np.stack([groups, repeats]), axis=1, return_inverse=True)
        highest = np.full(pairs.shape[1], -np.inf)
        np.maximum.at(highest, member.reshape(-1), values)
        values, groups = highest, pairs[0]
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    if not certifiable(level, len(size)):
        return float("inf")
    weights = 1.0 / (size[place] * (len(size) + 1.0))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= level - _SLACK
    return float(values[order][reached.argmax()])


def sets(probabilities: NDArray[Any], limit: Floats | float) -> NDArray[np.bool_]:
    """Which classes are in each image's set, bool [N, C]; never empty.

    Args:
        probabilities: [N, C].
        limit: the quantile, one for all images or one for each.
    """
    p = probabilities.astype(np.float64)
    members: NDArray[np.bool_] = (1.0 - p) <= np.reshape(limit, (-1, 1))
    members[np.arange(len(p)), p.argmax(axis=1)] = True
    return members

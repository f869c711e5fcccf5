"""Tests of two systems on the same clustered images: accuracy, AUC, and many pairs at once.

They stand beside the bootstrap interval of the difference, on which verdicts rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from magnostic.evaluate.metrics import Floats


@dataclass(frozen=True)
class AccuracyTest:
    """Durkalski's test. difference: mean over clusters of each one's difference of accuracy.

    Clusters of any size count alike here, unlike in the accuracy over images. ``p`` is None where
    no cluster is in favour of either system.
    """

    difference: float
    statistic: float
    p: float | None
    first_better: int
    second_better: int


def durkalski(first: Floats, second: Floats, size: Floats) -> AccuracyTest:
    """McNemar's test for clustered pairs (Durkalski et al., *Statistics in Medicine* 22, 2003).

    With ``d_k = (b_k - c_k) / n_k``, b_k and c_k the images of cluster k that only the first or
    only the second system gets right, ``(sum d_k)^2 / sum d_k^2`` is chi-square with one degree of
    freedom where neither is better. With one image a cluster it is McNemar's test.

    Args:
        first, second: images of each cluster that a system gets right, float64 [G].
        size: images of each cluster, float64 [G], > 0.
    """
    d = (first - second) / size
    squares = float(np.sum(d**2))
    statistic = float(np.sum(d)) ** 2 / squares if squares > 0 else 0.0
    return AccuracyTest(
        difference=float(d.mean()),
        statistic=statistic,
        p=_two_sided(math.sqrt(statistic)) if squares > 0 else None,
        first_better=int(np.sum(d > 0)),
        second_better=int(np.sum(d < 0)),
    )


@dataclass(frozen=True)
class AucTest:
    """Difference of two AUC with its standard error; ``reason`` says why there is no test."""

    difference: float | None
    standard_error: float | None
    z: float | None
    p: float | None
    reason: str | None = None


def obuchowski(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    positive: NDArray[np.bool_],
    codes: NDArray[np.intp],
    repeats: NDArray[np.intp],
) -> AucTest:
    """Two AUC on the same clustered images (Obuchowski, *Biometrics* 53(2), 1997).

    With M positives, N negatives and, in cluster i, sums X_i of the shares of negatives that its
    m_i positives outrank, and Y_i of the shares of positives that outrank its n_i negatives (ties
    half), let ``x_i = (X_i - m_i A) / M`` and ``y_i = (Y_i - n_i A) / N``, taken as the first
    system's minus the second's. The variance of the difference is ``I10 / (I10 - 1) sum x_i^2 +
    I01 / (I01 - 1) sum y_i^2 + 2 I / (I - 1) sum x_i y_i``, with I clusters, I10 of them with
    positives and I01 with negatives. With one image a cluster it is DeLong's. Over several repeats
    A, x_i and y_i are means of the repeats'. The p value is Student's with ``min(I10, I01) - 1``
    degrees of freedom: a normal one rejects 23% at 5% where a class stands in two clusters.

    Args:
        first, second: scores of the two systems, [N].
        positive, codes, repeats: [N], codes in 0..G-1 without gaps, repeats likewise.
    """
    n_clusters, n_repeats = int(codes.max()) + 1, int(repeats.max()) + 1
    x, y, difference = np.zeros(n_clusters), np.zeros(n_clusters), 0.0
    for repeat in range(n_repeats):
        rows = repeats == repeat
        p, c = positive[rows], codes[rows]
        if p.all() or not p.any():
            return AucTest(None, None, None, None, "needs images of the class and of others")
        for scores, sign in ((first[rows], 1 / n_repeats), (second[rows], -1 / n_repeats)):
            above, below = _placements(scores, p)
            area = float(above.mean())
            x += sign * np.bincount(c[p], above - area, n_clusters) / len(above)
            y += sign * np.bincount(c[~p], below - area, n_clusters) / len(below)
            difference += sign * area
    with_positives, with_negatives = (len(np.unique(codes[side])) for side in (positive, ~positive))
    if min(with_positives, with_negatives) < 2:
        side = "the class stands" if with_positives < 2 else "the other classes stand"
        return AucTest(difference, None, None, None, f"{side} in one cluster only")
    variance = (
        _corrected(with_positives) * np.sum(x**2)
        + _corrected(with_negatives) * np.sum(y**2)
        + 2 * _corrected(n_clusters) * np.sum(x * y)
    )
    if variance <= 1e-15:  # equal scores; rounding may leave a trace on either side of zero
        return AucTest(difference, 0.0, None, None, "the two systems rank alike")
    error = math.sqrt(variance)
    z = difference / error
    df = min(with_positives, with_negatives) - 1
    return AucTest(difference, error, z, 2 * float(stdtr(df, -abs(z))))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values corrected for their number (Holm, *Scand. J. Statistics* 6, 1979), None kept out.

    The i-th smallest of m is multiplied by m - i + 1; none becomes smaller than the one before it.
    """
    known = sorted((p, at) for at, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, at) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[at] = largest
    return corrected


def _placements(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties half."""
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])

    def share_below(values: NDArray[np.float32], ordered: NDArray[np.float32]) -> Floats:
        left = np.searchsorted(ordered, values, side="left")
        right = np.searchsorted(ordered, values, side="right")
        return (left + right) / (2 * len(ordered))

    return share_below(scores[positive], below), 1 - share_below(scores[~positive], above)


def _corrected(n: int) -> float:
    return n / (n - 1)


def _two_sided(z: float) -> float:
    """p value of a standard normal z >= 0."""
    return float(2 * ndtr(-z))

"""The area under the ROC curve of cluster-weighted images, exactly and for many weightings at once.

With weight w_g of cluster g, the AUC of positives against negatives is the weighted Mann-Whitney
statistic ``sum_gh w_g w_h U[g, h] / (sum_g w_g P_g * sum_h w_h N_h)``, where U[g, h] counts the
pairs (positive of g, negative of h) that are ranked rightly, ties counting one half, and P, N are
the clusters' numbers of positives and negatives. U is computed once; every bootstrap resample is
then a small matrix product. Where there are too many clusters for U (images without patient ids)
the same figure comes from cumulated weights along the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.metrics import Floats, ratio

#: Largest table (images x clusters) that the pairwise way may build: 128 MiB of float64.
_LARGEST: Final = 2**24


class Kernel(Protocol):
    """AUC of one class as a function of cluster weights."""

    @property
    def width(self) -> int:
        """Floats that one weighting takes while it is worked on."""
        ...

    def __call__(self, weights: Floats) -> Floats:
        """Weights [B, G] >= 0 to AUC [B]; NaN where one side has no weight."""
        ...


@dataclass(frozen=True)
class PairKernel:
    """U of the clusters that hold positives [P] against those that hold negatives [N]."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    wins: Floats
    positives: Floats
    negatives: Floats
    width: int

    def __call__(self, weights: Floats) -> Floats:
        w_positive, w_negative = weights[:, self.rows], weights[:, self.columns]
        won = np.einsum("bn,bn->b", w_positive @ self.wins, w_negative)
        return ratio(won, (w_positive @ self.positives) * (w_negative @ self.negatives))


@dataclass(frozen=True)
class RankKernel:
    """Images in ascending order of score: cluster of each, and its group of equal scores."""

    codes: NDArray[np.intp]
    positive: NDArray[np.bool_]
    first: NDArray[np.intp]
    after: NDArray[np.intp]
    width: int

    def __call__(self, weights: Floats) -> Floats:
        each = weights[:, self.codes]
        below = np.zeros((len(weights), len(self.codes) + 1))
        np.cumsum(np.where(self.positive, 0.0, each), axis=1, out=below[:, 1:])
        w_positive = each[:, self.positive]
        # Half of the negatives strictly below plus half of those not above: ties count half.
        beaten = 0.5 * (below[:, self.first] + below[:, self.after])
        won = np.einsum("bn,bn->b", w_positive, beaten)
        return ratio(won, w_positive.sum(axis=1) * below[:, -1])


def kernel(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], codes: NDArray[np.intp]
) -> Kernel:
    """AUC of ``scores`` [N] for ``positive`` [N] images in the clusters ``codes`` [N]."""
    n_columns = len(np.unique(codes[~positive]))
    if len(scores) * n_columns <= _LARGEST:
        return pair_kernel(scores, positive, codes)
    return rank_kernel(scores, positive, codes)


def pair_kernel(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], codes: NDArray[np.intp]
) -> PairKernel:
    """The pairwise form; memory grows with images x clusters."""
    rows, row = np.unique(codes[positive], return_inverse=True)
    columns, column = np.unique(codes[~positive], return_inverse=True)
    order = np.argsort(scores[~positive], kind="stable")
    ranked = scores[~positive][order]
    below = np.zeros((len(ranked) + 1, len(columns)))
    below[np.arange(1, len(ranked) + 1), column[order]] = 1.0
    np.cumsum(below, axis=0, out=below)
    left = np.searchsorted(ranked, scores[positive], side="left")
    right = np.searchsorted(ranked, scores[positive], side="right")
    wins = np.zeros((len(rows), len(columns)))
    by_row = np.argsort(row, kind="stable")
    if len(rows) and len(columns):
        starts = np.searchsorted(row[by_row], np.arange(len(rows)))
        beaten = 0.5 * (below[left[by_row]] + below[right[by_row]])
        wins = np.add.reduceat(beaten, starts, axis=0)
    return PairKernel(
        rows,
        columns,
        wins,
        np.bincount(row, minlength=len(rows)).astype(np.float64),
        np.bincount(column, minlength=len(columns)).astype(np.float64),
        len(rows) + len(columns),
    )


def rank_kernel(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], codes: NDArray[np.intp]
) -> RankKernel:
    """The ranked form; memory grows with images alone."""
    order = np.argsort(scores, kind="stable")
    ranked, ranked_positive = scores[order], positive[order]
    of_positives = ranked[ranked_positive]
    return RankKernel(
        codes[order],
        ranked_positive,
        np.searchsorted(ranked, of_positives, side="left"),
        np.searchsorted(ranked, of_positives, side="right"),
        len(scores),
    )

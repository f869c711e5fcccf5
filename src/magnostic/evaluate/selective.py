"""When not to answer: errors among the images that are answered, and a threshold for abstaining.

The confidence of an image is its highest probability, as predicted.

- risk-coverage curve: of the images answered first, in order of falling confidence, the share that
  is wrong (El-Yaniv and Wiener, JMLR 11, 2010). AURC is the area under it, the mean of that risk
  over the images, each counted when it is reached (Geifman and El-Yaniv, ICLR 2019); equally
  confident images are answered together. Without any order it is the error rate.
- abstention: an image is answered where its confidence is above a threshold, the lowest one with
  ``(G * L + 1) / (G + 1) <= target``, where L is the mean over G patients of the share of a
  patient's images that are answered wrongly. That bounds the expected share for a new patient by
  the target (conformal risk control: Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024); it
  needs ``1 / (G + 1) <= target`` (9 patients for 10%). It bounds wrong answers among all images of
  a patient, not among the answered ones. It holds as exactly as conformal sets do.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.calibration import equal_mass
from magnostic.evaluate.metrics import Floats, mean_defined, ratio

#: Share of a patient's images that may be answered wrongly.
TARGET: Final = 0.1
#: Shares of images that the curve is drawn at.
COVERAGES: Final = tuple(k / 20 for k in range(1, 21))
_SLACK: Final = 1e-9
#: Blocks of the ranking in resamples.
_BLOCKS: Final = 500

Codes = NDArray[np.intp]


def abstention(
    confidence: NDArray[Any], wrong: NDArray[np.bool_], groups: Codes, target: float = TARGET
) -> float | None:
    """The confidence above which images are answered; None where not certifiable.

    Args:
        confidence: [N] in [0, 1].
        wrong: [N], whether the likeliest class is not the true one.
        groups: [N], patients.
        target: in (0, 1).
    """
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    n = len(size)
    budget = target * (n + 1) - 1
    if budget < -_SLACK:
        return None
    losses = np.where(wrong, 1.0 / size[place], 0.0)
    levels, level = np.unique(confidence.astype(np.float64), return_inverse=True)
    summed = np.bincount(level, losses, len(levels))
    # Summed losses of images above each candidate: all images (candidate 0), then each level.
    above = np.append(np.cumsum(summed[::-1])[::-1], 0.0)
    candidates = np.concatenate([[0.0], levels])
    return float(candidates[(above <= budget + _SLACK).argmax()])


def thresholds_at(confidence: NDArray[Any], coverages: tuple[float, ...] = COVERAGES) -> Floats:
    """The confidence that at least each share of the N images reaches, float64 [K]."""
    ordered = np.sort(confidence.astype(np.float64))[::-1]
    wanted = np.ceil(np.asarray(coverages) * len(ordered) - _SLACK).astype(int)
    return np.asarray(ordered[np.maximum(wanted, 1) - 1], dtype=np.float64)


def aurc(confidence: NDArray[Any], wrong: NDArray[np.bool_]) -> float:
    """The area under the risk-coverage curve of N >= 1 images."""
    levels, level = np.unique(-confidence.astype(np.float64), return_inverse=True)
    size = np.bincount(level, minlength=len(levels))
    errors = np.bincount(level, wrong, len(levels))
    risk = np.cumsum(errors) / np.cumsum(size)
    return float((size * risk).sum() / len(confidence))


class Aurc:
    """AURC under weights of clusters, mean over repeats.

    So that many weightings are fast, the ranking is cut into up to 500 blocks, each answered at
    once. Every value is shifted by what that changes for the whole set, whose figure is exact.

    width: floats that one weighting takes while it is worked on.
    """

    def __init__(
        self,
        confidence: NDArray[Any],
        wrong: NDArray[np.bool_],
        codes: Codes,
        repeats: NDArray[Any],
    ) -> None:
        self._sides: list[tuple[Floats, Floats, float]] = []
        n = int(codes.max(initial=0)) + 1
        for repeat in np.unique(repeats):
            rows = repeats == repeat
            binned = equal_mass(-confidence[rows].astype(np.float64), _BLOCKS)
            n_blocks = len(binned.size)
            cell = codes[rows] * n_blocks + binned.codes
            sizes, errors = (
                np.bincount(cell, values, n * n_blocks).reshape(n, n_blocks).astype(np.float64)
                for values in (np.ones(len(cell)), wrong[rows])
            )
            exact = aurc(confidence[rows], wrong[rows])
            shift = exact - float(_blocked(np.ones((1, n)), sizes, errors)[0])
            self._sides.append((sizes, errors, shift))
        self.width = max(2 * sizes.shape[1] for sizes, _, _ in self._sides)

    def __call__(self, weights: Floats) -> Floats:
        """Weights [B, G] to AURC [B]; NaN where a resample has no image."""
        found = [_blocked(weights, sizes, errors) + shift for sizes, errors, shift in self._sides]
        return mean_defined(np.stack(found), axis=0)


def _blocked(weights: Floats, sizes: Floats, errors: Floats) -> Floats:
    block = weights @ sizes
    answered = np.cumsum(block, axis=1)
    risk = ratio(np.cumsum(weights @ errors, axis=1), answered)
    return ratio(np.nansum(block * risk, axis=1), answered[:, -1])

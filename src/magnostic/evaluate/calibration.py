"""Whether a stated probability is the share of times it comes true, and one parameter to mend it.

- temperature: probabilities become ``softmax(ln(p) / T)``, T > 0 minimizing the log loss (Guo et
  al., ICML 2017). ``ln p`` differs from a network's logits by one number a row, which the softmax
  removes, so that probabilities from anywhere can be treated alike. p is clipped at float32's
  epsilon as in the log loss. The order of classes in a row never changes.
- Brier score of an image: ``sum_c (p_c - y_c)^2`` in [0, 2], y being 1 for the true class (Brier,
  1950). Its decomposition, for each class in equal-mass bins b of n_b images with mean probability
  f_b and observed share o_b, summed over classes (Murphy, 1973; the within-bin terms after
  Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008):
  ``Brier = reliability - resolution + uncertainty`` exactly, with
  ``reliability = sum_b n_b (f_b - o_b)^2 / n``, ``uncertainty = o (1 - o)`` and
  ``resolution = [sum_b n_b (o_b - o)^2 - sum_i (p_i - f_b)^2 + 2 sum_i (p_i - f_b)(y_i - o_b)]/n``.
- expected calibration error: ``sum_b (n_b / n) |f_b - o_b|``, top-label (f: mean probability of the
  predicted class, o: share predicted rightly) or classwise (mean over classes of the same with p_c
  and y_c; Kull et al., NeurIPS 2019). Bins are equal-mass: quantiles of the score, equal scores
  never parted, so there may be fewer bins than asked for.
- chance ECE: what images drawn independently from a perfectly calibrated model would show on
  average, ``sum_b sqrt(2/pi * sum_(i in b) p_i (1 - p_i)) / n`` (normal approximation). Images of
  one patient are alike, so that the true floor is higher. An ECE near it shows no miscalibration.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from magnostic.evaluate.metrics import Floats

#: Bins of equal numbers of images, and how many images a bin should have at least.
BINS: Final = 10
_BIN_IMAGES: Final = 10
#: Range of temperatures; an end of it is taken where the optimum lies beyond.
COLDEST: Final = 0.05
HOTTEST: Final = 20.0

Codes = NDArray[np.intp]


def log_probabilities(probabilities: NDArray[Any]) -> Floats:
    """``ln p``, float64 [N, C], p clipped at float32's epsilon."""
    eps = float(np.finfo(np.float32).eps)
    clipped: Floats = np.log(np.clip(probabilities.astype(np.float64), eps, 1.0))
    return clipped


def temper(probabilities: NDArray[Any], temperature: float | Floats) -> Floats:
    """``softmax(ln(p) / temperature)``, float64 [N, C]; at 1 the probabilities but for clipping.

    ``temperature`` is one number, or [N, 1].
    """
    return _softmax(log_probabilities(probabilities) / temperature)


def fit_temperature(probabilities: NDArray[Any], true: Codes) -> float:
    """The temperature in [0.05, 20] with the lowest log loss on N >= 1 images.

    Args:
        probabilities: [N, C], rows summing to 1.
        true: [N], index of the true class.
    """
    logits = log_probabilities(probabilities)
    right = logits[np.arange(len(true)), true].sum()

    def slope(inverse: float) -> float:
        """Derivative of the summed log loss by 1/T: it rises, the loss being convex in 1/T."""
        return float((_softmax(inverse * logits) * logits).sum() - right)

    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    if slope(1 / COLDEST) <= 0:
        return COLDEST
    return 1 / float(brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-10))


def brier(probabilities: NDArray[Any], true: Codes) -> Floats:
    """Brier score of each image, float64 [N] in [0, 2]."""
    off = probabilities - _one_hot(true, probabilities.shape[1])
    return np.asarray(np.square(off).sum(axis=1), dtype=np.float64)


def brier_parts(probabilities: NDArray[Any], true: Codes, bins: int = BINS) -> dict[str, float]:
    """``reliability, resolution, uncertainty`` of the mean Brier score, in bins of each class."""
    p = probabilities.astype(np.float64)
    hits = _one_hot(true, p.shape[1])
    parts = dict.fromkeys(("reliability", "resolution", "uncertainty"), 0.0)
    for k in range(p.shape[1]):
        binned = equal_mass(p[:, k], bins)
        share, size = binned.means(hits[:, k]), binned.size
        forecast = binned.means(p[:, k])
        base = hits[:, k].mean()
        within = p[:, k] - forecast[binned.codes]
        n = len(p)
        parts["reliability"] += float((size * (forecast - share) ** 2).sum() / n)
        parts["resolution"] += float(
            (
                (size * (share - base) ** 2).sum()
                - np.square(within).sum()
                + 2 * (within * (hits[:, k] - share[binned.codes])).sum()
            )
            / n
        )
        parts["uncertainty"] += float(base * (1 - base))
    return parts


class Binned:
    """Images in bins of their score. codes: intp [N] in 0..B-1. size: float64 [B], all > 0."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self.size: Floats = np.bincount(codes).astype(np.float64)

    def means(self, values: NDArray[Any]) -> Floats:
        """Mean of ``values`` [N] in each bin, float64 [B]."""
        return np.asarray(np.bincount(self.codes, values) / self.size, dtype=np.float64)

    def error(self, score: NDArray[Any], hit: NDArray[Any]) -> tuple[float, float]:
        """Expected calibration error, and what chance alone gives; scores [N] in [0, 1]."""
        off = np.abs(self.means(score) - self.means(hit))
        spread = np.bincount(self.codes, score * (1 - score))
        n = len(self.codes)
        floor = np.sqrt(2 / np.pi * np.maximum(spread, 0.0)).sum() / n
        return float((off * self.size).sum() / n), float(floor)


def bins_for(n: int) -> int:
    """How many bins ``n`` images are put into."""
    return int(np.clip(n // _BIN_IMAGES, 1, BINS))


def equal_mass(scores: NDArray[Any], bins: int = BINS) -> Binned:
    """Bins of nearly equal numbers of the N >= 1 scores; equal scores share a bin."""
    ordered = np.sort(scores)
    inner = np.unique(ordered[(np.arange(1, bins) * len(ordered)) // bins])
    codes = np.searchsorted(inner, scores, side="right")
    return Binned(np.unique(codes, return_inverse=True)[1].astype(np.intp))


def top_label_error(
    probabilities: NDArray[Any], true: Codes, bins: int = BINS
) -> tuple[float, float]:
    """Top-label ECE and its chance level."""
    top = probabilities.argmax(axis=1)
    score = probabilities.max(axis=1).astype(np.float64)
    return equal_mass(score, bins).error(score, (top == true).astype(np.float64))


def classwise_error(
    probabilities: NDArray[Any], true: Codes, bins: int = BINS
) -> tuple[float, float]:
    """Classwise ECE and its chance level, means over the classes."""
    hits = _one_hot(true, probabilities.shape[1])
    p = probabilities.astype(np.float64)
    found = [equal_mass(p[:, k], bins).error(p[:, k], hits[:, k]) for k in range(p.shape[1])]
    error, floor = np.mean(found, axis=0)
    return float(error), float(floor)


def _one_hot(true: Codes, classes: int) -> Floats:
    out = np.zeros((len(true), classes))
    out[np.arange(len(true)), true] = 1.0
    return out


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)

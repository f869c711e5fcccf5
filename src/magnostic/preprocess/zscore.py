"""Exact per-channel mean and standard deviation of photographs, for the RGB z-score.

Pixels are 8 bit, so a histogram of 256 integer counts per channel holds them without loss: the
statistics are exact however many images are streamed, and do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import DataError

#: Mean and deviation of ImageNet's training images in [0, 1], as torchvision publishes them.
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

#: Gives the photographs at some positions, uint8 [n, H, W, 3].
Photographs = Callable[[NDArray[np.intp]], NDArray[np.uint8]]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def histogram(batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Counts of each value per channel: int64 [3, 256] from uint8 [N, H, W, 3] batches."""
    counts = np.zeros((3, 256), dtype=np.int64)
    for batch in batches:
        for channel in range(3):
            counts[channel] += np.bincount(batch[..., channel].ravel(), minlength=256)
    return counts


def statistics(counts: NDArray[np.int64]) -> Statistics:
    """Mean and population standard deviation per channel of pixels scaled to [0, 1], float64.

    Raises DataError for a channel without variation, which no z-score can normalize.
    """
    if not counts.sum():
        raise DataError("z-score: there is no training pixel; the training part is empty")
    values = np.arange(256, dtype=np.float64) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    deviation = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    if (deviation == 0).any():
        channel = "RGB"[int((deviation == 0).argmax())]
        raise DataError(f"z-score: channel {channel} is constant over all training images")
    return tuple(map(float, mean)), tuple(map(float, deviation))


def of_rows(photographs: Photographs, rows: NDArray[np.intp], chunk: int = 64) -> Statistics:
    """Statistics over photographs at these positions, uint8 [n, H, W, 3], ``chunk`` at a time."""
    ordered = np.sort(rows)
    parts = (photographs(ordered[i : i + chunk]) for i in range(0, len(ordered), chunk))
    return statistics(histogram(parts))

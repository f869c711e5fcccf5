"""A photograph's colours and nothing else: how many of its pixels are of each of 512 colours."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: To be raised when the same photograph would give other numbers.
VERSION: Final = 1
#: Bits kept of each of red, green and blue: 8 equal bins.
_BITS: Final = 3
WIDTH: Final = 2 ** (3 * _BITS)


def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of pixels in 8 x 8 x 8 bins of RGB.

    uint8 [N, S, S, 3] -> float32 [N, 512], red slowest. The Euclidean distance of square roots is
    the Hellinger distance of the histograms (times the square root of 2), in which a few bins of
    background do not outweigh all others.
    """
    result = np.empty((len(images), WIDTH), dtype=np.float32)
    for row, image in zip(result, images, strict=True):
        red, green, blue = (image[..., k].reshape(-1) >> (8 - _BITS) for k in range(3))
        bins = (red.astype(np.intp) << 2 * _BITS) | (green << _BITS) | blue
        row[:] = np.sqrt(np.bincount(bins, minlength=WIDTH) / len(bins))
    return result

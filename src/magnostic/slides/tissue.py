"""Where on a slide there is tissue, from a look at all of it at low resolution.

A pixel's optical density is that of its darkest channel, -log10((v + 1) / 256): eosin and
haematoxylin both darken green, and grey stains darken all three, so that no colour is asked for.
Otsu's threshold (IEEE Trans. Syst. Man Cybern. 9, 1979) between glass and tissue is kept within
:data:`LIMITS`, since it always finds two groups, also on a slide that is all tissue or all glass.
What is nearly black in all channels (pen, the rim of a scan) is no tissue either.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.errors import DataError
from magnostic.slides.source import Slide

#: Optical density between which the threshold lies: darkest channels of 232 to 222. At the upper
#: one each of the 187 genuine photographs is tissue to 40% at least; scanned glass is brighter.
LIMITS: Final = (0.04, 0.06)
#: Values of the brightest channel up to which a pixel is black.
BLACK: Final = 40
#: Pixels on a side that are read from the file at once.
_BLOCK: Final = 2048
#: Pixels of the mask across the shorter side of a tile.
_ACROSS: Final = 8
#: Colour of what cannot be read.
_UNREAD: Final = 128
#: Pixels on a side of blocks that are not divided further where they cannot be read.
_SMALLEST: Final = 16
#: Damaged places, of all sizes, after which a slide is given up.
_FAULTS: Final = 1000


@dataclass(frozen=True)
class Tissue:
    """A mask over the whole slide.

    Attributes:
        mask: bool [H, W], H and W at least 1.
        downsample: level-0 pixels a pixel of the mask.
        threshold: optical density above which a pixel is tissue.
    """

    mask: NDArray[np.bool_]
    downsample: float
    threshold: float

    def share(self, boxes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Share of tissue in each box, float32 [N] in [0, 1].

        Args:
            boxes: int64 [N, 4], left, top, width and height, level-0 pixels.
        """
        sums = np.zeros((self.mask.shape[0] + 1, self.mask.shape[1] + 1))
        sums[1:, 1:] = self.mask.cumsum(0, dtype=np.float64).cumsum(1)
        x, y, width, height = boxes.T / self.downsample
        left, right, top, bottom = x, x + width, y, y + height
        inside = (
            _at(sums, bottom, right)
            - _at(sums, top, right)
            - _at(sums, bottom, left)
            + _at(sums, top, left)
        )
        found: NDArray[np.float32] = np.clip(inside / (width * height), 0, 1).astype(np.float32)
        return found


def _at(
    sums: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sums up to places between pixels: bilinear, which is exact for a mask of squares."""
    y, x = np.clip(y, 0, sums.shape[0] - 1), np.clip(x, 0, sums.shape[1] - 1)
    row = np.minimum(y.astype(np.int64), max(sums.shape[0] - 2, 0))
    column = np.minimum(x.astype(np.int64), max(sums.shape[1] - 2, 0))
    down, right = y - row, x - column
    above = sums[row, column] * (1 - right) + sums[row, column + 1] * right
    below = sums[row + 1, column] * (1 - right) + sums[row + 1, column + 1] * right
    found: NDArray[np.float64] = above * (1 - down) + below * down
    return found


def find(slide: Slide, step: tuple[float, float]) -> Tissue:
    """Tissue of a slide, fine enough for tiles of ``step`` (width, height) level-0 pixels."""
    downsample = max(1.0, min(step) / _ACROSS)
    look = overview(slide, downsample)
    darkest, brightest = look.min(axis=2), look.max(axis=2)
    darkest[brightest <= BLACK] = 255
    threshold = _threshold(darkest)
    return Tissue(_density(darkest) > threshold, downsample, threshold)


def _density(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    table = -np.log10((np.arange(256) + 1) / 256)
    found: NDArray[np.float32] = table.astype(np.float32)[values]
    return found


def _threshold(darkest: NDArray[np.uint8]) -> float:
    """Otsu's, in 64 steps of optical density up to 1, within :data:`LIMITS`."""
    density = np.minimum(_density(np.arange(256, dtype=np.uint8)), 1)
    counts = np.bincount(darkest.ravel(), minlength=256).astype(np.float64)
    heights, edges = np.histogram(density, bins=64, range=(0, 1), weights=counts)
    middle = (edges[:-1] + edges[1:]) / 2
    below = heights.cumsum()
    moment = (heights * middle).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = moment / below - (moment[-1] - moment) / above
        between = np.nan_to_num(below * above * apart**2)
    return float(np.clip(edges[1 + int(between.argmax())], *LIMITS))


def overview(slide: Slide, downsample: float) -> NDArray[np.uint8]:
    """The whole slide reduced, uint8 [H, W, 3], antialiased, read in blocks of bounded size.

    What cannot be read is grey. It counts as tissue, so that its tiles are tried and named.

    Args:
        downsample: level-0 pixels a pixel, at least 1.

    Raises DataError where the file is damaged at more than :data:`_FAULTS` places.
    """
    width = max(1, math.ceil(slide.size[0] / downsample))
    height = max(1, math.ceil(slide.size[1] / downsample))
    fine = [n for n, d in enumerate(slide.downsamples) if max(d) <= downsample * 1.001]
    level = max(fine, key=lambda n: slide.downsamples[n][0]) if fine else 0
    ratio = tuple(downsample / d for d in slide.downsamples[level])
    across, down = (max(1, int(_BLOCK / r)) for r in ratio)
    whole = np.full((height, width, 3), _UNREAD, np.uint8)
    blocks = deque(
        (left, top, min(across, width - left), min(down, height - top))
        for top in range(0, height, down)
        for left in range(0, width, across)
    )
    faults = 0
    while blocks:
        left, top, *size = blocks.popleft()
        try:
            part = resampled(slide, level, (left, top), (size[0], size[1]), (ratio[0], ratio[1]))
            whole[top : top + size[1], left : left + size[0]] = part
        except DataError:
            faults += 1
            if faults > _FAULTS:
                raise
            if max(size) > _SMALLEST:
                blocks.extendleft(_quarters(left, top, size[0], size[1]))
    return whole


def _quarters(left: int, top: int, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Halves in each direction that has two pixels."""
    columns = [(left, width - width // 2), (left + width - width // 2, width // 2)]
    rows = [(top, height - height // 2), (top + height - height // 2, height // 2)]
    return [(x, y, w, h) for x, w in columns for y, h in rows if w and h]


def resampled(
    slide: Slide,
    level: int,
    place: tuple[float, float],
    size: tuple[int, int],
    ratio: tuple[float, float],
) -> NDArray[np.uint8]:
    """Part of a level in other pixels, uint8 [height, width, 3]; antialiased bilinear.

    Args:
        place: left and top, in the new pixels.
        size: width and height, new pixels.
        ratio: pixels of the level for each new one, in x and y; not whole in general.
    """
    left, top = place[0] * ratio[0], place[1] * ratio[1]
    right, bottom = left + size[0] * ratio[0], top + size[1] * ratio[1]
    x, y = math.floor(left + 1e-6), math.floor(top + 1e-6)
    width, height = math.ceil(right - 1e-6) - x, math.ceil(bottom - 1e-6) - y
    image = slide.read(x, y, level, width, height)
    box = (max(left - x, 0), max(top - y, 0), min(right - x, width), min(bottom - y, height))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))

"""Micrometres a pixel: what a magnification stands for, and which level of a slide to read.

BreakHis names its photographs by the magnification at the eye-piece (objective times ten). What a
pixel of them covers is read off the photographs themselves (red cells, nuclei, fat cells;
docs/phantom.md): 96 / magnification micrometres, that is 2.4, 0.96, 0.48 and 0.24 at 40, 100, 200
and 400X, good to about 15%. Scanners name their objective; 10 / objective micrometres a pixel is
the usual convention (0.25 at 40x), so that 400X and a scanner's 40x show nearly the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from magnostic.errors import BadInput

#: Micrometres a pixel at 1X at the eye-piece, as BreakHis's photographs have it.
_AT_ONE: Final = 96.0
#: Micrometres a pixel of a scanner at an objective of 1x.
_SCANNER: Final = 10.0
#: Pixel sizes that a slide may state; outside, a file speaks of its print, not of tissue.
PLAUSIBLE: Final = (0.02, 20.0)
#: Relative difference in scale that counts as none.
_SAME: Final = 1e-3


def of_magnification(magnification: float) -> float:
    """Micrometres a pixel of a BreakHis photograph at this magnification (40, 100, 200, 400, …)."""
    return _AT_ONE / _positive(magnification, "--magnification")


def of_objective(objective: float) -> float:
    """Micrometres a pixel that a scanner's objective power (20, 40, …) usually stands for."""
    return _SCANNER / _positive(objective, "--objective")


def wanted(magnification: float | None, mpp: float | None) -> float:
    """Micrometres a pixel of the tiles, from the one of the two that is given.

    Raises BadInput where none or both are, or one is not a positive number.
    """
    if (magnification is None) == (mpp is None):
        raise BadInput(
            "give the tiles' scale once: --magnification 40, 100, 200 or 400 as of the run's "
            "training photographs, or --mpp in micrometres a pixel"
        )
    return of_magnification(magnification) if magnification else _positive(mpp or 0, "--mpp")


def _positive(value: float, option: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise BadInput(f"{option} {value:g}: give a positive number")
    return float(value)


@dataclass(frozen=True)
class Tiling:
    """How tiles of one scale are cut from a slide of another.

    Attributes:
        step: width and height of a tile, level-0 pixels; not whole in general.
        pixels: width and height of a tile after resampling.
        level: of the pyramid from which tiles are read.
        downsample: of that level, level-0 pixels a pixel, in x and in y.
        reduced: how many times a pixel of the level is reduced on the way to a tile's pixel, the
            lesser of x and y; below 1 the slide has less detail than asked for and is enlarged.
    """

    step: tuple[float, float]
    pixels: tuple[int, int]
    level: int
    downsample: tuple[float, float]
    reduced: float

    @property
    def enlarged(self) -> float:
        """Times that the slide's finest pixels have to be enlarged; 1 where they need not be."""
        return 1.0 if self.reduced >= 1 - _SAME else 1 / self.reduced


def tiling(
    mpp: tuple[float, float],
    wanted_mpp: float,
    pixels: tuple[int, int],
    downsamples: Sequence[tuple[float, float]],
) -> Tiling:
    """The coarsest level that is at least as fine as wanted; level 0 where none is.

    Args:
        mpp: micrometres a level-0 pixel in x and y.
        wanted_mpp: micrometres a pixel of a tile.
        pixels: width and height of a tile.
        downsamples: of each level in x and y, from 1 upwards.
    """
    ratio = (wanted_mpp / mpp[0], wanted_mpp / mpp[1])
    fine = [
        level
        for level, down in enumerate(downsamples)
        if down[0] <= ratio[0] * (1 + _SAME) and down[1] <= ratio[1] * (1 + _SAME)
    ]
    level = max(fine, key=lambda n: downsamples[n][0]) if fine else 0
    down = downsamples[level]
    return Tiling(
        step=(pixels[0] * ratio[0], pixels[1] * ratio[1]),
        pixels=pixels,
        level=level,
        downsample=down,
        reduced=min(ratio[0] / down[0], ratio[1] / down[1]),
    )

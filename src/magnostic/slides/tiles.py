"""The tiles of a slide: where they lie, which hold tissue, and their pixels.

Tiles stand edge to edge from the slide's top left corner; their edges are rounded to level-0
pixels, so that they neither overlap nor leave a gap. What is left at the right and lower edge is
narrower than a tile and not predicted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import BadInput, DataError
from magnostic.processors import cores
from magnostic.slides.scale import Tiling
from magnostic.slides.source import Slide
from magnostic.slides.tissue import Tissue, resampled

#: Tiles that are read, or being read, before they are asked for.
_AHEAD: Final = 64


@dataclass(frozen=True)
class Tiles:
    """Tiles with tissue.

    Attributes:
        boxes: int64 [N, 4], left, top, width and height, level-0 pixels; by rows.
        tissue: float32 [N], share of tissue.
        in_grid: tiles of the whole slide, those without tissue included.
    """

    boxes: NDArray[np.int64]
    tissue: NDArray[np.float32]
    in_grid: int

    def __len__(self) -> int:
        return len(self.boxes)


def grid(size: tuple[int, int], step: tuple[float, float]) -> NDArray[np.int64]:
    """Every whole tile of a slide, int64 [N, 4] (left, top, width, height), by rows.

    Args:
        size: of the slide, level-0 pixels.
        step: of a tile, level-0 pixels, not whole in general.
    """
    x, y = (_edges(length, each) for length, each in zip(size, step, strict=True))
    left, top = np.meshgrid(x[:-1], y[:-1])
    width, height = np.meshgrid(np.diff(x), np.diff(y))
    return np.stack([left, top, width, height], axis=-1).reshape(-1, 4)


def _edges(length: int, step: float) -> NDArray[np.int64]:
    whole = int(length / step + 1e-6)
    edges: NDArray[np.int64] = np.rint(np.arange(whole + 1) * step).astype(np.int64)
    return np.minimum(edges, length)


def choose(slide: Slide, tiling: Tiling, tissue: Tissue, least: float) -> Tiles:
    """Tiles of which at least a share of ``least`` is tissue.

    Raises BadInput where the slide is smaller than one tile.
    """
    boxes = grid(slide.size, tiling.step)
    if not len(boxes):
        raise BadInput(
            f"{slide.path}: {slide.size[0]}x{slide.size[1]} pixels are less than one tile of "
            f"{tiling.step[0]:.0f}x{tiling.step[1]:.0f}; ask for a higher magnification or a "
            "smaller --tile"
        )
    share = tissue.share(boxes)
    kept = share >= least
    return Tiles(boxes[kept], share[kept], len(boxes))


def read(slide: Slide, tiling: Tiling, box: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pixels of one tile, uint8 [height, width, 3] of the tiling's size.

    Read from the tiling's level and reduced by antialiased bilinear resampling (enlarged where the
    slide is not fine enough). Raises DataError where the file is damaged there.
    """
    left, top, width, height = (int(v) for v in box)
    across, down = tiling.pixels
    level_pixels = (width / tiling.downsample[0], height / tiling.downsample[1])
    ratio = (level_pixels[0] / across, level_pixels[1] / down)
    place = (left / tiling.downsample[0] / ratio[0], top / tiling.downsample[1] / ratio[1])
    return resampled(slide, tiling.level, place, tiling.pixels, ratio)


def read_all(
    slide: Slide, tiling: Tiling, boxes: NDArray[np.int64], workers: int = 0
) -> Iterator[NDArray[np.uint8] | str]:
    """Pixels of each tile in order, or in words why it can't be read; a few are read ahead.

    Args:
        workers: reading threads; 0: one a core.
    """

    def one(box: NDArray[np.int64]) -> NDArray[np.uint8] | str:
        try:
            return read(slide, tiling, box)
        except DataError as error:
            return str(error)

    waiting: deque[Future[NDArray[np.uint8] | str]] = deque()
    with ThreadPoolExecutor(workers or cores(), thread_name_prefix="tiles") as pool:
        try:
            for box in boxes:
                waiting.append(pool.submit(one, box))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

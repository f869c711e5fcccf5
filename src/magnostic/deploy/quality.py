"""Photographs that should be looked at whatever the model says: too small, blank, blurred.

Blank and blurred are judged on the input as the network sees it, so that they mean the same at
every magnification and size of file. The limits stand well below all genuine photographs that they
were set on (docs/predict.md gives the figures).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from magnostic.data.pixels import Size, sides

#: Standard deviation of luma, of 255, below which there is nothing to see.
BLANK: Final = 6.0
#: Sharpness (:func:`measure`) below which a photograph is out of focus.
BLURRED: Final = 0.02


def measure(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Contrast and sharpness of uint8 [N, H, W, 3]: float32 [N] each.

    Contrast is the standard deviation of luma (ITU-R BT.601), in grey levels. Sharpness is the
    variance of luma's discrete Laplacian (four neighbours) over the variance of luma: a share of
    fine detail that strength of stain and light leave alone; 0 for a plain image.
    """
    luma = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    laplacian = around - 4 * luma[:, 1:-1, 1:-1]
    spread = luma.var(axis=(1, 2))
    sharpness = laplacian.var(axis=(1, 2)) / np.maximum(spread, 1e-6)
    contrast: NDArray[np.float32] = np.sqrt(spread)
    return contrast, np.where(spread > 1e-3, sharpness, 0).astype(np.float32)


def reasons(height: int, width: int, contrast: float, sharpness: float, size: Size) -> list[str]:
    """Which of ``small``, ``blank``, ``blurred`` hold.

    Args:
        height, width: of the photograph, pixels.
        contrast, sharpness: what :func:`measure` gives for its input.
        size: of the network's input; a photograph with fewer pixels on a side had to be enlarged.
    """
    wanted_height, wanted_width = sides(size)
    found = []
    if height < wanted_height or width < wanted_width:
        found.append("small")
    if contrast < BLANK:
        found.append("blank")
    elif sharpness < BLURRED:  # what is blank has no focus to judge
        found.append("blurred")
    return found

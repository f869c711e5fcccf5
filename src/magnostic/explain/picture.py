"""Relevance as colours: to lay over a photograph, with a scale, as files.

The colours are matplotlib's viridis, whose lightness rises evenly and which the colour-blind read
in the same order.
"""

from __future__ import annotations

import functools
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.fit import Fit

#: Of what is most relevant; the photograph shows through.
OPACITY: Final = 0.75

Relevance = NDArray[np.float32]


@functools.cache
def _palette() -> NDArray[np.uint8]:
    """RGB of relevance in steps of 1/255, uint8 [256, 3]."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.arange(256))[:, :3]
    return np.rint(255 * colours).astype(np.uint8)


def heat(relevance: Relevance, opacity: float = 1.0) -> Image.Image:
    """RGBA image of float32 [H, W] in [0, 1]; opaque where 1, clear where 0.

    Args:
        opacity: of what is most relevant, in [0, 1].
    """
    level = np.rint(255 * np.clip(relevance, 0, 1)).astype(np.uint8)
    alpha = np.rint(opacity * level).astype(np.uint8)
    return Image.fromarray(np.dstack([_palette()[level], alpha]), "RGBA")


def heat_png(relevance: Relevance) -> bytes:
    """The same as a PNG file's content, to be laid over the network's input."""
    buffer = io.BytesIO()
    heat(relevance).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def on_photograph(relevance: Relevance, width: int, height: int, fit: Fit) -> Relevance:
    """Relevance of the network's input brought back onto the photograph, float32 [height, width].

    Undoes :func:`magnostic.data.fit.fit_image`: what ``crop`` left out has relevance 0, the bars of
    ``pad`` are dropped.

    Args:
        relevance: float32 [H, W] in [0, 1].
        width, height: of the photograph, or of a smaller copy of it, pixels.
    """
    rows, columns = relevance.shape
    image = Image.fromarray(relevance.astype(np.float32))
    if fit == "squeeze":
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    across, down = columns / width, rows / height
    scale = min(across, down) if fit == "pad" else max(across, down)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (columns - inner[0]) / 2, (rows - inner[1]) / 2
    if fit == "pad":
        box = (max(0.0, left), max(0.0, top), min(columns, left + inner[0]),
               min(rows, top + inner[1]))  # fmt: skip
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))
    seen = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    seen = (min(seen[0], width), min(seen[1], height))
    whole = np.zeros((height, width), np.float32)
    x, y = (width - seen[0]) // 2, (height - seen[1]) // 2
    whole[y : y + seen[1], x : x + seen[0]] = image.resize(seen, Image.Resampling.BILINEAR)
    return whole

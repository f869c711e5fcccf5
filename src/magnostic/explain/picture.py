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
from PIL import Image, ImageDraw, ImageFont

from magnostic.data.fit import Fit

#: Of what is most relevant; the photograph shows through.
OPACITY: Final = 0.75
#: Between pictures, of the scale's bar and numbers, pixels.
_GAP: Final = 12
_BAR: Final = 16
_TEXT: Final = 16

Relevance = NDArray[np.float32]


@functools.cache
def _palette() -> NDArray[np.uint8]:
    """RGB of relevance in steps of 1/255, uint8 [256, 3]."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.arange(256))[:, :3]
    found: NDArray[np.uint8] = np.rint(255 * colours).astype(np.uint8)
    return found


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


def within(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height reduced, if need be, until the longer one is ``side``; pixels."""
    shrink = min(1.0, side / max(width, height))
    return max(1, round(shrink * width)), max(1, round(shrink * height))


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
    if fit == "pad":
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        left, top = (columns - inner[0]) // 2, (rows - inner[1]) // 2
        box = (left, top, left + inner[0], top + inner[1])
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))
    seen = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    seen = (min(seen[0], width), min(seen[1], height))
    whole = np.zeros((height, width), np.float32)
    x, y = (width - seen[0]) // 2, (height - seen[1]) // 2
    whole[y : y + seen[1], x : x + seen[0]] = np.asarray(
        image.resize(seen, Image.Resampling.BILINEAR)
    )
    return whole


def beside(photograph: Image.Image, relevance: Relevance, side: int) -> Image.Image:
    """The photograph, the same under its relevance, and the scale, side by side.

    Args:
        photograph: RGB.
        relevance: float32 [H, W] in [0, 1] of the photograph's size.
        side: of the longer side of each of the two, at most, pixels.
    """
    width, height = within(*photograph.size, side)
    plain = photograph.resize((width, height), Image.Resampling.LANCZOS)
    smaller = Image.fromarray(relevance).resize((width, height), Image.Resampling.BILINEAR)
    laid = plain.convert("RGBA")
    laid.alpha_composite(heat(np.asarray(smaller), OPACITY))
    bar = _scale(height)
    whole = Image.new("RGB", (2 * width + 2 * _GAP + bar.width, max(height, bar.height)), "white")
    whole.paste(plain, (0, 0))
    whole.paste(laid.convert("RGB"), (width + _GAP, 0))
    whole.paste(bar, (2 * (width + _GAP), 0))
    return whole


def _scale(height: int) -> Image.Image:
    """The colours from 1 down to 0 as they lie over white, with their numbers."""
    level = np.linspace(1, 0, max(height, 2 * _TEXT), dtype=np.float32)[:, None]
    bar = Image.new("RGBA", (_BAR, len(level)), "white")
    bar.alpha_composite(heat(np.repeat(level, _BAR, axis=1), OPACITY))
    whole = Image.new("RGB", (_BAR + 6 + _TEXT, len(level)), "white")
    whole.paste(bar.convert("RGB"), (0, 0))
    draw = ImageDraw.Draw(whole)
    draw.rectangle((0, 0, _BAR - 1, len(level) - 1), outline=(91, 102, 117))
    font = ImageFont.load_default(_TEXT)
    draw.text((_BAR + 6, 0), "1", fill=(28, 36, 48), font=font, anchor="lt")
    draw.text((_BAR + 6, len(level) - 1), "0", fill=(28, 36, 48), font=font, anchor="lb")
    return whole

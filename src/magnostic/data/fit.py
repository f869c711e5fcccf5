"""From a photograph of any size to the input of a network."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Fit = Literal["squeeze", "crop", "pad"]
#: Input of a network, pixels: the side of a square, or height and width.
Size = int | tuple[int, int]


def sides(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def fit_image(image: Image.Image, size: Size, fit: Fit) -> NDArray[np.uint8]:
    """RGB image -> uint8 [height, width, 3], antialiased bilinear.

    ``squeeze`` changes the aspect ratio to that of the input (the paper: a square); ``crop`` covers
    the input and takes the centre; ``pad`` fits into it and leaves equal black bars, so that
    nothing is lost and a round field of view stays round.
    """
    height, width = sides(size)
    if fit == "squeeze":
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
    elif fit == "crop":
        resized = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    else:
        resized = _letterbox(image, height, width)
    return np.asarray(resized, dtype=np.uint8)


def _letterbox(image: Image.Image, height: int, width: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    # Not ImageOps.pad, which rounds the short side of a very thin image to nothing and fails.
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    whole = Image.new("RGB", (width, height))
    inside = image.resize(inner, Image.Resampling.BILINEAR)
    whole.paste(inside, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return whole

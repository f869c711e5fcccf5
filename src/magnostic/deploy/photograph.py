"""Anything that may be a photograph, to the input of a network; or what is wrong with it.

Files are decoded and fitted by the functions that made the training inputs, so that the same file
gives the same input.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.fit import Fit, Size, fit_image
from magnostic.data.scan import Unusable, decode, opened

#: Pixels beyond which a file is refused before it is decoded, so that decoding threads together
#: stay within a few hundred MiB.
MAX_PIXELS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """One photograph as the network sees it, and its size before.

    pixels: uint8 [height, width, 3], RGB. width, height: of the photograph, pixels.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


def read(given: Any, size: Size, fit: Fit, max_pixels: int = MAX_PIXELS) -> Input | str:
    """A path, content, PIL image, array or tensor as input; or, in words, why it can't be one.

    Args:
        given: path of an image file; bytes, the content of one (PNG, JPEG, TIFF, BMP, WebP); PIL
            image in RGB; uint8 [H, W, 3] array or tensor; tensor [3, H, W], uint8 or, in [0, 1],
            floating point.
        size, fit: of the network's input.
        max_pixels: beyond which a file is refused before it is decoded.
    """
    try:
        if isinstance(given, str | Path):
            _refuse_no_file(given)
            given = Path(given)
        if isinstance(given, Path | bytes):
            _refuse_huge(given, max_pixels)
            pixels = decode(given)
        else:
            pixels = as_pixels(given)
        height, width = pixels.shape[:2]
        return Input(fit_image(Image.fromarray(pixels), size, fit), width, height)
    except Unusable as bad:
        return str(bad)
    except MemoryError:
        return "too large: memory does not suffice to decode it; cut it into tiles"
    except Exception as error:  # whatever a decoder raises must not stop the other photographs
        return f"unreadable: {type(error).__name__}: {error}"


def as_pixels(given: Any) -> NDArray[np.uint8]:
    """A PIL image, array or tensor as uint8 [H, W, 3]; Unusable where it is none of these."""
    if isinstance(given, Image.Image):
        if given.mode != "RGB":
            raise Unusable("not RGB", f"its mode is {given.mode}; give image.convert('RGB')")
        return np.asarray(given)
    if hasattr(given, "detach"):  # a tensor, without importing torch for it
        given = given.detach().cpu()
        if given.ndim == 3 and given.shape[0] == 3 and given.shape[-1] != 3:
            given = given.permute(1, 2, 0)
        if given.is_floating_point():
            given = given.float()  # NumPy has no bf16
        given = given.numpy()
        if np.issubdtype(given.dtype, np.floating):
            if not (np.isfinite(given).all() and given.min() >= 0 and given.max() <= 1):
                raise Unusable("not an image", "floating-point tensors must lie in [0, 1]")
            given = np.rint(given * 255).astype(np.uint8)
    if not isinstance(given, np.ndarray):
        raise Unusable("not an image", f"a {type(given).__name__}; give a path, array or PIL image")
    if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
        shape = "x".join(map(str, given.shape))
        raise Unusable("not an image", f"{given.dtype} {shape}; give uint8 [height, width, 3]")
    return np.ascontiguousarray(given)


def _refuse_no_file(path: str | Path) -> None:
    """Opening a pipe or a device could wait for ever."""
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
        raise Unusable("unreadable", "no regular file; give the file of a photograph")


def _refuse_huge(source: Path | bytes, most: int) -> None:
    """Look at the header alone; what cannot be opened is left to ``decode`` to name."""
    try:
        with opened(source) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise Unusable("too large", f"more than {most:,} pixels; cut it into tiles") from None
    except Exception:  # whatever a reader of headers raises
        return
    if width * height > most:
        size = f"{width}x{height} pixels, more than {most:,}"
        raise Unusable("too large", f"{size}; cut it into tiles")

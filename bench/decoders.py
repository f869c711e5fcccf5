"""Libraries that decode PNG files and resize, as functions; those not installed are left out.

``pip install 'magnostic[bench]'`` brings OpenCV and libvips, which are needed for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from magnostic.data.fit import fit_image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
SIZE = 224


def pillow(path: Path) -> Pixels:
    return np.asarray(Image.open(path))


def torchvision(path: Path) -> Pixels:
    from torchvision.io import decode_png, read_file

    return decode_png(read_file(str(path))).permute(1, 2, 0).numpy()


def opencv(path: Path) -> Pixels:
    import cv2

    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


def libvips(path: Path) -> Pixels:
    import pyvips

    return pyvips.Image.new_from_file(str(path), access="sequential").numpy()


def libspng(path: Path) -> Pixels:
    from imagecodecs import spng_decode

    return spng_decode(path.read_bytes())


def pillow_resize(pixels: Pixels) -> Pixels:
    """Antialiased bilinear, as the pixel cache does."""
    return fit_image(Image.fromarray(pixels), SIZE, "squeeze")


def torchvision_resize(pixels: Pixels) -> Pixels:
    """Antialiased bilinear; its weights have fewer bits than Pillow's."""
    from torchvision.transforms.v2.functional import resize

    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return resize(planes, [SIZE, SIZE], antialias=True)[0].permute(1, 2, 0).numpy()


def opencv_resize(pixels: Pixels) -> Pixels:
    """Mean of areas; its bilinear resizing does not antialias."""
    import cv2

    return cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def libvips_resize(pixels: Pixels) -> Pixels:
    """Antialiased bilinear."""
    import pyvips

    image = pyvips.Image.new_from_array(pixels)
    scale = (SIZE / image.width, SIZE / image.height)
    return image.resize(scale[0], vscale=scale[1], kernel="linear").numpy()


def installed() -> tuple[dict[str, Callable[[Path], Pixels]], dict[str, Callable[..., Pixels]]]:
    """Decoders and resizers by the library's name, one thread each."""
    torch.set_num_threads(1)
    decoders = {"Pillow": pillow, "torchvision": torchvision}
    resizers = {"Pillow": pillow_resize, "torchvision": torchvision_resize}
    try:
        import cv2

        cv2.setNumThreads(1)
        decoders["OpenCV"], resizers["OpenCV"] = opencv, opencv_resize
    except ImportError:
        print("OpenCV is not installed and not measured (magnostic[bench])")
    try:
        import pyvips

        pyvips.voperation.cache_set_max(0)
        decoders["libvips"], resizers["libvips"] = libvips, libvips_resize
    except (ImportError, OSError):
        print("libvips is not installed and not measured (magnostic[bench])")
    try:
        import imagecodecs  # noqa: F401

        decoders["libspng"] = libspng
    except ImportError:
        print("imagecodecs is not installed, so libspng is not measured (magnostic[fast])")
    return decoders, resizers

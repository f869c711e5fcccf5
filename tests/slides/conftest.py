"""A pyramid as scanners write them, of photographs with glass between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.phantom import phantom_slides, render_field
from magnostic.deploy import Predictor, load

tifffile = pytest.importorskip("tifffile")

SHARED_SAMPLE = "breakhis_sample"
GLASS = 244
#: Photographs in the mosaic by row and column; -1: glass.
LAYOUT = ((0, 1, -1), (-1, 2, 3))


@dataclass(frozen=True)
class Mosaic:
    """A slide whose content is known.

    Attributes:
        pixels: uint8 [H, W, 3] of level 0, with a rim that is narrower than a tile.
        photographs: uint8 [460, 700, 3] each, as they lie in level 0.
        mpp: that its resolution tags say.
        layout: index of the photograph by row and column; -1: glass.
    """

    path: Path
    pixels: NDArray[np.uint8]
    photographs: list[NDArray[np.uint8]]
    mpp: float
    layout: tuple[tuple[int, ...], ...] = LAYOUT


def write_pyramid(
    path: Path, pixels: NDArray[np.uint8], mpp: float | None, levels: int = 3
) -> Path:
    """A tiled TIFF with one page a level, halved by plain means of four pixels."""
    with tifffile.TiffWriter(path) as file:
        for level in range(levels):
            scale = {} if mpp is None else {
                "resolution": (1e4 / mpp / 2**level,) * 2, "resolutionunit": "CENTIMETER",
            }  # fmt: skip
            file.write(pixels, tile=(128, 128), photometric="rgb", compression="zlib",
                       subfiletype=int(level > 0), **scale)  # fmt: skip
            height, width = (n // 2 * 2 for n in pixels.shape[:2])
            whole = pixels[:height, :width].astype(np.uint16)
            quarters = whole.reshape(height // 2, 2, width // 2, 2, 3).sum((1, 3))
            pixels = ((quarters + 2) // 4).astype(np.uint8)
    return path


@pytest.fixture(scope="session")
def photographs(request: pytest.FixtureRequest) -> list[NDArray[np.uint8]]:
    """Four genuine photographs of 700x460; drawn ones where the sample is absent."""
    try:
        root: Path = request.getfixturevalue(SHARED_SAMPLE)
    except pytest.skip.Exception:
        return [render_field(s, 100, 0).rgb for s in phantom_slides()[:4]]
    found: list[NDArray[np.uint8]] = []
    for path in sorted(root.rglob("*-100-*.png")):
        with Image.open(path) as image:
            if image.size == (700, 460) and len(found) < 4:
                found.append(np.asarray(image.convert("RGB")))
    return found


@pytest.fixture(scope="session")
def mosaic(
    photographs: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> Mosaic:
    """2 x 3 places of 700x460 pixels at 0.96 um, the scale of 100X, and a rim."""
    pixels = np.full((2 * 460 + 36, 3 * 700 + 52, 3), GLASS, np.uint8)
    for row, line in enumerate(LAYOUT):
        for column, which in enumerate(line):
            if which >= 0:
                place = np.s_[row * 460 : row * 460 + 460, column * 700 : column * 700 + 700]
                pixels[place] = photographs[which]
    path = write_pyramid(tmp_path_factory.mktemp("mosaic") / "mosaic.tif", pixels, 0.96)
    return Mosaic(path, pixels, photographs, 0.96)


@pytest.fixture(scope="session")
def pyramid() -> Callable[..., Path]:
    """``pyramid(path, pixels, mpp, levels=3)`` writes a tiled, pyramidal TIFF."""
    return write_pyramid


@pytest.fixture(scope="session")
def predictor(tiny_run: Path) -> Predictor:
    return load(tiny_run, engine="torch")

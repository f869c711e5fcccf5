"""A window onto the synthetic plane: 700 x 460 pixels at a magnification."""

from __future__ import annotations

from typing import Final

import numpy as np

from magnostic.data.phantom.arrange import HEIGHT as PLANE_HEIGHT
from magnostic.data.phantom.arrange import WIDTH as PLANE_WIDTH
from magnostic.data.phantom.noise import spline
from magnostic.data.phantom.plane import CELL, Array, Plane

WIDTH: Final = 700
HEIGHT: Final = 460

#: Micrometres a pixel, as the nuclei, red cells and fat cells of the real photographs have it
#: (red cell 7 um, about 29 pixels at 400X). The published effective pixel sizes (0.49, 0.20,
#: 0.10, 0.05) would make a nucleus 160 pixels wide at 400X; see docs/phantom.md.
MICRONS_PER_PIXEL: Final[dict[int, float]] = {40: 2.4, 100: 0.96, 200: 0.48, 400: 0.24}


class View:
    """A window of the plane: 700 x 460 pixels at a magnification."""

    def __init__(self, plane: Plane, magnification: int) -> None:
        self.pixel = MICRONS_PER_PIXEL[magnification]
        width, height = WIDTH * self.pixel, HEIGHT * self.pixel
        # Close in on the focus, two cells away from the plane's own edge.
        self.x0 = float(np.clip(plane.focus[0] - width / 2, 6, PLANE_WIDTH - width - 9))
        self.y0 = float(np.clip(plane.focus[1] - height / 2, 6, PLANE_HEIGHT - height - 9))
        self._rows = spline((self.y0 + self.pixel / 2) / CELL, self.pixel / CELL, HEIGHT)
        self._columns = spline((self.x0 + self.pixel / 2) / CELL, self.pixel / CELL, WIDTH)
        self.x = np.float32(self.x0) + np.arange(WIDTH, dtype=np.float32) * np.float32(self.pixel)
        self.y = np.float32(self.y0) + np.arange(HEIGHT, dtype=np.float32) * np.float32(self.pixel)

    def see(self, values: Array) -> Array:
        """A field of the plane in this window, smooth; float32 [460, 700]."""
        (row, weights_y), (column, weights_x) = self._rows, self._columns
        part = values[row : row + weights_y.shape[1], column : column + weights_x.shape[1]]
        return np.asarray(weights_y @ part @ weights_x.T, dtype=np.float32)

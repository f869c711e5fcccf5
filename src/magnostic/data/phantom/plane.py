"""The tissue plane: smooth fields in micrometres on a coarse grid, and how to draw on it.

A boundary is where a signed distance crosses zero, so a plane computed once on a 3 um grid
can be seen at any magnification without steps. Synthetic; nothing here was traced from a
photograph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

Array = npt.NDArray[np.float32]

#: Grid spacing in micrometres.
CELL: Final = 3.0
#: Rows and columns: a 40X field (1104 x 1680 um) and a margin on each side.
GRID: Final = (384, 576)
#: Far outside, in micrometres.
FAR: Final = 400.0


def coordinates() -> tuple[Array, Array]:
    """x float32 [1, W] and y float32 [H, 1] of the grid in micrometres."""
    x = np.arange(GRID[1], dtype=np.float32)[None, :] * np.float32(CELL)
    y = np.arange(GRID[0], dtype=np.float32)[:, None] * np.float32(CELL)
    return x, y


@dataclass
class Plane:
    """What lies where. Distances float32 [384, 576] in micrometres.

    ``wall`` > 0 on the epithelial side of the basement membrane, ``lumen`` > 0 in a lumen,
    ``mucin`` > 0 in a mucin pool, ``fat`` > 0 in a fat cell, ``debris`` > 0 in secretion or,
    where ``necrotic``, in necrosis, ``vessel`` > 0 in a capillary. ``along`` and ``across``
    are fibre coordinates of the stroma; ``focus`` is the (x, y) that the higher
    magnifications zoom into, ``territory`` > 0 where this arrangement may grow.
    """

    wall: Array
    lumen: Array
    along: Array
    across: Array
    focus: tuple[float, float]
    mucin: Array | None = None
    fat: Array | None = None
    debris: Array | None = None
    necrotic: bool = False
    vessel: Array | None = None
    territory: Array = field(default_factory=lambda: np.full(GRID, FAR, dtype=np.float32))

    def at(self, values: Array, xy: Array) -> Array:
        """A field at points float32 [N, 2] in micrometres, linear; returns [N]."""
        rows_columns = xy[:, ::-1].T / np.float32(CELL)
        out = ndimage.map_coordinates(values, rows_columns, order=1, mode="nearest")
        return np.asarray(out, dtype=np.float32)

    def direction(self, values: Array, xy: Array) -> Array:
        """Unit gradient of a field at points [N, 2]; returns [N, 2]."""
        right = np.array([CELL, 0], dtype=np.float32)
        down = np.array([0, CELL], dtype=np.float32)
        dx = self.at(values, xy + right) - self.at(values, xy - right)
        dy = self.at(values, xy + down) - self.at(values, xy - down)
        norm = np.hypot(dx, dy) + np.float32(1e-6)
        return np.stack([dx / norm, dy / norm], axis=1)


def signed_distance(inside: npt.NDArray[np.bool_]) -> Array:
    """Distance to the border of a mask in micrometres, positive inside, smoothed by a cell."""
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    smooth = ndimage.gaussian_filter(distance.astype(np.float32), 1.2)
    return np.asarray(smooth * np.float32(CELL), dtype=np.float32)


def islands(
    centres: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    thickness: npt.NDArray[np.float64],
    rng: np.random.Generator,
    wobble: float = 0.12,
    elongation: float = 0.25,
) -> tuple[Array, Array]:
    """Rounded glands, nests or cells: (wall, lumen), float32 [384, 576] in micrometres.

    Outlines are ``radius * (1 + wobble)`` with two to four lobes, stretched by up to
    ``elongation``; the lumen begins ``thickness`` inside (none where that exceeds the radius).
    """
    wall = np.full(GRID, -FAR, dtype=np.float32)
    lumen = np.full(GRID, -FAR, dtype=np.float32)
    for (cx, cy), radius, thick in zip(centres, radii, thickness, strict=True):
        reach = radius * (1 + 2 * wobble + elongation) + 45
        x0, x1 = (int(np.clip((cx + s * reach) / CELL, 0, GRID[1])) for s in (-1, 1))
        y0, y1 = (int(np.clip((cy + s * reach) / CELL, 0, GRID[0])) for s in (-1, 1))
        if x1 <= x0 or y1 <= y0:
            continue
        x = np.arange(x0, x1, dtype=np.float32)[None, :] * np.float32(CELL) - np.float32(cx)
        y = np.arange(y0, y1, dtype=np.float32)[:, None] * np.float32(CELL) - np.float32(cy)
        turn, stretch = rng.uniform(0, np.pi), 1 + rng.uniform(0, elongation)
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        u, v = (c * x + s * y) / np.float32(stretch), (c * y - s * x) * np.float32(stretch)
        square = u * u + v * v + np.float32(1e-3)
        two, three = (u * u - v * v) / square, u * v / square
        a, b, d = rng.normal(0, wobble, 3).astype(np.float32)
        depth = radius * (1 + a * two + b * three + d * two * three) - np.sqrt(square)
        depth = depth.astype(np.float32)
        here = (slice(y0, y1), slice(x0, x1))
        np.maximum(wall[here], depth, out=wall[here])
        np.maximum(lumen[here], depth - np.float32(thick), out=lumen[here])
    return wall, lumen


def lattice(
    spacing: float, jitter: float, rng: np.random.Generator, margin: float = 0.0
) -> npt.NDArray[np.float64]:
    """Jittered hexagonal points over the plane, float64 [N, 2] in micrometres."""
    height, width = GRID[0] * CELL, GRID[1] * CELL
    rows = np.arange(-margin, height + margin, spacing * 0.866)
    columns = np.arange(-margin, width + margin, spacing)
    x, y = np.meshgrid(columns, rows)
    x = x + (np.arange(len(rows)) % 2)[:, None] * spacing / 2
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.asarray(points + rng.normal(0, jitter * spacing, points.shape))


def wander(
    start: tuple[float, float], heading: float, length: float, bend: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """A wandering path, float64 [N, 2] in micrometres, a point every 12 um."""
    steps = max(2, int(length / 12))
    turn = ndimage.gaussian_filter1d(rng.normal(0, 1, steps), 4, mode="nearest") * 2.5
    headings = heading + np.cumsum(turn) * bend
    move = 12 * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return np.asarray(np.array(start) + np.cumsum(move, axis=0))


def along_paths(
    paths: list[npt.NDArray[np.float64]], half_widths: list[float]
) -> tuple[Array, Array]:
    """(distance to the nearest path, its half width), float32 [384, 576] in micrometres."""
    canvas = Image.new("I", (GRID[1], GRID[0]), 0)
    pen = ImageDraw.Draw(canvas)
    for index, path in enumerate(paths):
        pen.line([(x / CELL, y / CELL) for x, y in path.tolist()], fill=index + 1)
    drawn = np.asarray(canvas)
    distance, nearest = ndimage.distance_transform_edt(drawn == 0, return_indices=True)
    owner = drawn[nearest[0], nearest[1]] - 1
    width = np.array(half_widths, dtype=np.float32)[np.maximum(owner, 0)]
    far = ndimage.gaussian_filter(distance.astype(np.float32), 0.8) * np.float32(CELL)
    return np.asarray(far, np.float32), ndimage.gaussian_filter(width, 2.5)


def cracked(seeds: npt.NDArray[np.float64], warp_x: Array, warp_y: Array) -> Array:
    """Half the difference between the two nearest seeds' distances: 0 on the borders between
    seeds, growing inwards; float32 [384, 576] in micrometres. Seen through a warp in um."""
    x, y = coordinates()
    first = np.full(GRID, np.inf, dtype=np.float32)
    second = first.copy()
    for cx, cy in seeds.tolist():
        distance = np.hypot(x + warp_x - np.float32(cx), y + warp_y - np.float32(cy))
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return ((second - first) / 2).astype(np.float32)

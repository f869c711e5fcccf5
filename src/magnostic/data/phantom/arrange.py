"""How tissue is arranged in each of the eight types: one function a type, micrometres.

Each takes the place's cytology and random numbers and returns the wall, the lumen and what
else grows; :func:`arrange` puts two types side by side and adds the stroma's fibres and
capillaries. Synthetic arrangements after the text book, so that a type shows at 40X by its
architecture and at 400X by its cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from magnostic.data.phantom.cytology import Cytology
from magnostic.data.phantom.noise import smooth_field
from magnostic.data.phantom.plane import (
    CELL,
    FAR,
    GRID,
    Array,
    Plane,
    along_paths,
    coordinates,
    cracked,
    islands,
    lattice,
    signed_distance,
    wander,
)

WIDTH: Final = GRID[1] * CELL
HEIGHT: Final = GRID[0] * CELL
Points = npt.NDArray[np.float64]


def _bare() -> Plane:
    nothing = np.full(GRID, -FAR, dtype=np.float32)
    zero = np.zeros(GRID, dtype=np.float32)
    return Plane(nothing, nothing.copy(), zero, zero, (WIDTH / 2, HEIGHT / 2))


def _warp(rng: np.random.Generator, scale: float, amount: float) -> tuple[Array, Array]:
    x, y = (smooth_field(rng, GRID, scale / CELL) * np.float32(amount) for _ in range(2))
    return x, y


def adenosis(c: Cytology, rng: np.random.Generator) -> Plane:
    """Lobules of small crowded acini in dense fibrous stroma; some ducts are dilated."""
    plane = _bare()
    hearts = lattice(470, 0.16, rng)
    acini = lattice(43 * c.size, 0.12, rng, 40)
    reach = rng.uniform(120, 235, len(hearts))
    away = np.hypot(*(acini.T[:, :, None] - hearts.T[:, None, :])) / reach
    acini = acini[away.min(axis=1) < 1]
    radii = rng.normal(20.5, 3.0, len(acini)).clip(13, 30) * c.size
    wall, lumen = islands(acini, radii, rng.uniform(10, 16, len(acini)), rng, 0.13, 0.35)
    cysts = rng.uniform([0, 0], [WIDTH, HEIGHT], (rng.integers(0, 3), 2))
    big = rng.uniform(50, 110, len(cysts))
    cyst_wall, cyst_lumen = islands(cysts, big, np.full(len(cysts), 13.0), rng, 0.06, 0.2)
    plane.wall, plane.lumen = np.maximum(wall, cyst_wall), np.maximum(lumen, cyst_lumen)
    return plane


def tubular_adenoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Round tubules of one size, back to back, hardly any stroma."""
    plane = _bare()
    pitch = 74 * c.size
    tubules = lattice(pitch, 0.09, rng, 60)
    radii = rng.normal(0.45, 0.045, len(tubules)) * pitch
    thick = rng.normal(15.5, 1.5, len(tubules))
    plane.wall, plane.lumen = islands(tubules, radii, thick, rng, 0.07, 0.2)
    filled = rng.uniform(size=len(tubules)) < 0.5 * c.trait
    plane.debris = islands(
        tubules[filled], (radii - thick)[filled] - 3, np.zeros(filled.sum()), rng, 0.1, 0.2
    )[0]
    return plane


def fibroadenoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Compressed, branching slit-like ducts in pale stroma poor in cells."""
    plane = _bare()
    paths: list[Points] = []
    widths: list[float] = []
    for start in lattice(430, 0.16, rng):
        heading = rng.uniform(0, 2 * np.pi)
        stem = wander((start[0], start[1]), heading, rng.uniform(160, 420), 0.22, rng)
        paths.append(stem)
        for _ in range(rng.integers(1, 4)):
            node = stem[rng.integers(len(stem))]
            side = heading + rng.choice([-1, 1]) * rng.uniform(0.6, 1.5)
            paths.append(wander((node[0], node[1]), side, rng.uniform(60, 190), 0.3, rng))
    widths = [14 + 2 + 11 * float(rng.beta(1.2, 2.5)) * (0.4 + 1.4 * c.trait) for _ in paths]
    distance, half = along_paths(paths, widths)
    plane.wall = half * np.float32(c.size) - distance
    plane.wall += smooth_field(rng, GRID, 14) * np.float32(1.6)
    plane.lumen = plane.wall - np.float32(13.5)
    return plane


def phyllodes_tumour(c: Cytology, rng: np.random.Generator) -> Plane:
    """Leaf-like fronds of cellular stroma, lined by epithelium, divided by clefts."""
    plane = _bare()
    seeds = lattice(400 * c.size, 0.2, rng, 250)
    rim = cracked(seeds, *_warp(rng, 260, 38))
    gape = np.float32(16) + smooth_field(rng, GRID, 75) * np.float32(18 + 14 * c.trait)
    plane.lumen = ndimage.gaussian_filter(gape - rim, 1.5)
    plane.wall = plane.lumen + np.float32(14)
    return plane


def ductal_carcinoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Irregular nests, cords and sheets, some cribriform or necrotic, in dense stroma."""
    plane = _bare()
    scale = (34 + 26 * c.trait) * c.size
    growth = smooth_field(rng, GRID, scale) + np.float32(0.55) * smooth_field(rng, GRID, scale / 3)
    plane.wall = signed_distance(growth > rng.uniform(-0.15, 0.25))
    holes = lattice(46, 0.25, rng)
    keep = rng.uniform(size=len(holes)) < 0.75 * max(0.0, c.trait - 0.35)
    holes = holes[keep & (plane.at(plane.wall, holes.astype(np.float32)) > 22)]
    radii = rng.uniform(6, 15, len(holes))
    plane.lumen = islands(holes, radii, np.zeros(len(holes)), rng, 0.12, 0.3)[0]
    if rng.uniform() < 0.4:
        necrosis = plane.wall - np.float32(62)
        plane.debris, plane.necrotic = necrosis, True
        plane.lumen = np.maximum(plane.lumen, necrosis)
    return plane


def lobular_carcinoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Collagen with cells in single files, here and there round a duct; no glands of its own."""
    plane = _bare()
    ducts = rng.uniform([0.1 * WIDTH, 0.1 * HEIGHT], [0.9 * WIDTH, 0.9 * HEIGHT], (2, 2))
    ducts = ducts[: rng.integers(0, 3)]
    plane.wall, plane.lumen = islands(
        ducts, rng.uniform(24, 40, len(ducts)), np.full(len(ducts), 14.0), rng, 0.08, 0.4
    )
    if c.trait > 0.6:
        heart = rng.uniform([0, 0], [WIDTH, HEIGHT])
        cells = lattice(72, 0.07, rng, 60)
        cells = cells[np.hypot(*(cells - heart).T) < rng.uniform(180, 320)]
        plane.fat = islands(cells, rng.normal(34, 2.5, len(cells)), np.zeros(len(cells)), rng,
                            0.05, 0.12)[0]  # fmt: skip
    return plane


def mucinous_carcinoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Clusters of cells floating in pools of mucin between thin septa."""
    plane = _bare()
    rim = cracked(lattice(420 * c.size, 0.2, rng, 250), *_warp(rng, 200, 30))
    septum = np.float32(7) + np.maximum(smooth_field(rng, GRID, 70), -0.4) * np.float32(16)
    plane.mucin = ndimage.gaussian_filter(rim - septum, 1.2)
    nests = lattice((105 + 50 * c.trait) * c.size, 0.2, rng)
    nests = nests[rng.uniform(size=len(nests)) < 0.85]
    radii = rng.gamma(9, 4.2, len(nests)).clip(16, 75) * (0.8 + 0.4 * c.trait)
    inside = plane.at(plane.mucin, nests.astype(np.float32)) > radii * 0.6
    nests, radii = nests[inside], radii[inside]
    thick = np.where(rng.uniform(size=len(nests)) < 0.25, 17.0, FAR)
    wall, lumen = islands(nests, radii, thick, rng, 0.2, 0.6)
    plane.wall = wall + smooth_field(rng, GRID, 10) * np.float32(3)
    plane.lumen = lumen
    return plane


def papillary_carcinoma(c: Cytology, rng: np.random.Generator) -> Plane:
    """Branching fibrovascular cores lined by tall crowded cells, in a cystic space."""
    plane = _bare()
    paths: list[Points] = []
    main = rng.uniform(0, 2 * np.pi)
    for root in lattice(175 * c.size, 0.14, rng, 60):
        heading = main + rng.normal(0, 0.6)
        stem = wander((root[0], root[1]), heading, rng.uniform(90, 250), 0.25, rng)
        paths.append(stem)
        for _ in range(rng.integers(0, 4)):
            node = stem[rng.integers(len(stem))]
            side = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)
            paths.append(wander((node[0], node[1]), side, rng.uniform(25, 90), 0.3, rng))
    widths = (rng.gamma(4, 1.5, len(paths)).clip(2.5, 14) + 1).tolist()
    distance, half = along_paths(paths, widths)
    free = distance - half
    if rng.uniform() < 0.45:
        x, y = coordinates()
        turn = rng.uniform(0, 2 * np.pi)
        slope = (x - WIDTH / 2) * np.float32(np.cos(turn)) + (y - HEIGHT / 2) * np.float32(
            np.sin(turn)
        )
        bump = smooth_field(rng, GRID, 60) * np.float32(30)
        free = np.minimum(free, slope + bump + np.float32(rng.uniform(380, 560)))
    plane.wall = free + smooth_field(rng, GRID, 12) * np.float32(1.5)
    plane.lumen = plane.wall - np.float32(23 + 8 * c.trait)
    return plane


ARRANGEMENTS: Final[dict[str, Callable[[Cytology, np.random.Generator], Plane]]] = {
    "A": adenosis,
    "F": fibroadenoma,
    "PT": phyllodes_tumour,
    "TA": tubular_adenoma,
    "DC": ductal_carcinoma,
    "LC": lobular_carcinoma,
    "MC": mucinous_carcinoma,
    "PC": papillary_carcinoma,
}


def _confine(plane: Plane, territory: Array) -> Plane:
    """The plane with glands, pools and fat only where ``territory`` > 0."""
    edge = territory - np.float32(5)
    plane.wall = np.minimum(plane.wall, edge)
    plane.lumen = np.minimum(plane.lumen, edge - np.float32(13))
    for name in ("mucin", "fat", "debris"):
        values = getattr(plane, name)
        if values is not None:
            setattr(plane, name, np.minimum(values, edge))
    plane.territory = territory
    return plane


def _either(first: Array | None, second: Array | None) -> Array | None:
    if first is None or second is None:
        return second if first is None else first
    return np.maximum(first, second)


def _focus(plane: Plane, rng: np.random.Generator) -> tuple[float, float]:
    """A point on a gland's border near the middle, or in the territory if it has no glands."""
    rows, columns = (slice(n // 4, 3 * n // 4, 3) for n in GRID)
    wall, territory = plane.wall[rows, columns], plane.territory[rows, columns]
    for wanted in ((np.abs(wall - 8) < 8) & (territory > 45), territory > 45, territory > 0):
        points = np.argwhere(wanted)
        if len(points):
            row, column = points[rng.integers(len(points))]
            return float(GRID[1] // 4 + 3 * column) * CELL, float(GRID[0] // 4 + 3 * row) * CELL
    return WIDTH / 2, HEIGHT / 2


def arrange(
    parts: tuple[tuple[str, Cytology], tuple[str, Cytology]], share: float,
    rng: np.random.Generator,
) -> tuple[Plane, Plane, Plane]:  # fmt: skip
    """One place in a slide: (everything, the main type's part, the companion's part).

    ``parts`` are (type, cytology) of the main type and of the companion, whose territory is
    ``share`` in [0, 1) of the plane. Stromal fibres run in one direction, waver, and bend
    round glands: ``across`` counts micrometres across them, ``along`` along them. The focus
    lies in the main type's territory.
    """
    lie = smooth_field(rng, GRID, 130)
    border = signed_distance(lie > np.quantile(lie[::4, ::4], share))
    planes = [ARRANGEMENTS[code](cytology, rng) for code, cytology in parts]
    main, companion = _confine(planes[0], border), _confine(planes[1], -border)
    wall = np.maximum(main.wall, companion.wall)
    x, y = coordinates()
    turn = rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    warp_x, warp_y = _warp(rng, 230, 34)
    # Smooth, or fibres would break sharply halfway between two glands.
    round_glands = ndimage.gaussian_filter(np.clip(-wall, 0, 70), 5)
    along = (x + warp_x) * c + (y + warp_y) * s
    across = (y + warp_y) * c - (x + warp_x) * s + np.float32(0.8) * round_glands
    for plane in planes:
        plane.along, plane.across = along, across
    whole = Plane(
        wall, np.maximum(main.lumen, companion.lumen), along, across, _focus(main, rng),
        mucin=_either(main.mucin, companion.mucin), fat=_either(main.fat, companion.fat),
        debris=_either(main.debris, companion.debris),
        necrotic=main.necrotic or companion.necrotic,
    )  # fmt: skip
    vessels = rng.uniform([0, 0], [WIDTH, HEIGHT], (40, 2))
    at = vessels.astype(np.float32)
    depth = whole.at(np.maximum(whole.wall, whole.lumen), at)
    for other in (whole.mucin, whole.fat):
        if other is not None:
            depth = np.maximum(depth, whole.at(other, at))
    vessels = vessels[depth < -16][: rng.integers(3, 12)]
    width = rng.uniform(4.5, 13, len(vessels))
    whole.vessel = islands(vessels, width, np.zeros(len(vessels)), rng, 0.1, 0.5)[0]
    return whole, main, companion

"""Where nuclei lie in a plane and what each is like. Synthetic; micrometres throughout."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import spatial

from magnostic.data.phantom.arrange import HEIGHT, WIDTH
from magnostic.data.phantom.cytology import Cytology
from magnostic.data.phantom.plane import Array, Plane, lattice

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """N ellipses, float32. ``xy`` [N, 2] centres, ``length`` and ``width`` diameters in
    micrometres, ``angle`` of the long axis in radians, ``dark`` concentration of stain,
    ``vesicular``, ``granular``, ``nucleolus`` as in Cytology, ``wobble`` of the outline."""

    xy: Array
    length: Array
    width: Array
    angle: Array
    dark: Array
    vesicular: Array
    granular: Array
    nucleolus: Array
    wobble: Array

    def __len__(self) -> int:
        return len(self.xy)

    def where(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Cells:
        """The chosen cells."""
        return Cells(*(getattr(self, f.name)[keep] for f in fields(self)))


def join(*parts: Cells) -> Cells:
    """All cells of several sets."""
    return Cells(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Cells)))


def make(
    xy: npt.NDArray[np.floating], mean: float, spread: float, aspect: float, dark: float,
    rng: np.random.Generator, *, angle: npt.NDArray[np.floating] | None = None,
    vesicular: float = 0.2, granular: float = 0.25, nucleolus: float = 0.0, wobble: float = 0.05,
) -> Cells:  # fmt: skip
    """Cells at points: log-normal size, ``mean`` um with coefficient of variation ``spread``;
    ``angle`` of the long axis, random where not given."""
    n = len(xy)
    size = mean * np.exp(np.clip(rng.normal(0, spread, n), -2.5 * spread, 2.5 * spread))
    ratio = np.maximum(1.0, aspect * np.exp(rng.normal(0, 0.05 + 0.4 * spread, n)))
    turn = rng.uniform(0, np.pi, n) if angle is None else angle + rng.normal(0, 0.15, n)
    columns = (
        xy, size * np.sqrt(ratio), size / np.sqrt(ratio), turn,
        dark * np.exp(rng.normal(0, 0.12 + 0.5 * spread, n)),
        np.clip(vesicular + rng.normal(0, 0.12, n), 0, 0.95),
        np.full(n, granular),
        nucleolus * (rng.uniform(size=n) < 0.3 + 0.7 * nucleolus),
        np.full(n, wobble),
    )  # fmt: skip
    return Cells(*(np.asarray(column, dtype=np.float32) for column in columns))


def thin(xy: Array, gap: float) -> Array:
    """Points [N, 2] less the later one of each pair nearer than ``gap`` um."""
    if len(xy) < 2:
        return xy
    pairs = spatial.cKDTree(xy).query_pairs(gap, output_type="ndarray")
    keep = np.ones(len(xy), dtype=bool)
    keep[pairs[:, 1]] = False
    return xy[keep]


def row(plane: Plane, depth: float, spacing: float, rng: np.random.Generator) -> Array:
    """Points in one row ``depth`` um inside the wall, about ``spacing`` apart; [N, 2]."""
    xy = lattice(spacing, 0.12, rng).astype(np.float32)
    off = np.float32(depth) - plane.at(plane.wall, xy)
    near = np.abs(off) < spacing * 0.5
    xy, off = xy[near], off[near]
    xy = xy + plane.direction(plane.wall, xy) * off[:, None]
    xy = xy + rng.normal(0, 0.5, xy.shape).astype(np.float32)
    free = plane.at(plane.lumen, xy) < -1.5
    return thin(xy[free], 0.62 * spacing)


def packed(plane: Plane, spacing: float, jitter: float, depth: float, rim: float,
           rng: np.random.Generator) -> Array:  # fmt: skip
    """Points filling the epithelium ``depth`` um from wall and ``rim`` um from lumen; [N, 2]."""
    xy = lattice(spacing, jitter, rng).astype(np.float32)
    inside = (plane.at(plane.wall, xy) > depth) & (plane.at(plane.lumen, xy) < -rim)
    return xy[inside]


def towards(plane: Plane, field: Array, xy: Array) -> Array:
    """Angle of a field's gradient at points; float32 [N]."""
    step = plane.direction(field, xy)
    return np.arctan2(step[:, 1], step[:, 0]).astype(np.float32)


def epithelium(code: str, plane: Plane, c: Cytology, rng: np.random.Generator) -> Cells:
    """The epithelial nuclei of one plane."""

    def cells(xy: Array, *, upright: bool = False, wobble: float = 0.05) -> Cells:
        angle = towards(plane, plane.wall, xy) if upright else None
        return make(
            xy, c.nucleus, c.pleomorphism, c.aspect, c.dark, rng, angle=angle,
            vesicular=c.vesicular, granular=c.granular, nucleolus=c.nucleolus, wobble=wobble,
        )  # fmt: skip

    if code in ("A", "F", "PT", "TA"):
        outer = row(plane, 2.0, 9.5, rng)
        flat = towards(plane, plane.wall, outer) + np.float32(np.pi / 2)
        myoepithelium = make(outer, 4.6, 0.12, 2.1, 1.05 * c.dark, rng, angle=flat)
        luminal = row(plane, 7.6, c.crowding, rng)
        inner = packed(plane, c.crowding * 1.1, 0.15, 12.5, 3.0, rng)
        return join(myoepithelium, cells(np.concatenate([luminal, inner]), upright=True))
    if code == "PC":
        rows = [row(plane, depth, c.crowding, rng) for depth in (5.5, 12.5, 19.0)]
        return cells(np.concatenate(rows), upright=True)
    if code == "LC":
        ducts = cells(np.concatenate([row(plane, 3.0, 7.5, rng), row(plane, 8.5, 7.0, rng)]))
        return join(ducts, cells(single_files(plane, c, rng)))
    wild = 0.10 if code == "DC" else 0.05
    return cells(packed(plane, c.crowding, 0.16, 4.0, 3.5, rng), wobble=wild)


def single_files(plane: Plane, c: Cytology, rng: np.random.Generator) -> Array:
    """Files of three to fourteen cells following the fibres; float32 [N, 2]."""
    count = int((330 + 300 * c.trait) * WIDTH * HEIGHT / 1.9e6)
    length = rng.integers(1, 13, count)
    place = rng.uniform([0, 0], [WIDTH, HEIGHT], (count, 2)).astype(np.float32)
    points = []
    for step in range(int(length.max())):
        points.append(place[length > step])
        normal = plane.direction(plane.across, place)
        heading = np.stack([normal[:, 1], -normal[:, 0]], axis=1)
        stride = c.crowding * rng.uniform(0.85, 1.25, (count, 1)).astype(np.float32)
        place = place + heading * stride + rng.normal(0, 1.3, place.shape).astype(np.float32)
    xy = np.concatenate(points).astype(np.float32)
    free = (plane.at(plane.wall, xy) < -6) & (plane.at(plane.territory, xy) > 0)
    if plane.fat is not None:
        free &= plane.at(plane.fat, xy) < -2
    return thin(xy[free], 6.5)


def stroma(code: str, plane: Plane, c: Cytology, rng: np.random.Generator) -> Cells:
    """Spindle cells along the fibres, and lymphocytes in drifts."""
    spacing = float(np.sqrt(1e6 / c.stroma_cells / 0.866))
    xy = lattice(spacing, 0.3, rng).astype(np.float32)
    wall = plane.at(plane.wall, xy)
    free = wall < -4.5
    for other in (plane.mucin, plane.fat, plane.vessel):
        if other is not None:
            free &= plane.at(other, xy) < -2
    if code == "PT":
        # Stromal cells crowd below the epithelium.
        free &= rng.uniform(size=len(xy)) < 0.55 + 0.6 * np.exp(wall / 40)
    xy = xy[free]
    angle = towards(plane, plane.across, xy) + np.float32(np.pi / 2)
    atypia = 0.24 if code == "PT" else 0.16
    slim = 3.0 if code == "PT" else 3.6
    fibroblasts = make(
        xy, c.spindle / np.sqrt(slim), atypia, slim, 0.95 * c.dark, rng, angle=angle,
        vesicular=0.25, wobble=0.06,
    )  # fmt: skip
    total = int(rng.poisson(c.lymphocytes * WIDTH * HEIGHT / 1e6))
    hearts = rng.uniform([0, 0], [WIDTH, HEIGHT], (5, 2))
    drift = hearts[rng.integers(5, size=total)] + rng.normal(0, 70, (total, 2))
    around = drift.astype(np.float32)
    free = plane.at(plane.wall, around) < -5
    for other in (plane.mucin, plane.fat, plane.vessel):
        if other is not None:
            free &= plane.at(other, around) < -2
    lymphocytes = make(thin(around[free], 6.0), 5.8, 0.07, 1.05, 1.5 * c.dark, rng, vesicular=0.0)
    return join(fibroblasts, lymphocytes, endothelium(plane, c, rng))


def endothelium(plane: Plane, c: Cytology, rng: np.random.Generator) -> Cells:
    """Flat nuclei round the capillaries."""
    if plane.vessel is None:
        return make(np.zeros((0, 2)), 5.0, 0.1, 2.0, c.dark, rng)
    xy = lattice(9.0, 0.2, rng).astype(np.float32)
    off = plane.at(plane.vessel, xy) + np.float32(1.5)
    xy, off = xy[np.abs(off) < 4], off[np.abs(off) < 4]
    xy = thin(xy - plane.direction(plane.vessel, xy) * off[:, None], 7.0)
    angle = towards(plane, plane.vessel, xy) + np.float32(np.pi / 2)
    return make(xy, 4.6, 0.12, 2.8, 1.1 * c.dark, rng, angle=angle)


def red_cells(plane: Plane, rng: np.random.Generator) -> Cells:
    """Red blood cells, 6.5 um, in the capillaries."""
    xy = lattice(6.6, 0.2, rng).astype(np.float32)
    if plane.vessel is None:
        xy = xy[:0]
    else:
        xy = xy[(plane.at(plane.vessel, xy) > 2.5) & (rng.uniform(size=len(xy)) < 0.8)]
    return make(xy, 6.3, 0.06, 1.1, 1.0, rng, wobble=0.05)

"""Drawing cells: many small ellipses at once, as pixels in groups of like size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from magnostic.data.phantom.cells import Cells
from magnostic.data.phantom.noise import texture
from magnostic.data.phantom.plane import Array
from magnostic.data.phantom.view import HEIGHT, WIDTH, View


@dataclass(frozen=True)
class Stamp:
    """Pixels of a group of cells: flat index, cell, and the place in it (q = 1 at the rim)."""

    pixel: npt.NDArray[np.intp]
    cell: npt.NDArray[np.intp]
    u: Array
    v: Array
    q: Array


def stamps(cells: Cells, view: View, phases: Array) -> Iterator[Stamp]:
    """Cells as pixels, in groups of like size, some hundred thousand pixels at a time."""
    px = (cells.xy[:, 0] - np.float32(view.x0)) / np.float32(view.pixel)
    py = (cells.xy[:, 1] - np.float32(view.y0)) / np.float32(view.pixel)
    reach = cells.length * np.float32(0.6 / view.pixel) + 1
    inside = (px > -reach) & (px < WIDTH + reach) & (py > -reach) & (py < HEIGHT + reach)
    chosen = np.flatnonzero(inside)
    size = np.ceil(np.log2(np.maximum(reach[chosen], 2)) * 2).astype(int)
    for group in np.unique(size):
        half = int(np.ceil(2 ** (group / 2)))
        offset = np.arange(-half, half + 1)
        members = chosen[size == group]
        batch = max(1, 400_000 // len(offset) ** 2)
        for start in range(0, len(members), batch):
            m = members[start : start + batch]
            ix, iy = np.rint(px[m]).astype(np.intp), np.rint(py[m]).astype(np.intp)
            column = ix[:, None, None] + offset[None, None, :]
            rows = iy[:, None, None] + offset[None, :, None]
            dx = (column - px[m][:, None, None]).astype(np.float32)
            dy = (rows - py[m][:, None, None]).astype(np.float32)
            c, s = np.cos(cells.angle[m])[:, None, None], np.sin(cells.angle[m])[:, None, None]
            u = (c * dx + s * dy) * (2 * np.float32(view.pixel) / cells.length[m])[:, None, None]
            v = (c * dy - s * dx) * (2 * np.float32(view.pixel) / cells.width[m])[:, None, None]
            square = u * u + v * v
            near = (
                (square < 1.5 + 4.0 / half)
                & (column >= 0) & (column < WIDTH) & (rows >= 0) & (rows < HEIGHT)
            )  # fmt: skip
            which = np.broadcast_to(m[:, None, None], near.shape)[near]
            u, v, square = u[near], v[near], square[near]
            p = phases[which]
            bump = cells.wobble[which] * (
                (u * u - v * v) * p[:, 0] + 2 * u * v * p[:, 1] + u * (u * u - 3 * v * v) * p[:, 2]
            ) / (square + np.float32(0.05))  # fmt: skip
            yield Stamp((rows * WIDTH + column)[near], which, u, v, np.sqrt(square) * (1 + bump))


def draw_nuclei(
    cells: Cells, view: View, chromatin: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """(coverage in [0, 1], haematoxylin) of all nuclei, each float32 [460, 700]."""
    cover = np.zeros(HEIGHT * WIDTH, dtype=np.float32)
    stain = np.zeros(HEIGHT * WIDTH, dtype=np.float32)
    phases = rng.normal(0, 1, (len(cells), 3)).astype(np.float32)
    spot = rng.uniform(-0.4, 0.4, (len(cells), 2)).astype(np.float32)
    shift = rng.uniform(0, 60, len(cells)).astype(np.float32)
    fine = view.pixel < 1.5
    for stamp in stamps(cells, view, phases):
        k = stamp.cell
        radius = np.sqrt(cells.length[k] * cells.width[k]) * np.float32(0.5)
        covered = np.clip((1 - stamp.q) * radius / np.float32(view.pixel) + 0.5, 0, 1)
        if fine:
            depth = (1 - stamp.q) * radius
            pale = cells.vesicular[k] * np.clip(depth / np.float32(1.3), 0, 1)
            body = np.float32(1.22) - np.float32(0.3) * np.clip(depth / np.float32(0.9), 0, 1)
            body -= np.float32(0.55) * pale
            half_length = cells.length[k] * np.float32(0.5)
            half_width = cells.width[k] * np.float32(0.5)
            grains = np.float32(1.5 * chromatin)
            clumps = texture(
                np.asarray(stamp.u * half_length / grains + shift[k], dtype=np.float32),
                np.asarray(stamp.v * half_width / grains, dtype=np.float32),
                (0.0, 0.0),
            )
            body *= 1 + cells.granular[k] * np.float32(chromatin) * clumps
            away = ((stamp.u - spot[k, 0]) * half_length) ** 2
            away += ((stamp.v - spot[k, 1]) * half_width) ** 2
            body += np.float32(0.75) * cells.nucleolus[k] * np.exp(-away / np.float32(1.1))
        else:
            body = 1 - np.float32(0.4) * cells.vesicular[k]
        density = cells.dark[k] * np.clip(body, 0.12, 2.0) * covered
        np.maximum.at(cover, stamp.pixel, covered)
        np.maximum.at(stain, stamp.pixel, density.astype(np.float32))
    return cover.reshape(HEIGHT, WIDTH), stain.reshape(HEIGHT, WIDTH)


def draw_bodies(cells: Cells, view: View, scale: float) -> Array:
    """Coverage in [0, 1] of cells ``scale`` times as wide as their nuclei; [460, 700]."""
    cover = np.zeros(HEIGHT * WIDTH, dtype=np.float32)
    body = Cells(cells.xy, cells.length * np.float32(scale), cells.width * np.float32(scale),
                 cells.angle, cells.dark, cells.vesicular, cells.granular, cells.nucleolus,
                 cells.wobble)  # fmt: skip
    phases = np.zeros((len(cells), 3), dtype=np.float32)
    for stamp in stamps(body, view, phases):
        radius = body.width[stamp.cell] * np.float32(0.5)
        covered = np.clip((1 - stamp.q) * radius / np.float32(view.pixel) + 0.5, 0, 1)
        np.maximum.at(cover, stamp.pixel, covered.astype(np.float32))
    return cover.reshape(HEIGHT, WIDTH)


def borders(cells: Cells, view: View) -> Array:
    """1 on the borders between neighbouring cells, falling to 0; float32 [460, 700]."""
    step = 4
    if len(cells) < 2:
        return np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    points = np.stack(np.meshgrid(view.x[::step], view.y[::step]), axis=-1).reshape(-1, 2)
    distance, _ = spatial.cKDTree(cells.xy).query(points, k=2)
    gap = (distance[:, 1] - distance[:, 0]).reshape(HEIGHT // step, WIDTH // step)
    edge = ndimage.zoom(np.exp(-gap).astype(np.float32), step, order=1)
    return np.asarray(edge, dtype=np.float32)

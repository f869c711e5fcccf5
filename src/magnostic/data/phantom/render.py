"""Seeing the synthetic tissue at a magnification: stain concentrations and a structure map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from magnostic.data.phantom.arrange import arrange
from magnostic.data.phantom.cells import Cells, epithelium, join, red_cells, stroma
from magnostic.data.phantom.cytology import (
    Cytology,
    field_cytology,
    slide_companion,
    slide_cytology,
)
from magnostic.data.phantom.draw import borders, draw_bodies, draw_nuclei
from magnostic.data.phantom.noise import texture
from magnostic.data.phantom.plane import Array, Plane
from magnostic.data.phantom.slides import Slide, generator
from magnostic.data.phantom.stain import (
    PATIENT_EFFECT,
    Appearance,
    Stain,
    field_appearance,
    photograph,
)
from magnostic.data.phantom.view import MICRONS_PER_PIXEL, View
from magnostic.errors import BadInput

BACKGROUND: Final = 0
STROMA: Final = 1
EPITHELIUM: Final = 2
NUCLEUS: Final = 3
MUCIN: Final = 4
FAT: Final = 5
DEBRIS: Final = 6
BLOOD: Final = 7
#: Values of a structure map and their names. Background is lumen, cleft or torn tissue; debris
#: is necrosis or secretion.
STRUCTURES: Final = (
    "background", "stroma", "epithelium", "nucleus", "mucin", "fat", "debris", "blood",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One synthetic photograph. ``rgb`` uint8 [460, 700, 3]; ``structure`` uint8 [460, 700],
    an index into STRUCTURES for each pixel; ``gland`` bool [460, 700]: within the basement
    membrane of a gland, duct, nest or papilla, its lumen included, or an epithelial cell by itself.
    """

    rgb: npt.NDArray[np.uint8]
    structure: npt.NDArray[np.uint8]
    gland: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """One place in a slide: its plane and all its cells; ``loose`` are the epithelial cells
    outside glands, of which the cell bodies must be drawn."""

    plane: Plane
    cytology: Cytology
    epithelial: Cells
    loose: Cells
    stromal: Cells
    red: Cells


@lru_cache(maxsize=2)
def place(slide: Slide, field: int, seed: int) -> Place:
    """The tissue under field ``field`` (0, 1, …) of a slide, whatever the magnification."""
    code = slide.code
    rng = generator(seed, f"place {code}", slide.number, *slide.block.encode(), field)
    companion, mean_share = slide_companion(slide, seed)
    mine, its = (field_cytology(c, rng) for c in slide_cytology(slide, seed))
    share = float(np.clip(mean_share + rng.uniform(-0.35, 0.35), 0, 0.8))
    whole, main, second = arrange(((code, mine), (companion, its)), share, rng)
    cells = {code: epithelium(code, main, mine, rng),
             companion: epithelium(companion, second, its, rng)}  # fmt: skip
    loose = cells["LC"] if "LC" in cells else cells[code].where(np.zeros(len(cells[code]), bool))
    return Place(
        whole,
        mine,
        join(*cells.values()),
        loose,
        stroma(code, whole, mine, rng),
        red_cells(whole, rng),
    )


class _Layers:
    """Concentrations of eosin and haematoxylin and the structure map, painted from below."""

    def __init__(self, eosin: Array, blue: Array) -> None:
        self.eosin, self.blue = eosin, blue
        self.structure = np.full(eosin.shape, STROMA, dtype=np.uint8)

    def paint(self, share: Array, eosin: Array | float, blue: Array | float, label: int) -> None:
        """Replaces what is there by ``share`` in [0, 1]; labels pixels more than half new."""
        self.eosin += share * (eosin - self.eosin)
        self.blue += share * (blue - self.blue)
        self.structure[share > 0.5] = label


def _soft(distance: Array, width: float) -> Array:
    """0 outside to 1 inside over ``width`` micrometres around a boundary."""
    return np.asarray(np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1))


def _stroma(
    view: View, plane: Plane, c: Cytology, look: Appearance, cloud: Array,
    offset: tuple[float, float],
) -> _Layers:  # fmt: skip
    """Bundles of fibres and the clefts between them. Octaves finer than a pixel fade out."""
    along, across = view.see(plane.along), view.see(plane.across)
    unit = np.float32(2.9 * look.fibre)
    back = (offset[1], offset[0])
    bundle = texture(along / (unit * 16), across / (unit * 4), offset)
    fibre = texture(along / (unit * 7), across / unit, back)
    value = np.float32(0.6) * bundle + np.float32(min(0.7, 1.4 / view.pixel)) * fibre
    if view.pixel < 0.6:
        value += np.float32(0.6) * texture(along / (unit * 3), across / (unit * 0.3), offset)
    open_share = np.float32(1.5 - 0.9 * c.loose - 0.5 * np.log(look.crack))
    cleft = texture(along / (unit * 10), across / (unit * 1.4), (offset[0] + 31, offset[1]))
    gap = np.clip((cleft - np.float32(0.45) * bundle - open_share) * np.float32(1.6), 0, 1)
    solid = 1 - np.float32(0.92) * gap
    eosin = np.float32(c.stroma_eosin) * np.clip(1 + np.float32(0.26) * value, 0.2, 2) * solid
    blue = np.float32(c.stroma_blue) * (1 + np.float32(0.35) * cloud) * solid
    layers = _Layers(eosin, blue)
    layers.structure[gap > 0.6] = BACKGROUND
    return layers


def _fold(view: View, look: Appearance, rng: np.random.Generator) -> Array | None:
    """How much thicker the section is along its folds, if it has any; float32 [460, 700]."""
    thicker: Array | None = None
    for _ in range(min(3, rng.poisson(look.folds))):
        turn, bend = rng.uniform(0, np.pi), rng.uniform(10, 40)
        off, half = rng.uniform(-500, 500), rng.uniform(5, 16)
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = view.x[None, :] - np.float32(864), view.y[:, None] - np.float32(576)
        wave = np.float32(bend) * np.sin((x * c + y * s) / np.float32(130))
        band = _soft(np.float32(half) - np.abs(y * c - x * s + wave - np.float32(off)), 8)
        thicker = band if thicker is None else np.maximum(thicker, band)
    return thicker


def render_field(
    slide: Slide, magnification: int, field: int, seed: int = 0, *,
    effect: float = PATIENT_EFFECT, stain: Stain = "own",
) -> Field:  # fmt: skip
    """One synthetic photograph, with the structure under every pixel.

    ``magnification`` 40, 100, 200 or 400; ``field`` 0, 1, … names a place, and the same field
    at another magnification is a zoom into it. ``effect`` >= 0 is the strength of the stain
    and texture differences between patients; with ``stain`` tied or free (see ``stain.Stain``)
    there are none but of haematoxylin. The same arguments give the same pixels.
    Raises BadInput for another magnification or a negative field.
    """
    if magnification not in MICRONS_PER_PIXEL:
        raise BadInput(f"magnification {magnification} is none of {list(MICRONS_PER_PIXEL)}")
    if field < 0:
        raise BadInput(f"field is {field}; fields count from 0")
    here = place(slide, field, seed)
    plane, c = here.plane, here.cytology
    look = field_appearance(slide, field, magnification, seed, effect, stain)
    key = (slide.number, *slide.block.encode(), field)
    # Texture, outlines and folds belong to the tissue: a zoom shows them again.
    tissue = generator(seed, f"texture {slide.code}", *key)
    camera = generator(seed, f"camera {slide.code}", *key, magnification)
    view = View(plane, magnification)
    x, y = view.x[None, :], view.y[:, None]
    a, b, d, e = tissue.uniform(0, 90, 4).tolist()
    fine = np.float32(2.2 * look.grain)
    grain = texture(x / fine, y / fine, (a, d))
    cloud = texture(x / np.float32(30), y / np.float32(30), (b, e))

    layers = _stroma(view, plane, c, look, cloud, (d, e))
    if plane.mucin is not None:
        wisp = texture(view.see(plane.along) / np.float32(70),
                       view.see(plane.across) / np.float32(7), (a, b))  # fmt: skip
        wisp = np.clip(wisp + np.float32(0.4) * cloud, -2, 2)
        layers.paint(_soft(view.see(plane.mucin), 4.0), 0.02,
                     np.float32(0.12) + np.float32(0.05) * wisp, MUCIN)  # fmt: skip
    if plane.fat is not None:
        fat = view.see(plane.fat)
        layers.paint(_soft(fat + 7, 4.0), 0.26, 0.04, STROMA)
        layers.paint(_soft(fat, 1.5), 0.0, 0.0, FAT)
    if plane.vessel is not None:
        layers.paint(_soft(view.see(plane.vessel), 1.5), 0.0, 0.0, BACKGROUND)
        layers.paint(draw_bodies(here.red, view, 1.0) * np.float32(0.95), 0.95, 0.05, BLOOD)

    inside = _soft(view.see(plane.wall) + np.float32(0.5) * grain, 1.2)
    inside = np.maximum(inside, draw_bodies(here.loose, view, 1.5))
    cytoplasm = 1 + np.float32(0.16) * grain + np.float32(0.10) * cloud
    eosin = np.float32(c.cytoplasm_eosin) * cytoplasm
    if view.pixel < 0.6:
        eosin += np.float32(0.14) * borders(here.epithelial, view)
    layers.paint(inside, eosin, np.float32(c.cytoplasm_haematoxylin) * cytoplasm, EPITHELIUM)
    empty = _soft(view.see(plane.lumen) + np.float32(0.9) * grain, 1.6)
    layers.paint(empty, 0.0, 0.0, BACKGROUND)
    if plane.debris is not None:
        rough = 0.35 if plane.necrotic else 0.06
        level = np.float32(0.46 if plane.necrotic else 0.30)
        layers.paint(_soft(view.see(plane.debris), 5.0), level * (1 + np.float32(rough) * grain),
                     0.10 if plane.necrotic else 0.02, DEBRIS)  # fmt: skip

    cover, dye = draw_nuclei(here.epithelial, view, look.chromatin, tissue)
    other_cover, other_dye = draw_nuclei(here.stromal, view, look.chromatin, tissue)
    cover, dye = np.maximum(cover, other_cover), np.maximum(dye, other_dye)
    layers.structure[cover > 0.5] = NUCLEUS
    blue = layers.blue * (1 - cover) + dye
    eosin = layers.eosin * (1 - np.float32(0.45) * cover)

    thickness = np.float32(look.thickness) * (1 + np.float32(0.05) * cloud)
    fold = _fold(view, look, tissue)
    if fold is not None:
        thickness *= 1 + np.float32(0.8) * fold
    # Thickness and stain vary over a section, and a little from photograph to photograph.
    drift = np.exp(tissue.normal(0, 0.14, 2) + camera.normal(0, 0.05, 2)).astype(np.float32)
    blue *= thickness * np.float32(look.haematoxylin) * drift[0]
    eosin *= thickness * np.float32(look.eosin) * drift[1]
    rgb = photograph(blue.clip(0), eosin.clip(0), look, camera)
    return Field(rgb, layers.structure, inside > 0.5)

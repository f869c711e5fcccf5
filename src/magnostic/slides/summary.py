"""What a slide came to, from its tiles table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from magnostic import __version__
from magnostic.deploy.predictor import JOINED, Predictor
from magnostic.evaluate.predictions import PREFIX
from magnostic.slides import table
from magnostic.slides.scale import Tiling
from magnostic.slides.settings import Settings
from magnostic.slides.source import Slide
from magnostic.slides.tiles import Tiles
from magnostic.slides.tissue import Tissue

if TYPE_CHECKING:
    import pandas as pd

NOTE: Final = (
    "Research use only. Temperature, sets, abstention and operating points were fitted on "
    "photographs that people chose, not on tiles of slides; on tiles they promise nothing. Shares "
    "of tiles are no diagnosis of a slide."
)
UNCALIBRATED: Final = "No calibration was fitted for this model: probabilities are as predicted. "


def geometry(
    slide: Slide, settings: Settings, mpp: tuple[float, float], source: str, tiling: Tiling
) -> dict[str, Any]:
    """Sizes and scales of a slide and its tiles; lengths in micrometres or level-0 pixels."""
    return {
        "slide": slide.path.name,
        "format": slide.kind,
        "size": list(slide.size),
        "mpp": list(mpp),
        "mpp_from": source,
        "magnification": settings.magnification,
        "tile_mpp": settings.wanted_mpp,
        "tile_pixels": list(tiling.pixels),
        "tile_microns": [pixels * settings.wanted_mpp for pixels in tiling.pixels],
        "tile_level0": list(tiling.step),
        "level": tiling.level,
        "level_downsample": list(tiling.downsample),
        "enlarged": tiling.enlarged,
    }


def tissue_found(
    tissue: Tissue, tiles: Tiles, settings: Settings, mpp: tuple[float, float]
) -> dict[str, Any]:
    """Tiles and areas (mm2) with and without tissue."""
    level0 = mpp[0] * mpp[1] / 1e6
    area = float(tissue.mask.sum()) * tissue.downsample**2 * level0
    boxes = tiles.boxes.astype(float)
    inside = float((boxes[:, 2] * boxes[:, 3] * tiles.tissue).sum()) * level0
    return {
        "tissue_threshold": tissue.threshold,
        "least_tissue": settings.least_tissue,
        "tissue_mm2": area,
        "tissue_in_tiles_mm2": inside,
        "tiles_in_grid": tiles.in_grid,
        "tiles_background": tiles.in_grid - len(tiles),
        "tiles": len(tiles),
    }


def predicted(predictor: Predictor, tiles: pd.DataFrame) -> dict[str, Any]:
    """Shares and means over the tiles that were read, each counted once; None without any."""
    read = tiles[tiles["error"].isna()]
    about, rules = predictor.about, predictor.rules
    counts = read["y_pred"].value_counts()
    reasons = Counter(
        reason for text in tiles["reasons"].dropna() for reason in str(text).split(JOINED)
    )
    points = [f"{rules.positive_name}_{name}" for name in rules.points]
    has_sum = table.MALIGNANT in tiles
    calibrated = about.calibration is not None
    return {
        "version": __version__,
        "model": about.name,
        "model_digest": about.digest,
        "engine": predictor.engine.name,
        "task": about.task,
        "classes": list(about.classes),
        "tiles_unread": len(tiles) - len(read),
        "class_tiles": {c: int(counts.get(c, 0)) for c in about.classes},
        "class_shares": {c: _ratio(counts.get(c, 0), len(read)) for c in about.classes},
        "mean_probabilities": {c: _mean(read[PREFIX + c]) for c in about.classes},
        "mean_malignant": _mean(read[table.MALIGNANT]) if has_sum else None,
        "operating_points": {name: _mean(read[name]) for name in points},
        "review_share": _ratio(tiles["review"].sum(), len(tiles)),
        "reasons": dict(reasons),
        "calibrated": calibrated,
        "temperature": rules.temperature if calibrated else None,
        "note": NOTE if calibrated else UNCALIBRATED + NOTE,
    }


def _ratio(part: float, whole: int) -> float | None:
    return float(part) / whole if whole else None


def _mean(values: pd.Series[Any]) -> float | None:
    return float(values.astype(float).mean()) if len(values) else None

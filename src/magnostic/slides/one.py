"""One slide: tiles chosen, predicted in bounded memory, and written with maps and a summary."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.deploy.predictor import Predictor, Row
from magnostic.evaluate.collapse import places
from magnostic.files import write_json
from magnostic.progress import say, track
from magnostic.slides import geojson, page, scale, source, summary, table, tiles, tissue
from magnostic.slides.scale import Tiling
from magnostic.slides.settings import Settings
from magnostic.slides.source import Slide
from magnostic.slides.tiles import Tiles

SUMMARY: Final = "summary.json"
_UNREAD: Final = np.empty((0, 0, 3), np.uint8)


def predict_slide(
    predictor: Predictor, path: Path, folder: Path, settings: Settings, identity: str
) -> dict[str, Any]:
    """Predict the tiles of a slide and write everything into ``folder``.

    Writes ``tiles.parquet``, ``tiles.csv``, ``tiles.geojson``, ``heatmap.png`` (where malignancy is
    among what the model says), ``classes.png`` (more than two classes), ``report.html`` and, last,
    ``summary.json``, each whole or not at all.

    Args:
        identity: text that tells this slide, model and settings apart from others.

    Returns:
        The content of ``summary.json``.

    Raises:
        BadInput, DataError: no slide, no scale, smaller than a tile.
        MissingExtra: ``[wsi]`` is needed and not installed.
    """
    slide = source.open_slide(path)
    try:
        return _predict(predictor, slide, folder, settings, identity)
    finally:
        slide.close()


def _predict(
    predictor: Predictor, slide: Slide, folder: Path, settings: Settings, identity: str
) -> dict[str, Any]:
    mpp, where_from = source.scale_of(slide, settings.slide_mpp, settings.objective)
    tiling = scale.tiling(mpp, settings.wanted_mpp, settings.pixels, slide.downsamples)
    if tiling.enlarged > 1:
        say(
            f"{slide.path.name}: less fine than asked for: enlarged {tiling.enlarged:.2f} times "
            f"({max(mpp):.3g} to {settings.wanted_mpp:.3g} micrometres a pixel)"
        )
    mask = tissue.find(slide, tiling.step)
    chosen = tiles.choose(slide, tiling, mask, settings.least_tissue)
    parquet = folder / "tiles.parquet"
    names = table.columns(predictor)
    rows = _rows(predictor, slide, tiling, chosen, settings.workers)
    what = f"{slide.path.name}: predicting tiles"
    table.write(parquet, track(rows, what, len(chosen)), names)
    found = pd.read_parquet(parquet)
    told = {
        **summary.geometry(slide, settings, mpp, where_from, tiling),
        **summary.tissue_found(mask, chosen, settings, mpp),
        **summary.predicted(predictor, found),
        "identity": identity,
    }
    table.write_csv(folder / "tiles.csv", parquet)
    _draw(predictor, slide, folder, mpp, found, identity)
    page.write(folder, told)
    write_json(folder / SUMMARY, told)
    return told


def _rows(
    predictor: Predictor, slide: Slide, tiling: Tiling, chosen: Tiles, workers: int
) -> Iterator[Row]:
    """Rows of the table; a tile that cannot be read is a row with its error."""
    faults: deque[str | None] = deque()  # of tiles read ahead, as bounded as these are
    classes = predictor.about.classes
    malignant = [classes[k] for k in places(table.MALIGNANT, classes)]

    def pixels() -> Iterator[NDArray[np.uint8]]:
        for tile in tiles.read_all(slide, tiling, chosen.boxes, workers):
            faults.append(tile if isinstance(tile, str) else None)
            yield _UNREAD if isinstance(tile, str) else tile

    told = predictor.stream(pixels(), workers=workers)
    for box, share, row in zip(chosen.boxes, chosen.tissue, told, strict=True):
        fault = faults.popleft()
        if fault is not None:
            row["error"] = fault
        row.update(zip(("x", "y", "width", "height"), map(int, box), strict=True))
        row["slide"], row["tissue"] = slide.path.name, float(share)
        if malignant and row["error"] is None:
            row[table.MALIGNANT] = min(1.0, sum(row[f"p_{c}"] for c in malignant))
        yield row


def _draw(
    predictor: Predictor,
    slide: Slide,
    folder: Path,
    mpp: tuple[float, float],
    found: pd.DataFrame,
    identity: str,
) -> None:
    from magnostic.slides import drawing

    classes = predictor.about.classes
    colours = drawing.colours(classes)
    geojson.write(folder / "tiles.geojson", folder / "tiles.parquet", slide.origin, colours,
                  identity)  # fmt: skip
    downsample = max(1.0, max(slide.size) / drawing.THUMBNAIL)
    canvas = drawing.Canvas(tissue.overview(slide, downsample), downsample, mpp[0], found)
    if table.MALIGNANT in found:
        canvas.heat_map(folder / page.HEAT_MAP, table.MALIGNANT, "probability of malignant")
    if len(classes) > 2 or table.MALIGNANT not in found:
        canvas.class_map(folder / page.CLASS_MAP, colours, page.class_names(classes))

"""Tiles as GeoJSON that QuPath imports (File > Import objects from file).

A FeatureCollection of polygons in level-0 pixels, each a QuPath object of type ``tile`` with a
classification (name and colour) and measurements. QuPath shows only the scanned part of slides
that name one (MIRAX), and counts from its corner; so do the polygons.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from magnostic.evaluate.predictions import PREFIX
from magnostic.files import whole_file
from magnostic.slides import table

#: Columns that become measurements, beside the probabilities.
_MEASURED: Final = (table.MALIGNANT, "confidence", "tissue", "contrast", "sharpness", "distance")


def write(
    path: Path, parquet: Path, origin: tuple[int, int], colours: Mapping[str, str], of: str
) -> int:
    """Write the tiles that were predicted and return how many.

    Args:
        parquet: the tiles table.
        origin: of QuPath's view, level-0 pixels.
        colours: of each class, ``#rrggbb``.
        of: what tells the slide and the model apart from others; the objects' ids follow from it.
    """
    count = 0
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for row in table.rows(parquet):
            if row["error"] is not None:
                continue
            file.write(",\n" if count else "\n")
            json.dump(_feature(row, origin, colours, of), file, allow_nan=False)
            count += 1
        file.write("\n]}\n")
    return count


def _feature(
    row: dict[str, Any], origin: tuple[int, int], colours: Mapping[str, str], of: str
) -> dict[str, Any]:
    left, top = row["x"] - origin[0], row["y"] - origin[1]
    right, bottom = left + row["width"], top + row["height"]
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    measured = {
        name: float(value)
        for name, value in row.items()
        if (name in _MEASURED or name.startswith(PREFIX)) and value is not None
    }
    measured["review"] = float(row["review"])
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{of}/{row['x']}/{row['y']}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "tile",
            "classification": {"name": row["y_pred"], "color": rgb(colours[row["y_pred"]])},
            "measurements": measured,
        },
    }


def rgb(colour: str) -> list[int]:
    """``#rrggbb`` as three numbers from 0 to 255."""
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]

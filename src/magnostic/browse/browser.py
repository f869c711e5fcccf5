"""What all pages rest on: the folders, the runs read so far, their predictions and photographs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from magnostic.browse import files, listing
from magnostic.browse.find import Found, Place, find
from magnostic.browse.photographs import DataSet, Gallery, Source, source_of
from magnostic.data.images import Images
from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions
from magnostic.report.comparison import PREDICTIONS
from magnostic.report.folder import RunFolder

#: Runs whose predictions and photographs' places are kept in memory.
_OPEN: Final = 8
#: A run's own images table, and its model card, where it has them.
IMAGES: Final = "images.parquet"
CARD: Final = "MODEL_CARD.md"


class Missing(Exception):
    """There is no such page; says what was looked for."""


class Browser:
    """The runs below some folders, with the photographs of some data sets; for many threads.

    Args:
        roots: as ``find.check`` returns them.
        sets: data sets that photographs are looked for in.
    """

    def __init__(self, roots: Sequence[Path], sets: Sequence[DataSet] = ()) -> None:
        self.roots = list(roots)
        self.sets = list(sets)
        self.runs = listing.Runs()
        self.gallery = Gallery()
        self._opened = lru_cache(_OPEN)(_open)
        self._found = Found({})

    def found(self) -> Found:
        """What there is now."""
        self._found = find(self.roots)
        return self._found

    def place(self, key: str, kind: str) -> Place:
        """A place by its key; looked for anew only where it was not there the last time."""
        place = self._found.places.get(key)
        if place is None or not (place.path / f"{kind}.json").is_file():
            place = self.found().places.get(key)
        if place is None or place.kind != kind:
            raise Missing(f"no {kind} {key!r} in the folders given")
        return place

    def run(self, key: str) -> tuple[Place, RunFolder]:
        place = self.place(key, "run")
        run = self.runs.read(place.path)
        if isinstance(run, str):
            raise BadInput(run)
        return place, run

    def file(self, key: str, kind: str, name: str) -> Path:
        """A file that may be sent; Missing says why it may not."""
        place = self.place(key, kind)
        try:
            return files.inside(place.path, name)
        except files.Refused as refused:
            raise Missing(f"{name}: {refused}") from None

    def head(self, place: Place, run: RunFolder) -> dict[str, Any]:
        """What the head of each of a run's pages shows."""
        found = self._found
        return {
            "place": place,
            "parent": found.places.get(place.inside) if place.inside else None,
            "name": str(run.recipe.get("name") or place.path.name),
            "synthetic": bool(run.data.get("synthetic")),
            "has_report": (place.path / "report.html").is_file(),
            "has_card": (place.path / CARD).is_file(),
        }

    def predictions(self, place: Place) -> tuple[Predictions, Source]:
        """A run's predictions, and where its photographs are."""
        stamp = tuple(
            path.stat().st_mtime_ns if path.is_file() else 0
            for path in (place.path / PREDICTIONS, place.path / IMAGES)
        )
        run = self.runs.read(place.path)
        data = {} if isinstance(run, str) else run.data
        return self._opened(
            place.path, stamp, tuple(self.sets), str(data.get("data_hash") or ""),
            bool(data.get("synthetic")),
        )  # fmt: skip

    def picture(self, key: str, image: str, *, large: bool) -> bytes:
        """A picture of one of the run's photographs. Raises Missing, photographs.NotAtHand."""
        place = self.place(key, "run")
        predictions, source = self.predictions(place)
        if not (predictions.table["image_id"] == image).any():
            raise Missing(f"this run has no prediction of an image {image!r}")
        draw = self.gallery.large if large else self.gallery.small
        return draw(source, image)


def _open(
    folder: Path, _: tuple[int, ...], sets: tuple[DataSet, ...], data_hash: str, synthetic: bool
) -> tuple[Predictions, Source]:
    file = folder / PREDICTIONS
    predictions = Predictions.read(file)
    own = folder / IMAGES
    if own.is_file() and not own.is_symlink():
        sets = (DataSet(f"the run's {IMAGES}", Images.read(own)), *sets)
    asked = predictions.table.drop_duplicates("image_id")
    columns = asked[["image_id", "slide_id", "magnification"]]
    return predictions, source_of(sets, columns, data_hash, synthetic)

"""How far a photograph lies from the training images in the model's feature space.

Features are standardized by the training images. The distance of a photograph is Euclidean, to the
nearest training image; the unit is the 99th percentile of the same distance among the training
images themselves, each to the nearest one of another patient (lab number where known, else patient,
else any other image), since new photographs come from new patients. Beyond 1 a photograph is
farther from everything known than 99 of 100 training images are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from magnostic import tables
from magnostic.data.images import GIVEN, HASHED
from magnostic.errors import TableError, WeightsError

#: Distance beyond which a photograph is far from the training images.
FAR: Final = 1.0
_PERCENTILE: Final = 99.0
#: Training images that the unit is measured on at most, evenly spaced over the table.
_MEASURED: Final = 2000
#: Distances worked on at once: 64 MiB of float32.
_CHUNK: Final = 2**24

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbour:
    """A training image near to a photograph.

    Attributes:
        image_id, label, slide_id, magnification: as the run knew them; None where unknown.
        distance: in the unit above; NaN where there is none.
        pixel_hash: of its decoded pixels, by which it is found again in a data set; None where an
            earlier version made it in another way.
    """

    image_id: str
    label: str
    slide_id: str | None
    magnification: int | None
    distance: float
    pixel_hash: str | None


class Reference:
    """Training images in feature space.

    Args:
        features: [M, D], M >= 2.
        groups: [M], what must differ between an image and its neighbour when the unit is measured.
        table: [M] rows of ``reference.parquet``, which neighbours are named by.
        thumbnails: uint8 [M, 64, 64, 3], where the recipe kept them.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        groups: NDArray[np.intp],
        table: pd.DataFrame | None = None,
        thumbnails: NDArray[np.uint8] | None = None,
    ) -> None:
        self._table = table
        self._thumbnails = thumbnails
        values = features.astype(np.float32)
        self._shift = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = values.std(axis=0, dtype=np.float64)
        # Stored as float16: a column that does not vary beyond its rounding says nothing.
        varies = spread > 1e-3 * np.abs(self._shift) + 1e-6
        self._scale = np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)
        self._known = (values - self._shift) * self._scale
        self._half = 0.5 * np.einsum("md,md->m", self._known, self._known)
        measured = np.unique(np.linspace(0, len(values) - 1, _MEASURED).astype(np.intp))
        within = self._distances(self._known[measured], groups[measured], groups)
        within = within[np.isfinite(within)]
        self._unit = float(np.percentile(within, _PERCENTILE)) if len(within) else float("nan")

    def __len__(self) -> int:
        return len(self._known)

    def distance(self, features: Vectors) -> NDArray[np.float32]:
        """Distances of [N, D] in the unit above, float32 [N]; NaN where there is no unit."""
        if not self._unit > 0:
            return np.full(len(features), np.nan, dtype=np.float32)
        scaled = (features.astype(np.float32) - self._shift) * self._scale
        found: NDArray[np.float32] = (self._distances(scaled) / self._unit).astype(np.float32)
        return found

    def nearest(self, features: Vectors, k: int) -> list[list[Neighbour]]:
        """The k nearest training images of each of [N, D], nearest first, the earlier of equals.

        The first one's distance is :meth:`distance`. There are fewer where fewer are known.
        Raises ValueError for a reference without a table.
        """
        if self._table is None:
            raise ValueError("these training images have no names")
        scaled = (features.astype(np.float32) - self._shift) * self._scale
        unit = self._unit if self._unit > 0 else float("nan")
        found = []
        for vector in scaled:  # one at a time: differences are exact where products round
            distance = np.sqrt(np.square(self._known - vector).sum(axis=1, dtype=np.float64))
            rows = np.argsort(distance, kind="stable")[:k]
            found.append([self._named(int(row), float(distance[row] / unit)) for row in rows])
        return found

    @property
    def comparable(self) -> bool:
        """Whether training images can be recognized by their pixels."""
        return self._table is not None and bool(self._table["pixel_hash"].notna().all())

    def thumbnail(self, image_id: str) -> NDArray[np.uint8] | None:
        """A training image, uint8 [64, 64, 3], where thumbnails were kept."""
        if self._thumbnails is None or self._table is None:
            return None
        rows = np.flatnonzero((self._table["image_id"] == image_id).to_numpy())
        return self._thumbnails[rows[0]] if len(rows) else None

    def _named(self, row: int, distance: float) -> Neighbour:
        assert self._table is not None
        of = self._table.iloc[row]
        magnification = _known(of["magnification"])
        return Neighbour(
            str(of["image_id"]),
            str(of["y"]),
            _known(of["slide_id"]),
            None if magnification is None else int(magnification),
            distance,
            _known(of["pixel_hash"]),
        )

    def _distances(
        self,
        scaled: Vectors,
        groups: NDArray[np.intp] | None = None,
        of_known: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float64]:
        """To the nearest known vector, of another group where groups are given (else inf)."""
        found = np.empty(len(scaled))
        step = max(1, _CHUNK // len(self._known))
        for start in range(0, len(scaled), step):
            here = scaled[start : start + step]
            # |a - b|^2 / 2 without the part that is the same for all b.
            halves = self._half - here @ self._known.T
            if groups is not None and of_known is not None:
                halves[groups[start : start + step, None] == of_known[None, :]] = np.inf
            nearest = halves.argmin(axis=1)
            # Products round differently for another number of rows; differences do not.
            apart = np.square(here - self._known[nearest]).sum(axis=1, dtype=np.float64)
            known = np.isfinite(halves[np.arange(len(here)), nearest])
            found[start : start + step] = np.where(known, np.sqrt(apart), np.inf)
        return found


def read(folder: Path) -> Reference | None:
    """The training images kept beside a model; None where the recipe kept none.

    Raises WeightsError for files that do not belong together.
    """
    path, table_path = folder / "reference.safetensors", folder / "reference.parquet"
    if not path.is_file() or not table_path.is_file():
        return None
    try:
        kept = safetensors.numpy.load_file(path)
        features, thumbnails = kept["features"], kept.get("thumbnails")
        table, meta = tables.read(table_path, (), "reference")
        groups = _groups(table)
    except (OSError, KeyError, ValueError, TableError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); train the run again") from None
    if len(table) != len(features):
        raise WeightsError(
            f"{path}: {len(features)} vectors, but {len(table)} rows in {table_path.name}; "
            "train the run again"
        )
    if len(features) < 2:
        return None
    if meta.get("pixel_hash") != HASHED:
        hashes = table["pixel_hash"]
        table = table.assign(pixel_hash=hashes.where(hashes.str.startswith(GIVEN), None))
    return Reference(features, groups, table, thumbnails)


def _known(value: Any) -> Any:
    """A cell of a table; None where it is missing."""
    return None if pd.isna(value) else value


def _groups(table: pd.DataFrame) -> NDArray[np.intp]:
    """Lab number, else patient, else pixels: what one person's images share."""
    key = table["accession"].fillna(table["patient_id"]).fillna(table["pixel_hash"])
    return np.asarray(pd.factorize(key)[0], dtype=np.intp)

"""Photographs behind a run's predictions: found in images tables, sent as small pictures.

Only files that an images table names are opened, only as images, and what is sent is drawn anew
from their pixels: no file of the disk is passed on.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd
from PIL import Image

from magnostic.data.images import GIVEN, Images
from magnostic.data.scan import Unusable, decode, pixel_hash
from magnostic.data.strict import strict_decoding
from magnostic.processors import cores

#: Longest side in pixels: of a picture in a grid (twice what it measures there), of a large one.
SMALL: Final = 400
LARGE: Final = 2048
#: Bytes of small pictures that are kept.
KEPT: Final = 64 * 2**20


class NotAtHand(Exception):
    """There is no photograph to show; says why."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """An images table and what it is called; each is equal to itself alone."""

    name: str
    images: Images

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The table by image_id."""
        return self.images.table.set_index("image_id")

    def agrees(self, asked: pd.DataFrame) -> int:
        """Images of ``asked`` (image_id, slide_id, magnification) that this set has as well."""
        here = self.rows.reindex(asked["image_id"])
        same = here["path"].notna().to_numpy()
        for column, kind in (("slide_id", "object"), ("magnification", "float64")):
            ours, theirs = here[column].to_numpy(kind), asked[column].to_numpy(kind)
            same = same & (pd.isna(ours) | pd.isna(theirs) | (ours == theirs))
        return int(same.sum())


@dataclass(frozen=True)
class Source:
    """Where one run's photographs are looked for.

    data: None where no data set has any of them. note: what a reader should know of the match.
    """

    data: DataSet | None
    note: str


def source_of(
    sets: Sequence[DataSet], asked: pd.DataFrame, data_hash: str, synthetic: bool
) -> Source:
    """The data set that a run was made of, or else the one that has most of its images by name.

    Args:
        asked: image_id, slide_id, magnification of the run's predictions, one row an image.
        data_hash, synthetic: of the run's data.json.
    """
    for data in sets:
        if data_hash and data.images.data_hash == data_hash:
            return Source(data, "")
    alike = [data for data in sets if data.images.synthetic == synthetic]
    counts = [data.agrees(asked) for data in alike]
    if not counts or max(counts) == 0:
        if not sets:
            return Source(None, "no data set was given (--data)")
        return Source(None, "the data sets given (--data) hold no image of this run")
    best = alike[counts.index(max(counts))]
    return Source(
        best,
        f"The photographs come from {best.name}, which is not the same set as the run's: "
        f"{max(counts):,} of {len(asked):,} images match by name, slide and magnification.",
    )


class Gallery:
    """Small and large pictures of photographs; the small ones are kept while there is room."""

    def __init__(self, kept: int = KEPT) -> None:
        self._room = kept
        self._bytes = 0
        self._small: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._decoding = threading.BoundedSemaphore(cores())

    @property
    def kept(self) -> int:
        """Bytes of small pictures at hand."""
        return self._bytes

    def small(self, source: Source, image_id: str) -> bytes:
        """JPEG, at most :data:`SMALL` pixels a side. Raises NotAtHand."""
        path, digest = _row(source, image_id)
        key = (path, digest)
        with self._lock:
            if key in self._small:
                self._small.move_to_end(key)
                return self._small[key]
        made = self._draw(path, digest, SMALL, "JPEG")
        with self._lock:
            if key not in self._small and len(made) <= self._room:
                self._small[key] = made
                self._bytes += len(made)
            while self._bytes > self._room:
                self._bytes -= len(self._small.popitem(last=False)[1])
        return made

    def large(self, source: Source, image_id: str) -> bytes:
        """PNG, as the photograph is or at most :data:`LARGE` pixels a side. Raises NotAtHand."""
        return self._draw(*_row(source, image_id), LARGE, "PNG")

    def _draw(self, path: str, digest: str, side: int, kind: str) -> bytes:
        file = Path(path)
        if file.exists() and not file.is_file():  # opening a pipe could wait for ever
            raise NotAtHand("its path names no regular file")
        try:
            with self._decoding, strict_decoding():
                pixels = decode(file)
                if not digest.startswith(GIVEN) and pixel_hash(pixels) != digest:
                    raise NotAtHand("the file has changed since it was indexed")
                image = Image.fromarray(pixels)
                image.thumbnail((side, side), Image.Resampling.LANCZOS)
                out = io.BytesIO()
                if kind == "JPEG":
                    image.save(out, kind, quality=90, subsampling=0)
                else:
                    image.save(out, kind, compress_level=1)
        except Unusable as bad:
            raise NotAtHand(bad.fault) from None
        return out.getvalue()


def _row(source: Source, image_id: str) -> tuple[str, str]:
    """Path and pixel hash of an image of the table. Raises NotAtHand where it has none."""
    if source.data is None:
        raise NotAtHand(source.note)
    if image_id not in source.data.rows.index:
        raise NotAtHand(f"not in {source.data.name}")
    row = source.data.rows.loc[image_id]
    return str(row["path"]), str(row["pixel_hash"])


def at_hand(source: Source, image_id: str) -> str:
    """Why there is no photograph to ask for; empty where there is one to try."""
    try:
        path, _ = _row(source, image_id)
    except NotAtHand as missing:
        return str(missing)
    return "" if Path(path).is_file() else "the file is missing"

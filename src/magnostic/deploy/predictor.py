"""A model ready for use: photographs in, one row each out.

    predictor = magnostic.load("runs/first")
    table = predictor.predict(["a.png", Image.open("b.png"), array])

Rows (:data:`COLUMNS`, then one ``p_<class>`` a class, then one ``<positive>_<point>`` an operating
point of ``calibration.json``):

============  =======  ===========================================================================
column        type     meaning
============  =======  ===========================================================================
path          string   of the file as given; ``image <n>`` for arrays, tensors and PIL images
image_id,     string?  what a manifest or images table brought
patient_id,
slide_id,
accession
error         string?  why there is no prediction; everything after it is then missing
y_pred        string?  class with the highest probability (the first of equals)
confidence    float?   its calibrated probability
set           string?  classes of the conformal set, joined by ``|``; missing where none was fitted
answered      bool?    whether the confidence suffices; missing where that is not certifiable
review        bool     whether somebody should look
reasons       string?  why, joined by ``|``: :data:`REASONS`
width,height  int?     of the photograph, pixels
contrast      float?   of the input (:mod:`magnostic.deploy.quality`)
sharpness     float?   of the input
distance      float?   to the training images (:mod:`magnostic.deploy.distance`); above 1: far
p_<class>     float?   calibrated probability
============  =======  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.fit import sides
from magnostic.data.strict import strict_decoding
from magnostic.deploy import decisions, distance, quality
from magnostic.deploy.artefact import About
from magnostic.deploy.decisions import Rules
from magnostic.deploy.engines import Computed, Engine
from magnostic.deploy.photograph import Input
from magnostic.deploy.pipeline import Batch, batches
from magnostic.deploy.sources import IDS, Item
from magnostic.errors import BadInput, WeightsError
from magnostic.evaluate.predictions import PREFIX

Row = dict[str, Any]
COLUMNS: Final = (
    "path",
    *IDS,
    "error",
    "y_pred",
    "confidence",
    "set",
    "answered",
    "review",
    "reasons",
    "width",
    "height",
    "contrast",
    "sharpness",
    "distance",
)
#: Why somebody should look: no prediction; too unsure to answer; several classes possible; fewer
#: pixels than the network's input; nothing to see; out of focus; unlike the training images.
REASONS: Final = ("error", "abstained", "set", "small", "blank", "blurred", "far")
JOINED: Final = "|"


@dataclass(frozen=True)
class Told:
    """A row and what it was told from.

    Attributes:
        row: as :meth:`Predictor.stream` gives it.
        entry: the input; None for what could not be read.
        features: float32 [D] of each network that has training images to compare with.
    """

    row: Row
    entry: Input | None = None
    features: tuple[NDArray[np.float32], ...] = ()


class Predictor:
    """Predicts from one stored model; safe to use from several threads.

    Args:
        about: what the model says of itself.
        engine: what computes.
        references: training images in feature space, one for each of the engine's features; None
            where a network has none.
        level: of the conformal sets, one of those that were fitted (0.8, 0.9, 0.95).
    """

    def __init__(
        self,
        about: About,
        engine: Engine,
        references: Sequence[distance.Reference | None],
        level: float = decisions.LEVEL,
    ) -> None:
        self.about = about
        self.engine = engine
        self.references = tuple(references)
        self.rules = Rules.of(about.calibration, about.classes, level, about.place)

    @property
    def columns(self) -> list[str]:
        """Of every row, in order."""
        points = [f"{self.rules.positive_name}_{name}" for name in self.rules.points]
        return [*COLUMNS, *(PREFIX + c for c in self.about.classes), *points]

    def predict(self, images: Any, *, workers: int = 0) -> pd.DataFrame:
        """One row for each image, in order; a bad one is a row with its error.

        Args:
            images: one image or an iterable of them. An image is a path, bytes (the content of a
                PNG, JPEG, TIFF, BMP or WebP file), a PIL image in RGB, a uint8 [H, W, 3] array or
                tensor, or a tensor [3, H, W] (uint8, or floating point in [0, 1]). An array or
                tensor with one axis more is several.
            workers: decoding threads; 0: one a core.
        """
        one_file = isinstance(images, str | Path | bytes) or hasattr(images, "convert")
        if one_file or getattr(images, "ndim", 4) in (2, 3):  # one array or tensor, RGB or not
            images = [images]
        rows = list(self.stream(images, workers=workers))
        return pd.DataFrame(rows, columns=self.columns)

    def stream(self, images: Iterable[Any], *, workers: int = 0) -> Generator[Row, None, None]:
        """The same row by row; memory does not grow with the number of images.

        Args:
            images: images as for :meth:`predict`, or :class:`magnostic.deploy.sources.Item`.
            workers: decoding threads; 0: one a core.
        """
        with closing(self.told(images, workers=workers)) as found:
            for told in found:
                yield told.row

    def told(self, images: Iterable[Any], *, workers: int = 0) -> Generator[Told, None, None]:
        """As :meth:`stream`, each row with what it was told from."""
        heads: list[Row] = []  # of the images read ahead; as bounded as these are

        def noted() -> Iterator[Any]:
            for n, image in enumerate(images):
                heads.append(_head(image, n))
                yield image.path if isinstance(image, Item) else image

        size, fit, batch_size = self.about.size, self.about.fit, self.engine.batch_size
        with strict_decoding():
            overlap = not self.engine.shares_cores
            read = batches(noted(), size, fit, batch_size, workers=workers, overlap=overlap)
            for batch in read:
                found = self._told(batch)
                here, heads[:] = heads[: len(found)], heads[len(found) :]
                for head, told in zip(here, found, strict=True):
                    yield replace(told, row={**head, **told.row})

    def batch(self, pixels: NDArray[np.uint8]) -> list[Row]:
        """Rows without ``path`` and ids for inputs that have the network's size already.

        Args:
            pixels: uint8 [N, H, W, 3], N >= 1, from :func:`magnostic.data.fit.fit_image`.

        Raises BadInput for another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (*sides(self.about.size), 3):
            height, width = sides(self.about.size)
            raise BadInput(
                f"batch: {pixels.dtype} {pixels.shape}; give uint8 [N, {height}, {width}, 3]"
            )
        return self.rows(Batch([Input(p, p.shape[1], p.shape[0]) for p in pixels]))

    def compute(self, pixels: NDArray[np.uint8]) -> Computed:
        """Probabilities as predicted and features of uint8 [N, H, W, 3], N >= 1."""
        return self.engine.compute(pixels)

    def rows(self, batch: Batch) -> list[Row]:
        """Rows without ``path`` and ids, in order, of what was read and what was not."""
        return [told.row for told in self._told(batch)]

    def _told(self, batch: Batch) -> list[Told]:
        rows: list[Told] = [
            Told(_without(e)) if isinstance(e, str)
            else Told({}, e)
            for e in batch.inputs
        ]  # fmt: skip
        good = batch.good
        if good:
            pixels = batch.pixels()
            computed = self.engine.compute(pixels)
            if computed.raw.shape != (len(good), len(self.about.classes)):
                shape = " x ".join(map(str, computed.raw.shape))
                raise WeightsError(
                    f"{self.about.name}: its network gives {shape} probabilities for {len(good)} "
                    f"photographs and {len(self.about.classes)} classes; the model's files do not "
                    "belong together, get it anew"
                )
            inputs = [batch.inputs[i] for i in good]
            told = self._tell(pixels, computed, inputs)  # type: ignore[arg-type]
            for n, (i, row) in enumerate(zip(good, told, strict=True)):
                features = tuple(of_network[n] for of_network in computed.features)
                rows[i] = replace(rows[i], row=row, features=features)
        return rows

    def _tell(
        self, pixels: NDArray[np.uint8], computed: Computed, inputs: Sequence[Input]
    ) -> Iterator[Row]:
        rules = self.rules
        raw = computed.raw
        stated = rules.calibrated(raw)
        sets, answered = rules.sets(raw), rules.answered(raw)
        points = rules.at_points(raw)
        contrast, sharpness = quality.measure(pixels)
        far = self._distance(computed)
        classes = self.about.classes
        names = [PREFIX + c for c in classes]
        telling = rules.certifiable and not rules.vacuous
        for n, entry in enumerate(inputs):
            likeliest = int(raw[n].argmax())
            reasons = []
            if answered is not None and not answered[n]:
                reasons.append("abstained")
            if sets is not None and telling and sets[n].sum() > 1:
                reasons.append("set")
            reasons += quality.reasons(
                entry.height, entry.width, contrast[n], sharpness[n], self.about.size
            )
            if far[n] > distance.FAR:
                reasons.append("far")
            row: Row = {
                "error": None,
                "y_pred": classes[likeliest],
                "confidence": shortest(stated[n, likeliest]),
                "set": None,
                "answered": None if answered is None else bool(answered[n]),
                "review": bool(reasons),
                "reasons": JOINED.join(reasons) or None,
                "width": entry.width,
                "height": entry.height,
                "contrast": shortest(contrast[n]),
                "sharpness": shortest(sharpness[n]),
                "distance": shortest(far[n]),
            }
            if sets is not None:
                row["set"] = JOINED.join(np.asarray(classes)[sets[n]])
            row.update(zip(names, map(shortest, stated[n]), strict=True))
            for name, positive in points.items():
                row[f"{rules.positive_name}_{name}"] = bool(positive[n])
            yield row

    def _distance(self, computed: Computed) -> NDArray[np.float32]:
        """Mean over the networks that have training images to compare with; NaN without any."""
        found = [
            reference.distance(features)
            for reference, features in zip(self.references, computed.features, strict=True)
            if reference is not None
        ]
        if not found:
            return np.full(len(computed.raw), np.nan, dtype=np.float32)
        mean: NDArray[np.float32] = np.mean(found, axis=0)
        return mean


def unread(item: Item, error: str) -> Row:
    """The row of a photograph without a prediction."""
    return {**_head(item, 0), **_without(error)}


def _without(error: str) -> Row:
    return {"error": error, "review": True, "reasons": "error"}


def _head(image: Any, n: int) -> Row:
    if isinstance(image, Item):
        ids = image.ids or (None,) * len(IDS)
        return {"path": _written(image.path), **dict(zip(IDS, ids, strict=True))}
    path = _written(str(image)) if isinstance(image, str | Path) else f"image {n}"
    return {"path": path, **dict.fromkeys(IDS)}


def _written(path: str) -> str:
    """The path in characters that every file can hold; bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def shortest(value: Any) -> float | None:
    """The shortest decimal that is the same float32: what is written is what was computed.

    None for what is not finite.
    """
    return float(str(np.float32(value))) if np.isfinite(value) else None

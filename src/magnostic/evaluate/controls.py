"""Negative controls: what of a random-image figure can be had without learning about tumours.

The content of ``controls.json`` of a parent run that holds the random-image protocol and a grouped
one. All use the run's own folds of repeat 0 (of the official draws: the first), the run's task, and
plain logistic regression (:mod:`magnostic.evaluate.plain_probe`):

1. ``colour``: the task from a histogram of colours alone, which holds no shape.
2. ``slides``: the slide of a random-image test photograph, from the run's frozen features and from
   its colours. Where slides are recognized, the random-image protocol rewards it.
3. ``neighbours``: how often a test image's nearest training image is of its own slide.
4. ``equal``: the task from frozen features with every fold's training part, in all protocols, cut
   to the same number of images of each class, drawn anew :data:`DRAWS` times and averaged. Classes
   that some fold cannot train are left out of training and test. What is left of the gap can come
   neither from missing classes nor from smaller or otherwise composed training parts.

Shape (``M`` is ``estimate, low, high`` as in metrics.json, shares in [0, 1], gaps in points)::

    {"version": 1, "repeat": 0, "statistics_of": "random/r0f0" | null,
     "colour": {"protocols": {p: {"accuracy": M, "macro_f1": M, "n_images",
                                  "estimable": {"accuracy": M, "macro_f1": M, "n"} | null}},
                "gap": {p: as in metrics.json}},
     "slides": {"n", "n_unknown", "n_slides", "chance", "colour": M, "features": M | null} | null,
     "neighbours": {"colour" | "features": {p: {"n", "slide", "accession", "class":
                    M + {"chance", "chance_in_class", "n"} | null}}},
     "equal": {"per_class": {class: n}, "left_out": [...], "draws", "n_train", "n_images",
               "protocols": {p: {"accuracy": M, "macro_f1": M, …}}, "gap": {p: …}}
              | {"reason"} | null}

``slides.chance`` is the share right by always naming the slide with most training images;
``n_unknown`` counts the test images left out because their slide has no training image.
``features`` and ``equal`` are missing (null) for fine-tuned networks, which have no frozen ones.
Features whose normalization or colours depend on the training part are taken as
``statistics_of`` gives them, for all folds alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.evaluate import neighbours
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.contrast import contrast
from magnostic.evaluate.plain_probe import fit_predict
from magnostic.evaluate.predictions import Predictions, make

#: How often training parts of equal size are drawn.
DRAWS: Final = 3
#: Protocols whose training parts are made equal: those whose folds part one set of images.
_EQUAL: Final = ("random", "patient", "accession")

Features = NDArray[np.float32]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Positions of the table on which one fold trains, and that it tests."""

    protocol: str
    number: int
    train: Codes
    test: Codes


@dataclass(frozen=True)
class Material:
    """What the controls are computed from; N images.

    Attributes:
        table: N rows of the images table. classes: the run's. y: class index of each row.
        colours: float32 [N, 512], of :mod:`magnostic.models.colour_histogram`.
        features: the run's frozen features, float32 [N, D]; None for a fine-tuned network.
        folds: of repeat 0, the random-image protocol and at least one other.
        balanced: classes are weighted inversely to their frequency, as in the run.
        statistics_of: see the head of this file.
    """

    table: pd.DataFrame
    classes: Sequence[str]
    y: Codes
    colours: Features
    features: Features | None
    folds: Sequence[Fold]
    sampling: Sampling
    balanced: bool
    statistics_of: str | None = None

    @cached_property
    def kinds(self) -> dict[str, Features]:
        """The descriptions of the photographs, by name."""
        found = {"colour": self.colours}
        return found if self.features is None else {**found, "features": self.features}


def measure(material: Material) -> dict[str, Any]:
    """The content of controls.json; see the head of this file. Equal inputs give equal output."""
    return {
        "version": 1,
        "repeat": 0,
        "statistics_of": material.statistics_of,
        "colour": _colour_alone(material),
        "slides": _slides(material),
        "neighbours": {kind: _neighbours(material, kind) for kind in material.kinds},
        "equal": _equal(material),
    }


def _colour_alone(material: Material) -> dict[str, Any]:
    y, frames, learnable = material.y, [], []
    for fold in material.folds:
        p = fit_predict(
            material.colours[fold.train],
            y[fold.train],
            material.colours[fold.test],
            len(material.classes),
            material.balanced,
        )
        frames.append(_frame(material, fold, fold.test, p, material.classes, 0))
        learnable.append(np.isin(y[fold.test], y[fold.train]))
    return _contrast(frames, learnable, material.sampling, "colour")


def _frame(
    material: Material,
    fold: Fold,
    rows: Codes,
    probabilities: NDArray[np.float32],
    names: Sequence[str],
    repeat: int,
) -> pd.DataFrame:
    return make(
        material.table.iloc[rows],
        [material.classes[k] for k in material.y[rows].tolist()],
        probabilities,
        names,
        protocol=fold.protocol,
        repeat=repeat,
        fold=fold.number,
        part="test",
    )


def _contrast(
    frames: Sequence[pd.DataFrame],
    learnable: Sequence[NDArray[np.bool_]],
    sampling: Sampling,
    stream: str,
) -> dict[str, Any]:
    """Figures by protocol and gaps of the predictions of many folds."""
    table, keep = pd.concat(frames, ignore_index=True), np.concatenate(learnable)
    of = table["protocol"].to_numpy()
    names, every = [str(name) for name in dict.fromkeys(of)], Predictions(table)
    return contrast(
        {name: every.where(protocol=name) for name in names},
        {name: keep[of == name] for name in names},
        sampling,
        stream,
    )


def _slides(material: Material) -> dict[str, Any] | None:
    """Slides of random-image test photographs, among the slides of the training part."""
    codes, slides = pd.factorize(material.table["slide_id"], sort=True)
    rows, constant, unknown = [], [], 0
    hits: dict[str, list[NDArray[np.bool_]]] = {kind: [] for kind in material.kinds}
    for fold in material.folds:
        train, test = (some[codes[some] >= 0] for some in (fold.train, fold.test))
        if fold.protocol != "random" or not len(train):
            continue
        known = np.isin(codes[test], codes[train])
        unknown += int((~known).sum())
        test = test[known]
        rows.append(test)
        constant.append(codes[test] == np.bincount(codes[train]).argmax())
        for kind, vectors in material.kinds.items():
            p = fit_predict(vectors[train], codes[train], vectors[test], len(slides), False)
            hits[kind].append(p.argmax(axis=1) == codes[test])
    if not sum(map(len, rows)):
        return None
    every = material.table.iloc[np.concatenate(rows)]
    return {
        "n": len(every),
        "n_unknown": unknown,
        "n_slides": len(slides),
        "chance": float(np.concatenate(constant).mean()),
        "features": None,
        **{
            kind: neighbours.share_right(
                np.concatenate(right), every, material.sampling, f"slides/{kind}"
            ).as_dict()
            for kind, right in hits.items()
        },
    }


def _neighbours(material: Material, kind: str) -> dict[str, Any]:
    vectors = material.kinds[kind]
    # Histograms stay as they are: their distance is Hellinger's.
    alike = neighbours.standardized(vectors) if kind == "features" else vectors
    return {
        name: neighbours.kinship(
            alike,
            material.table,
            material.y,
            [(f.test, f.train) for f in material.folds if f.protocol == name],
            material.sampling,
            f"neighbours/{kind}/{name}",
        )
        for name in dict.fromkeys(fold.protocol for fold in material.folds)
    }


def _equal(material: Material) -> dict[str, Any] | None:
    features, y = material.features, material.y
    chosen = [fold for fold in material.folds if fold.protocol in _EQUAL]
    if features is None or len({fold.protocol for fold in chosen}) < 2:
        return None
    n_classes = len(material.classes)
    counts = np.stack([np.bincount(y[f.train], minlength=n_classes) for f in chosen])
    of_class = counts.min(axis=0).tolist()
    kept = [k for k in range(n_classes) if of_class[k]]
    if len(kept) < 2:
        return {"reason": "fewer than two classes have training images in every fold"}
    names = [material.classes[k] for k in kept]
    code = np.full(n_classes, -1, dtype=np.intp)
    code[kept] = np.arange(len(kept))
    frames = []
    for fold in chosen:
        test = fold.test[code[y[fold.test]] >= 0]
        for draw in range(DRAWS if len(test) else 0):
            train = _draw(material, fold, draw, {k: of_class[k] for k in kept})
            p = fit_predict(
                features[train], code[y[train]], features[test], len(kept), material.balanced
            )
            frames.append(_frame(material, fold, test, p, names, draw))
    learnable = [np.ones(len(frame), dtype=bool) for frame in frames]
    found = _contrast(frames, learnable, material.sampling, "equal")
    return {
        "per_class": {material.classes[k]: of_class[k] for k in kept},
        "left_out": [name for name in material.classes if name not in names],
        "draws": DRAWS,
        "n_train": sum(of_class),
        "n_images": max(result["n_images"] for result in found["protocols"].values()),
        **found,
    }


def _draw(material: Material, fold: Fold, draw: int, of_class: dict[int, int]) -> Codes:
    """Training positions of a fold, ``of_class`` of each class; the same at every call."""
    stream = zlib.crc32(f"equal/{fold.protocol}".encode())
    rng = np.random.default_rng([material.sampling.seed, stream, fold.number, draw])
    of = material.y[fold.train]
    return np.concatenate(
        [rng.choice(fold.train[of == k], n, replace=False) for k, n in of_class.items()]
    )

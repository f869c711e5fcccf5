"""How near test images are to their own slide in training: what a split leaves to recognize.

For each test image the nearest training image is looked for (Euclidean distance of features that
are standardized over all images; no label enters). Where it is of the same slide, the image could
be classed by recognizing the slide. Two figures say what chance would give, exact means over the
test images for another training image in the place of the nearest one, drawn at random from

- all of the fold: ``mean_i |{train of i's slide}| / |train|``
- those of the class of the nearest one, k_i: ``mean_i |{train of i's slide in k_i}| / |{train in
  k_i}|``, which is what permuting slides within classes gives: whatever lies above it is not owed
  to the classes being told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.evaluate.bootstrap import Estimate, Sampling, clusters, resample
from magnostic.evaluate.metrics import Floats, ratio

#: What a nearest image may share, and the column that says so.
KIN: Final = {"slide": "slide_id", "accession": "accession"}
#: Distances worked on at once: 64 MiB of float32.
_CHUNK: Final = 2**24

Positions = NDArray[np.intp]
#: Positions of the test and of the training images of one fold.
TestTrain = tuple[Positions, Positions]


def standardized(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [N, D] with mean 0 and deviation 1 in each column; constant columns become 0."""
    centred = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.mean(centred.astype(np.float64) ** 2, axis=0)).astype(np.float32)
    result: NDArray[np.float32] = centred / np.where(deviation > 0, deviation, 1)
    return result


def nearest(features: NDArray[np.float32], test: Positions, train: Positions) -> Positions:
    """For each test position the train position at the least distance (the first of equals).

    Args:
        features: float32 [N, D] of all images. test: [n]. train: [m], m >= 1.
    """
    known = features[train]
    half = 0.5 * np.einsum("md,md->m", known, known)
    found = np.empty(len(test), dtype=np.intp)
    step = max(1, _CHUNK // len(train))
    for start in range(0, len(test), step):
        here = test[start : start + step]
        # |a - b|^2 / 2 without the part that is the same for all b.
        found[start : start + step] = (half - features[here] @ known.T).argmin(axis=1)
    return train[found]


def kinship(
    features: NDArray[np.float32],
    table: pd.DataFrame,
    y: NDArray[np.intp],
    folds: Sequence[TestTrain],
    sampling: Sampling,
    stream: str,
) -> dict[str, Any]:
    """How often the nearest training image is of the same slide, accession and class.

    Args:
        features: float32 [N, D] of the rows of ``table``, from :func:`standardized`.
        table: N rows of the images table.
        y: class index of each row.
        folds: test and training positions of each fold of one protocol and repeat.
        sampling: of the intervals, which draw patients.
        stream: name of the random stream.

    Returns:
        ``n`` (test images), and ``slide``, ``accession`` and ``class``: ``estimate, low, high``
        (shares in [0, 1]), ``chance``, ``chance_in_class`` (None for the class), ``n``; None where
        no image has such an id. Images without the id are left out of its figures.
    """
    pairs = [(test, train, nearest(features, test, train)) for test, train in folds]
    result: dict[str, Any] = {"n": sum(len(test) for test, _ in folds)}
    for name, column in KIN.items():
        codes = pd.factorize(table[column])[0]  # -1: not known
        result[name] = _same(codes, y, table, pairs, sampling, f"{stream}/{name}")
    result["class"] = _same(y, y, table, pairs, sampling, f"{stream}/class")
    if result["class"] is not None:
        result["class"]["chance_in_class"] = None
    return result


def share_right(
    hits: NDArray[np.bool_], rows: pd.DataFrame, sampling: Sampling, stream: str
) -> Estimate:
    """Share of ``hits`` [n] with an interval that draws the patients of ``rows`` (n rows)."""
    groups = clusters(rows, "patient")
    right = np.bincount(groups.codes, hits.astype(np.float64), groups.n)
    size = np.bincount(groups.codes, minlength=groups.n).astype(np.float64)

    def statistic(weights: Floats) -> dict[str, Floats]:
        return {"share": ratio(weights @ right, weights @ size)}

    return resample(statistic, groups.n, sampling, stream)["share"][0]


def _same(
    codes: NDArray[np.intp],
    y: NDArray[np.intp],
    table: pd.DataFrame,
    pairs: Sequence[tuple[Positions, Positions, Positions]],
    sampling: Sampling,
    stream: str,
) -> dict[str, Any] | None:
    hits, rows, chance, in_class = [], [], [], []
    n_codes, n_classes = int(codes.max(initial=-1)) + 1, int(y.max(initial=-1)) + 1
    for test, train, near in pairs:
        known = codes[test] >= 0
        test, near = test[known], near[known]
        rows.append(test)
        hits.append(codes[near] == codes[test])
        kin = train[codes[train] >= 0]
        both = np.zeros((n_codes, n_classes))
        np.add.at(both, (codes[kin], y[kin]), 1)
        of_class = np.bincount(y[train], minlength=n_classes)
        chance.append(both.sum(axis=1)[codes[test]] / len(train))
        in_class.append(both[codes[test], y[near]] / of_class[y[near]])
    every = np.concatenate(rows)
    if not len(every):
        return None
    found = share_right(np.concatenate(hits), table.iloc[every], sampling, stream)
    return {
        **found.as_dict(),
        "chance": float(np.concatenate(chance).mean()),
        "chance_in_class": float(np.concatenate(in_class).mean()),
        "n": len(every),
    }

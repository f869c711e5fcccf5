"""The paper's protocol: single photographs drawn at random, one patient on both sides."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import SplitError
from magnostic.recipe import Split
from magnostic.splits.balance import deal_images
from magnostic.splits.policies import Selection, codes


def draw(
    selection: Selection, y: pd.Series, split: Split, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The fold of each image, int64 [N].

    A hold-out tests ``ceil(test_fraction * n)`` images (fold 0; the rest is -1): 2,373 of 7,909
    as in the paper. k folds are equal within one image. Units stay whole.
    """
    assert isinstance(split.folds, int)  # the recipe's own check
    n = len(selection.table)
    units = selection.unit.nunique()
    if units < max(split.folds, 2):
        raise SplitError(
            f"protocol random: {n} images ({units} that may be parted) are too few for "
            f"split.folds {split.folds}; use fewer folds or more images"
        )
    if split.folds == 1:
        return held_out(selection, y, np.arange(n), split.test_fraction, split.stratify, rng) - 1
    sizes = np.full(split.folds, n // split.folds)
    sizes[: n % split.folds] += 1
    return deal_images(selection.unit.to_numpy(), _labels(y, split.stratify), sizes, rng)


def held_out(
    selection: Selection,
    y: pd.Series,
    rows: NDArray[np.int64],
    fraction: float,
    stratify: bool,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """1 for ``ceil(fraction * n)`` of the rows, 0 for the others, int64 [n]."""
    n = len(rows)
    out = min(math.ceil(fraction * n - 1e-9), n - 1)
    sizes = np.array([n - out, out])
    unit = selection.unit.to_numpy()[rows]
    return deal_images(unit, _labels(y.iloc[rows], stratify), sizes, rng)


def _labels(y: pd.Series, stratify: bool) -> NDArray[np.int64]:
    return codes(y) if stratify else np.zeros(len(y), dtype=np.int64)

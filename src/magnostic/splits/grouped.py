"""Whole patients, accessions, or data sets on one side."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import SplitError
from magnostic.recipe import Split
from magnostic.splits.balance import deal_groups, fill_empty
from magnostic.splits.policies import Selection, codes, join

#: The column whose values a protocol keeps on one side; official's validation draw: patients.
GROUP_COLUMN: Final = {
    "patient": "patient_id",
    "accession": "accession",
    "official": "patient_id",
    "source": "source",
}


def groups(selection: Selection, protocol: str) -> NDArray[np.int64]:
    """The group of each image, int64 [N]: patient, accession or source, merged where units join.

    Raises SplitError where an image has no patient, or accession.
    """
    column = GROUP_COLUMN[protocol]
    missing = selection.table[column].isna()
    if missing.any():
        first = selection.table.loc[missing, "image_id"].iloc[0]
        patients = selection.table["patient_id"].notna().all()
        lacking = f"{int(missing.sum())} of {len(missing)} images have no {column} (first: {first})"
        if column == "accession":
            advice = "lab numbers can't be kept apart; add a column 'accession' to a manifest.csv"
            other = "random,patient" if patients else "random"
        else:
            advice = (
                "patients can't be kept apart; give a manifest.csv with a column 'patient' (or "
                "slide), filled for every image"
            )
            other = "random"
        if selection.table["source"].nunique() > 1:
            other += ",source"
        raise SplitError(
            f"protocol {protocol}: {lacking}, so {advice}, or use --split.protocols {other}"
        )
    return join(codes(selection.table[column]), selection.unit.to_numpy())


def known_patients(selection: Selection) -> NDArray[np.int64]:
    """The patient of each image, int64 [N]; an image without one is a group of its own."""
    return join(codes(selection.table["patient_id"]), selection.unit.to_numpy())


def n_folds(selection: Selection, split: Split, protocol: str) -> int:
    """``split.folds``; one for each group if that is ``each``, and at most so many for sources."""
    if protocol != "source" and split.folds != "each":
        return split.folds
    n_groups = int(groups(selection, protocol).max()) + 1
    return n_groups if split.folds == "each" else min(split.folds, n_groups)


def draw(
    selection: Selection, y: pd.Series, split: Split, protocol: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The fold of each image, int64 [N]; in a hold-out, 0 is tested and -1 is not.

    Class shares are kept alike as far as groups allow; the few groups of a rare class go to
    different folds. With folds ``each``, every group is a fold, numbered by its first image. No
    fold is empty, but the tested one of a hold-out where every group has a class to itself.
    Raises SplitError where groups are fewer than folds.
    """
    group = groups(selection, protocol)
    n_groups = int(group.max()) + 1
    if protocol == "source":
        _check_sources(selection, y, n_groups)
    if n_groups < 2:
        raise SplitError(
            f"protocol {protocol}: all images are in one group by {GROUP_COLUMN[protocol]}, "
            "which can't be split; add patients, or use --split.protocols random"
        )
    folds = n_folds(selection, split, protocol)
    if n_groups < folds:
        raise SplitError(
            f"protocol {protocol}: {n_groups} groups by {GROUP_COLUMN[protocol]} are too few for "
            f"split.folds {split.folds}; use at most {n_groups} folds, or add patients"
        )
    if split.folds == "each":
        return group
    if folds == 1:
        rows = np.arange(len(group))
        held = held_out(group, y, rows, split.test_fraction, split.stratify, rng)
        result = np.zeros(n_groups, dtype=np.int64)
        result[group] = held
        classes = _counts(group, y, True)
        fill_empty(classes, result, 2, keep=classes)
        return result[group] - 1
    share = np.full(folds, 1 / folds)
    counts = _counts(group, y, split.stratify)
    result = deal_groups(counts, share, rng)
    fill_empty(counts, result, folds)
    return result[group]


def held_out(
    group: NDArray[np.int64],
    y: pd.Series,
    rows: NDArray[np.int64],
    fraction: float,
    stratify: bool,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """1 for whole groups of about ``fraction`` of the rows, 0 for the others, int64 [n].

    Every class keeps at least one group among the others, so a class with one group stays there.
    """
    local = np.unique(group[rows], return_inverse=True)[1]
    classes = y.iloc[rows]
    bins = deal_groups(
        _counts(local, classes, stratify),
        np.array([1 - fraction, fraction]),
        rng,
        keep=_counts(local, classes, True),
    )
    return bins[local]


def _check_sources(selection: Selection, y: pd.Series, n_groups: int) -> None:
    """Raise SplitError where nothing learnt from one data set could be tested on another."""
    names = ", ".join(sorted(selection.table["source"].unique()))
    if selection.table["source"].nunique() < 2:
        raise SplitError(
            f"protocol source: all images are of one data set ({names}); give another one with "
            "--data, or use --split.protocols patient"
        )
    if n_groups < 2:
        raise SplitError(
            f"protocol source: photographs with the same pixels tie all data sets ({names}) "
            "together; set data.duplicates to drop, or leave one of the sets out"
        )
    if (selection.table["source"].groupby(y.to_numpy()).nunique() < 2).all():
        raise SplitError(
            f"protocol source: no class stands in two data sets ({names}), so that nothing learnt "
            "from one can be tested on another; say what labels mean with --label-map FILE.yaml"
        )


def _counts(group: NDArray[np.int64], y: pd.Series, stratify: bool) -> NDArray[np.int64]:
    """Images of each group and class, int64 [G, C]; one class where shares don't matter."""
    label = codes(y) if stratify else np.zeros(len(group), dtype=np.int64)
    counts = np.zeros((int(group.max()) + 1, int(label.max()) + 1), dtype=np.int64)
    np.add.at(counts, (group, label), 1)
    return counts

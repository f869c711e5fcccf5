"""From held-out folds to train, validation and test, and the proof that they are disjoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.images import Images
from magnostic.errors import LeakError, SplitError
from magnostic.recipe import Data
from magnostic.splits import grouped, random_images
from magnostic.splits.all_folds import check_aligned
from magnostic.splits.policies import Selection, apply_policies, may_train
from magnostic.splits.seeds import generator
from magnostic.splits.table import Folds, Parts, check_parts


def parts(
    folds: Folds, selection: Selection, y: pd.Series, protocol: str, repeat: int, fold: int
) -> Parts:
    """Train, validation and test part of one fold.

    Validation images are drawn from those not tested, by the same grouping as the protocol's
    (official and source: by patient), ``ceil(val_fraction * n)`` of them where images may be
    parted. Where the recipe names the magnifications to train on, images of others that are not
    tested are in no part; the provenance counts them as ``left_out``.

    Returns parts whose table keeps the index of ``selection.table``.

    Raises SplitError where the folds hold no such fold or other images, LeakError where parts
    share what the protocol keeps apart.
    """
    check_aligned(selection, y)
    repeat, fold = int(repeat), int(fold)  # also NumPy's integers
    made = folds.provenance
    table = folds.table
    table = table[(table["protocol"] == protocol) & (table["repeat"] == repeat)]
    held = table.set_index("image_id")["fold"].reindex(selection.table["image_id"])
    if len(table) != len(selection.table) or held.isna().any():
        raise SplitError(
            f"protocol {protocol}, repeat {repeat}: the folds name {len(table)} images, the "
            f"selection {len(selection.table)}; make the folds from the same selection"
        )
    test = (held == fold).to_numpy()
    if not test.any():
        raise SplitError(f"protocol {protocol}, repeat {repeat}: there is no fold {fold}")
    part = np.where(test, "test", "train").astype(object)
    fraction = float(made["val_fraction"])
    taught = ~test & may_train(selection)
    rows = np.flatnonzero(taught)
    if fraction > 0 and len(rows) > 1:
        rng = generator(int(made["seed"]), protocol, repeat, fold, "val")
        val = _draw_val(selection, y, protocol, rows, fraction, bool(made["stratify"]), rng)
        part[rows[val == 1]] = "val"
    frame = pd.DataFrame(
        {
            "image_id": selection.table["image_id"],
            "protocol": protocol,
            "repeat": np.int16(repeat),
            "fold": np.int16(fold),
            "part": pd.Series(part, index=selection.table.index, dtype="str"),
        }
    )
    frame = frame[test | taught]
    told = {**made, "protocol": protocol, "repeat": repeat, "fold": fold}
    told["left_out"] = len(selection.table) - len(frame)
    if protocol == "source" or made["folds"] == "each":  # a number that is the protocol's own
        told["folds"] = len(set(held[held >= 0]))
        told["each"] = made["folds"] == "each"
    result = Parts(frame, told)
    check_parts(frame)
    assert_disjoint(result, selection)
    return result


def read_parts(folder: Path, images: Images | Selection) -> Parts:
    """Parts written earlier, proved anew against the images that they name.

    Raises TableError for a broken table, SplitError where images are missing, LeakError where
    parts share what their protocol keeps apart.
    """
    read = Parts.read(folder)
    if isinstance(images, Images):
        images = apply_policies(images, Data.model_validate(read.provenance["policies"]))
    missing = ~read.table["image_id"].isin(images.table["image_id"])
    if missing.any():
        raise SplitError(
            f"{folder / 'split.parquet'}: {int(missing.sum())} images are not in the images table "
            f"(first: {read.table.loc[missing, 'image_id'].iloc[0]}); give the data set that the "
            "split was made from"
        )
    assert_disjoint(read, images)
    return read


def assert_disjoint(made: Parts, selection: Selection) -> None:
    """Raise LeakError where two parts share a unit, or a group that the protocol keeps apart.

    The official files are taken as they are: only their validation draw is held to patients.
    Under protocol ``source``, train and val share data sets, but no patient.
    """
    part = made.table.set_index("image_id")["part"].reindex(selection.table["image_id"])
    part = part.reset_index(drop=True)
    protocol = str(made.table["protocol"].iloc[0])
    if protocol == "official":
        part = part.where(part != "test")
    checks = {"image unit (same pixels, or a slide with two labels)": (selection.unit, part)}
    if protocol == "source":
        checks["patient_id"] = (selection.table["patient_id"], part)
        checks["source"] = (selection.table["source"], part.replace("val", "train"))
    elif protocol in grouped.GROUP_COLUMN:
        column = grouped.GROUP_COLUMN[protocol]
        checks[column] = (selection.table[column], part)
    for what, (group, side) in checks.items():
        known = side.notna() & group.notna()
        pairs = pd.DataFrame({"group": group[known], "part": side[known]}).drop_duplicates()
        shared = pairs["group"][pairs["group"].duplicated()].unique()
        if len(shared):
            sides = sorted(pairs.loc[pairs["group"] == shared[0], "part"])
            example = selection.table.loc[group == shared[0], "image_id"].iloc[0]
            raise LeakError(
                f"protocol {protocol}: {len(shared)} {what} on both sides: {shared[0]} (with "
                f"{example}) is in {' and '.join(sides)}; make the split anew"
            )


def _draw_val(
    selection: Selection,
    y: pd.Series,
    protocol: str,
    rows: NDArray[np.int64],
    fraction: float,
    stratify: bool,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    if protocol not in grouped.GROUP_COLUMN:
        return random_images.held_out(selection, y, rows, fraction, stratify, rng)
    if protocol == "source":  # a whole data set would be too much to set aside
        group = grouped.known_patients(selection)
    else:
        group = grouped.groups(selection, protocol)
    return grouped.held_out(group, y, rows, fraction, stratify, rng)

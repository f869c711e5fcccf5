"""Which photographs take part, and which may not be parted: magnifications, duplicates, labels"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from magnostic.data.images import Images
from magnostic.errors import SplitError
from magnostic.recipe import Data, Policy


@dataclass(frozen=True)
class Selection:
    """The photographs of a run.

    Attributes:
        table: kept rows of the images table, in its order, index 0..n-1.
        unit: int64 per row; rows with equal numbers stay on one side of every split.
        dropped: how many rows ``duplicates`` and ``double_labels`` took out.
        data_hash: of the whole images table.
        policies: the recipe's data section that gave this.
    """

    table: pd.DataFrame
    unit: pd.Series
    dropped: dict[str, int]
    data_hash: str
    policies: Data


def apply_policies(images: Images, data: Data) -> Selection:
    """Filter by source and magnification, drop what the policies drop, join what stays together.

    ``drop`` keeps the first image (by ``image_id``) of each set of identical pixels, or none
    where their labels contradict. What contradicts is judged on the whole table, before any
    filter. Raises SplitError when no image is left.
    """
    table = images.table
    keep = pd.Series(True, index=table.index)
    if data.sources:
        keep &= table["source"].isin(data.sources)
        unknown = [name for name in data.sources if name not in set(table["source"])]
        if unknown:
            known = ", ".join(sorted(table["source"].unique()))
            raise SplitError(
                f"data.sources {unknown[0]!r}: no image comes from it (found: {known}); give the "
                "data set, or change the list"
            )
    if data.magnifications:
        keep &= table["magnification"].isin(data.magnifications)
    if not keep.any():
        found = sorted({int(m) for m in table["magnification"].dropna()})
        raise SplitError(
            f"data.magnifications {list(data.magnifications)}: no image has one of these "
            f"(found: {found or 'none known'}); change the list or leave it empty"
        )
    if data.train_magnifications and not _trained(table[keep], data).any():
        found = sorted({int(m) for m in table.loc[keep, "magnification"].dropna()})
        raise SplitError(
            f"data.train_magnifications {list(data.train_magnifications)}: no image has one of "
            f"these, so there is nothing to train on (found: {found or 'none known'}); change the "
            "list or leave it empty"
        )
    before = int(keep.sum())
    if data.duplicates == "drop":
        keep &= ~_several_labels(table, "pixel_hash")
        keep.loc[keep] = ~table.loc[keep, "pixel_hash"].duplicated()
    after_duplicates = int(keep.sum())
    if data.double_labels == "drop":
        keep &= ~_several_labels(table, "slide_id")
    dropped = {
        "duplicates": before - after_duplicates,
        "double_labels": after_duplicates - int(keep.sum()),
    }
    if not keep.any():
        raise SplitError(
            "data.duplicates and data.double_labels drop every image; set one to together"
        )
    double = _several_labels(table, "slide_id")[keep].reset_index(drop=True)
    table = table[keep].reset_index(drop=True)
    unit = _units(table, double, data.duplicates, data.double_labels)
    return Selection(table, unit, dropped, images.data_hash, data)


def may_train(selection: Selection) -> NDArray[np.bool_]:
    """bool [N]: which photographs may stand in a training or validation part, by magnification."""
    return _trained(selection.table, selection.policies)


def join(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of rows that share a value of any key.

    Each key is int64 [N] with -1 for "shares nothing". Returns int64 [N], numbered by first row.
    """
    n = len(keys[0])
    rows, nodes, offset = [], [], n
    for key in keys:
        known = np.flatnonzero(key >= 0)
        rows.append(known)
        nodes.append(key[known] + offset)
        offset += int(key.max(initial=-1)) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_matrix((np.ones(len(row), dtype=np.int8), (row, node)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][:n]
    return codes(pd.Series(component))


def codes(values: pd.Series) -> NDArray[np.int64]:
    """Integer code of each value, -1 where it is missing."""
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def _trained(table: pd.DataFrame, data: Data) -> NDArray[np.bool_]:
    if not data.train_magnifications:
        return np.ones(len(table), dtype=bool)
    return table["magnification"].isin(data.train_magnifications).to_numpy(dtype=bool)


def _several_labels(table: pd.DataFrame, column: str) -> pd.Series:
    """Whether a row's value of ``column`` (pixels, slide) stands under more than one label."""
    pairs = table[[column, "label"]].dropna().drop_duplicates()
    twice = pairs[column][pairs[column].duplicated()]
    return table[column].isin(twice)


def _units(
    table: pd.DataFrame, double: pd.Series, duplicates: Policy, double_labels: Policy
) -> pd.Series:
    keys = []
    if duplicates == "together":
        keys.append(codes(table["pixel_hash"]))
    if double_labels == "together":
        keys.append(codes(table["slide_id"].where(double)))
    unit = join(*keys) if keys else np.arange(len(table), dtype=np.int64)
    return pd.Series(unit, index=table.index, name="unit")

"""Which classes a fold can teach, and whether that is enough to start."""

from __future__ import annotations

import pandas as pd

from magnostic.errors import SplitError
from magnostic.splits.grouped import GROUP_COLUMN
from magnostic.splits.policies import Selection
from magnostic.splits.table import Parts


def not_estimable(parts: Parts, y: pd.Series) -> list[str]:
    """Classes in ``y`` without a training image, sorted.

    ``y``: one name for each photograph of the selection, by the index of ``parts.table``.
    """
    taught = set(y[_train(parts, y)])
    return sorted(set(y) - taught)


def check_trainable(
    parts: Parts, selection: Selection, y: pd.Series, *, strict: bool = False
) -> list[str]:
    """The classes that are not estimable in this fold.

    Raises SplitError where fewer than two classes can be trained, or with ``strict`` where any
    class is not estimable or, under k folds, has fewer groups than folds (with folds ``each``,
    which test one group at a time: fewer than two).
    """
    missing = not_estimable(parts, y)
    taught = sorted(set(y) - set(missing))
    protocol = str(parts.table["protocol"].iloc[0])
    where = f"protocol {protocol}, repeat {parts.table['repeat'].iloc[0]}"
    where += f", fold {parts.table['fold'].iloc[0]}"
    if len(taught) < 2:
        raise SplitError(
            f"{where}: {len(taught)} of {len(taught) + len(missing)} classes has training images "
            f"({', '.join(taught)}; without: {', '.join(missing) or 'none'}); a classifier "
            "needs two. Add patients of other classes, use another task, or fewer folds"
        )
    folds = int(parts.provenance["folds"])
    least = 2 if parts.provenance.get("each") else folds
    rare = [] if protocol == "official" else _rare(selection, y, protocol, least)
    if strict and (missing or rare):
        lacking = ", ".join(_groups(selection, y, protocol, label) for label in missing or rare)
        what = "no training image of" if missing else "not every fold can test"
        raise SplitError(
            f"{where}: {what} {lacking}, with {folds} folds; "
            "split.strict stops here. Use other folds, a looser protocol, or "
            "split.strict false to report the class as not estimable"
        )
    return missing


def _rare(selection: Selection, y: pd.Series, protocol: str, least: int) -> list[str]:
    """Classes with fewer groups than ``least``."""
    column = GROUP_COLUMN.get(protocol, "image_id")
    groups = selection.table[column].groupby(y.to_numpy()).nunique()
    return sorted(str(label) for label, n in groups.items() if n < least)


def _groups(selection: Selection, y: pd.Series, protocol: str, label: str) -> str:
    column = GROUP_COLUMN.get(protocol)
    if column is None:
        return f"{label} (images: {int((y == label).sum())})"
    return f"{label} (groups by {column}: {selection.table.loc[y == label, column].nunique()})"


def _train(parts: Parts, y: pd.Series) -> pd.Series:
    """Whether each photograph of ``y`` is in the training part."""
    if not parts.table.index.isin(y.index).all():
        raise ValueError("y must have the index of parts.table; make it from the same selection")
    return (parts.table["part"] == "train").reindex(y.index, fill_value=False)

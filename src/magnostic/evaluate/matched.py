"""Predictions of several systems on the same images, brought into one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from magnostic.errors import BadInput
from magnostic.evaluate.predictions import PREFIX, Predictions
from magnostic.taxonomy import MALIGNANCIES

_KEY: Final = ["repeat", "image_id"]
_IDS: Final = ("patient_id", "accession")
_SHOWN: Final = 3


def match(tables: Mapping[str, Predictions], protocol: str) -> list[Predictions]:
    """Test predictions of one protocol, all with the same rows in the same order.

    Rows are matched by repeat and ``image_id`` and sorted so; classes take the first table's order
    (benign before malignant). An id of patient or accession that some tables lack is taken from
    another.

    Args:
        tables: name of a system to its predictions.

    Raises:
        BadInput: a table has no test prediction in the protocol or tests an image twice in a
            repeat, or two tables differ in classes, images, true classes or ids.
    """
    sides = {name: _tested(name, table, protocol) for name, table in tables.items()}
    first_name, first = next(iter(sides.items()))
    classes = [c.removeprefix(PREFIX) for c in first.columns if c.startswith(PREFIX)]
    if sorted(classes) == sorted(MALIGNANCIES):
        classes = list(MALIGNANCIES)
    for name, side in sides.items():
        _same_classes(first_name, name, classes, side)
        if name != first_name:
            _same_images(first_name, name, first, side)
    ids = {column: _ids(column, sides) for column in _IDS}
    probabilities = [PREFIX + c for c in classes]
    matched = []
    for side in sides.values():
        others = [c for c in side.columns if not c.startswith(PREFIX)]
        matched.append(Predictions(side[[*others, *probabilities]].assign(**ids)))
    return matched


def _tested(name: str, predictions: Predictions, protocol: str) -> pd.DataFrame:
    table = predictions.where(part="test", protocol=protocol).table
    if table.empty:
        there = sorted(predictions.where(part="test").table["protocol"].unique())
        raise BadInput(
            f"{name}: no test predictions under protocol {protocol!r}; "
            + (f"it has {', '.join(there)}: choose with --protocol" if there else "it has none")
        )
    twice = table[table.duplicated(_KEY)]
    if len(twice):
        raise BadInput(
            f"{name}: image {twice['image_id'].iloc[0]!r} is tested twice in repeat "
            f"{twice['repeat'].iloc[0]} of protocol {protocol!r}, so that it cannot be paired; "
            "choose a protocol that tests each image once"
        )
    return table.sort_values(_KEY, kind="stable").reset_index(drop=True)


def _same_classes(first: str, name: str, expected: Sequence[str], side: pd.DataFrame) -> None:
    classes = [c.removeprefix(PREFIX) for c in side.columns if c.startswith(PREFIX)]
    if sorted(classes) != sorted(expected):
        raise BadInput(
            f"{first} has the classes {', '.join(expected)}, {name} has {', '.join(classes)}; "
            "compare runs of one task, or add --task binary"
        )


def _same_images(first: str, name: str, expected: pd.DataFrame, side: pd.DataFrame) -> None:
    keys = [pd.MultiIndex.from_frame(table[_KEY]) for table in (expected, side)]
    for lacks, has, gone in ((name, first, keys[0]), (first, name, keys[1])):
        missing = gone.difference(keys[1] if gone is keys[0] else keys[0])
        if len(missing):
            some = ", ".join(f"{image} (repeat {repeat})" for repeat, image in missing[:_SHOWN])
            raise BadInput(
                f"{lacks} lacks {len(missing)} of the {len(gone)} test predictions of {has}: "
                f"{some}{', …' if len(missing) > _SHOWN else ''}; "
                "compare runs on the same images and repeats"
            )
    differs = (expected["y_true"].to_numpy() != side["y_true"].to_numpy()).nonzero()[0]
    if len(differs):
        at = differs[0]
        raise BadInput(
            f"{name}: {len(differs)} images have another true class than in {first}, e.g. "
            f"{side['image_id'][at]}: {side['y_true'][at]} instead of {expected['y_true'][at]}; "
            "compare runs with the same labels"
        )


def _ids(column: str, sides: Mapping[str, pd.DataFrame]) -> pd.Series:
    """One id for each row, from the first table that has it."""
    known: pd.Series | None = None
    for name, side in sides.items():
        if known is None:
            known = side[column]
            continue
        differs = known.notna() & side[column].notna() & (known != side[column]).fillna(False)
        if differs.any():
            at = int(np.argmax(differs.to_numpy()))
            raise BadInput(
                f"{name}: {column} of {side['image_id'][at]} is {side[column][at]!r}, elsewhere "
                f"{known[at]!r}; compare runs whose images were grouped alike"
            )
        known = known.where(known.notna(), side[column])
    assert known is not None
    return known

"""Single predictions of a run: filtered by what they are of, ordered, in pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import BadInput, did_you_mean
from magnostic.evaluate.predictions import PREFIX, Predictions
from magnostic.report.words import ordered

PAGE: Final = 60
#: Which predictions are shown, and in which order, with the words on the page.
SHOW: Final = {"errors": "errors", "right": "right ones", "all": "all predictions"}
ORDER: Final = {
    "confident": "most confident first",
    "close": "closest to the true class first",
    "patient": "by patient",
    "image": "by image",
}
_UNKNOWN: Final = "unknown"
#: Field of a query to the column it is compared with.
_COLUMNS: Final = {
    "protocol": "protocol",
    "part": "part",
    "true": "y_true",
    "predicted": "y_pred",
    "magnification": "magnification",
    "patient": "patient_id",
    "fold": "fold",
}


@dataclass(frozen=True)
class Query:
    """What is looked at; an empty string leaves a field open. ``page`` counts from 1."""

    protocol: str = ""
    part: str = ""
    show: str = "errors"
    true: str = ""
    predicted: str = ""
    magnification: str = ""
    patient: str = ""
    fold: str = ""
    order: str = "confident"
    page: int = 1

    def address(self, **changed: object) -> str:
        """As the query of an address, defaults left out; ``changed`` fields first set anew.

        Whatever changes but the page leads to the first page.
        """
        given: dict[str, Any] = {"page": 1, **changed} if changed else {}
        other = replace(self, **given)
        pairs = [(f.name, getattr(other, f.name), f.default) for f in fields(other)]
        return urlencode([(name, value) for name, value, default in pairs if value != default])


@dataclass(frozen=True)
class Choices:
    """Values that each field of a query can take in one run."""

    values: dict[str, list[str]]
    has_parts: bool


def choices(predictions: Predictions) -> Choices:
    """Protocols, parts, classes, magnifications, patients and folds of a table."""
    table = predictions.table
    magnifications = sorted(table["magnification"].dropna().unique())
    several = [str(int(m)) for m in magnifications]
    if table["magnification"].isna().any():
        several.append(_UNKNOWN)
    patients = sorted(map(str, table["patient_id"].dropna().unique()))
    values = {
        "protocol": ordered(dict.fromkeys(map(str, pd.unique(table["protocol"])))),
        "part": sorted(map(str, pd.unique(table["part"])), reverse=True),  # test before val
        "true": predictions.classes,
        "predicted": predictions.classes,
        "magnification": several,
        "patient": patients,
        "fold": [str(f) for f in sorted(pd.unique(table["fold"]))],
        "show": list(SHOW),
        "order": list(ORDER),
    }
    return Choices(values, len(values["part"]) > 1)


def query(given: Mapping[str, str], known: Choices) -> Query:
    """A query from an address: unset protocol and part take the first that there is.

    Raises BadInput for a value that the run does not have.
    """
    taken: dict[str, Any] = {}
    for field in fields(Query):
        value = given.get(field.name, "").strip()
        if field.name == "page":
            taken["page"] = max(1, int(value)) if value.isascii() and value.isdigit() else 1
            continue
        if not value:
            continue
        if value not in known.values[field.name]:
            near = did_you_mean(value, known.values[field.name])
            raise BadInput(f"this run has no {field.name} {value!r}{near}; choose another")
        taken[field.name] = value
    for name in ("protocol", "part"):
        taken.setdefault(name, known.values[name][0])
    return Query(**taken)


def select(predictions: Predictions, asked: Query) -> pd.DataFrame:
    """The rows asked for, in order, all pages; index as in the predictions table.

    Added columns: ``p_of_predicted`` and ``p_of_true``, probabilities of these two classes.
    """
    table = predictions.table
    rows = np.arange(len(table))
    p = predictions.probabilities
    frame = table.assign(
        p_of_predicted=p[rows, predictions.predicted_index],
        p_of_true=p[rows, predictions.true_index],
    )[_fits(table, asked)]
    frame = frame.assign(_margin=frame["p_of_predicted"] - frame["p_of_true"])
    last = ["image_id", "repeat", "fold"]
    by, up = {
        "confident": (["p_of_predicted"], [False]),
        "close": (["_margin"], [True]),
        "patient": (["patient_id"], [True]),
        "image": ([], []),
    }[asked.order]
    frame = frame.sort_values([*by, *last], ascending=[*up, True, True, True], kind="stable")
    return frame.drop(columns="_margin")


def _fits(table: pd.DataFrame, asked: Query) -> NDArray[np.bool_]:
    """Which rows are asked for, on any page."""
    keep = np.ones(len(table), dtype=bool)
    for field, column in _COLUMNS.items():
        value = getattr(asked, field)
        if value:
            keep &= _equal(table[column], value)
    if asked.show != "all":
        right = (table["y_true"] == table["y_pred"]).to_numpy()
        keep &= right if asked.show == "right" else ~right
    return keep


def _equal(column: pd.Series, value: str) -> Any:
    if value == _UNKNOWN and column.name == "magnification":
        return column.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        return (column == int(value)).fillna(False).to_numpy(dtype=bool)
    return (column == value).fillna(False).to_numpy(dtype=bool)


def pages(n: int) -> int:
    """Pages that ``n`` rows fill, at least one."""
    return max(1, -(-n // PAGE))


def bars(row: Mapping[str, Any], classes: list[str], most: int) -> list[tuple[str, float]]:
    """Class and probability of a row: the ``most`` likely ones, and always the true class."""
    every = sorted(((c, float(row[PREFIX + c])) for c in classes), key=lambda cp: -cp[1])
    shown = every[:most]
    if row["y_true"] not in [c for c, _ in shown]:
        shown = [*shown[: most - 1], *(cp for cp in every if cp[0] == row["y_true"])]
    return shown


def matrix(predictions: Predictions, asked: Query) -> list[tuple[str, list[int]]]:
    """Counts of (true, predicted), a row for each true class, under all other fields asked."""
    open_query = replace(asked, true="", predicted="", show="all")
    frame = predictions.table[_fits(predictions.table, open_query)]
    counts = pd.crosstab(frame["y_true"], frame["y_pred"])
    classes = predictions.classes
    table = counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy(int)
    return list(zip(classes, table.tolist(), strict=True))

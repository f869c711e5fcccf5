"""What the pages on single predictions show: the grid, one image, and patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from magnostic.browse import cases
from magnostic.browse.browser import Browser, Missing
from magnostic.browse.photographs import Source, at_hand
from magnostic.errors import BadInput
from magnostic.evaluate.patients import FIGURES, score_table
from magnostic.evaluate.predictions import PREFIX
from magnostic.report import words

#: Probabilities beside a picture of the grid.
_BARS: Final = 3


def errors(browser: Browser, key: str, given: Mapping[str, str]) -> dict[str, Any]:
    place, run = browser.run(key)
    predictions, source = browser.predictions(place)
    known = cases.choices(predictions)
    asked = cases.query(given, known)
    frame = cases.select(predictions, asked)
    n_pages = cases.pages(len(frame))
    page = min(asked.page, n_pages)
    shown = frame.iloc[(page - 1) * cases.PAGE : page * cases.PAGE]
    matrix = cases.matrix(predictions, asked)
    return {
        **browser.head(place, run),
        "asked": asked,
        "known": known,
        "n": len(frame),
        "n_patients": int(frame["patient_id"].nunique()),
        "page": page,
        "n_pages": n_pages,
        "cases": [_case(row, predictions.classes, source) for row in _records(shown)],
        "matrix": matrix,
        "most": max((n for _, row in matrix for n in row), default=0),
        "note": source.note,
        "found": source.data is not None,
        "words": {"show": cases.SHOW, "order": cases.ORDER},
    }


def case(browser: Browser, key: str, given: Mapping[str, str]) -> dict[str, Any]:
    """One image: its picture, this prediction, and the image's other ones."""
    place, run = browser.run(key)
    predictions, source = browser.predictions(place)
    known = cases.choices(predictions)
    asked = cases.query(given, known)
    frame = cases.select(predictions, asked)
    image = given.get("image", "")
    every = predictions.table[predictions.table["image_id"] == image]
    if every.empty:
        raise Missing(f"this run has no prediction of an image {image!r}")
    names = list(zip(frame["image_id"], frame["repeat"], frame["fold"], strict=True))
    here = next(
        (
            n
            for n, (i, repeat, fold) in enumerate(names)
            if i == image
            and str(repeat) == given.get("of_repeat", str(repeat))
            and str(fold) == given.get("of_fold", str(fold))
        ),
        None,
    )
    row = frame.iloc[here] if here is not None else every.iloc[0]
    beside = {}
    for name, step in (("before", -1), ("after", 1)):
        at = None if here is None else here + step
        beside[name] = names[at] if at is not None and 0 <= at < len(names) else None
    return {
        **browser.head(place, run),
        "asked": asked,
        "case": _case(dict(row), predictions.classes, source),
        "bars": cases.bars(dict(row), predictions.classes, len(predictions.classes)),
        "at": here,
        "n": len(frame),
        "page": 1 if here is None else here // cases.PAGE + 1,
        "others": [
            _case(r, predictions.classes, source) for r in _records(_by_rigour(every, known))
        ],
        **beside,
    }


def patients(browser: Browser, key: str, protocol: str, sort: str) -> dict[str, Any]:
    place, run = browser.run(key)
    predictions, _ = browser.predictions(place)
    known = cases.choices(predictions)
    asked = cases.query({"protocol": protocol}, known)
    side = predictions.where(part="test", protocol=asked.protocol)
    table = score_table(side)
    by_patient = table.groupby(["patient_id", "label"], as_index=False, sort=True).agg(
        accession=("accession", "first"), n_images=("n_images", "first"),
        **{column: (column, "mean") for column in FIGURES.values()},
    )  # fmt: skip
    order = {"score": ["score", "patient_id"], "patient": ["patient_id"],
             "images": ["n_images", "patient_id"]}  # fmt: skip
    if sort not in order:
        raise BadInput(f"patients are not sorted by {sort!r}; choose {', '.join(order)}")
    return {
        **browser.head(place, run),
        "asked": asked,
        "known": known,
        "sort": sort,
        "rows": _records(by_patient.sort_values(order[sort], ascending=sort != "images")),
        "several": int(table["repeat"].nunique()) > 1,
        "figures": [
            (words.METRICS[name], metric)
            for name, metric in (
                run.metrics["protocols"].get(asked.protocol, {}).get("patients") or {}
            ).items()
            if name in FIGURES
        ],
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _by_rigour(every: pd.DataFrame, known: cases.Choices) -> pd.DataFrame:
    rank = {name: n for n, name in enumerate(known.values["protocol"])}
    order = every.assign(_rank=every["protocol"].map(rank))
    return order.sort_values(["_rank", "part", "repeat", "fold"]).drop(columns="_rank")


def _case(row: Mapping[str, Any], classes: list[str], source: Source) -> dict[str, Any]:
    """One prediction for a template; missing ids become None."""
    plain = {
        name: None if pd.isna(row[name]) else row[name]
        for name in ("image_id", "slide_id", "patient_id", "accession", "magnification")
    }
    image_id = str(row["image_id"])
    return {
        **plain,
        **{name: row[name] for name in ("protocol", "repeat", "fold", "part", "y_true", "y_pred")},
        "right": row["y_true"] == row["y_pred"],
        "p": float(row[PREFIX + str(row["y_pred"])]),
        "bars": cases.bars(row, classes, _BARS),
        "missing": at_hand(source, image_id),
        "size": _size(source, image_id),
    }


def _size(source: Source, image_id: str) -> tuple[int, int] | None:
    """Width and height of the photograph, for a place of the right shape before it is there."""
    if source.data is None or image_id not in source.data.rows.index:
        return None
    row = source.data.rows.loc[[image_id]]
    return int(row["width"].iloc[0]), int(row["height"].iloc[0])

"""Predictions made elsewhere, read and matched to images, so that the same code judges them.

A CSV (UTF-8, comma) or Parquet file with one row an image (and fold):

- which image, as in :mod:`magnostic.evaluate.named`;
- what was predicted: ``p_<class>`` for each class, summing to 1, or ``y_pred`` alone (then nothing
  that needs probabilities can be told);
- optional: ``y_true`` (must agree with the images), ``protocol`` (else ``outside``), ``repeat``,
  ``fold``, ``part`` (``test`` rows are scored; ``val`` rows only calibrate).
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.data.images import Images, Task, classes, targets
from magnostic.errors import did_you_mean
from magnostic.evaluate.named import fault, listed, load, match
from magnostic.evaluate.predictions import PREFIX, Predictions, make
from magnostic.taxonomy import CODES, MALIGNANCIES

#: Name of the protocol where the file names none.
PROTOCOL: Final = "outside"
#: How far a row's probabilities may be from 1 in sum, as rounding to a few digits leaves them.
_ROUNDED: Final = 5e-3
#: Classes of a system at most: every two of them are compared.
_MOST_CLASSES: Final = 1000
#: What the predictions table allows; beyond that they are scaled to sum to 1.
_EXACT: Final = 1e-4


@dataclass(frozen=True)
class Outside:
    """Predictions made elsewhere.

    Attributes:
        predictions: the table that everything is computed from.
        task: what was asked of the system.
        decisions_only: there were no probabilities; those of the table are 0 and 1.
        n_images: images of the table, predicted or not.
    """

    predictions: Predictions
    task: Task
    decisions_only: bool
    n_images: int


def read(path: Path, images: Images, task: Task | None = None) -> Outside:
    """Read and match a file; ``task`` None: told by the names of the classes.

    Raises TableError naming file, row (as a spreadsheet counts them) and column.
    """
    frame = load(path)
    given = [str(c).removeprefix(PREFIX) for c in frame.columns if str(c).startswith(PREFIX)]
    if not given and "y_pred" not in frame:
        raise fault(
            path,
            None,
            f"no column p_<class> and no y_pred (columns found: {listed(frame.columns)}); "
            "give a probability for each class, or the predicted class",
        )
    if len(given) > _MOST_CLASSES:
        raise fault(path, None, f"{len(given)} columns p_<class>, more than {_MOST_CLASSES}")
    position = match(path, frame, images.table)
    task = task or _task(given or [str(v) for v in frame["y_pred"].dropna().unique()], images)
    table = images.table.iloc[position].reset_index(drop=True)
    known = list(classes(images.table, task))
    y = targets(table, task)
    names = _classes(path, known, given, frame, task)
    probabilities = (
        _probabilities(path, frame, names) if given else _certain(path, frame["y_pred"], names)
    )
    if "y_true" in frame:
        _compare(path, frame["y_true"], y)
    made = make(
        table, y.tolist(), probabilities, names, protocol=PROTOCOL, repeat=0, fold=0, part="test"
    )
    if "protocol" in frame:
        made["protocol"] = _protocols(path, frame["protocol"])
    for column in ("repeat", "fold"):
        if column in frame:
            made[column] = _numbers(path, frame, column)
    if "part" in frame:
        made["part"] = _parts(path, frame["part"])
    if given and "y_pred" in frame:
        made["y_pred"] = _decided(path, frame["y_pred"], names)
    _refuse_twice(path, made)
    return Outside(Predictions(made), task, not given, len(images))


def not_estimable(predictions: Predictions) -> dict[tuple[str, int, int], list[str]]:
    """Classes whose images of a protocol and repeat are all in one fold, which thus lacked them.

    It is taken that each fold's model was trained on the images of the other folds.
    """
    found: dict[tuple[str, int, int], list[str]] = {}
    test = predictions.where(part="test").table
    for _, rows in test.groupby(["protocol", "repeat"]):
        if rows["fold"].nunique() < 2:
            continue
        protocol, repeat = str(rows["protocol"].iloc[0]), int(rows["repeat"].iloc[0])
        for label, folds in rows.groupby("y_true")["fold"].unique().items():
            if len(folds) == 1:
                found.setdefault((protocol, repeat, int(folds[0])), []).append(str(label))
    return found


def _task(names: Sequence[str], images: Images) -> Task:
    if set(names) <= set(MALIGNANCIES) and images.table["malignancy"].notna().all():
        return "binary"
    if set(names) <= set(CODES) and images.table["tumour_type"].notna().all():
        return "subtype"
    return "label"


def _classes(
    path: Path, known: list[str], given: list[str], frame: pd.DataFrame, task: Task
) -> list[str]:
    """The images' classes in the usual order, and after them those that only the file knows."""
    predicted = [] if "y_pred" not in frame else [str(v) for v in frame["y_pred"].dropna().unique()]
    if not given:
        return known + sorted(set(predicted) - set(known))
    lacking = [name for name in known if name not in given]
    if lacking:
        raise fault(
            path,
            None,
            f"no column p_{lacking[0]}{did_you_mean(lacking[0], given)}: the images are of "
            f"{listed(known)} (task {task}), the file has {listed(given)}; add it (0 where the "
            "system does not know the class), or name another --task",
        )
    return known + [name for name in given if name not in known]


def _probabilities(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float32]:
    columns = [PREFIX + name for name in names]
    values = np.empty((len(frame), len(names)))
    for k, column in enumerate(columns):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        bad = (
            ~np.isfinite(numbers.to_numpy(dtype=float)) | ~numbers.between(0, 1 + _EXACT).to_numpy()
        )
        if bad.any():
            row = int(bad.argmax())
            raise fault(
                path,
                row,
                f"column {column!r} is {reprlib.repr(_plain(frame[column].iloc[row]))}; give a "
                "probability from 0 to 1",
            )
        values[:, k] = numbers
    total = values.sum(axis=1)
    off = np.abs(total - 1)
    if (off > _ROUNDED).any():
        row = int((off > _ROUNDED).argmax())
        raise fault(
            path,
            row,
            f"probabilities sum to {total[row]:.6g}; give a softmax over {listed(names)}",
        )
    scale = np.where(off > _EXACT / 2, total, 1.0)
    return (values / scale[:, None]).astype(np.float32)


def _certain(path: Path, decided: pd.Series, names: Sequence[str]) -> NDArray[np.float32]:
    index = pd.Index(names).get_indexer(pd.Index(_decided(path, decided, names)))
    return np.eye(len(names), dtype=np.float32)[index]


def _decided(path: Path, decided: pd.Series, names: Sequence[str]) -> list[str]:
    wrong = ~decided.isin(list(names))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        value = decided.iloc[row]
        shown = reprlib.repr(value)
        said = "is empty" if pd.isna(value) else f"is {shown}{did_you_mean(str(value), names)}"
        raise fault(path, row, f"column 'y_pred' {said}; expected one of {listed(names)}")
    return [str(v) for v in decided]


def _compare(path: Path, said: pd.Series, y: pd.Series) -> None:
    differs = (
        said.astype("str").to_numpy() != y.astype("str").to_numpy()
    ) & said.notna().to_numpy()
    if differs.any():
        row = int(differs.argmax())
        raise fault(
            path,
            row,
            f"column 'y_true' is {said.iloc[row]!r}, the image is of class {y.iloc[row]!r} "
            f"({int(differs.sum())} such rows); mend the labels of one of the two",
        )


def _protocols(path: Path, values: pd.Series) -> pd.Series:
    names = values.astype("str")
    bad = values.isna() | ~names.str.fullmatch(r"[\w-]+").fillna(False).astype(bool)
    if bad.any():
        row = int(bad.to_numpy().argmax())
        said = f"column 'protocol' is {values.iloc[row]!r}; give a name of letters, digits, - and _"
        raise fault(path, row, said)
    return names


def _numbers(path: Path, frame: pd.DataFrame, column: str) -> NDArray[np.int16]:
    values = pd.to_numeric(frame[column], errors="coerce")
    bad = ~(values.between(0, 32_767) & (values % 1 == 0)).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        said = (
            f"column {column!r} is {_plain(frame[column].iloc[row])!r}; give a whole number from 0"
        )
        raise fault(path, row, said)
    return values.to_numpy(np.int16)


def _parts(path: Path, part: pd.Series) -> pd.Series:
    wrong = ~part.isin(("val", "test"))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise fault(
            path,
            row,
            f"column 'part' is {part.iloc[row]!r}; expected test or val; leave out training",
        )
    return part.astype("str")


def _plain(value: object) -> object:
    """NumPy's numbers as Python writes them."""
    return value.item() if isinstance(value, np.generic) else value


def _refuse_twice(path: Path, made: pd.DataFrame) -> None:
    key = ["protocol", "repeat", "fold", "part", "image_id"]
    twice = made.duplicated(key)
    if twice.any():
        row = int(twice.to_numpy().argmax())
        image = made["image_id"].iloc[row]
        first = int(((made[key] == made.loc[row, key]).all(axis=1)).to_numpy().argmax())
        raise fault(
            path,
            row,
            f"image {image!r} is predicted in row {first + 2} already; keep one row, or tell them "
            "apart by columns protocol, repeat or fold",
        )

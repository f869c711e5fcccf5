"""Prediction of listed photographs into a file, with what came of it in a few words."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magnostic import __version__
from magnostic.deploy.output import Journal, Row, check_format, journal_of, write
from magnostic.deploy.patients import Patients
from magnostic.deploy.predictor import JOINED, Predictor
from magnostic.deploy.sources import IDS, Item
from magnostic.errors import BadInput
from magnostic.lock import locked_file
from magnostic.processors import check_workers
from magnostic.progress import track
from magnostic.stored import as_written

#: Rows of some items, in order.
Stream = Callable[[Sequence[Item]], Generator[Row, None, None]]
_PATIENT = IDS.index("patient_id")


@dataclass
class Summary:
    """What a prediction came to.

    Attributes:
        images: rows written; ``resumed`` of them stood there before.
        classes: class -> photographs predicted as it.
        reasons: reason for review -> photographs (:data:`magnostic.deploy.predictor.REASONS`).
        review: photographs with the flag.
        errors: kind of fault -> photographs.
        first_errors: path and error of the first few.
        patients: file of the patients' decisions, None where the input brought no patients.
    """

    out: Path
    images: int = 0
    resumed: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    review: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_errors: list[tuple[str, str]] = field(default_factory=list)
    patients: Path | None = None
    n_patients: int = 0

    @property
    def unread(self) -> int:
        return self.errors.total()

    def add(self, row: dict[str, Any]) -> None:
        """Count one row."""
        self.images += 1
        self.review += bool(row["review"])
        if row["reasons"]:
            self.reasons.update(row["reasons"].split(JOINED))
        if row["error"] is not None:
            self.errors[row["error"].split(":", 1)[0]] += 1
            if len(self.first_errors) < 5:
                self.first_errors.append((row["path"], row["error"]))
            return
        self.classes[row["y_pred"]] += 1


def predict_to_file(
    predictor: Predictor,
    items: Sequence[Item],
    out: Path,
    *,
    resume: bool = False,
    workers: int = 0,
    stream: Stream | None = None,
    engine: str = "",
) -> Summary:
    """Predict every item in order and write ``out``; patients' decisions beside it.

    Args:
        items: from :func:`magnostic.deploy.sources.listed`.
        out: ``.csv``, ``.parquet`` or ``.json``; must not exist. Where items bring patients, their
            decisions go to ``NAME-patients`` of the same kind, which must not exist either.
        resume: go on with an interrupted prediction of the same model, options and photographs.
        workers: decoding threads; 0: one a core.
        stream: gives the rows of items in order; by default the predictor, in this process.
        engine: name of what computes those rows; by default the predictor's.

    Raises BadInput for a name of another kind, a file that exists, or rows of something else.
    """
    check_format(out)
    check_workers(workers)
    with locked_file(out):
        identity = _identity(predictor, items, engine or predictor.engine.name)
        stream = stream or _here(predictor, workers)
        return _predict(predictor, items, out, resume, stream, identity)


def _here(predictor: Predictor, workers: int) -> Stream:
    return lambda items: predictor.stream(items, workers=workers)


def _predict(
    predictor: Predictor,
    items: Sequence[Item],
    out: Path,
    resume: bool,
    stream: Stream,
    identity: str,
) -> Summary:
    of_patients = out.with_stem(f"{out.stem}-patients")
    there = of_patients.exists() and any(i.ids and i.ids[_PATIENT] is not None for i in items)
    exists = f"{of_patients}: exists; choose another file (-o), or remove it"
    if there and not (resume and journal_of(out).exists()):
        raise BadInput(exists)
    journal = Journal(out, identity, resume=resume)
    if there and journal.done < len(items):  # ours is written after the last row alone
        raise BadInput(exists)
    summary, patients = Summary(out, resumed=journal.done), Patients(predictor.rules)
    with as_written(journal.path, then="remove it, and predict all of them again"):
        for row in journal.rows():
            _check(row, predictor.columns)
            summary.add(row)
            patients.add(row)
    rest = items[journal.done :]
    with journal.appending() as append, contextlib.closing(stream(rest)) as rows:
        for row in track(rows, "predicting", len(rest)):
            append(row)
            summary.add(row)
            patients.add(row)
    table = patients.table()
    if table:
        summary.patients, summary.n_patients = of_patients, len(table)
        write(summary.patients, table, list(table[0]))
    with as_written(journal.path, then="remove it, and predict all of them again"):
        journal.finish(predictor.columns)
    return summary


def _check(row: Any, columns: Sequence[str]) -> None:
    """ValueError, KeyError or TypeError for what no prediction has written down."""
    if list(row) != [name for name in columns if name in row]:
        raise ValueError("a row with other columns")
    if not isinstance(row["review"], bool):
        raise TypeError("review is no truth value")
    if not all(row[name] is None or isinstance(row[name], str) for name in (*IDS, "error")):
        raise TypeError("an id that is no text")


def _identity(predictor: Predictor, items: Sequence[Item], engine: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    told = [__version__, predictor.about.digest, engine, predictor.rules.level]
    digest.update(json.dumps(told).encode())
    for item in items:
        digest.update(repr((item.path, item.ids)).encode())
    return digest.hexdigest()

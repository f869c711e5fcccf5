"""What the pages show, as mappings for their templates; knows nothing of requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pandas as pd

from magnostic.browse import cases, files, listing
from magnostic.browse.find import Found, Place, find
from magnostic.browse.photographs import DataSet, Gallery, Source, at_hand, source_of
from magnostic.data.images import Images
from magnostic.errors import BadInput, MagnosticError
from magnostic.evaluate.compare import compare
from magnostic.evaluate.patients import FIGURES, score_table
from magnostic.evaluate.predictions import PREFIX, Predictions
from magnostic.files import read_object
from magnostic.report import comparison, context, tables, words
from magnostic.report.findings import grouped
from magnostic.report.folder import RunFolder
from magnostic.report.settings import TASKS, settings
from magnostic.report.study.folder import STATUS
from magnostic.report.verdict import judge

#: Probabilities beside a picture of the grid.
_BARS: Final = 3
#: Runs whose predictions and photographs' places are kept in memory.
_OPEN: Final = 8
#: Comparisons that are kept.
_COMPARED: Final = 32
RESAMPLES: Final = 10_000
#: A run's own images table, and its model card, where it has them.
IMAGES: Final = "images.parquet"
CARD: Final = "MODEL_CARD.md"


class Missing(Exception):
    """There is no such page; says what was looked for."""


class Browser:
    """Pages on the runs below some folders, with the photographs of some data sets.

    Args:
        roots: as ``find.check`` returns them.
        sets: data sets that photographs are looked for in.
    """

    def __init__(self, roots: Sequence[Path], sets: Sequence[DataSet] = ()) -> None:
        self.roots = list(roots)
        self.sets = list(sets)
        self.runs = listing.Runs()
        self.gallery = Gallery()
        self._opened = lru_cache(_OPEN)(_open)
        self._compared = lru_cache(_COMPARED)(_compare)
        self._one_at_a_time = threading.Lock()
        self._found = Found({})

    def found(self) -> Found:
        """What there is now."""
        self._found = find(self.roots)
        return self._found

    def place(self, key: str, kind: str) -> Place:
        """A place by its key; looked for anew only where it was not there the last time."""
        place = self._found.places.get(key)
        if place is None or not (place.path / f"{kind}.json").is_file():
            place = self.found().places.get(key)
        if place is None or place.kind != kind:
            raise Missing(f"no {kind} {key!r} in the folders given")
        return place

    def run(self, key: str) -> tuple[Place, RunFolder]:
        place = self.place(key, "run")
        run = self.runs.read(place.path)
        if isinstance(run, str):
            raise BadInput(run)
        return place, run

    # The list

    def list(self, asked: listing.Asked) -> dict[str, Any]:
        found = self.found()
        tops = [p for p in found.places.values() if not self._is_model(p, found)]
        lines = [listing.line(place, self.runs) for place in tops]
        return {
            "asked": asked,
            "lines": listing.chosen(lines, asked),
            "n_all": len(lines),
            "protocols": listing.protocols(lines),
            "tasks": sorted({line.task for line in lines if line.task}),
            "states": listing.STATES,
            "cut": found.cut,
            "roots": [root.name or str(root) for root in self.roots],
        }

    @staticmethod
    def _is_model(place: Place, found: Found) -> bool:
        """Whether it is one of a run's models, which that run's page lists."""
        return place.inside is not None and found.places[place.inside].kind == "run"

    # One run or study

    def show(self, key: str) -> dict[str, Any]:
        place, run = self.run(key)
        found = self.found()
        figures = files.listed(place.path, "figures")
        pdf = {Path(f.name).stem for f in figures if f.name.endswith(".pdf")}
        models = [p for p in found.places.values() if p.inside == key]
        return {
            **self._head(place, run, found),
            "task": TASKS.get(run.task, run.task),
            "verdict": judge(run.metrics, run.task, len(run.classes), run.controls),
            "headline": tables.headline(run),
            "settings": settings(run),
            "facts": context.facts(run),
            "audit": grouped(run.findings),
            "pictures": [
                (Path(f.name).stem, f.name, Path(f.name).stem in pdf)
                for f in figures
                if f.name.endswith(".png") and f.size
            ],
            "tables": [f for f in files.listed(place.path, "tables") if f.shown == "table"],
            "files": files.listed(place.path),
            "models": [(p, self._scored(p)) for p in models],
            "has_predictions": (place.path / comparison.PREDICTIONS).is_file(),
        }

    def _head(self, place: Place, run: RunFolder, found: Found) -> dict[str, Any]:
        return {
            "place": place,
            "parent": found.places.get(place.inside) if place.inside else None,
            "name": str(run.recipe.get("name") or place.path.name),
            "synthetic": bool(run.data.get("synthetic")),
            "has_report": (place.path / "report.html").is_file(),
            "has_card": (place.path / CARD).is_file(),
        }

    def _scored(self, place: Place) -> Mapping[str, Any] | None:
        """Accuracy of one model on its own fold."""
        run = self.runs.read(place.path)
        if isinstance(run, str):
            return None
        result = next(iter(run.metrics["protocols"].values()))
        return {"accuracy": result["overall"]["accuracy"], "n": result["n_images"]}

    def study(self, key: str) -> dict[str, Any]:
        place = self.place(key, "study")
        line = listing.line(place, self.runs)
        if line.wrong:
            raise BadInput(line.wrong)
        found = self.found()
        by_path = {p.path: p for p in found.places.values() if p.kind == "run"}
        about = _study_entries(place.path)
        rows = []
        for entry in about["entries"]:
            at = by_path.get((place.path / str(entry.get("path", ""))).resolve())
            status = str(entry["status"])
            told = "done" if status == "done" else STATUS.get(status, status)
            reason = words.without_machine(str(entry.get("reason") or ""))
            rows.append(
                {
                    "label": str(entry.get("label") or entry.get("key", "")),
                    "group": str(entry.get("group") or ""),
                    "settings": entry.get("settings") or {},
                    "outcome": f"{told} ({reason})" if reason else told,
                    "line": None if at is None else listing.line(at, self.runs),
                }
            )
        return {
            "place": place,
            "name": line.name,
            "note": line.note,
            "description": words.without_machine(str(about.get("description") or "")).strip(),
            "rows": rows,
            "protocols": listing.protocols(r["line"] for r in rows if r["line"]),
            "has_report": (place.path / "report.html").is_file(),
            "files": files.listed(place.path),
        }

    def file(self, key: str, kind: str, name: str) -> Path:
        """A file that may be sent; Missing says why it may not."""
        place = self.place(key, kind)
        try:
            return files.inside(place.path, name)
        except files.Refused as refused:
            raise Missing(f"{name}: {refused}") from None

    # Comparisons

    def compare(self, keys: Sequence[str], protocol: str, task: str) -> dict[str, Any]:
        """``problem`` says why runs cannot be compared; there is no ``result`` then."""
        found = self.found()
        places = []
        for key in dict.fromkeys(keys):
            place = found.places.get(key)
            if place is None or place.kind != "run":
                raise Missing(f"no run {key!r} in the folders given")
            places.append(place)
        shown: dict[str, Any] = {
            "places": places, "protocol": protocol, "task": task, "protocols": [],
            "result": None, "problem": None, "resamples": RESAMPLES,
            "others": [p for p in found.places.values()
                       if p.kind == "run" and p not in places and not self._is_model(p, found)],
        }  # fmt: skip
        if not places:
            return shown
        paths = tuple(place.path for place in places)
        try:
            loaded = comparison.read(paths)
            shown["protocols"] = comparison.protocols(loaded)
            shown["protocol"] = protocol or shown["protocols"][0]
            stamps = tuple((p / comparison.PREDICTIONS).stat().st_mtime_ns for p in paths)
            with self._one_at_a_time:  # a second request for the same takes it from the cache
                result = self._compared(paths, stamps, shown["protocol"], task)
        except MagnosticError as error:
            shown["problem"] = _without_roots(str(error), self.roots)
            return shown
        return shown | {
            "result": result,
            "heading": comparison.heading(result),
            "systems": comparison.systems(result),
            "pairs": [
                {
                    "words": pair["words"],
                    "grid": comparison.differences(pair, result),
                    "tests": comparison.tests(pair, len(result["pairs"])),
                    "figures": pair["figures"],
                    "sentences": [f["words"] for f in pair["figures"].values()],
                }
                for pair in result["pairs"]
            ],
        }

    # Single predictions

    def predictions(self, place: Place) -> tuple[Predictions, Source]:
        """A run's predictions, and where its photographs are."""
        stamp = tuple(
            path.stat().st_mtime_ns if path.is_file() else 0
            for path in (place.path / comparison.PREDICTIONS, place.path / IMAGES)
        )
        run = self.runs.read(place.path)
        data = {} if isinstance(run, str) else run.data
        return self._opened(
            place.path, stamp, tuple(self.sets), str(data.get("data_hash") or ""),
            bool(data.get("synthetic")),
        )  # fmt: skip

    def errors(self, key: str, given: Mapping[str, str]) -> dict[str, Any]:
        place, run = self.run(key)
        predictions, source = self.predictions(place)
        known = cases.choices(predictions)
        asked = cases.query(given, known)
        frame = cases.select(predictions, asked)
        n_pages = cases.pages(len(frame))
        page = min(asked.page, n_pages)
        shown = frame.iloc[(page - 1) * cases.PAGE : page * cases.PAGE]
        matrix = cases.matrix(predictions, asked)
        return {
            **self._head(place, run, self.found()),
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

    def case(self, key: str, given: Mapping[str, str]) -> dict[str, Any]:
        """One image: its picture, this prediction, and the image's other ones."""
        place, run = self.run(key)
        predictions, source = self.predictions(place)
        asked = cases.query(given, cases.choices(predictions))
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
            **self._head(place, run, self.found()),
            "asked": asked,
            "case": _case(dict(row), predictions.classes, source),
            "bars": cases.bars(dict(row), predictions.classes, len(predictions.classes)),
            "at": here,
            "n": len(frame),
            "page": 1 if here is None else here // cases.PAGE + 1,
            "others": [
                _case(r, predictions.classes, source)
                for r in _records(_by_rigour(every, predictions))
            ],
            **beside,
        }

    def patients(self, key: str, protocol: str, sort: str) -> dict[str, Any]:
        place, run = self.run(key)
        predictions, _ = self.predictions(place)
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
            **self._head(place, run, self.found()),
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

    def picture(self, key: str, image: str, *, large: bool) -> bytes:
        """A picture of one of the run's photographs. Raises Missing, photographs.NotAtHand."""
        place = self.place(key, "run")
        predictions, source = self.predictions(place)
        if not (predictions.table["image_id"] == image).any():
            raise Missing(f"this run has no prediction of an image {image!r}")
        draw = self.gallery.large if large else self.gallery.small
        return draw(source, image)


def _open(
    folder: Path, _: tuple[int, ...], sets: tuple[DataSet, ...], data_hash: str, synthetic: bool
) -> tuple[Predictions, Source]:
    file = folder / comparison.PREDICTIONS
    predictions = Predictions.read(file)
    own = folder / IMAGES
    if own.is_file() and not own.is_symlink():
        sets = (DataSet(f"the run's {IMAGES}", Images.read(own)), *sets)
    asked = predictions.table.drop_duplicates("image_id")
    columns = asked[["image_id", "slide_id", "magnification"]]
    return predictions, source_of(sets, columns, data_hash, synthetic)


def _compare(
    paths: tuple[Path, ...], _: tuple[int, ...], protocol: str, task: str
) -> dict[str, Any]:
    return compare(comparison.read(paths), protocol, binary=task == "binary", resamples=RESAMPLES)


def _study_entries(folder: Path) -> dict[str, Any]:
    return read_object(folder / "study.json")


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _by_rigour(every: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    rank = {name: n for n, name in enumerate(cases.choices(predictions).values["protocol"])}
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
    row = source.data.rows.loc[image_id]
    return int(row["width"]), int(row["height"])


def _without_roots(said: str, roots: Sequence[Path]) -> str:
    for root in roots:
        said = said.replace(f"{root.parent}/", "")
    return said

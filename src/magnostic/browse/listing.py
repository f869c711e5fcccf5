"""The list of runs and studies: one line each, searched, filtered and sorted."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from magnostic.browse.find import Place
from magnostic.errors import BadInput, MagnosticError
from magnostic.files import read_object
from magnostic.report import folder as run_folder
from magnostic.report.folder import RunFolder
from magnostic.report.study.folder import STATUS, by_rigour
from magnostic.report.words import plural, without_machine
from magnostic.stored import as_written

#: Files whose change makes a run be read again.
_READ: Final = ("run.json", "metrics.json", "audit.json", "data.json", "recipe.yaml")
STATES: Final = {"run": "finished runs", "study": "studies", "wrong": "broken or unfinished"}


@dataclass(frozen=True)
class Line:
    """One run or study as the list shows it.

    Attributes:
        figures: by protocol, its accuracy, macro F1 (``M`` of evaluate.summary) and unit.
        gaps: by grouped protocol, how many points random images are above it.
        wrong: what keeps it from being shown; empty for a whole run.
    """

    place: Place
    name: str
    date: str
    task: str = ""
    data: str = ""
    synthetic: bool = False
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    gaps: dict[str, dict[str, Any]] = field(default_factory=dict)
    issues: int = 0
    tips: int = 0
    wrong: str = ""
    note: str = ""

    @property
    def state(self) -> str:
        return "wrong" if self.wrong else self.place.kind


class Runs:
    """Run folders read once and again when their files change; for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[Any, ...], RunFolder | str]] = {}

    def read(self, folder: Path) -> RunFolder | str:
        """What report.folder reads, or in words why it cannot."""
        stamp = tuple(_stamp(folder / name) for name in _READ)
        with self._lock:
            known = self._known.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        result: RunFolder | str
        try:
            result = run_folder.read(folder)
        except (MagnosticError, OSError) as error:
            result = str(error)
        with self._lock:
            self._known[folder] = (stamp, result)
        return result


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


def line(place: Place, runs: Runs) -> Line:
    """One line; never raises for what a folder holds."""
    name = place.path.name
    date = _date(place.path)
    if place.kind == "unfinished":
        return Line(
            place, name, date,
            wrong="not finished: there is no run.json; the same command with --resume goes on",
        )  # fmt: skip
    if place.kind == "study":
        return _study(place, name, date)
    run = runs.read(place.path)
    if isinstance(run, str):
        return Line(place, name, date, wrong=_relative(run, place))
    try:
        with as_written(place.path):
            return _whole(place, name, date, run)
    except BadInput as fault:
        return Line(place, name, date, wrong=_relative(str(fault), place))


def _whole(place: Place, name: str, date: str, run: RunFolder) -> Line:
    protocols = run.metrics["protocols"]
    figures = {
        p: {
            "accuracy": r["overall"]["accuracy"],
            "macro_f1": r["overall"]["macro_f1"],
            "cluster": r["cluster"],
            "n_clusters": r["n_clusters"],
        }
        for p, r in protocols.items()
    }
    used = run.data.get("n_used") or max((r["n_images"] for r in protocols.values()), default=0)
    sources = ", ".join(map(str, run.data.get("sources") or []))
    return Line(
        place,
        str(run.recipe.get("name") or name),
        date,
        task=f"{run.task}, {len(run.classes)} classes",
        data=f"{sources + ', ' if sources else ''}{plural(used, 'image')}",
        synthetic=bool(run.data.get("synthetic")),
        figures=figures,
        gaps={p: g["accuracy"] for p, g in run.metrics.get("gap", {}).items()},
        issues=sum(f["status"] == "issue" for f in _worst(run.findings)),
        tips=sum(f["status"] == "tip" for f in _worst(run.findings)),
    )


def _worst(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One finding a check: the worst of its places, as the audit counts them on a page."""
    rank = {"passed": 0, "tip": 1, "issue": 2}
    worst: dict[str, Mapping[str, Any]] = {}
    for found in findings:
        known = worst.get(found["code"])
        if known is None or rank.get(found["status"], 2) > rank.get(known["status"], 2):
            worst[found["code"]] = found
    return list(worst.values())


def _study(place: Place, name: str, date: str) -> Line:
    try:
        about = read_object(place.path / "study.json")
        entries = about["entries"]
        states = [str(entry["status"]) for entry in entries]
    except MagnosticError as error:
        return Line(place, name, date, wrong=_relative(str(error), place))
    except (KeyError, TypeError, OSError):
        told = "study.json: field entries is missing or no list of rows; run the study again"
        return Line(place, name, date, wrong=told)
    done = sum(state == "done" for state in states)
    rest = [f"{states.count(s)} {words.partition(':')[0]}" for s, words in STATUS.items()
            if s in states]  # fmt: skip
    note = f"{done} of {plural(len(states), 'row')} done" + "".join(f", {r}" for r in rest)
    return Line(place, str(about.get("title") or about.get("name") or name), date, note=note)


def _relative(said: str, place: Place) -> str:
    """A message without the folders of this machine."""
    return without_machine(said.replace(f"{place.path}/", "").replace(str(place.path), place.where))


def _date(folder: Path) -> str:
    """When the newest of a run's files was written, local time to the minute."""
    names = (*_READ, "study.json", "identity.json", "predictions.parquet")
    times = [stamp[0] for name in names if (stamp := _stamp(folder / name)) is not None]
    if not times:
        return ""
    return datetime.datetime.fromtimestamp(max(times) / 1e9).strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Asked:
    """How the list is wanted. sort: a column, ``-`` before it for the largest first."""

    text: str = ""
    task: str = ""
    state: str = ""
    protocol: str = ""
    sort: str = ""

    def address(self, **changed: str) -> str:
        given = {**vars(self), **changed}
        return urlencode([(name, value) for name, value in given.items() if value])


def chosen(lines: Iterable[Line], asked: Asked) -> list[Line]:
    """The lines that fit, sorted: by column, those without a value last."""
    words = asked.text.lower().split()
    kept = [
        line
        for line in lines
        if all(word in _searched(line) for word in words)
        and asked.task in ("", line.task)
        and asked.state in ("", line.state)
        and (not asked.protocol or asked.protocol in line.figures)
    ]
    if not asked.sort:
        return kept
    down = asked.sort.startswith("-")
    column = asked.sort.removeprefix("-")
    valued = [(value(line, column), line) for line in kept]
    there = sorted(
        [pair for pair in valued if pair[0] is not None], key=lambda p: p[0], reverse=down
    )
    return [line for _, line in there] + [line for v, line in valued if v is None]


def value(line: Line, column: str) -> Any:
    """What a column sorts by; None where a line has nothing there."""
    if column in ("name", "task", "data", "date"):
        return getattr(line, column).lower() or None
    if column == "audit":
        return None if line.state != "run" else (line.issues, line.tips)
    figure, _, protocol = column.partition(":")
    if figure in ("accuracy", "macro_f1") and protocol in line.figures:
        return line.figures[protocol][figure]["estimate"]
    return None


def _searched(line: Line) -> str:
    return f"{line.name} {line.place.where} {line.task} {line.data} {line.note}".lower()


def protocols(lines: Iterable[Line]) -> list[str]:
    """Protocols of all lines, random images first, the strictest last."""
    return by_rigour(p for line in lines for p in line.figures)

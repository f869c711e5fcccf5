"""A study folder as its report reads it: study.json and the run folders that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from magnostic.errors import BadInput, did_you_mean
from magnostic.files import read_object
from magnostic.report import folder, published, words
from magnostic.report.folder import RunFolder
from magnostic.stored import inside

DONE: Final = "done"
#: What a status means to the reader of a table.
STATUS: Final = {
    "refused": "refused: the data cannot bear it",
    "failed": "failed",
    "running": "not finished",
    "planned": "not run",
}
#: Protocols from the one that published figures use to the strictest.
_RIGOUR: Final = ("random", "official", "patient", "accession", "source")


@dataclass(frozen=True)
class Entry:
    """One row of a study.

    settings: the values of the study's grid, by field. published: rows that belong beside it.
    link: address of the run's own report, relative to the study's; None if there is none.
    run: the run folder's content; None unless the run is done and can be read.
    """

    key: str
    label: str
    group: str
    settings: dict[str, Any]
    seed: int
    task: str
    recipe: str
    published: list[published.Row]
    path: Path
    status: str
    reason: str
    link: str | None = None
    run: RunFolder | None = None
    several_seeds: bool = False

    @property
    def detail(self) -> str:
        """Grid values, and the seed where the study has several: ``sgd, batch_size 16``."""
        says = [f"{k.rpartition('.')[2]} {_shown(v)}" for k, v in self.settings.items()]
        if self.several_seeds:
            says.append(f"seed {self.seed}")
        return ", ".join(says)

    @property
    def name(self) -> str:
        return f"{self.label} ({self.detail})" if self.detail else self.label

    @property
    def outcome(self) -> str:
        """Why there is no figure, for tables; empty where there is one."""
        if self.run is not None:
            return ""
        says = STATUS.get(self.status, self.status)
        return f"{says} ({self.reason})" if self.reason else says

    def results(self) -> dict[str, Any]:
        """Figures by protocol; empty where there is no run."""
        return dict(self.run.metrics["protocols"]) if self.run else {}

    def figure(self, protocol: str, key: str) -> dict[str, Any] | None:
        """One overall figure with its interval, None where there is none or it is undefined."""
        result = self.results().get(protocol)
        metric = result["overall"][key] if result else None
        return None if metric is None or metric["estimate"] is None else dict(metric)

    @property
    def printed(self) -> float | None:
        """Accuracy in percent of the first published row that has one."""
        return next((row.values[0] for row in self.published if row.values[0] is not None), None)

    def beats_majority(self, protocol: str) -> bool:
        """The accuracy's interval (without one: the figure) lies above always answering a class."""
        result = self.results()[protocol]
        metric = result["overall"]["accuracy"]
        low = metric["estimate"] if metric["low"] is None else metric["low"]
        return bool(low > result["majority"])

    def gap(self, protocol: str, learnable: bool = False) -> dict[str, Any] | None:
        """Random-image minus a protocol's accuracy in points with its interval, None without one.

        learnable: on images whose type their fold could learn, where others could not.
        """
        found = (self.run.metrics["gap"].get(protocol) if self.run else None) or {}
        side = found.get("estimable") if learnable else found
        metric = side["accuracy"] if side else None
        return None if metric is None or metric["estimate"] is None else dict(metric)


@dataclass(frozen=True)
class Study:
    """title, description: as the study's file says. entries: in the study's order."""

    name: str
    title: str
    description: str
    entries: list[Entry]

    @cached_property
    def done(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.run is not None]

    @cached_property
    def protocols(self) -> list[str]:
        """All protocols of the runs, published ones first, the strictest last."""
        return by_rigour(name for entry in self.done for name in entry.results())

    @cached_property
    def main(self) -> str | None:
        """The protocol to believe first among those at hand."""
        found = words.ordered(dict.fromkeys(self.protocols))
        return found[0] if found else None

    @cached_property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(entry.task for entry in self.entries))

    def of(self, task: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.task == task]


def by_rigour(names: Iterable[str]) -> list[str]:
    """Different names of protocols, random images first, the strictest last."""
    rank = {name: i for i, name in enumerate(_RIGOUR)}
    return sorted(set(names), key=lambda name: (rank.get(name, len(rank)), name))


def read(path: Path, out: Path) -> Study:
    """Read a study folder for a report to be written to the folder ``out``.

    Raises:
        BadInput: it is no study folder, or study.json lacks a field or names an unknown
            published row. A run folder that cannot be read makes its row a failed one.
    """
    if not (path / "study.json").is_file():
        raise BadInput(
            f"{path}: holds no study.json, so it is not a study's folder; give the folder that a "
            "study was written to (magnostic study … --out FOLDER)"
        )
    about = read_object(path / "study.json")
    raw = about.get("entries")
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise BadInput(
            f"{path / 'study.json'}: field entries is missing or no list of rows; run the study "
            "again, it skips what is done"
        )
    several = len({entry.get("seed", 0) for entry in raw}) > 1
    entries = [_entry(path, out, n, entry, several) for n, entry in enumerate(raw, start=1)]
    name = str(about.get("name", "study"))
    title, description = str(about.get("title") or name), str(about.get("description") or "")
    return Study(name, title, words.without_machine(description).strip(), entries)


def _entry(root: Path, out: Path, n: int, raw: Mapping[str, Any], several: bool) -> Entry:
    where = f"{root / 'study.json'}, entry {n}"
    missing = [key for key in ("key", "status", "path") if key not in raw]
    if missing:
        raise BadInput(f"{where}: field {missing[0]} is missing; run the study again")
    path = inside(root, raw["path"])
    status, reason = str(raw["status"]), str(raw.get("reason") or "")
    run, link = None, None
    if status == DONE:
        try:
            run = folder.read(path)
        except (BadInput, OSError) as fault:
            status = "failed"
            reason = f"its run folder cannot be read: {fault}"
        else:
            link = _link(path / "report.html", out)
    return Entry(
        key=str(raw["key"]),
        label=str(raw.get("label") or raw["key"]),
        group=str(raw.get("group") or ""),
        settings=dict(raw.get("settings") or {}),
        seed=int(raw.get("seed", 0)),
        task=str(raw.get("task", "label")),
        recipe=str(raw.get("recipe") or ""),
        published=[_published(where, str(key)) for key in raw.get("published") or []],
        path=path,
        status=status,
        reason=words.without_machine(reason),
        link=link,
        run=run,
        several_seeds=several,
    )


def _published(where: str, key: str) -> published.Row:
    if key not in published.ROWS:
        near = did_you_mean(key, published.ROWS)
        raise BadInput(f"{where}: published names no known row {key!r}{near}; mend the study")
    return published.ROWS[key]


def _link(report: Path, out: Path) -> str | None:
    if not report.is_file():
        return None
    return quote(Path(os.path.relpath(report.resolve(), out.resolve())).as_posix())


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)

"""Runs and studies in folders: where they are, and what is wrong with those that can't be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from magnostic.errors import BadInput
from magnostic.files import read_object

Kind = Literal["run", "study", "unfinished"]
#: Folders that one list looks into at most, so that a whole disk is not searched by mistake.
MOST_FOLDERS: Final = 50_000
#: Files that a run folder has before its run.json is written.
_BEGUN: Final = ("identity.json", "recipe.yaml")


@dataclass(frozen=True)
class Place:
    """One folder that holds, or began to hold, something to look at.

    Attributes:
        key: its name in addresses; unique among the folders given, without a slash.
        path: the folder.
        where: the path below the folder given, beginning with that folder's name.
        inside: key of the run that it is a model of, or of the study that it is a row of.
    """

    key: str
    path: Path
    where: str
    kind: Kind
    inside: str | None = None


@dataclass(frozen=True)
class Found:
    """What there is, by key, in the order of the folders given and then by path.

    cut: the search ended at :data:`MOST_FOLDERS` folders.
    """

    places: dict[str, Place]
    cut: bool = False


def check(roots: Sequence[Path]) -> list[Path]:
    """The folders' real paths; BadInput for one that is none or cannot be read."""
    if not roots:
        raise BadInput("no folder was given; name one or more that hold runs")
    for root in roots:
        if not root.is_dir():
            what = "is a file" if root.exists() else "no such folder"
            raise BadInput(
                f"{root}: {what}; give a run's or study's folder, or one that holds some"
            )
        if not os.access(root, os.R_OK | os.X_OK):
            raise BadInput(f"{root}: cannot be read; mend its permissions")
    return list(dict.fromkeys(root.resolve() for root in roots))


def find(roots: Sequence[Path]) -> Found:
    """Every run and study below the folders, the models of a run included (``inside`` it).

    Links are not followed, hidden folders passed over, and nothing is searched inside a run but the
    folders of its models.
    """
    search = _Search()
    for root in roots:
        search.walk(root, root.name or "root", None)
    return Found(search.places, cut=search.left <= 0)


class _Search:
    """What has been found, and how many folders may still be looked into."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.left = MOST_FOLDERS

    def _add(self, path: Path, where: str, kind: Kind, inside: str | None) -> str:
        """A place under a key of its own: ``~`` for a slash, a number where that is taken."""
        plain = where.replace("/", "~")
        key, n = plain, 2
        while key in self.places:
            key, n = f"{plain}.{n}", n + 1
        self.places[key] = Place(key, path, where, kind, inside)
        return key

    def walk(self, folder: Path, where: str, study: str | None) -> None:
        self.left -= 1
        if self.left <= 0:
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError:
            return
        files = {e.name for e in entries if e.is_file(follow_symlinks=False)}
        folders = [e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name[0] != "."]
        if "run.json" in files:
            self._models(folder, where, self._add(folder, where, "run", study))
            return
        if "study.json" in files:
            study = self._add(folder, where, "study", None)
        elif files.intersection(_BEGUN):
            self._add(folder, where, "unfinished", study)
            return
        for name in folders:
            self.walk(folder / name, f"{where}/{name}", study)

    def _models(self, folder: Path, where: str, key: str) -> None:
        """A run's models, by their paths in run.json; never beyond the run's folder."""
        try:
            children = read_object(folder / "run.json").get("children", [])
        except (BadInput, OSError):
            return
        for entry in children if isinstance(children, list) else []:
            path = _inside(folder, entry)
            if path is not None and (folder / path / "run.json").is_file():
                self._add(folder / path, f"{where}/{path}", "run", key)


def _inside(folder: Path, entry: Any) -> str | None:
    """A child's path as it stands, if it names a folder below ``folder`` without any link."""
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or path in ("", "."):
        return None
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path:
        return None
    here = folder
    for part in parts:
        here = here / part
        if here.is_symlink():
            return None
    return path

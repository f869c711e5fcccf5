"""Where the run of an entry lies: a folder named by what it computes, shared by equal entries."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magnostic.errors import RecipeError
from magnostic.recipe import Recipe
from magnostic.study.expand import Entry
from magnostic.train.experiment import resolve

#: Folder of the runs in a study's folder.
RUNS = "runs"


@dataclass(frozen=True)
class Placed:
    """An entry and the folder of its run, relative to the study's."""

    entry: Entry
    path: str

    def finished(self, study: Path) -> bool:
        """Whether the run is whole; its report can be written again without training."""
        return (study / self.path / "run.json").is_file()


def place(entries: Sequence[Entry], data_hash: str, study: Path) -> list[Placed]:
    """The run folder of each entry: ``runs/<key>-<8 hex>``.

    The hex digits are :func:`digest`'s. A folder that ends in them is taken whatever its key, so
    two rows that come to the same recipe share one run, and a renamed row keeps its own.
    """
    known = {path.name[-8:]: path.name for path in sorted((study / RUNS).glob("*-????????"))}
    placed = []
    for entry in entries:
        hexes = digest(entry.recipe, data_hash)
        name = known.setdefault(hexes, f"{entry.key}-{hexes}")
        placed.append(Placed(entry, f"{RUNS}/{name}"))
    return placed


def digest(recipe: Recipe, data_hash: str) -> str:
    """8 hex digits over the resolved recipe, but for its name and description, and the data.

    Files that the recipe names (weights, reference photograph, official folds) count by their
    content, not by where they lie. ``auto`` fields count as what this device makes of them.
    """
    with contextlib.suppress(RecipeError):  # the run will say so
        recipe = resolve(recipe)
    fields = recipe.model_dump(mode="json", exclude={"name", "description"})
    fields["model"]["weights"] = _content(recipe.model.weights)
    fields["preprocess"]["reference"] = _content(recipe.preprocess.reference)
    if recipe.split.official_dir is not None:
        files = sorted(recipe.split.official_dir.glob("dsfold*.txt"))
        fields["split"]["official_dir"] = [_content(str(path)) for path in files]
    text = json.dumps(fields, sort_keys=True) + data_hash
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _content(text: str) -> str:
    path = Path(text).expanduser()
    return _sha256(path) if path.is_file() else text


@functools.cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

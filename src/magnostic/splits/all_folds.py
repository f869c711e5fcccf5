"""Drawing the folds of every protocol in a recipe, and their provenance."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import SplitError
from magnostic.recipe import Protocol, Recipe
from magnostic.splits import grouped, official, random_images
from magnostic.splits.policies import Selection
from magnostic.splits.seeds import generator
from magnostic.splits.table import Folds, check_folds


def make(selection: Selection, recipe: Recipe, y: pd.Series) -> Folds:
    """Folds of all protocols and repeats of ``recipe.split``.

    Args:
        selection: the photographs of the run.
        recipe: seed and split section.
        y: class name of each row of ``selection.table``, with its index.

    Each protocol and repeat has a generator of its own, so that adding one changes no other.
    Raises SplitError where a protocol can't be carried out on these images.
    """
    check_aligned(selection, y)
    split = recipe.split
    tables: list[pd.DataFrame] = []
    told: dict[str, Any] = {}
    for protocol in split.protocols:
        repeats = official.DRAWS if protocol == "official" else split.repeats
        draws = []
        for repeat in range(repeats):
            fold = _draw(selection, recipe, y, protocol, repeat)
            wanted = 1 if protocol == "official" else grouped.n_folds(selection, split, protocol)
            _require_tests(fold, protocol, repeat, wanted)
            draws.append(fold)
            tables.append(
                pd.DataFrame(
                    {
                        "image_id": selection.table["image_id"],
                        "protocol": protocol,
                        "repeat": np.int16(repeat),
                        "fold": fold.astype(np.int16),
                    }
                )
            )
        told[protocol] = _tell(selection, protocol, draws)
    table = pd.concat(tables, ignore_index=True)
    table["protocol"] = table["protocol"].astype("str")
    check_folds(table)
    return Folds(table, _provenance(selection, recipe, told))


def check_aligned(selection: Selection, y: pd.Series) -> None:
    """Raise ValueError unless ``y`` belongs to the rows of ``selection.table``."""
    if not y.index.equals(selection.table.index):
        raise ValueError("y must have the index of selection.table; make it from that table")
    if y.isna().any():
        row = int(y.isna().to_numpy().argmax())
        image = selection.table["image_id"].iloc[row]
        raise SplitError(f"{image} has no class; give it one or leave it out")


def _draw(
    selection: Selection, recipe: Recipe, y: pd.Series, protocol: Protocol, repeat: int
) -> NDArray[np.int64]:
    rng = generator(recipe.seed, protocol, repeat)
    if protocol == "random":
        return random_images.draw(selection, y, recipe.split, rng)
    if protocol == "official":
        assert recipe.split.official_dir is not None  # the recipe's own check
        return official.draw(selection, recipe.split.official_dir, repeat + 1)
    return grouped.draw(selection, y, recipe.split, protocol, rng)


def _require_tests(fold: NDArray[np.int64], protocol: str, repeat: int, wanted: int) -> None:
    """Raise SplitError where one of the folds that are wanted would test nothing."""
    lacking = sorted(set(range(wanted)) - {int(f) for f in np.unique(fold)})
    if lacking:
        advice = (
            "fewer folds" if wanted > 1 else "a larger split.test_fraction, split.folds 2 or more"
        )
        advice += ", or more patients"
        if protocol == "source" and wanted == 1:
            advice = "split.folds 2 or more, so that each data set is tested once"
        raise SplitError(
            f"protocol {protocol}, repeat {repeat}: fold {lacking[0]} would test no image; there "
            f"are too few groups for it. Give {advice}"
        )


def _tell(
    selection: Selection, protocol: Protocol, draws: list[NDArray[np.int64]]
) -> dict[str, Any]:
    """What a protocol came to: images (and groups) tested in each fold of each repeat."""
    told: dict[str, Any] = {
        "grouping": grouped.GROUP_COLUMN.get(protocol) if protocol != "official" else None,
        "folds": [sorted({int(f) for f in np.unique(d)} - {-1}) for d in draws],
        "test_images": [[int((d == f).sum()) for f in _folds(d)] for d in draws],
    }
    if protocol in ("patient", "accession", "source"):
        group = grouped.groups(selection, protocol)
        told["n_groups"] = int(group.max()) + 1
        told["test_groups"] = [[len(np.unique(group[d == f])) for f in _folds(d)] for d in draws]
    if protocol == "official":
        told["note"] = "five draws of slides, not a partition; policies 'together' don't apply"
    return told


def _folds(draw: NDArray[np.int64]) -> list[int]:
    return [int(f) for f in np.unique(draw) if f >= 0]


def _provenance(selection: Selection, recipe: Recipe, told: dict[str, Any]) -> dict[str, Any]:
    split = recipe.split
    return {
        "version": 1,
        "protocols": told,
        "seed": recipe.seed,
        "folds": split.folds,
        "repeats": split.repeats,
        "test_fraction": split.test_fraction,
        "val_fraction": split.val_fraction,
        "stratify": split.stratify,
        "strict": split.strict,
        "policies": selection.policies.model_dump(mode="json"),
        "dropped": selection.dropped,
        "n_images": len(selection.table),
        "data_hash": selection.data_hash,
        "libraries": {name: version(name) for name in ("numpy", "pandas", "scipy")},
    }

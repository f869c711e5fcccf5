"""Images tables without pixels: the whole of BreakHis by its names, and small made-up ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from magnostic.data.assemble import tidy
from magnostic.data.breakhis import from_names
from magnostic.data.images import Images
from magnostic.recipe import Recipe

MakeImages = Callable[..., Images]
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="session")
def whole(fold_files: Path) -> Images:
    """All 7,909 photographs by name, each with pixels of its own."""
    names = [line.split("|")[0] for line in (fold_files / "dsfold1.txt").read_text().split()]
    frame = from_names(names)
    ids = frame["image_id"]
    return Images(
        tidy(frame.assign(path=ids, width=700, height=460, pixel_hash=ids, source="breakhis"))
    )


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    """``make_images(label=[…], patient_id=[…])``: rows in the order given."""

    def make(**columns: Any) -> Images:
        frame = pd.DataFrame(columns)
        ids = [f"i{row:05d}" for row in range(len(frame))]
        defaults = {"path": ids, "width": 1, "height": 1, "pixel_hash": ids, "source": "made-up"}
        if "patient_id" in frame:
            defaults |= {"slide_id": frame["patient_id"], "accession": frame["patient_id"]}
        rest = {name: value for name, value in defaults.items() if name not in frame}
        return Images(tidy(frame.assign(image_id=ids, **rest)))

    return make


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """``make_recipe(seed=1, policy="keep", protocols=[…], folds=5)``."""

    def make(seed: int = 0, policy: str = "together", **split: Any) -> Recipe:
        data = {"duplicates": policy, "double_labels": policy}
        raw = {"name": "test", "seed": seed, "task": "label", "data": data, "split": split}
        return Recipe.model_validate(raw)

    return make

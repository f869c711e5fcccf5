"""What the phantom knows: a network that never saw stain vary falls where the stain is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magnostic.data import Images, read_images
from magnostic.data.phantom import Stain, write_phantom
from magnostic.files import read_json
from magnostic.recipe import Recipe
from magnostic.train.robustness import measure_run
from magnostic.train.run import run

SHIFTS = ("haematoxylin-more", "haematoxylin-less")


def _falls(images: Images, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Falls of accuracy at severities 0.5 and 1, by shift."""
    recipe = Recipe.model_validate(
        {
            "name": "stain",
            "task": "binary",
            "data": {"double_labels": "drop"},
            "split": {"protocols": ["patient"], "folds": 2, "val_fraction": 0},
            "preprocess": {"size": 64, "normalize": "train"},
            "augment": {"flips": True},
            "model": {"backbone": "test_resnet", "weights": "none"},
            "train": {"epochs": 40, "lr": 2e-3, "precision": "fp32"},
            "evaluate": {"resamples": 300},
        }
    )
    measure_run(run(recipe, images, folder), images, SHIFTS, (0.5, 1.0))
    curves = read_json(folder / "robustness.json")["protocols"]["patient"]["curves"]
    return {shift: [at["fall"]["accuracy"] for at in curves[shift]] for shift in SHIFTS}


@pytest.mark.slow
def test_who_saw_stain_vary_does_not_fall_along_the_stain_curve(tmp_path: Path) -> None:
    """The same tissue and network, drawn and trained twice. docs/magnification.md has figures."""
    found = {}
    stains: tuple[Stain, ...] = ("tied", "free")
    for stain in stains:
        root = write_phantom(
            tmp_path / stain, patients_per_type=3, fields_per_magnification=2, workers=1,
            stain=stain,
        )  # fmt: skip
        found[stain] = _falls(read_images(root), tmp_path / f"run-{stain}")
    for shift in SHIFTS:
        tied, free = found["tied"][shift], found["free"][shift]
        assert 0 < tied[0]["estimate"] < tied[1]["estimate"], "further down with severity"
        assert tied[1]["estimate"] > 8
        assert free[1]["low"] < 0, "no fall to be seen"
        assert free[1]["estimate"] < tied[1]["estimate"] / 2
    assert max(found["tied"][shift][1]["low"] for shift in SHIFTS) > 0
